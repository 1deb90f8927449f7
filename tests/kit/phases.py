"""The state of a run in each of its phases, reached by the events that lead there."""

from datetime import datetime, timedelta

from actors.domain.orders.order import FailureKind, OrderStage
from actors.domain.strategy.decisions import Decision
from actors.domain.strategy.events import (
    Event,
    IntentArmed,
    OrderReported,
    RunRecovered,
    TickReceived,
    Timer,
    TimerFired,
)
from actors.domain.strategy.machine import step
from actors.domain.strategy.state import StrategyState
from tests.kit.builders import BUY_AT, NOW, a_run, a_tick
from tests.kit.events import ENTRY, entry_report, exit_id, exit_report, failed

STOP = 145000
ABOVE, AT_STOP, BELOW = STOP + 5000, STOP, STOP - 500
BOUGHT_AT = BUY_AT + timedelta(milliseconds=200)
LATER = BUY_AT + timedelta(minutes=10)


def play(state: StrategyState, *events: Event, at: datetime = LATER) -> StrategyState:
    for event in events:
        state, _ = step(state, event, at)
    return state


def scheduled(**changes: object) -> StrategyState:
    return play(StrategyState.scheduled(a_run(**changes)), RunRecovered(), at=NOW)


def entering(**changes: object) -> StrategyState:
    return play(scheduled(**changes), TimerFired(Timer.BUY, BUY_AT), at=BUY_AT)


def paused() -> StrategyState:
    return play(entering(), failed(FailureKind.UNREACHABLE), at=BUY_AT + timedelta(seconds=1))


def working(filled: int = 0) -> StrategyState:
    """The BUY is open at the broker; with fills, the run is arming."""
    return play(entering(), entry_report(OrderStage.OPEN, filled), at=BOUGHT_AT)


def arming(**changes: object) -> StrategyState:
    return play(entering(**changes), entry_report(), at=BOUGHT_AT)


def guarding(**changes: object) -> StrategyState:
    return play(arming(**changes), IntentArmed(exit_id()), at=BOUGHT_AT)


def exiting() -> StrategyState:
    return play(guarding(), TickReceived(a_tick(AT_STOP, LATER)))


def exit_failed(kind: FailureKind = FailureKind.EXHAUSTED) -> StrategyState:
    return play(exiting(), failed(kind, exit_id()))


def ended() -> StrategyState:
    return play(exiting(), exit_report())


def recover(
    state: StrategyState, *reports: OrderReported, at: datetime = LATER
) -> tuple[StrategyState, tuple[Decision, ...]]:
    tags = {ENTRY: state.entry.intent.tag} | {exit_id(n): state.run.exit_intent(n, 1).tag for n in range(1, 6)}
    return step(state, RunRecovered({tags[event.intent_id]: event.report for event in reports}), at)
