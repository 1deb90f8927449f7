"""A cut of who dies in the instant of a touch; `make guards` runs all of the chosen pairs."""

from tests.chaos.guards_catalogue import (
    GUARDS_CUT,
    POINTS,
    Event,
    Victim,
    guards_case,
    guards_cases,
    pairs_of,
    possible_guards,
)
from tests.chaos.guards_run import GuardsFlow
from tests.kit.trader import Deployment


def test_everybody_dies_at_every_step_and_with_everybody_else() -> None:
    chosen = guards_cases()
    assert len({case.name for case in chosen}) == len(chosen)
    done = {pair for case in chosen for pair in pairs_of(case)}
    assert done == {pair for case in possible_guards() for pair in pairs_of(case)}
    assert {victim for case in chosen for victim in case.killed} == set(Victim)
    assert {case.event for case in chosen} == set(Event)
    assert all(POINTS[case.step] in case.killed for case in chosen if case.step in POINTS)


def test_a_touch_in_the_instant_of_a_death_is_sold_once_and_in_time(deployment: Deployment) -> None:
    results = list(GuardsFlow(deployment).run_all([guards_case(name) for name in GUARDS_CUT]))
    assert len(results) == len(GUARDS_CUT)
    assert [f"{result.case.name}: {result.words}" for result in results if not result.passed] == []
