"""How long an order takes from the call of `place_order` until the broker's machine has its bytes.

A bare HTTP server in a process of its own notes the instant at which a request is complete, on the clock that both
processes share, and answers with it as the order id. The stock `kiteconnect` and ours take turns, order by order, so
that whatever else the machine does hits both. "KiteGateway.place" is what the engine calls: from its loop, through
a thread, and back; beside it the stock client is called the same way.

    python benchmarks/place_order.py [ROUNDS]
"""

import asyncio
import multiprocessing
import socket
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from kiteconnect import KiteConnect

from broker.kite.connection import Destination
from broker.kite.connection_pool import ConnectionPool
from broker.kite.credentials import KiteCredentials
from broker.kite.gateway import KiteEndpoint, KiteGateway, order_fields
from broker.kite.order_client import KiteOrderClient
from tests.kit.execution import a_command

ROUNDS = 800
WARM_UP = 50
STOCK, OURS = "kiteconnect, stock", "ours"
STOCK_THREAD, GATEWAY = "kiteconnect, stock, asyncio.to_thread", "ours, KiteGateway.place"
TIMEOUT = (0.5, 3.0)
Way = Callable[[], Awaitable[str]]
CREDENTIALS = KiteCredentials("api-key", "access-token-of-the-benchmark")


def serve(told: Connection) -> None:
    """A broker that does nothing but note when a request has arrived. It ends with its parent."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        told.send(listener.getsockname()[1])
        asyncio.run(_serve(listener))


async def _serve(listener: socket.socket) -> None:
    server = await asyncio.get_running_loop().create_server(_Arrival, sock=listener)
    await server.serve_forever()


class _Arrival(asyncio.Protocol):
    """Notes the instant before it looks at the bytes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._arrived = transport, b""

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        self._arrived += data
        head, gap, body = self._arrived.partition(b"\r\n\r\n")
        if not gap or len(body) < _length(head):
            return
        self._arrived = b""
        answer = b'{"status":"success","data":{"order_id":"%d"}}' % now
        self._transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer)
        )


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


async def measure(root: str, rounds: int) -> dict[str, list[float]]:
    """Microseconds from call to arrival, by way of calling."""
    command = a_command()
    order = order_fields(command, -1)
    stock = KiteConnect(CREDENTIALS.api_key, CREDENTIALS.access_token, root, timeout=TIMEOUT)
    ours = KiteOrderClient(CREDENTIALS, ConnectionPool(Destination(root, TIMEOUT)))

    async def credentials() -> KiteCredentials:
        return CREDENTIALS

    gateway = KiteGateway(KiteEndpoint(root, TIMEOUT), credentials)

    async def by_stock() -> str:
        return str(stock.place_order(**order))

    async def by_ours() -> str:
        return ours.place_order(**order)  # type: ignore[arg-type]

    async def by_stock_in_thread() -> str:
        return str(await asyncio.to_thread(stock.place_order, **order))

    async def by_gateway() -> str:
        return (await gateway.place(command)).order_id or ""

    ways: dict[str, Way] = {
        STOCK: by_stock,
        OURS: by_ours,
        STOCK_THREAD: by_stock_in_thread,
        GATEWAY: by_gateway,
    }
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(WARM_UP + rounds):
        for way, call in ways.items():
            began = time.monotonic_ns()
            arrived = int(await call())
            if number >= WARM_UP:
                taken[way].append((arrived - began) / 1000)
    return taken


def report(taken: dict[str, list[float]]) -> None:
    """The table."""
    rows = {way: percentiles(us) for way, us in taken.items()}
    print(f"call of place_order -> bytes arrived, microseconds, {len(taken[OURS])} orders each, taking turns")
    print(f"{'':40}{'p50':>9}{'p99':>9}{'max':>9}")
    for way, row in rows.items():
        print(f"{way:40}" + "".join(f"{value:9.0f}" for value in row))
    for ours, stock in ((OURS, STOCK), (GATEWAY, STOCK_THREAD)):
        ratios = [b / a for a, b in zip(rows[ours], rows[stock], strict=True)]
        print(
            f"{stock} / {ours}: "
            + ", ".join(f"{n} {r:.1f}x" for n, r in zip(("p50", "p99", "max"), ratios, strict=True))
        )


def percentiles(values: list[float]) -> tuple[float, float, float]:
    """p50, p99 and the largest."""
    cuts = statistics.quantiles(values, n=100)
    return cuts[49], cuts[98], max(values)


def main() -> None:
    """Start the server, measure, print."""
    mine, its = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(its,), daemon=True)
    server.start()
    try:
        rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
        report(asyncio.run(measure(f"http://127.0.0.1:{mine.recv()}", rounds)))
    finally:
        server.terminate()
        server.join()


if __name__ == "__main__":
    main()
