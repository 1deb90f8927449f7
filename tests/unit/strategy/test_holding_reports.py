"""What a strategy tells execution of its holding, and how often."""

from datetime import timedelta
from itertools import pairwise

from actors.domain.orders.cover import Stake
from actors.domain.strategy.state import Phase
from actors.ports.common import PeerUnavailable
from actors.ports.strategy import Holding
from actors.strategy.holding_reports import GUARD_RENEWAL_S
from tests.kit.strategies import StrategyBench, reported
from tests.kit.virtual_time import in_virtual_time, passing


def said(bench: StrategyBench) -> list[tuple[int, bool]]:
    return [(holding.quantity, holding.exiting) for _, holding in bench.execution.guarded]


@in_virtual_time
async def test_nothing_is_said_before_something_is_bought() -> None:
    bench = StrategyBench().start()
    await bench.ordered()
    assert bench.execution.guarded == []


@in_virtual_time
async def test_an_open_position_is_said_at_once_and_again_every_few_seconds() -> None:
    bench = await StrategyBench().guarding()
    await passing(20)
    times = [at for at, _ in bench.execution.guarded]
    assert all(later - earlier <= timedelta(seconds=GUARD_RENEWAL_S + 0.1) for earlier, later in pairwise(times))
    assert set(said(bench)) == {(10, False)}
    run = bench.run
    first = bench.execution.guarded[0][1]
    assert first == Holding(
        run.strategy_id,
        run.run_id,
        run.user_id,
        run.account_id,
        1,
        run.instrument,
        run.product,
        10,
        exiting=False,
        stake=first.stake,
        hears=True,
        number=first.number,
    )
    assert first.stake == Stake(run.run_id, 10, run.entry_intent().tag, (run.exit_intent(1, 10).tag,))


@in_virtual_time
async def test_an_exit_is_said_with_the_next_renewal_and_its_end_at_once() -> None:
    bench = await StrategyBench().guarding()
    bench.tick(bench.run.stop_loss)
    exit_command = await bench.ordered(2)
    await passing(0.1)
    assert said(bench)[-1] == (10, False)  # execution has the exit itself: no call competes with it
    await passing(GUARD_RENEWAL_S)
    assert said(bench)[-1] == (10, True)
    bench.execution.answer(reported(exit_command.intent))
    await bench.finished()
    assert said(bench)[-1][0] == 0


@in_virtual_time
async def test_execution_that_does_not_answer_is_told_at_the_next_renewal() -> None:
    bench = StrategyBench()
    bench.execution.guard_failures = [PeerUnavailable("execution:0 is restarting"), ValueError("whatever")]
    await bench.guarding()
    await passing(3 * GUARD_RENEWAL_S)
    assert len(bench.execution.guarded) >= 3
    assert bench.actor.state.phase is Phase.GUARDING


@in_virtual_time
async def test_execution_that_is_too_busy_is_asked_ever_more_rarely_until_it_answers() -> None:
    bench = StrategyBench()
    bench.execution.guard_failures = [TimeoutError() for _ in range(6)]
    await bench.guarding()
    await passing(30)
    tries = [at for at, _ in bench.execution.guarded]
    pauses = [round((later - earlier).total_seconds()) for earlier, later in pairwise(tries)]
    assert [pause for pause in pauses if pause][:3] == [4, 5, 5]
