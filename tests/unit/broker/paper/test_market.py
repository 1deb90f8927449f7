from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from kiteconnect import KiteTicker

from broker.paper.base.config import DATA_DIRECTORY, PaperConfig
from broker.paper.base.instruments import InstrumentList
from broker.paper.market.market import Market, Tick
from broker.paper.market.price_sources import HoldSource, StepsSource, WalkSource, read_bars, recorded_steps
from broker.paper.ticker import packets
from tests.kit.paper import ManualClock

if TYPE_CHECKING:
    from collections.abc import Sequence

INFY, NIFTY = 408065, 256265
INSTRUMENTS = InstrumentList.load(PaperConfig().instruments_path)


@dataclass
class Floor:
    """A market with everything it published, as (token, price, exchange second)."""

    config: PaperConfig = field(default_factory=lambda: PaperConfig(default_source="hold"))
    clock: ManualClock = field(default_factory=ManualClock)
    frames: list[list[tuple[int, int]]] = field(default_factory=list)
    matched: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.market = Market(self.config, self.clock, INSTRUMENTS, self._publish, self.matched.append)
        self.market.start()

    def _publish(self, ticks: Sequence[Tick]) -> None:
        self.frames.append([(tick.instrument.token, tick.last) for tick in ticks])

    def prices(self, token: int) -> list[int]:
        return [price for frame in self.frames for t, price in frame if t == token]


def test_a_walk_is_the_same_for_the_same_seed_and_stays_on_the_grid_and_in_its_band() -> None:
    first, again, other = (WalkSource(seed, 1500_00, 10, 0.01, 1.0) for seed in ("1:a", "1:a", "2:a"))
    path = [first.step() for _ in range(2000)]
    assert path == [again.step() for _ in range(2000)]
    assert path != [other.step() for _ in range(2000)]
    assert all(price % 10 == 0 and 1350_00 <= price <= 1650_00 for price in path)


def test_a_recorded_bar_is_walked_open_low_high_close() -> None:
    bars = read_bars(DATA_DIRECTORY / "YESBANK-2019-07-10-1min.csv")
    steps = recorded_steps(bars, "09:16", speed=60)
    assert steps[:4] == [(0, 9195), (0.25, 9190), (0.5, 9265), (0.75, 9235)]
    assert steps[4][0] == 1


def test_instruments_tick_once_per_interval_in_one_frame() -> None:
    floor = Floor(PaperConfig())
    floor.clock.advance(3.5)
    assert [len(frame) for frame in floor.frames] == [len(list(INSTRUMENTS))] * 3


def test_a_set_price_is_published_at_once_before_orders_are_matched() -> None:
    floor = Floor()
    published = floor.market.set_price(INFY, 1400_00)
    assert floor.frames == [[(INFY, 1400_00)]]
    assert floor.matched == [INFY]
    assert published == floor.clock.now_ns()
    assert floor.market.tick(INFY).low == 1400_00


def test_a_script_keeps_its_times_and_then_holds() -> None:
    floor = Floor()
    floor.market.set_source(INFY, "script", StepsSource([(0.2, 1490_00), (0.4, 1480_00)]))
    floor.clock.advance(0.3)
    assert floor.prices(INFY)[-1] == 1490_00
    floor.clock.advance(5)
    assert floor.market.last_paise(INFY) == 1480_00
    assert floor.prices(INFY).count(1480_00) > 3


def test_a_silent_source_sends_nothing_by_itself() -> None:
    floor = Floor()
    floor.market.set_source(INFY, "hold", HoldSource(silent=True))
    floor.clock.advance(5)
    assert floor.prices(INFY) == []


def test_stale_and_repeated_ticks_can_be_made() -> None:
    floor = Floor()
    floor.market.set_price(INFY, 1400_00, exchange_ns=5_000_000_000, repeat=3)
    assert floor.prices(INFY) == [1400_00] * 3
    assert floor.market.tick(INFY).exchange_ns == 5_000_000_000


def test_liquidity_comes_back_with_each_tick() -> None:
    floor = Floor(PaperConfig(default_source="hold", liquidity_per_tick=50))
    floor.market.take_liquidity(INFY, 50)
    assert floor.market.liquidity(INFY) == 0
    floor.market.set_price(INFY, 1400_00)
    assert floor.market.liquidity(INFY) == 50


@pytest.mark.parametrize(
    ("token", "mode", "length"),
    [
        (INFY, "ltp", 8),
        (INFY, "quote", 44),
        (INFY, "full", 184),
        (NIFTY, "ltp", 8),
        (NIFTY, "quote", 28),
        (NIFTY, "full", 32),
    ],
)
def test_the_real_client_reads_every_packet(token: int, mode: str, length: int) -> None:
    floor = Floor()
    floor.market.set_price(token, 1495_50)
    tick = floor.market.tick(token)
    packet = packets.packet(tick, mode)
    assert len(packet) == length

    client = KiteTicker("key", "token")
    (parsed,) = client._parse_binary(packets.frame([packet]))
    assert (parsed["instrument_token"], parsed["last_price"], parsed["mode"]) == (token, 1495.5, mode)
    if mode != "ltp":
        day = parsed["ohlc"]
        assert day["low"] == min(1495.5, tick.open / 100)
        assert (day["open"], day["high"], day["close"]) == (tick.open / 100, tick.high / 100, tick.close / 100)
    if mode == "full":
        assert int(parsed["exchange_timestamp"].timestamp()) == tick.exchange_ns // 10**9
    if mode == "full" and token == INFY:
        assert [level["price"] for level in parsed["depth"]["buy"][:2]] == [1495.5, 1495.4]
        assert len(parsed["depth"]["sell"]) == 5


def test_a_frame_holds_many_packets() -> None:
    floor = Floor()
    ticks = [floor.market.tick(token) for token in (INFY, NIFTY)]
    frame = packets.frame([packets.packet(tick, "full") for tick in ticks])
    parsed = KiteTicker("key", "token")._parse_binary(frame)
    assert [tick["instrument_token"] for tick in parsed] == [INFY, NIFTY]
    assert [tick["tradable"] for tick in parsed] == [True, False]
