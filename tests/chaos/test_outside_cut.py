"""A cut of what happens outside × step × kill; `make chaos` runs all of the chosen pairs."""

from itertools import product

from tests.chaos.outside_catalogue import OUTSIDE_CUT, STEPS, Kill, outside_case, outside_cases, possible_outside
from tests.chaos.outside_run import OutsideFlow
from tests.kit.trader import Deployment


def test_every_pair_that_is_possible_is_run_once() -> None:
    chosen = outside_cases()
    assert len({case.name for case in chosen}) == len(chosen)
    for happening, steps in STEPS.items():
        done = {case.step for case in chosen if case.happening is happening}
        assert done == set(steps)
    possible = {(case.step, case.kill) for case in possible_outside()}
    assert {(case.step, case.kill) for case in chosen} == possible == set(product({s for s, _ in possible}, Kill))


def test_nothing_is_sold_that_is_not_the_runs_and_nobody_is_starved(deployment: Deployment) -> None:
    results = list(OutsideFlow(deployment).run_all([outside_case(name) for name in OUTSIDE_CUT]))
    assert len(results) == len(OUTSIDE_CUT)
    assert [f"{r.case.name}: {r.problems or r.untried}" for r in results if not r.passed] == []
