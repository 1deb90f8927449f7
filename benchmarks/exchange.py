"""A Kite-compatible exchange that does as little as it can, and stamps: the judge of every latency here.

It notes the wall clock (`time.time_ns`) before it writes a tick to the first of the sockets that subscribed the
instrument, and when the last byte of an order has arrived, before it answers any. Orders fill at once; every account
holds enough of everything. One process, one asyncio loop, no framework: what it costs, the measurement pays for.

Beside Kite's calls, each `POST` with a JSON object:

* `/bench/market {"key", "paise"}`: from now on the instrument has this price, and ticks about once a second.
* `/bench/still {"key"}`: it no longer ticks.
* `/bench/tick {"key", "paise"}`: one tick at once; answers its stamp.
* `/bench/fall {"key", "paise", "orders", "within_s", "kill", "now"}`: the next regular tick (or one at once) has this
  price; in the instant before it is written, the processes of `kill` get SIGKILL. Answers when `orders` sell orders
  have arrived, or the time is up, so that the benchmark sleeps meanwhile: `{"stamp", "sockets", "sold": [tag, stamp]}`.
* `GET /bench/orders` answers and forgets the orders that have arrived: `[tag, side, symbol, stamp]`;
  `GET /bench/listeners?key=` how many sockets have subscribed an instrument.
"""

import asyncio
import base64
import hashlib
import json
import os
import random
import signal
import socket
import struct
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from broker.paper.base.config import DATA_DIRECTORY
from broker.paper.base.instruments import Instrument, InstrumentList
from broker.paper.market.market import Tick
from broker.paper.ticker import packets

_BOOK_ROWS = 60
_UNKNOWN = b'{"status":"error","error_type":"TokenException","message":"Token is invalid or has expired."}'
"""The answer to everything else: what Kite says to a request token that it does not know."""

_HEARTBEAT_S = 1.0
_WEBSOCKET = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_BINARY, _TEXT, _CLOSE, _PING, _PONG = 0x82, 0x81, 0x8, 0x9, 0x8A
HELD = 1_000_000
"""Shares that every account holds of everything, so that no sale is a short one."""

BETWEEN_TICKS_S = (0.9, 1.1)
"""About a second, as Kite sends them, but in step with no timer of anybody."""


@dataclass
class Fall:
    """A tick that is awaited, what it sets off, and the answer to the process that asked for it."""

    key: str
    paise: int
    orders: int
    kill: list[int]
    answered: asyncio.Future[dict[str, Any]]
    stamp: int = 0
    sockets: int = 0
    sold: list[tuple[str, int]] = field(default_factory=list)

    def take(self, tag: str, stamp: int) -> None:
        """A sell order has arrived."""
        self.sold.append((tag, stamp))
        if len(self.sold) >= self.orders:
            self.answer()

    def answer(self) -> None:
        """Whatever has arrived by now."""
        if not self.answered.done():
            self.answered.set_result({"stamp": self.stamp, "sockets": self.sockets, "sold": self.sold})


