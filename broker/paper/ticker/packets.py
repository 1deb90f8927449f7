"""Kite's binary tick packets, encoded. Pure; layouts as the public Kite Connect v3 documentation has them.

A frame is a big-endian int16 count, then for each packet an int16 length and the packet. Prices are int32 paise;
the client reads them unsigned, so a negative price arrives there as a huge one, as it would from Kite.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from broker.paper.market.market import epoch_seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broker.paper.market.market import Tick

MODES = ("ltp", "quote", "full")
HEARTBEAT = b"\x00"
# A count of one, a length of 44, and not that many bytes after it.
MALFORMED = struct.pack(">hh", 1, 44) + b"\x00\x01"
DEPTH_LEVELS = 5
LEVEL_QUANTITY = 500

_LTP = struct.Struct(">ii")
_QUOTE = struct.Struct(">11i")
_FULL_TAIL = struct.Struct(">5i")
_LEVEL = struct.Struct(">iihxx")
_INDEX_QUOTE = struct.Struct(">7i")
_INDEX_FULL = struct.Struct(">8i")


def depth(tick: Tick) -> tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]]:
    """Five bids and five asks around the last price, as (quantity, price in paise, orders); zeros for no orders."""
    step = tick.instrument.tick_paise
    bids = [(LEVEL_QUANTITY, max(tick.last - step * n, 0), n + 1) for n in range(DEPTH_LEVELS)]
    asks = [(LEVEL_QUANTITY, tick.last + step * (n + 1), n + 1) for n in range(DEPTH_LEVELS)]
    nobody = [(0, 0, 0)] * DEPTH_LEVELS
    return bids if tick.has_buyers else nobody, asks if tick.has_sellers else nobody


def packet(tick: Tick, mode: str) -> bytes:
    """One tick as its mode asks: 8, 44 or 184 bytes; 8, 28 or 32 for an index."""
    if mode == "ltp":
        return _LTP.pack(tick.instrument.token, tick.last)
    return _index(tick, mode) if tick.instrument.is_index else _share(tick, mode)


def _index(tick: Tick, mode: str) -> bytes:
    # High, low, open, close: another order than in share packets.
    fields = (tick.instrument.token, tick.last, tick.high, tick.low, tick.open, tick.close, tick.last - tick.close)
    if mode == "quote":
        return _INDEX_QUOTE.pack(*fields)
    return _INDEX_FULL.pack(*fields, epoch_seconds(tick.exchange_ns))


def _share(tick: Tick, mode: str) -> bytes:
    bids, asks = depth(tick)
    quote = _QUOTE.pack(
        tick.instrument.token,
        tick.last,
        tick.last_quantity,
        tick.average,
        tick.volume % 2**31,
        sum(level[0] for level in bids),
        sum(level[0] for level in asks),
        tick.open,
        tick.high,
        tick.low,
        tick.close,
    )
    if mode == "quote":
        return quote
    stamp = epoch_seconds(tick.exchange_ns)
    return quote + _FULL_TAIL.pack(stamp, 0, 0, 0, stamp) + b"".join(_LEVEL.pack(*level) for level in bids + asks)


def frame(packets: Sequence[bytes]) -> bytes:
    """One binary WebSocket message."""
    parts = [struct.pack(">h", len(packets))]
    for part in packets:
        parts += (struct.pack(">h", len(part)), part)
    return b"".join(parts)
