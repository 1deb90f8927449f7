"""The second guard (row M4): execution watches the stop-loss too, by prices of its own, and sells exactly once."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from actors.domain.identifiers import Side
from actors.domain.orders.order import OrderStage
from actors.domain.orders.position import PositionStatus
from actors.domain.strategy.events import FeedLost, StopLossTriggered, StopRequested
from actors.domain.strategy.snapshot import dump_state
from actors.domain.strategy.state import Phase
from actors.execution.guarding.stop_guard import RENEWED_WITHIN
from actors.execution.guarding.tick_streams import TickStreams
from actors.ports.execution import ClaimsUnavailable, ClaimVerdict
from actors.ports.strategy import GuardAnswer, Holding, StopOrder
from tests.kit.builders import INFY, NOW, a_report
from tests.kit.execution import HOLDING, ExecutionBench, a_command, a_sell, guarded
from tests.kit.fakes import REFUSED
from tests.kit.outside import Incarnation, OutsideBench
from tests.kit.virtual_time import in_virtual_time, passing, until

ABOVE, STOP, BELOW = 150000, 145000, 144000


async def armed(bench: OutsideBench, **run: object) -> Incarnation:
    """A strategy that guards, whose stop-loss execution watches as well, with prices that it hears."""
    strategy = await bench.guarding(**run)
    bench.tick(strategy, ABOVE)  # the feed's token of today
    await until(lambda: 2 in bench.updates.followed)
    bench.updates.reconnect(2)
    await until(lambda: INFY.token in bench.updates.tokens.get(2, ()))
    hear(bench, ABOVE)
    await until(lambda: by(bench, strategy) == ("strategy", "execution"), within_s=10)
    return strategy


def hear(bench: OutsideBench, price: int) -> None:
    """A trade of this moment on the account's stream: the strategy does not hear it."""
    bench.updates.tick(2, price, bench.clock.now())


def by(bench: OutsideBench, strategy: Incarnation) -> tuple[str, ...]:
    """Who is shown to guard the strategy's position."""
    shown = [guard for guard in bench.execution.stops.shown() if guard.strategy_id == strategy.state.run.strategy_id]
    return shown[0].by if shown else ()


@in_virtual_time
async def test_a_touch_that_the_strategy_does_not_hear_is_sold_and_becomes_its_own_exit() -> None:
    bench = OutsideBench()
    strategy = await armed(bench)
    hear(bench, BELOW)
    await until(lambda: strategy.state.phase is Phase.ENDED)
    assert bench.sold == [10]
    assert strategy.state.position_status is PositionStatus.EXITED_BY_SL
    assert "STOPLOSS_TRIGGERED" in strategy.journal.logged
    assert [attempt.command.triggered_at for attempt in bench.attempts.attempts][-1] <= bench.clock.now()
    assert bench.net() == 0


@in_virtual_time
async def test_a_touch_that_both_hear_is_sold_once() -> None:
    for execution_first in (True, False):
        bench = OutsideBench()
        strategy = await armed(bench)
        if execution_first:
            hear(bench, BELOW)
        bench.tick(strategy, BELOW)
        hear(bench, BELOW)
        await passing(10)
        assert (bench.sold, strategy.state.phase) == ([10], Phase.ENDED)


@in_virtual_time
async def test_an_exit_that_the_broker_refuses_keeps_its_pause_whichever_guard_has_sent_it() -> None:
    bench = OutsideBench()
    strategy = await armed(bench)
    await passing(5)  # the account has been seen to hold what it sells, so that nothing is asked first
    bench.broker.script = [REFUSED]
    hear(bench, BELOW)
    await until(lambda: strategy.state.phase is Phase.EXIT_FAILED)
    await passing(5)
    assert (len(bench.sold), strategy.alerts) == (1, ["exit_failed"])
    await until(lambda: strategy.state.phase is Phase.ENDED)
    assert (bench.sold, bench.net()) == ([10, 10], 0)  # after the pause, and not held back once more


