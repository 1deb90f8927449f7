"""A new access token of the account: what waits for the broker goes on at once, and nothing else does."""

from actors.domain.orders.order import FailureKind, OrderEvent
from actors.domain.strategy.events import PlacementFailed
from actors.domain.strategy.outcomes import PROBE_INTERVAL
from actors.domain.strategy.state import Phase
from tests.kit.strategies import STOP, StrategyBench
from tests.kit.virtual_time import in_virtual_time, passing, until

EXPIRED = FailureKind.SESSION_EXPIRED
AT_ONCE_S = 0.01
LONG_S = 6 * 60
"""After which a waiting strategy asks every ten seconds."""


async def failed_exit(kind: FailureKind) -> StrategyBench:
    """A strategy whose stop-loss was touched, and whose exit has just failed."""
    bench = await StrategyBench().guarding()
    bench.tick(STOP)
    command = await bench.ordered(2)
    bench.execution.alive = False
    bench.execution.answer(PlacementFailed(command.intent.id, kind, "no"))
    await bench.reaches(Phase.EXIT_FAILED)
    return bench


@in_virtual_time
async def test_an_exit_that_waits_for_the_login_leaves_with_it() -> None:
    bench = await failed_exit(EXPIRED)
    await passing(LONG_S)
    bench.execution.alive = True
    bench.actor.ask_broker_now()
    await until(lambda: len(bench.sent) == 3, within_s=AT_ONCE_S)
    assert bench.sent[-1] is OrderEvent.STOPLOSS
    assert bench.actor.state.phase is Phase.EXITING


@in_virtual_time
async def test_a_buy_that_waits_for_the_login_leaves_with_it() -> None:
    bench = StrategyBench().start()
    buy = await bench.ordered()
    bench.execution.alive = False
    bench.execution.answer(PlacementFailed(buy.intent.id, EXPIRED, "token is invalid"))
    await bench.reaches(Phase.PAUSED)
    bench.execution.alive = True
    bench.actor.ask_broker_now()
    await until(lambda: len(bench.sent) == 2, within_s=AT_ONCE_S)
    await passing(2 * PROBE_INTERVAL.total_seconds())
    assert bench.sent == [OrderEvent.BUY] * 2, "the timer that it would have waited for sends no third one"


@in_virtual_time
async def test_a_login_that_is_not_there_yet_changes_nothing() -> None:
    bench = await failed_exit(EXPIRED)
    bench.actor.ask_broker_now()
    await passing(AT_ONCE_S)
    assert (len(bench.sent), bench.actor.state.phase) == (2, Phase.EXIT_FAILED)


@in_virtual_time
async def test_an_exit_that_the_broker_refused_keeps_its_pause() -> None:
    bench = await failed_exit(FailureKind.REFUSED)
    bench.execution.alive, asked = True, bench.execution.probes
    bench.actor.ask_broker_now()
    await passing(AT_ONCE_S)
    assert (bench.execution.probes, len(bench.sent)) == (asked, 2)


@in_virtual_time
async def test_a_strategy_that_waits_for_nothing_asks_nothing() -> None:
    bench = await StrategyBench().guarding()
    asked = bench.execution.probes
    bench.actor.ask_broker_now()
    await passing(AT_ONCE_S)
    assert (bench.execution.probes, bench.actor.state.phase) == (asked, Phase.GUARDING)
