"""The table of transitions: what it allows is taken in, what it does not is refused and changes nothing."""

from dataclasses import is_dataclass
from typing import get_args

import pytest

from actors.domain.errors import IllegalEvent
from actors.domain.orders.order import FailureKind, Order, OrderReport
from actors.domain.prices.tick import Tick
from actors.domain.strategy.decisions import Decision
from actors.domain.strategy.events import (
    BrokerRestored,
    ClosedByTrader,
    CoverRead,
    Event,
    ExitUncovered,
    FeedLost,
    FeedRestored,
    IntentArmed,
    NoBuyers,
    OrderQueued,
    OrderReported,
    PlacementFailed,
    PlacementUnresolved,
    PositionClosedOutside,
    RunRecovered,
    StopLossMoved,
    StopLossTriggered,
    StopRequested,
    TickReceived,
    Timer,
    TimerFired,
)
from actors.domain.strategy.machine import step
from actors.domain.strategy.state import IGNORED, MOVES, TRANSITIONS, Phase, StrategyState
from tests.kit.builders import BUY_AT, a_tick
from tests.kit.events import ENTRY, entry_report, exit_id
from tests.kit.phases import ABOVE, LATER, arming, ended, entering, exit_failed, exiting, guarding, paused, scheduled

STATES: dict[Phase, StrategyState] = {
    state.phase: state
    for state in (scheduled(), paused(), entering(), arming(), guarding(), exiting(), exit_failed(), ended())
}
EVENTS: dict[type[Event], Event] = {
    type(event): event
    for event in (
        TimerFired(Timer.BUY, BUY_AT),
        TickReceived(a_tick(ABOVE, LATER)),
        IntentArmed(exit_id()),
        entry_report(),
        PlacementFailed(ENTRY, FailureKind.EXHAUSTED, "because"),
        PlacementUnresolved(ENTRY, "because"),
        OrderQueued(ENTRY, LATER),
        BrokerRestored(),
        StopRequested(),
        StopLossMoved(144000),
        FeedLost(),
        FeedRestored(),
        PositionClosedOutside("because"),
        ExitUncovered("because"),
        ClosedByTrader(),
        CoverRead(0, "because"),
        RunRecovered(),
        NoBuyers(exit_id(), 140000),
        StopLossTriggered(exit_id(), 140000),
    )
}
ALLOWED = [(phase, event) for phase, row in TRANSITIONS.items() for event in row]
ABOUT_SHARES: set[type[Event]] = {PositionClosedOutside, ExitUncovered, ClosedByTrader, CoverRead}
ILLEGAL: dict[Phase, set[type[Event]]] = {
    Phase.SCHEDULED: {IntentArmed, PlacementFailed, PlacementUnresolved, *ABOUT_SHARES},
    Phase.PAUSED: {IntentArmed, *ABOUT_SHARES},
    Phase.ENTERING: {IntentArmed, *ABOUT_SHARES},
    Phase.ARMING: set(),
    Phase.GUARDING: set(),
    Phase.EXITING: set(),
    Phase.EXIT_FAILED: set(),
    Phase.ENDED: {StopLossMoved},
}


def named(value: Phase | type[Event]) -> str:
    return value.value if isinstance(value, Phase) else value.__name__


def test_every_phase_and_every_event_has_its_place_in_the_table() -> None:
    assert set(TRANSITIONS) == set(Phase) == set(STATES)
    assert set(EVENTS) == set(get_args(Event))
    for phase in Phase:
        assert set(TRANSITIONS[phase]) | ILLEGAL[phase] == set(get_args(Event))
        assert not set(TRANSITIONS[phase]) & ILLEGAL[phase]


def test_an_event_either_moves_a_phase_or_is_ignored_by_it() -> None:
    assert set(MOVES) == set(IGNORED) == set(Phase)
    for phase, moves in MOVES.items():
        assert not moves.keys() & IGNORED[phase]
        assert all(targets - {phase} for targets in moves.values()), "a row that moves nothing stands in IGNORED"


@pytest.mark.parametrize(("phase", "event"), ALLOWED, ids=named)
def test_event_in_the_table_is_taken_in_and_leads_where_the_table_says(phase: Phase, event: type[Event]) -> None:
    after, _ = step(STATES[phase], EVENTS[event], LATER)
    assert after.phase in TRANSITIONS[phase][event]


@pytest.mark.parametrize(
    ("phase", "event"),
    [(phase, event) for phase, row in ILLEGAL.items() for event in sorted(row, key=named)],
    ids=named,
)
def test_event_not_in_the_table_is_refused_and_changes_nothing(phase: Phase, event: type[Event]) -> None:
    state = before = STATES[phase]
    with pytest.raises(IllegalEvent, match=event.__name__):
        state, _ = step(before, EVENTS[event], LATER)
    assert state is before


@pytest.mark.parametrize("phase", Phase)
def test_nothing_leaves_the_end(phase: Phase) -> None:
    assert all(targets == {Phase.ENDED} for targets in TRANSITIONS[Phase.ENDED].values())
    reached = {target for targets in TRANSITIONS[phase].values() for target in targets}
    assert phase is Phase.ENDED or reached - {phase}, "a phase without a way out"


def test_every_phase_with_a_position_can_reach_its_end() -> None:
    reach: dict[Phase, set[Phase]] = {
        phase: {target for targets in row.values() for target in targets} for phase, row in TRANSITIONS.items()
    }
    for _ in Phase:
        reach = {phase: found | {far for near in found for far in reach[near]} for phase, found in reach.items()}
    assert all(Phase.ENDED in found for found in reach.values())


def test_report_of_a_fill_is_taken_in_by_every_phase() -> None:
    assert all(OrderReported in row for row in TRANSITIONS.values())
    assert all(RunRecovered in row for row in TRANSITIONS.values())


@pytest.mark.parametrize("kind", [*get_args(Event), *get_args(Decision), StrategyState, Order, OrderReport, Tick])
def test_what_the_machine_takes_and_gives_cannot_be_changed_afterwards(kind: type) -> None:
    assert is_dataclass(kind)
    assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