@in_virtual_time
async def test_stop_pressed_in_the_instant_of_the_touch_sells_once() -> None:
    bench = OutsideBench()
    strategy = await armed(bench)
    hear(bench, BELOW)
    strategy.actor.post(StopRequested())
    await until(lambda: strategy.state.phase is Phase.ENDED)
    await passing(10)
    assert bench.sold == [10]


@in_virtual_time
async def test_a_dead_strategy_is_sold_at_once_and_finds_its_exit_when_it_is_back() -> None:
    bench = OutsideBench()
    strategy = await armed(bench)
    strategy.task.cancel()
    await asyncio.gather(strategy.task, return_exceptions=True)
    bench.strategies.clear()
    hear(bench, BELOW)
    await passing(1)
    assert bench.sold == [10]
    again = bench.start(dump_state(strategy.state), 2)
    await until(lambda: again.state.phase is Phase.ENDED, within_s=60)
    await passing(10)
    assert (bench.sold, again.state.position_status) == ([10], PositionStatus.EXITED_BY_SL)


@in_virtual_time
async def test_the_guard_of_a_strategy_that_has_been_dead_for_long_asks_before_it_sells() -> None:
    bench = OutsideBench()
    strategy = await armed(bench)
    strategy.task.cancel()
    await asyncio.gather(strategy.task, return_exceptions=True)
    bench.strategies.clear()
    await passing(RENEWED_WITHIN.total_seconds() + 1)
    hear(bench, ABOVE)
    assert by(bench, strategy) == ("execution",)
    bench.broker.trade_by_hand(Side.SELL, 10)  # and no update tells it
    hear(bench, BELOW)
    await passing(10)
    assert (bench.sold, bench.net()) == ([], 0)


@in_virtual_time
async def test_a_moved_stop_is_moved_at_both_before_it_is_said_to_be() -> None:
    bench = OutsideBench()
    strategy = await armed(bench)
    assert await strategy.actor.move_stop(140000) is True
    hear(bench, BELOW)
    await passing(1)
    assert bench.sold == []
    assert await strategy.actor.move_stop(149000) is True
    await passing(1.5)
    hear(bench, 148000)
    await until(lambda: strategy.state.phase is Phase.ENDED)
    assert bench.sold == [10]


@in_virtual_time
async def test_a_second_guard_that_does_not_confirm_a_move_is_said_and_tried_again() -> None:
    bench = OutsideBench()
    strategy = await armed(bench)
    guard = bench.order_execution.guard

    async def silent(holding: Holding) -> GuardAnswer:
        return GuardAnswer(armed=holding.stop is None)

    bench.order_execution.guard = silent  # type: ignore[method-assign]
    assert await strategy.actor.move_stop(149000) is False
    bench.tick(strategy, 148500)  # the strategy has the new level all the same
    await until(lambda: strategy.state.phase is not Phase.GUARDING)
    bench.order_execution.guard = guard  # type: ignore[method-assign]
    await until(lambda: strategy.state.phase is Phase.ENDED)
    assert bench.sold == [10]


@in_virtual_time
async def test_a_stop_that_was_lowered_and_not_confirmed_may_sell_at_its_old_level_and_says_so() -> None:
    bench = OutsideBench()
    strategy = await armed(bench)

    async def silent(holding: Holding) -> GuardAnswer:
        return GuardAnswer(armed=holding.stop is None)

    bench.order_execution.guard = silent  # type: ignore[method-assign]
    assert await strategy.actor.move_stop(140000) is False
    hear(bench, BELOW)
    await until(lambda: strategy.state.phase is Phase.ENDED)
    assert bench.sold == [10]
    reasons = [line.event.reason for entry in strategy.journal.records for line in entry.logs]
    assert any("₹1440.00 at or below the stop-loss before its last move" in reason for reason in reasons)


@in_virtual_time
async def test_nothing_is_guarded_without_a_position() -> None:
    bench = OutsideBench()
    strategy = bench.start()
    assert await strategy.actor.move_stop(140000) is None
    assert bench.execution.stops.shown() == []