class Exchange:
    """Everything but the bytes."""

    def __init__(self) -> None:
        self.prices: dict[str, int] = {}
        self.markets: dict[str, asyncio.Task[None]] = {}
        self.latest: dict[int, Tick] = {}
        self.fall: Fall | None = None
        self.instruments = InstrumentList.load(DATA_DIRECTORY / "instruments.csv")
        self.sockets: set[Session] = set()
        self.arrived: list[tuple[str, str, str, int]] = []
        self.books: dict[str, deque[dict[str, Any]]] = {}
        self.orders = 0

    # --- the market -----------------------------------------------------------------------------------------------

    def open_market(self, key: str, paise: int) -> None:
        """The instrument has this price, and ticks once a second from now on."""
        self.prices[key] = paise
        if key not in self.markets:
            self.markets[key] = asyncio.create_task(self._keep_ticking(key))

    def close_market(self, key: str) -> None:
        """It no longer ticks."""
        if (ticking := self.markets.pop(key, None)) is not None:
            ticking.cancel()

    async def _keep_ticking(self, key: str) -> None:
        while True:
            await asyncio.sleep(random.uniform(*BETWEEN_TICKS_S))
            if self.fall is not None and self.fall.key == key and not self.fall.stamp:
                self._let_fall(self.fall)
            else:
                self.tick(key, self.prices[key])

    def begin_fall(self, asked: dict[str, Any]) -> asyncio.Future[dict[str, Any]]:
        """See the head of this module."""
        loop = asyncio.get_running_loop()
        fall = Fall(asked["key"], asked["paise"], asked["orders"], asked["kill"], loop.create_future())
        self.fall = fall
        loop.call_later(asked["within_s"], fall.answer)
        if asked["now"]:
            self._let_fall(fall)
        return fall.answered

    def _let_fall(self, fall: Fall) -> None:
        self.prices[fall.key] = fall.paise
        fall.stamp, fall.sockets = self.publish(fall.key, fall.paise, fall.kill)

    def tick(self, key: str, paise: int) -> int:
        """Publish a price; when."""
        return self.publish(key, paise)[0]

    def publish(self, key: str, paise: int, kill: Iterable[int] = ()) -> tuple[int, int]:
        """Publish a price to all who subscribed the instrument, in no order; when, and to how many sockets."""
        instrument = self.instruments.find(key)
        assert instrument is not None
        tick = _snapshot(instrument, paise)
        self.latest[instrument.token] = tick
        messages = {mode: framed(_BINARY, packets.frame([packets.packet(tick, mode)])) for mode in packets.MODES}
        heard = [(s, messages[s.modes[instrument.token]]) for s in self.sockets if instrument.token in s.modes]
        random.shuffle(heard)
        stamp = time.time_ns()
        for pid in kill:
            os.kill(pid, signal.SIGKILL)
        for session, message in heard:
            session.send(message)
        return stamp, len(heard)

    def quote(self, key: str) -> dict[str, Any]:
        """The latest price; some price before the first tick."""
        instrument = self.instruments.find(key)
        assert instrument is not None
        tick = self.latest.get(instrument.token)
        return {"instrument_token": instrument.token, "last_price": tick.last / 100 if tick is not None else 100.0}

    def listeners(self, key: str) -> int:
        """How many sockets have subscribed the instrument."""
        instrument = self.instruments.find(key)
        return sum(instrument is not None and instrument.token in session.modes for session in self.sockets)

    # --- orders ---------------------------------------------------------------------------------------------------

    def take_order(self, user: str, form: dict[str, str], stamp: int) -> str:
        """Fill it."""
        self.orders += 1
        order_id = f"{1_900_000_000_000_000_000 + self.orders}"
        tag, side = form.get("tag", ""), form["transaction_type"]
        self.arrived.append((tag, side, form["tradingsymbol"], stamp))
        if self.fall is not None and self.fall.stamp and side == "SELL":
            self.fall.take(tag, stamp)
        row = {
            "order_id": order_id,
            "tag": tag,
            "status": "COMPLETE",
            "quantity": int(form["quantity"]),
            "filled_quantity": int(form["quantity"]),
            "average_price": 100.0,
            "transaction_type": side,
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
        """The same for every account."""
        rows = [i for i in self.instruments if not i.is_index]
        return [
            {"exchange": i.exchange, "tradingsymbol": i.symbol, "product": "MIS", "quantity": HELD} for i in rows[:40]
        ]

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes, stamp: int) -> Any:
        """`data` of the answer, a future of it, or raw bytes."""
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
                return {key: self.quote(key) for key in parse_qs(url.query)["i"]}
        if url.path.startswith("/bench/"):
            return self._answer_bench(url.path, url.query, json.loads(body or b"{}"))
        if url.path.startswith("/instruments"):
            return self.instruments.dump(url.path.partition("/instruments")[2].strip("/") or None)
        raise LookupError(target)

    def _answer_bench(self, path: str, query: str, asked: dict[str, Any]) -> Any:
        match path:
            case "/bench/market":
                return self.open_market(asked["key"], asked["paise"])
            case "/bench/still":
                return self.close_market(asked["key"])
            case "/bench/tick":
                return self.tick(asked["key"], asked["paise"])
            case "/bench/fall":
                return self.begin_fall(asked)
            case "/bench/listeners":
                return self.listeners(parse_qs(query)["key"][0])
            case "/bench/orders":
                arrived, self.arrived = self.arrived, []
                return arrived
        raise LookupError(path)


def framed(opcode: int, message: bytes) -> bytes:
    """One unmasked frame."""
    length = len(message)
    head = struct.pack(">BB", opcode, length) if length < 126 else struct.pack(">BBH", opcode, 126, length)
    return head + message


def _snapshot(instrument: Instrument, paise: int) -> Tick:
    return Tick(instrument, paise, paise, paise, paise, paise, time.time_ns())


class Session(asyncio.Protocol):
    """One connection: HTTP, or a WebSocket after its handshake."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._heard = b""
        self._is_socket = False
        self.user = ""
        self.modes: dict[int, str] = {}
        """What this WebSocket has subscribed: the mode of each token."""

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
        if isinstance(data, asyncio.Future):
            data.add_done_callback(lambda done: self._write_data(done.result()))
        elif isinstance(data, bytes):
            self._write(200, "text/csv", data, "Content-Encoding: gzip\r\n")
        else:
            self._write_data(data)

    def _write_data(self, data: Any) -> None:
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

    def send(self, frame: bytes) -> None:
        """A frame as it is."""
        self._transport.write(frame)

    def send_message(self, opcode: int, message: bytes) -> None:
        """One unmasked frame."""
        self.send(framed(opcode, message))

    def _frames(self) -> None:
        """Pings are answered; what is text asks for instruments."""
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
            else:
                self._take(json.loads(payload))

    def _take(self, asked: dict[str, Any]) -> None:
        """As Kite takes it: a subscription begins in quote mode, and the latest tick follows at once."""
        match asked["a"], asked["v"]:
            case "subscribe", tokens:
                self._follow(tokens, "quote")
            case "mode", [mode, tokens]:
                self._follow(tokens, mode)
            case "unsubscribe", tokens:
                for token in tokens:
                    self.modes.pop(token, None)

    def _follow(self, tokens: list[int], mode: str) -> None:
        for token in tokens:
            self.modes[token] = mode
            if (tick := self._exchange.latest.get(token)) is not None:
                self.send_message(_BINARY, packets.frame([packets.packet(tick, mode)]))


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


if __name__ == "__main__":
    main()
