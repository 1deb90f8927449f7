"""Frames: what was sealed comes out as it went in, and whatever else arrives is refused."""

import contextlib
import os
import pickle
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.domain.identifiers import IntentId, Leg, Product, Side
from actors.domain.orders.order import FailureKind, OrderEvent
from actors.domain.prices.tick import Tick
from actors.domain.strategy.events import (
    Event,
    OrderQueued,
    OrderReported,
    PlacementFailed,
    PlacementUnresolved,
    PositionClosedOutside,
    RunRecovered,
)
from actors.ports.prices import FeedStatus
from actors.runtime.plane.frames import (
    LONGEST_FRAME,
    FrameRefused,
    Kind,
    Opener,
    Sealer,
    pack_numbered,
    pack_status,
    pack_tick,
    unpack_numbered,
    unpack_status,
    unpack_tick,
    unpack_value,
)
from tests.kit.builders import NOW, a_report, a_run, a_tick
from tests.kit.execution import a_command

KEY = bytes(range(32))
INTENT = IntentId(7, Leg.EXIT, 1)
EVENTS: tuple[Event, ...] = (
    OrderReported(INTENT, a_report(tag="abc")),
    PlacementFailed(INTENT, FailureKind.REFUSED, "insufficient funds"),
    PlacementUnresolved(INTENT, "no answer", unreachable=True),
    OrderQueued(INTENT, NOW),
    PositionClosedOutside("sold by hand"),
    RunRecovered({"abc": a_report(tag="abc")}),
)


@given(st.lists(st.tuples(st.sampled_from(Kind), st.binary(max_size=300)), max_size=8), st.data())
def test_frames_come_out_as_they_went_in_however_the_bytes_are_cut(
    frames: list[tuple[Kind, bytes]], data: st.DataObject
) -> None:
    sealer, opener = Sealer(KEY), Opener(KEY)
    stream = b"".join(sealer.frame(kind, body) for kind, body in frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert [frame for piece in pieces for frame in opener.feed(piece)] == frames


@given(st.binary(min_size=1, max_size=200), st.data())
def test_a_frame_that_was_changed_anywhere_is_refused_or_waits_for_more(body: bytes, data: st.DataObject) -> None:
    frame = bytearray(Sealer(KEY).frame(Kind.COMMAND, body))
    frame[data.draw(st.integers(0, len(frame) - 1))] ^= data.draw(st.integers(1, 255))
    opened: list[tuple[Kind, bytes]] = []
    with contextlib.suppress(FrameRefused):
        opened += Opener(KEY).feed(bytes(frame))
    assert opened == []


def test_a_frame_under_another_key_is_refused() -> None:
    with pytest.raises(FrameRefused):
        list(Opener(KEY).feed(Sealer(b"another key").frame(Kind.TICK, b"")))


def test_a_frame_that_comes_twice_or_after_a_missing_one_is_refused() -> None:
    sealer = Sealer(KEY)
    first, second = sealer.frame(Kind.TICK, b"1"), sealer.frame(Kind.TICK, b"2")
    with pytest.raises(FrameRefused):
        list(Opener(KEY).feed(first + first))
    with pytest.raises(FrameRefused):
        list(Opener(KEY).feed(second))


@pytest.mark.parametrize("length", [0, 16, LONGEST_FRAME + 1, 2**32 - 1])
def test_a_length_that_no_frame_has_is_refused_before_anything_is_kept(length: int) -> None:
    with pytest.raises(FrameRefused):
        list(Opener(KEY).feed(length.to_bytes(4, "little") + b"x"))


paise = st.integers(1, 2**53)
instants = st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(st.builds(Tick, paise, paise, paise, paise, instants, instants, instants, instants))
def test_a_tick_survives_to_the_microsecond(tick: Tick) -> None:
    assert unpack_tick(pack_tick(tick)) == tick


def test_a_tick_of_another_zone_is_the_same_instant() -> None:
    tick = a_tick(150000, NOW.astimezone(timezone(timedelta(hours=5, minutes=30))))
    assert unpack_tick(pack_tick(tick)) == tick
    assert unpack_tick(pack_tick(tick)).received_at.tzinfo is UTC


LATE = FeedStatus(True, NOW, timedelta(seconds=-4, microseconds=3), NOW + timedelta(seconds=1), NOW, listed=False)


@pytest.mark.parametrize("status", [FeedStatus(live=False), FeedStatus(live=True, last_tick_at=NOW), LATE])
def test_a_status_survives(status: FeedStatus) -> None:
    assert unpack_status(pack_status(status)) == status


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_events_survive(event: Event) -> None:
    assert unpack_numbered(pack_numbered(7, event)) == (7, event)


def test_a_command_survives() -> None:
    run = a_run()
    for command in (a_command(run.entry_intent(), not_after=NOW), a_command(run.exit_intent(2, 10))):
        assert unpack_numbered(pack_numbered(2**32 - 1, command)) == (2**32 - 1, command)


def test_an_instant_of_a_zone_survives_as_an_instant() -> None:
    at = NOW.astimezone(ZoneInfo("Asia/Kolkata"))
    command = a_command(triggered_at=at, not_after=at)
    _, opened = unpack_numbered(pack_numbered(1, command))
    assert opened == command
    assert opened.triggered_at.tzinfo is UTC


class Malicious:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("echo pwned",)


@pytest.mark.parametrize(
    "value", [Malicious(), os.getcwd, pickle.Unpickler, {1: [Malicious()]}], ids=["call", "function", "type", "nested"]
)
def test_a_value_of_another_kind_is_refused(value: object) -> None:
    with pytest.raises(FrameRefused):
        unpack_value(pickle.dumps(value))


def test_a_function_of_our_own_is_no_value() -> None:
    from actors.domain.strategy.machine import step

    with pytest.raises(FrameRefused):
        unpack_value(pickle.dumps(step))


@given(st.one_of(st.binary(max_size=70), st.binary(min_size=33, max_size=33), st.binary(min_size=64, max_size=64)))
def test_bytes_that_are_nothing_are_refused(body: bytes) -> None:
    for unpack, length in ((unpack_tick, 64), (unpack_status, 33)):
        with pytest.raises(FrameRefused) if len(body) != length else contextlib.suppress(FrameRefused):
            unpack(body)
    with contextlib.suppress(FrameRefused):
        unpack_numbered(body)


def test_prices_stay_decimals() -> None:
    assert unpack_value(pickle.dumps(Decimal("1500.05"))) == Decimal("1500.05")


def test_no_python_has_members_opened_by_a_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.11.2, that of Debian 12, reduces a member to `getattr(kind, name)`: no order command got through."""

    def by_name(self: Enum, _protocol: int) -> tuple[object, tuple[type, str]]:
        return getattr, (type(self), self.name)

    for kind in (Side, Leg, Product, OrderEvent):
        monkeypatch.setattr(kind, "__reduce_ex__", by_name)
    assert b"getattr" in pickle.dumps(Side.BUY)
    packed = pack_numbered(7, a_command())
    assert unpack_numbered(packed) == (7, a_command())