@in_virtual_time
async def test_shares_that_were_sold_by_hand_are_not_sold_by_the_second_guard() -> None:
    bench = OutsideBench()
    strategy = await armed(bench)
    bench.by_hand(Side.SELL, 4)
    hear(bench, BELOW)
    await until(lambda: strategy.state.phase is Phase.ENDED, within_s=30)
    assert (bench.sold, bench.net()) == ([6], 0)


@in_virtual_time
async def test_a_trade_of_before_the_buy_sells_nothing() -> None:
    bench = OutsideBench()
    strategy = await armed(bench)
    bench.updates.tick(2, BELOW, strategy.state.run.buy_at - timedelta(seconds=2))
    await passing(2)
    assert bench.sold == []


@in_virtual_time
async def test_a_strategy_that_hears_nothing_is_guarded_by_execution_alone() -> None:
    bench = OutsideBench()
    strategy = await armed(bench)
    strategy.actor.post(FeedLost("its connection is dead"))
    await until(lambda: by(bench, strategy) == ("execution",))
    hear(bench, BELOW)
    await until(lambda: strategy.state.phase is Phase.ENDED)
    assert bench.sold == [10]


@in_virtual_time
async def test_execution_that_hears_nothing_does_not_say_that_it_guards() -> None:
    bench = OutsideBench()
    strategy = await armed(bench)
    bench.updates.followed[2].on_lost()
    assert by(bench, strategy) == ("strategy",)
    bench.updates.reconnect(2)
    bench.updates.followed[2].on_heard()
    assert by(bench, strategy) == ("strategy", "execution")
    await passing(6)  # the connection is silent, and nobody says that it broke
    assert by(bench, strategy) == ("strategy",)


@in_virtual_time
async def test_a_token_of_yesterday_is_not_heard_under_and_one_of_today_is() -> None:
    before_the_list = datetime(2026, 11, 23, 3, 10, tzinfo=UTC)  # 08:40 IST
    bench = OutsideBench(before_the_list)
    strategy = await armed(bench, buy_at=before_the_list + timedelta(seconds=30))
    await passing(600)
    hear(bench, ABOVE)
    assert by(bench, strategy) == ("strategy",)
    hear(bench, BELOW)
    await passing(1)
    assert bench.sold == []
    bench.tick(strategy, ABOVE)
    await passing(1)
    hear(bench, ABOVE)
    assert by(bench, strategy) == ("strategy", "execution")


# --- armings, one by one ------------------------------------------------------------------------------------------


def a_stop(level: int = STOP, *, epoch: int = 1, seq: int = 1, token: int | None = INFY.token) -> StopOrder:
    command = a_command(a_sell(seq=seq), epoch=epoch, stake=HOLDING.stake)
    return StopOrder(command, "paper", level, NOW, token=token, token_heard_at=NOW if token else None)


def a_holding(stop: StopOrder | None, *, number: int = 1, epoch: int = 1) -> Holding:
    return replace(HOLDING, epoch=epoch, stop=stop, hears=True, number=number)


async def watched() -> ExecutionBench:
    bench = await guarded(ExecutionBench())
    bench.updates.reconnect(2)
    return bench


def fall(bench: ExecutionBench, price: int = BELOW) -> None:
    bench.updates.tick(2, price, bench.clock.now())


@in_virtual_time
async def test_an_older_epoch_or_number_neither_arms_nor_disarms() -> None:
    bench = await watched()
    assert (await bench.actor.guard(a_holding(a_stop(140000, epoch=2), epoch=2, number=5))).armed
    assert not (await bench.actor.guard(a_holding(a_stop(149000), number=9))).armed
    assert not (await bench.actor.guard(a_holding(a_stop(149000, epoch=2), epoch=2, number=4))).armed
    await bench.actor.guard(a_holding(None, epoch=2, number=4))
    fall(bench, 145000)
    await passing(1)
    assert bench.posted == []
    fall(bench, 139000)
    await passing(1)
    assert len(bench.posted) == 1


