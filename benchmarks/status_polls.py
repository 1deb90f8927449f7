"""Status polls a second, beside a bare FastAPI route that does one HGETALL, on the same server."""

import asyncio
import socket
import subprocess
import sys
import time
from urllib.parse import urlsplit

from benchmarks.figures import Figure, met
from tests.kit.trader import Deployment

CONNECTIONS, SECONDS, ROUNDS = 8, 4.0, 3


def status_polls(deployment: Deployment) -> Figure:
    """In turns, each the best of some rounds: what else the machine does can only slow one down."""
    trader = deployment.trader()
    strategy = trader.strategy("TCS", buy_in=3000, sell_in=3600)
    authorization = trader.http.headers["Authorization"]
    port = _free_port()
    argv = [sys.executable, "-m", "benchmarks.bare_route", str(port), deployment.settings.redis_url]
    bare = subprocess.Popen(argv)
    try:
        _await(port)
        best = {"ours": 0.0, "bare": 0.0}
        for _ in range(ROUNDS):
            for name, url in (
                ("ours", f"{deployment.api_url}/strategy/status/{strategy.id}"),
                ("bare", f"http://127.0.0.1:{port}/status/{strategy.id}"),
            ):
                best[name] = max(best[name], asyncio.run(_rate(url, authorization)))
    finally:
        bare.terminate()
        bare.wait()
        strategy.stop()
    share = best["ours"] / best["bare"]
    return Figure(
        "Status polls",
        "≥ 0.7 × the requests/s of a bare FastAPI route doing one Redis HGETALL",
        verdict=met(ok=share >= 0.7, said=f"{share:.2f} ×"),
        plain=[(f"GET /strategy/status, {CONNECTIONS} connections", f"{best['ours']:.0f}/s"),
               ("bare route with one HGETALL", f"{best['bare']:.0f}/s")],
        notes=["Ours checks the access token and the login, reads two hashes in one script and validates the answer."],
    )  # fmt: skip


async def _rate(url: str, authorization: str) -> float:
    target = urlsplit(url)
    request = f"GET {target.path} HTTP/1.1\r\nHost: {target.netloc}\r\nAuthorization: {authorization}\r\n\r\n".encode()
    until, counts = time.monotonic() + SECONDS, [0] * CONNECTIONS

    async def client(number: int) -> None:
        reader, writer = await asyncio.open_connection(target.hostname, target.port)
        while time.monotonic() < until:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            length = next(
                int(line.partition(b":")[2])
                for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length")
            )
            await reader.readexactly(length)
            counts[number] += 1
        writer.close()

    begun = time.monotonic()
    await asyncio.gather(*(client(number) for number in range(CONNECTIONS)))
    return sum(counts) / (time.monotonic() - begun)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _await(port: int) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("the bare route did not start")
