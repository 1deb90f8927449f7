"""What travels on the socket plane, as bytes: sealed frames, and in them ticks, statuses, commands and events.

A frame is the length of what follows (4 bytes), a seal (16), a kind (1) and a body. The seal is a BLAKE2b of the frame
and its number under a key that a Ray call handed over, and which serves one direction of one connection. So a frame
that another process has made, changed, repeated, left out or moved is refused (decision 12).

Commands and events are pickles of frozen domain values, as in Ray's own calls. They are opened behind a valid seal
only, and may hold nothing but the types listed here.
"""

import hmac
import io
import pickle
import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from enum import Enum, IntEnum
from hashlib import blake2b
from typing import Any

from actors.domain.prices.tick import Tick
from actors.ports.prices import FeedStatus

SEAL_BYTES = 16
LONGEST_FRAME = 1 << 20
"""Bytes. An order command has about 1 kB."""

_LENGTH = struct.Struct("<I")
_TICK = struct.Struct("<8q")
_STATUS = struct.Struct("<B4q")
_NUMBER = struct.Struct("<I")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_UNKNOWN = -(1 << 63)

_OPEN_MODULES = ("actors.domain.", "actors.ports")
_OPEN_NAMES = frozenset(
    {
        ("datetime", "datetime"),
        ("datetime", "timedelta"),
        ("datetime", "timezone"),
        ("decimal", "Decimal"),
        ("copyreg", "__newobj__"),
    }
)


class Kind(IntEnum):
    """What a frame holds."""

    TICK = 1
    STATUS = 2
    """Of the feed; it also shows that the sender of ticks still runs."""
    COMMAND = 3
    RESULT = 4
    FAILURE = 5
    REPORT = 6
    WELCOME = 7
    """The first frame of a listener: it has let the peer in, and it is who gave the invitation."""


class FrameRefused(Exception):
    """The bytes are not what the other end sealed; the connection cannot be trusted any more."""


class Sealer:
    """Makes the frames of one direction."""

    def __init__(self, key: bytes) -> None:
        self._key, self._number = key, 0

    def frame(self, kind: Kind, body: bytes) -> bytes:
        """The next frame, ready to be sent."""
        payload = bytes((kind,)) + body
        seal = seal_of(payload, self._key, self._number)
        self._number += 1
        return _LENGTH.pack(SEAL_BYTES + len(payload)) + seal + payload


class Opener:
    """Reads the frames of one direction out of a stream of bytes."""

    def __init__(self, key: bytes) -> None:
        self._key, self._number = key, 0
        self._buffer = b""

    def feed(self, data: bytes) -> Iterator[tuple[Kind, bytes]]:
        """The frames that are complete with these bytes.

        Raises:
            FrameRefused: a frame is too long, or its seal is wrong.
        """
        buffer = self._buffer + data if self._buffer else data
        at, end = 0, len(buffer)
        while end - at >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(buffer, at)
            if not SEAL_BYTES < length <= LONGEST_FRAME:
                raise FrameRefused(f"a frame of {length} bytes")
            if end - at - _LENGTH.size < length:
                break
            at += _LENGTH.size
            yield self._open(buffer[at : at + SEAL_BYTES], buffer[at + SEAL_BYTES : at + length])
            at += length
        self._buffer = buffer[at:]

    def _open(self, seal: bytes, payload: bytes) -> tuple[Kind, bytes]:
        if not hmac.compare_digest(seal, seal_of(payload, self._key, self._number)):
            raise FrameRefused("the seal is wrong")
        self._number += 1
        try:
            return Kind(payload[0]), payload[1:]
        except ValueError as error:
            raise FrameRefused(f"a frame of kind {payload[0]}") from error


def seal_of(payload: bytes, key: bytes, number: int) -> bytes:
    """What proves that the holder of the key sent this as its frame of this number."""
    return blake2b(payload, key=key, salt=number.to_bytes(16, "little"), digest_size=SEAL_BYTES).digest()


# --- bodies -----------------------------------------------------------------------------------------------------------