@in_virtual_time
async def test_what_is_disarmed_sells_nothing() -> None:
    bench = await watched()
    await bench.actor.guard(a_holding(a_stop()))
    await bench.actor.guard(a_holding(None, number=2))
    fall(bench)
    await passing(1)
    assert bench.posted == []
    assert bench.updates.tokens[2] == frozenset()


@in_virtual_time
async def test_an_exit_that_is_working_is_not_armed_again_by_a_late_renewal() -> None:
    bench = await watched()
    await bench.actor.guard(a_holding(a_stop()))
    work = bench.start(a_command(a_sell(), stake=HOLDING.stake))
    await passing(0.01)
    assert not (await bench.actor.guard(a_holding(a_stop(), number=2))).armed
    await work
    assert not (await bench.actor.guard(a_holding(a_stop(), number=3))).armed
    fall(bench)
    await passing(5)
    assert len(bench.posted) == 1


@in_virtual_time
async def test_a_strategy_that_guards_on_after_its_exit_hears_of_it_with_its_next_renewal() -> None:
    bench = await watched()
    await bench.actor.guard(a_holding(a_stop()))
    fall(bench)
    await passing(3)
    bench.strategies.events.clear()  # as if none of it had arrived
    assert not (await bench.actor.guard(a_holding(a_stop(), number=2))).armed
    assert [event.report.filled_quantity for event in bench.strategies.events] == [10]  # type: ignore[union-attr]


@in_virtual_time
async def test_an_exit_that_the_broker_never_had_may_be_armed_again() -> None:
    bench = await watched()
    bench.broker.script = [REFUSED]
    await bench.actor.guard(a_holding(a_stop()))
    fall(bench)
    await passing(2)
    assert len(bench.posted) == 1
    assert (await bench.actor.guard(a_holding(a_stop(), number=2))).armed
    fall(bench)
    await passing(2)
    assert len(bench.posted) == 2


@in_virtual_time
async def test_an_exit_that_an_actor_before_has_sent_is_told_and_not_armed() -> None:
    bench = await watched()
    bench.broker.list(a_report("9", OrderStage.OPEN, filled=0, tag=a_sell().tag))
    assert not (await bench.actor.guard(a_holding(a_stop()))).armed
    assert [event.report.order_id for event in bench.strategies.events] == ["9"]  # type: ignore[union-attr]


@in_virtual_time
async def test_a_claim_of_the_exit_by_an_actor_before_is_carried_on_after_a_look() -> None:
    bench = await watched()
    bench.claims.foreseen = bench.claims.verdict = ClaimVerdict.HELD_BY_ME
    assert not (await bench.actor.guard(a_holding(a_stop()))).armed
    await passing(0.5)
    assert StopLossTriggered(a_sell().id, None) in bench.strategies.events
    assert bench.posted == []  # it may have left: the book is read over the quarantine first
    await passing(5)
    assert len(bench.posted) == 1


@in_virtual_time
async def test_a_newer_claim_arms_nothing_and_an_unknown_one_looks_before_it_sends() -> None:
    bench = await watched()
    bench.claims.foreseen = ClaimVerdict.REFUSED
    assert not (await bench.actor.guard(a_holding(a_stop()))).armed
    bench.claims.foreseen = ClaimsUnavailable("neither Redis nor PostgreSQL answers")
    assert (await bench.actor.guard(a_holding(a_stop(), number=2))).armed
    fall(bench)
    await passing(0.5)
    assert bench.posted == []
    await passing(5)
    assert len(bench.posted) == 1


@in_virtual_time
async def test_the_stop_of_a_run_that_the_journal_calls_ended_sells_nothing() -> None:
    bench = await watched()
    await bench.actor.guard(a_holding(a_stop()))
    bench.records.intents = [replace(intent, ended=True) for intent in bench.records.intents]
    await passing(15)
    fall(bench)
    await passing(5)
    assert bench.posted == []


@in_virtual_time
async def test_a_breach_that_still_holds_is_seen_when_the_stop_is_armed() -> None:
    bench = await watched()
    await bench.actor.guard(a_holding(a_stop(140000)))
    fall(bench, 143000)
    await bench.actor.guard(a_holding(a_stop(144000), number=2))
    await passing(1)
    assert len(bench.posted) == 1


