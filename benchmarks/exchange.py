"""A Kite-compatible exchange that does as little as it can, and stamps: the judge of every latency here.

It notes the wall clock (`time.time_ns`) before it writes a tick to the sockets, and when the last byte of an order has
arrived, before it answers any. Orders fill at once; everybody holds enough of everything. One process, one asyncio
loop, no framework: what it costs, the measurement pays for.

Beside Kite's calls: `POST /bench/tick {"key", "paise"}` publishes a tick and answers its stamp; `GET /bench/orders`
answers and forgets the orders that have arrived: `[tag, side, symbol, stamp]`.
"""

import asyncio
import base64
import hashlib
import json
import socket
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any
from urllib.parse import parse_qs, urlsplit

from broker.paper import packets
from broker.paper.config import DATA_DIRECTORY
from broker.paper.instruments import Instrument, InstrumentList
from broker.paper.market import Tick

_BOOK_ROWS = 60
_UNKNOWN = b'{"status":"error","error_type":"TokenException","message":"Token is invalid or has expired."}'
"""The answer to everything else: what Kite says to a request token that it does not know."""

_HEARTBEAT_S = 1.0
_WEBSOCKET = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_BINARY, _TEXT, _CLOSE, _PING, _PONG = 0x82, 0x81, 0x8, 0x9, 0x8A
HELD = 1_000_000
"""Shares that every account holds of everything, so that no sale is a short one."""


class Exchange:
    """Everything but the bytes."""

    def __init__(self) -> None:
        self.instruments = InstrumentList.load(DATA_DIRECTORY / "instruments.csv")
        self.sockets: set[Session] = set()
        self.arrived: list[tuple[str, str, str, int]] = []
        self.books: dict[str, deque[dict[str, Any]]] = {}
        self.orders = 0

    def tick(self, key: str, paise: int) -> int:
        """Publish a price to all sockets; when."""
        instrument = self.instruments.find(key)
        assert instrument is not None
        message = packets.frame([packets.packet(_snapshot(instrument, paise), "full")])
        stamp = time.time_ns()
        for session in list(self.sockets):
            if session.subscribed:
                session.send_message(_BINARY, message)
        return stamp

    def take_order(self, user: str, form: dict[str, str], stamp: int) -> str:
        """Fill it."""
        self.orders += 1
        order_id = f"{1_900_000_000_000_000_000 + self.orders}"
        self.arrived.append((form.get("tag", ""), form["transaction_type"], form["tradingsymbol"], stamp))
        row = {
            "order_id": order_id,
            "tag": form.get("tag"),
            "status": "COMPLETE",
            "quantity": int(form["quantity"]),
            "filled_quantity": int(form["quantity"]),
            "average_price": 100.0,
            "transaction_type": form["transaction_type"],
            "tradingsymbol": form["tradingsymbol"],
            "exchange": form["exchange"],
            "product": form["product"],
        }
        self.books.setdefault(user, deque(maxlen=_BOOK_ROWS)).append(row)
        update = json.dumps({"type": "order", "data": row}).encode()
        asyncio.get_running_loop().call_soon(self._tell, user, update)  # after the answer
        return order_id

    def _tell(self, user: str, update: bytes) -> None:
        for session in list(self.sockets):
            if session.user == user:
                session.send_message(_TEXT, update)

    def positions(self) -> list[dict[str, Any]]:
        """The same for everybody."""
        rows = [i for i in self.instruments if not i.is_index]
        return [
            {"exchange": i.exchange, "tradingsymbol": i.symbol, "product": "MIS", "quantity": HELD} for i in rows[:40]
        ]

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes, stamp: int) -> Any:
        """`data` of the answer, or raw bytes."""
        url = urlsplit(target)
        user = headers.get("authorization", "").partition(":")[0].removeprefix("token ")
        match method, url.path:
            case "POST", "/orders/regular":
                form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
                return {"order_id": self.take_order(user, form, stamp)}
            case "GET", "/orders":
                return list(self.books.get(user, ()))
            case "GET", "/portfolio/positions":
                held = self.positions()
                return {"net": held, "day": held}
            case "GET", "/portfolio/holdings":
                return []
            case "GET", "/user/profile":
                return {"user_id": user}
            case "GET", "/quote/ltp":
                return {key: {"instrument_token": 0, "last_price": 100.0} for key in parse_qs(url.query)["i"]}
            case "POST", "/bench/tick":
                asked = json.loads(body)
                return self.tick(asked["key"], asked["paise"])
            case "GET", "/bench/orders":
                arrived, self.arrived = self.arrived, []
                return arrived
        if url.path.startswith("/instruments"):
            return self.instruments.dump(url.path.partition("/instruments")[2].strip("/") or None)
        raise LookupError(target)