def pack_tick(tick: Tick) -> bytes:
    """A tick in 64 bytes: paise, and microseconds since 1970."""
    return _TICK.pack(
        tick.token,
        tick.price,
        tick.low,
        tick.high,
        _microseconds(tick.exchange_time),
        _microseconds(tick.received_at),
        _microseconds(tick.extremes_since),
        _microseconds(tick.extremes_from),
    )


def unpack_tick(body: bytes) -> Tick:
    """The inverse of `pack_tick`; times in UTC. Raises FrameRefused."""
    try:
        token, price, low, high, exchange_us, received_us, since_us, from_us = _TICK.unpack(body)
    except struct.error as error:
        raise FrameRefused("not a tick") from error
    received_at = _instant(received_us)
    since = received_at if since_us == received_us else _instant(since_us)
    exchange_time = _instant(exchange_us)
    oldest = exchange_time if from_us == exchange_us else _instant(from_us)
    return Tick(token, price, low, high, exchange_time, received_at, since, oldest)


def pack_status(status: FeedStatus) -> bytes:
    """A feed status in 33 bytes."""
    lag = _UNKNOWN if status.lag is None else status.lag // _MICROSECOND
    stamps = (status.last_tick_at, status.stream_at, status.late_since)
    packed = (_UNKNOWN if at is None else _microseconds(at) for at in stamps)
    return _STATUS.pack(status.live | status.listed << 1, lag, *packed)


def unpack_status(body: bytes) -> FeedStatus:
    """The inverse of `pack_status`. Raises FrameRefused."""
    try:
        flags, lag_us, *stamps = _STATUS.unpack(body)
    except struct.error as error:
        raise FrameRefused("not a status") from error
    last_tick_at, stream_at, late_since = (None if at_us == _UNKNOWN else _instant(at_us) for at_us in stamps)
    lag = None if lag_us == _UNKNOWN else lag_us * _MICROSECOND
    return FeedStatus(bool(flags & 1), last_tick_at, lag, stream_at, late_since, bool(flags & 2))


def pack_numbered(number: int, value: object) -> bytes:
    """A value under the number of the command that it belongs to."""
    body = io.BytesIO()
    body.write(_NUMBER.pack(number))
    _DomainWriter(body, pickle.HIGHEST_PROTOCOL).dump(value)
    return body.getvalue()


def unpack_numbered(body: bytes) -> tuple[int, Any]:
    """The inverse of `pack_numbered`. Raises FrameRefused."""
    try:
        (number,) = _NUMBER.unpack_from(body)
    except struct.error as error:
        raise FrameRefused("not numbered") from error
    return number, unpack_value(body[_NUMBER.size :])


def unpack_value(body: bytes) -> Any:
    """A pickled value of the domain.

    Raises:
        FrameRefused: it holds something else.
    """
    try:
        return _DomainReader(io.BytesIO(body)).load()
    except FrameRefused:
        raise
    except Exception as error:
        raise FrameRefused(f"not a value: {type(error).__name__}") from error


def _in_utc(at: datetime) -> Any:
    """An instant without its zone, which would be a function call in the process that opens it."""
    return (at.astimezone(UTC) if at.tzinfo is not None else at).__reduce_ex__(pickle.HIGHEST_PROTOCOL)


def _by_value(member: Enum) -> Any:
    """As newer Pythons do it: Python 3.11.0 to 3.11.3 would have its reader call `getattr`."""
    return type(member), (member.value,)


class _Reductions(dict[type, Callable[[Any], Any]]):
    def __missing__(self, kind: type) -> Callable[[Any], Any]:
        if not issubclass(kind, Enum):
            raise KeyError(kind)
        self[kind] = _by_value
        return _by_value


class _DomainWriter(pickle.Pickler):
    dispatch_table = _Reductions({datetime: _in_utc})


class _DomainReader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        ours = module.startswith(_OPEN_MODULES) and "." not in name
        if not ours and (module, name) not in _OPEN_NAMES:
            raise FrameRefused(f"{module}.{name} does not belong on the wire")
        found = super().find_class(module, name)
        if ours and not isinstance(found, type):
            raise FrameRefused(f"{module}.{name} is not a type")
        return found


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


def _instant(microseconds: int) -> datetime:
    try:
        return _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError as error:
        raise FrameRefused("no time that a calendar has") from error