@in_virtual_time
async def test_without_a_token_execution_hears_nothing_and_guesses_none() -> None:
    bench = await watched()
    answer = await bench.actor.guard(a_holding(a_stop(token=None)))
    assert (answer.armed, answer.hears) == (True, False)
    assert bench.updates.tokens.get(2, frozenset()) == frozenset()


# --- which connection carries a token -------------------------------------------------------------------------------


def test_a_token_is_asked_for_on_one_connection_and_moves_when_that_is_down() -> None:
    asked: dict[int, frozenset[int]] = {}
    up = {1, 2}
    streams = TickStreams(asked.__setitem__, up.__contains__)
    streams.join(1)
    streams.join(2)
    assert streams.subscribe(7) == streams.subscribe(7) == 1
    up.discard(1)
    assert streams.misplaced() == [1]
    streams.unsubscribe(7)
    assert streams.subscribe(7) == 2
    assert asked == {1: frozenset(), 2: frozenset({7})}
    up.clear()
    assert streams.misplaced() == []


# --- execution is lost in the instant of the breach ---------------------------------------------------------------


async def given_again(bench: ExecutionBench, verdict: ClaimVerdict, *, given: timedelta = timedelta(0)) -> float:
    """Seconds until an exit leaves that is given again since the link to execution broke."""
    bench.claims.verdict = verdict
    begun = bench.clock.now()
    command = a_command(a_sell(), stake=HOLDING.stake, look_up_first=True, given_at=begun - given)
    await bench.filled(command)
    return (bench.broker.posts[-1][0] - begun).total_seconds()


@in_virtual_time
async def test_an_exit_whose_claim_is_free_has_never_left_and_waits_for_no_quarantine() -> None:
    assert await given_again(await watched(), ClaimVerdict.GRANTED) < 0.5


@in_virtual_time
async def test_an_exit_whose_claim_is_held_or_unknown_or_may_have_lapsed_waits_for_it() -> None:
    assert await given_again(await watched(), ClaimVerdict.HELD_BY_ME) >= 2
    assert await given_again(await watched(), ClaimVerdict.OWNED) >= 2
    assert await given_again(await watched(), ClaimVerdict.GRANTED, given=timedelta(seconds=16)) >= 2


@in_virtual_time
async def test_an_exit_that_the_book_shows_is_adopted_though_its_claim_is_free() -> None:
    bench = await watched()
    bench.broker.list(a_report("9", filled=10, tag=a_sell().tag))
    command = a_command(a_sell(), stake=HOLDING.stake, look_up_first=True, given_at=bench.clock.now())
    assert (await bench.filled(command)).order_id == "9"
    assert bench.posted == []


@in_virtual_time
async def test_a_lease_that_is_not_held_has_the_claim_answered_before_the_exit_leaves() -> None:
    bench = await watched()
    bench.claims.leased, bench.claims.verdict = False, ClaimVerdict.REFUSED
    assert (await bench.actor.guard(a_holding(a_stop()))).armed
    fall(bench)
    await passing(1)
    assert bench.posted == []


@in_virtual_time
async def test_a_claim_that_is_not_granted_after_all_is_an_alert() -> None:
    bench = await watched()
    bench.claims.verdict = ClaimVerdict.HELD_BY_ME
    await bench.actor.guard(a_holding(a_stop()))
    fall(bench)
    await passing(1)
    assert len(bench.posted) == 1
    assert "claim_not_granted" in bench.attempts.alerts


@in_virtual_time
async def test_the_way_is_rehearsed_while_a_stop_is_armed_and_nothing_is_sent() -> None:
    bench = await watched()
    rehearsing = asyncio.create_task(bench.actor.rehearsal.run())
    await passing(2)
    assert bench.broker.rehearsed == 0
    await bench.actor.guard(a_holding(a_stop()))
    await passing(2)
    assert bench.broker.rehearsed > 50
    assert bench.posted == []
    rehearsing.cancel()
