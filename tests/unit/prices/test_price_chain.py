"""From the exchange's trade to the decision: no lag, no clock and no gap of the feed turns a stop-loss off unsaid."""

import asyncio
from datetime import timedelta

import pytest

from actors.domain.orders.order import OrderEvent
from actors.domain.strategy.snapshot import runtime_view
from actors.domain.strategy.state import Phase, StatusDetail
from tests.kit.builders import INFY
from tests.kit.price_chain import PriceChain
from tests.kit.strategies import STOP
from tests.kit.virtual_time import in_virtual_time, passing

ABOVE, BELOW = STOP + 5000, STOP - 5000


def told(chain: PriceChain) -> list[str]:
    return [code for code, _ in chain.bench.journal.alerts]


def status(chain: PriceChain) -> str:
    return runtime_view(chain.bench.actor.state).status_detail


@pytest.mark.parametrize(
    ("lag_s", "offset_s", "late"),
    [(0.3, 0, False), (5.5, 0, True), (8, 0, True), (0.3, 5.5, True), (0.3, 8, True), (0.3, -4, False), (8, -4, False),
     (0.3, 300, True), (0.3, -300, False)],
)  # fmt: skip
def test_a_touch_sells_whatever_the_lag_and_whatever_our_clock(lag_s: float, offset_s: float, *, late: bool) -> None:
    @in_virtual_time
    async def scenario() -> None:
        chain = await PriceChain(lag_s=lag_s, offset_s=offset_s).bought()
        await chain.trades(ABOVE, 30)
        assert chain.bench.sent == [OrderEvent.BUY]
        assert (told(chain), status(chain)) == ((["ticks_stale"], "feed_down") if late else ([], ""))
        touched = chain.bench.clock.now()
        chain.trade(BELOW)
        await chain.bench.ordered(2)
        assert chain.bench.sent[-1] is OrderEvent.STOPLOSS
        assert chain.bench.clock.now() - touched <= timedelta(seconds=lag_s, milliseconds=100)

    scenario()


@in_virtual_time
async def test_a_feed_that_falls_behind_is_said_with_its_lag_and_so_is_the_end_of_it() -> None:
    chain = await PriceChain().bought()
    await chain.trades(ABOVE, 10)
    chain.lag_s = 8
    await chain.trades(ABOVE, 30)
    ((code, sentence),) = chain.bench.journal.alerts
    assert code == "ticks_stale"
    assert "s behind our clock since" in sentence
    assert status(chain) == StatusDetail.FEED_DOWN
    shown = chain.mirror.statuses[-1]
    assert shown.live
    assert shown.lag is not None
    assert timedelta(seconds=8) <= shown.lag < timedelta(seconds=9)
    assert shown.late_since is not None
    chain.lag_s = 0.3
    await chain.trades(ABOVE, 10)
    assert status(chain) == StatusDetail.NONE
    assert told(chain) == ["ticks_stale"]
    assert [name for name in chain.bench.journal.logged if name in {"TICKS_STALE", "FEED_RESTORED"}] == [
        "TICKS_STALE",
        "FEED_RESTORED",
    ]


@in_virtual_time
async def test_a_touch_while_the_feed_was_away_sells_when_it_is_back() -> None:
    chain = await PriceChain().bought()
    await chain.trades(ABOVE, 5)
    chain.feed_up = False
    chain.listener.on_lost(0, "1006")
    await passing(3)
    stamp = chain.exchange_now.replace(microsecond=0)  # the one trade at 785, which no process hears
    await passing(7)
    assert told(chain) == ["feed_lost"]
    assert chain.bench.sent == [OrderEvent.BUY]
    chain.feed_up = True
    chain.arrive(BELOW, stamp)  # what Kite repeats at the subscribe
    await chain.bench.ordered(2)
    assert chain.bench.sent[-1] is OrderEvent.STOPLOSS


@in_virtual_time
async def test_what_kite_repeats_of_before_the_buy_sells_nothing() -> None:
    chain = PriceChain()
    before = chain.exchange_now.replace(microsecond=0)
    await chain.bought()
    chain.listener.on_lost(0, "1006")
    chain.arrive(BELOW, before)
    await passing(20)
    assert chain.bench.sent == [OrderEvent.BUY]
    assert chain.bench.actor.state.phase is Phase.GUARDING


@in_virtual_time
async def test_a_stream_that_never_reaches_the_buy_is_said() -> None:
    chain = await PriceChain().bought()
    before = chain.exchange_now.replace(microsecond=0) - timedelta(seconds=2)
    for _ in range(12):
        chain.arrive(ABOVE, before)
        await asyncio.sleep(1)
    assert told(chain) == ["ticks_stale"]
    assert status(chain) == StatusDetail.FEED_DOWN
    await chain.trades(ABOVE, 3)
    assert status(chain) == StatusDetail.NONE


@in_virtual_time
async def test_a_moved_stop_is_watched_at_once_though_our_clock_is_ahead() -> None:
    chain = await PriceChain(offset_s=300).bought()
    await chain.trades(ABOVE, 10)
    await chain.bench.actor.move_stop(ABOVE - 100)
    await passing(1)
    assert chain.bench.sent == [OrderEvent.BUY]
    chain.trade(ABOVE - 200)
    await chain.bench.ordered(2)
    assert chain.bench.sent[-1] is OrderEvent.STOPLOSS


@in_virtual_time
async def test_a_quote_read_now_sells_if_its_trade_is_since_the_buy_and_not_if_it_is_of_before() -> None:
    chain = PriceChain()
    before = chain.exchange_now.replace(microsecond=0)
    await chain.bought()
    chain.listener.on_quote(INFY, BELOW, before)
    await passing(20)
    assert chain.bench.sent == [OrderEvent.BUY]
    chain.listener.on_quote(INFY, BELOW, chain.exchange_now - timedelta(seconds=15))
    await chain.bench.ordered(2)
    assert chain.bench.sent[-1] is OrderEvent.STOPLOSS