def _snapshot(instrument: Instrument, paise: int) -> Tick:
    return Tick(instrument, paise, paise, paise, paise, paise, time.time_ns())


class Session(asyncio.Protocol):
    """One connection: HTTP, or a WebSocket after its handshake."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._heard = b""
        self._is_socket = False
        self.user = ""
        self.subscribed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, _error: Exception | None) -> None:
        self._exchange.sockets.discard(self)

    def data_received(self, data: bytes) -> None:
        stamp = time.time_ns()
        self._heard += data
        if self._is_socket:
            self._frames()
        else:  # what has arrived on other connections by now is stamped before anything is answered
            asyncio.get_running_loop().call_soon(self._request, stamp)

    def _request(self, stamp: int) -> None:
        head, gap, body = self._heard.partition(b"\r\n\r\n")
        if not gap:
            return
        request, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", 0))
        if len(body) < length:
            return
        self._heard = body[length:]
        method, target, _ = request.split(" ", 2)
        if "sec-websocket-key" in headers:
            self.user = parse_qs(urlsplit(target).query)["api_key"][0]
            self._upgrade(headers["sec-websocket-key"])
        else:
            self._reply(method, target, headers, body[:length], stamp)

    def _reply(self, method: str, target: str, headers: dict[str, str], body: bytes, stamp: int) -> None:
        try:
            data = self._exchange.answer(method, target, headers, body, stamp)
        except LookupError:
            self._write(403, "application/json", _UNKNOWN)
            return
        if isinstance(data, bytes):
            self._write(200, "text/csv", data, "Content-Encoding: gzip\r\n")
        else:
            self._write(200, "application/json", json.dumps({"status": "success", "data": data}).encode())

    def _write(self, status: int, kind: str, body: bytes, more: str = "") -> None:
        head = f"HTTP/1.1 {status} OK\r\nContent-Type: {kind}\r\n{more}Content-Length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)

    # --- the WebSocket --------------------------------------------------------------------------------------------

    def _upgrade(self, key: str) -> None:
        accept = base64.b64encode(hashlib.sha1(key.encode() + _WEBSOCKET).digest()).decode()  # noqa: S324 - RFC 6455
        self._transport.write(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )
        self._is_socket = True
        self._exchange.sockets.add(self)

    def send_message(self, opcode: int, message: bytes) -> None:
        """One unmasked frame."""
        length = len(message)
        head = struct.pack(">BB", opcode, length) if length < 126 else struct.pack(">BBH", opcode, 126, length)
        self._transport.write(head + message)

    def _frames(self) -> None:
        """Pings are answered; whoever subscribes anything gets everything."""
        while len(self._heard) >= 6:
            length, at = self._heard[1] & 0x7F, 2
            if length == 126:
                (length,), at = struct.unpack_from(">H", self._heard, 2), 4
            end = at + 4 + length
            if len(self._heard) < end:
                return
            opcode, mask = self._heard[0] & 0xF, self._heard[at : at + 4]
            payload = bytes(byte ^ mask[n % 4] for n, byte in enumerate(self._heard[at + 4 : end]))
            self._heard = self._heard[end:]
            if opcode == _PING:
                self.send_message(_PONG, payload)
            elif opcode == _CLOSE:
                self._transport.close()
            elif b'"subscribe"' in payload:
                self.subscribed = True


async def _serve(listening: socket.socket) -> None:
    exchange = Exchange()
    server = await asyncio.get_running_loop().create_server(lambda: Session(exchange), sock=listening)
    async with server:
        while True:
            await asyncio.sleep(_HEARTBEAT_S)
            for session in list(exchange.sockets):
                session.send_message(_BINARY, packets.HEARTBEAT)


def main() -> None:
    """Print the port, and serve until killed."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(listening.getsockname()[1], flush=True)
        asyncio.run(_serve(listening))


class Control:
    """The exchange as a benchmark drives it."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._http = HTTPConnection(urlsplit(root).netloc, timeout=10)

    def tick(self, key: str, paise: int) -> int:
        """Publish; the stamp in nanoseconds since 1970."""
        return int(self._ask("POST", "/bench/tick", {"key": key, "paise": paise}))

    def orders(self) -> list[tuple[str, str, str, int]]:
        """What has arrived since the last call: tag, side, symbol, stamp."""
        return [tuple(row) for row in self._ask("GET", "/bench/orders")]

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        self._http.request(method, path, json.dumps(body) if body is not None else None)
        answer: dict[str, Any] = json.loads(self._http.getresponse().read())
        return answer["data"]


@contextmanager
def running_exchange() -> Iterator[Control]:
    """The exchange in a process of its own."""
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.exchange"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield Control(f"http://127.0.0.1:{int(process.stdout.readline())}")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


if __name__ == "__main__":
    main()
