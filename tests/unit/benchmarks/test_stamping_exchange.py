"""The judge of the latencies: who hears which tick, and when an awaited fall answers."""

import asyncio
import json
import os
import struct
import time
from collections.abc import Callable
from typing import cast

import pytest

from benchmarks import exchange as stamping
from benchmarks.exchange import Exchange, Session

INFY, TCS = ("NSE:INFY", 408065), ("NSE:TCS", 2953217)
FULL_BYTES, QUOTE_BYTES, LTP_BYTES = 184, 44, 8
ORDER = {"transaction_type": "SELL", "tradingsymbol": "INFY", "exchange": "NSE", "product": "MIS", "quantity": "1"}


class Wire:
    """A transport that keeps what was written, and does something at each write."""

    def __init__(self, on_write: Callable[[], None] = lambda: None) -> None:
        self.written: list[bytes] = []
        self._on_write = on_write

    def write(self, data: bytes) -> None:
        self._on_write()
        self.written.append(data)

    def ticks(self) -> list[tuple[int, int, int]]:
        """Token, price and size of each packet that has come since the last call."""
        frames, self.written = self.written, []
        packets = [frame[4 if frame[1] == 126 else 2 :] for frame in frames if frame[0] == 0x82]
        return [(*struct.unpack_from(">ii", packet, 4), len(packet) - 4) for packet in packets]


def connected(exchange: Exchange, wire: Wire, user: str = "somebody") -> Session:
    session = Session(exchange)
    session._transport = cast("asyncio.Transport", wire)
    session._is_socket, session.user = True, user
    exchange.sockets.add(session)
    return session


def ask(session: Session, action: str, value: object) -> None:
    """As a client's masked text frame."""
    payload, mask = json.dumps({"a": action, "v": value}).encode(), b"\x01\x02\x03\x04"
    masked = bytes(byte ^ mask[n % 4] for n, byte in enumerate(payload))
    session.data_received(bytes([0x81, 0x80 | len(payload)]) + mask + masked)


def test_a_tick_goes_to_who_subscribed_its_instrument_in_the_mode_that_was_asked_for() -> None:
    exchange = Exchange()
    wires = [Wire() for _ in range(4)]
    full, quote, ltp, other = (connected(exchange, wire) for wire in wires)
    ask(full, "subscribe", [INFY[1]])
    ask(full, "mode", ["full", [INFY[1]]])
    ask(quote, "subscribe", [INFY[1], TCS[1]])
    ask(ltp, "mode", ["ltp", [INFY[1]]])
    ask(other, "subscribe", [TCS[1]])
    exchange.tick(INFY[0], 144000)
    sizes = (FULL_BYTES, QUOTE_BYTES, LTP_BYTES)
    assert [wire.ticks() for wire in wires] == [*([(INFY[1], 144000, size)] for size in sizes), []]
    assert exchange.listeners(INFY[0]) == 3


def test_nobody_hears_what_he_has_unsubscribed() -> None:
    exchange, wire = Exchange(), Wire()
    session = connected(exchange, wire)
    ask(session, "subscribe", [INFY[1], TCS[1]])
    ask(session, "unsubscribe", [INFY[1]])
    exchange.tick(INFY[0], 144000)
    exchange.tick(TCS[0], 300000)
    assert wire.ticks() == [(TCS[1], 300000, QUOTE_BYTES)]


def test_a_new_subscription_gets_the_latest_tick_at_once() -> None:
    exchange, wire = Exchange(), Wire()
    exchange.tick(INFY[0], 144000)
    session = connected(exchange, wire)
    ask(session, "subscribe", [INFY[1], TCS[1]])
    ask(session, "mode", ["full", [INFY[1]]])
    assert wire.ticks() == [(INFY[1], 144000, QUOTE_BYTES), (INFY[1], 144000, FULL_BYTES)]


def test_the_stamp_and_the_kill_are_before_the_first_write(monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []
    exchange = Exchange()
    for _ in range(2):
        ask(connected(exchange, Wire(lambda: happened.append("write"))), "subscribe", [INFY[1]])

    def stamped() -> int:
        happened.append("stamp")
        return 1

    monkeypatch.setattr(time, "time_ns", stamped)
    monkeypatch.setattr(os, "kill", lambda _pid, _signal: happened.append("kill"))
    exchange.publish(INFY[0], 144000, [4711])
    assert happened[-4:] == ["stamp", "kill", "write", "write"]


async def test_a_fall_is_the_next_regular_tick_and_answers_when_the_last_order_has_arrived(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stamping, "BETWEEN_TICKS_S", (0.01, 0.01))
    ticked = asyncio.Event()
    exchange, wire = Exchange(), Wire(ticked.set)
    ask(connected(exchange, wire), "subscribe", [INFY[1]])
    exchange.open_market(INFY[0], 150000)
    asked = {"key": INFY[0], "paise": 144000, "orders": 2, "kill": [], "within_s": 5, "now": False}
    answered = exchange.begin_fall(asked)
    exchange.take_order("seller", {**ORDER, "tag": "too early"}, 1)
    await ticked.wait()
    assert wire.ticks() == [(INFY[1], 144000, QUOTE_BYTES)]
    exchange.take_order("seller", {**ORDER, "tag": "bought", "transaction_type": "BUY"}, 2)
    exchange.take_order("seller", {**ORDER, "tag": "one"}, 3)
    assert not answered.done()
    exchange.take_order("seller", {**ORDER, "tag": "two"}, 4)
    answer = await answered
    exchange.close_market(INFY[0])
    assert (answer["sold"], answer["sockets"]) == ([("one", 3), ("two", 4)], 1)


async def test_a_fall_that_sells_too_little_answers_when_its_time_is_up() -> None:
    exchange = Exchange()
    asked = {"key": INFY[0], "paise": 144000, "orders": 2, "kill": [], "within_s": 0.01, "now": True}
    assert (await exchange.begin_fall(asked))["sold"] == []
