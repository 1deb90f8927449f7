"""A stop-loss that is moved many times a second: each move counts, and the log has a line a second."""

from datetime import datetime, timedelta

import pytest

from actors.domain.orders.log_events import LogWord
from actors.domain.orders.order import FailureKind, OrderEvent
from actors.domain.strategy.decisions import CancelTimers, Decision, LogEvent, SendOrder, SetTimer, WatchPrice
from actors.domain.strategy.events import (
    Event,
    PlacementFailed,
    RunRecovered,
    StopLossMoved,
    StopRequested,
    TickReceived,
    Timer,
    TimerFired,
)
from actors.domain.strategy.machine import step
from actors.domain.strategy.snapshot import dump_state, load_state
from actors.domain.strategy.state import Phase, StrategyState
from tests.kit.builders import a_tick
from tests.kit.phases import LATER, STOP, exiting, guarding, scheduled

MS = timedelta(milliseconds=1)
SECOND = timedelta(seconds=1)


class Told:
    """A strategy, and the lines of its log."""

    def __init__(self, state: StrategyState | None = None) -> None:
        self.state = state or guarding()
        self.decisions: tuple[Decision, ...] = ()
        self.lines: list[LogEvent] = []

    def hears(self, event: Event, at: datetime = LATER) -> None:
        self.state, self.decisions = step(self.state, event, at)
        self.lines += [decision for decision in self.decisions if isinstance(decision, LogEvent)]

    @property
    def moves(self) -> list[str]:
        return [line.reason.replace("₹", "") for line in self.lines if line.event is LogWord.STOP_LOSS_MOVED]


def level(paise: int) -> str:
    return f"{paise / 100:.2f}"


@pytest.mark.parametrize("state", [scheduled(), guarding()], ids=lambda state: state.phase)
def test_a_thousand_moves_in_ten_seconds_are_some_ten_lines(state: StrategyState) -> None:
    told = Told(state)
    for n in range(1000):
        told.hears(StopLossMoved(STOP - n), LATER + n * 10 * MS)
        assert told.state.stop_loss == STOP - n
        assert (WatchPrice(STOP - n) in told.decisions) is (state.phase is Phase.GUARDING)
    told.hears(TimerFired(Timer.MOVE_LOG, LATER + 10 * SECOND), LATER + 11 * SECOND)
    assert 10 <= len(told.moves) <= 12
    ends = [move.split(" to ") for move in told.moves]
    assert [before for before, _ in ends[1:]] == [after for _, after in ends[:-1]], "no step is left out"
    assert ends[-1][1] == level(STOP - 999)


def test_a_single_move_is_logged_at_once() -> None:
    told = Told()
    told.hears(StopLossMoved(STOP - 100))
    assert told.moves == [f"{level(STOP)} to {level(STOP - 100)}"]
    assert not any(isinstance(decision, SetTimer) for decision in told.decisions)


def test_the_last_level_of_a_second_is_logged_when_it_is_over() -> None:
    told = Told()
    for n in range(1, 4):
        told.hears(StopLossMoved(STOP - n * 100), LATER + n * MS)
    assert told.decisions[-1] == SetTimer(Timer.MOVE_LOG, LATER + MS + SECOND)
    told.hears(TickReceived(a_tick(STOP + 500, LATER + 10 * MS)), LATER + 10 * MS)
    assert len(told.moves) == 1
    told.hears(TimerFired(Timer.MOVE_LOG, LATER + MS + SECOND), LATER + MS + SECOND)
    assert told.moves[1:] == [f"{level(STOP - 100)} to {level(STOP - 300)}"]
    told.hears(TimerFired(Timer.MOVE_LOG, LATER + MS + SECOND), LATER + 2 * SECOND)
    assert len(told.moves) == 2


def test_the_level_that_was_armed_is_logged_before_a_sale_by_it() -> None:
    told = Told()
    told.hears(StopLossMoved(STOP - 100), LATER)
    told.hears(StopLossMoved(STOP + 300), LATER + MS)
    told.hears(TickReceived(a_tick(STOP + 200, LATER + 2 * MS)), LATER + 2 * MS)
    assert isinstance(told.decisions[0], SendOrder), "nothing stands before the order"
    assert [line.event for line in told.lines[-2:]] == [LogWord.STOP_LOSS_MOVED, LogWord.STOPLOSS_TRIGGERED]
    assert told.moves[-1] == f"{level(STOP - 100)} to {level(STOP + 300)}"
    assert told.state.exit_event is OrderEvent.STOPLOSS


def test_the_level_that_was_armed_is_logged_before_a_sale_on_stop() -> None:
    told = Told()
    told.hears(StopLossMoved(STOP - 100), LATER)
    told.hears(StopLossMoved(STOP - 200), LATER + MS)
    told.hears(StopRequested(), LATER + 2 * MS)
    assert [line.event for line in told.lines[-2:]] == [LogWord.STOP_LOSS_MOVED, LogWord.SELL_TRIGGERED]


def test_a_move_that_was_not_logged_is_logged_by_the_next_incarnation() -> None:
    told = Told()
    told.hears(StopLossMoved(STOP - 100), LATER)
    told.hears(StopLossMoved(STOP - 200), LATER + MS)
    again = Told(load_state(told.state.run, dump_state(told.state)))
    again.hears(RunRecovered(), LATER + 2 * MS)
    assert again.moves == [f"{level(STOP - 100)} to {level(STOP - 200)}"]


def test_a_line_that_waits_does_not_wait_until_the_market_opens() -> None:
    closed = PlacementFailed(
        exiting().exits[-1].intent.id, FailureKind.MARKET_CLOSED, "closed", not_before=LATER + 12 * 3600 * SECOND
    )
    told = Told(step(exiting(), closed, LATER)[0])
    told.hears(StopLossMoved(STOP - 100), LATER)
    told.hears(StopLossMoved(STOP - 200), LATER + MS)
    told.hears(StopRequested(), LATER + 2 * MS)
    told.hears(StopLossMoved(STOP - 300), LATER + 3 * MS)
    told.hears(closed, LATER + 4 * MS)
    assert CancelTimers() in told.decisions
    assert told.moves[-1].endswith(f" to {level(STOP - 300)}")


def test_a_level_that_was_moved_back_within_the_second_needs_no_line() -> None:
    told = Told()
    for n, moved in enumerate((STOP - 100, STOP - 200, STOP - 100)):
        told.hears(StopLossMoved(moved), LATER + n * MS)
    told.hears(TimerFired(Timer.MOVE_LOG, LATER + SECOND), LATER + SECOND)
    assert told.moves == [f"{level(STOP)} to {level(STOP - 100)}"]


def test_a_clock_that_was_set_back_holds_no_line_up() -> None:
    told = Told()
    told.hears(StopLossMoved(STOP - 100), LATER)
    told.hears(StopLossMoved(STOP - 200), LATER - 60 * SECOND)
    assert len(told.moves) == 2


def test_a_snapshot_of_an_earlier_release_has_no_such_move() -> None:
    data = dump_state(guarding())
    del data["logged_stop"]
    assert load_state(guarding().run, data).move_log.level is None
