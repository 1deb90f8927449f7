"""A representative cut of the chaos matrix; `make chaos` runs all of it."""

from tests.chaos.catalogue import cases, cut
from tests.chaos.run import run_all
from tests.kit.trader import Deployment


def test_names_of_cases_are_unique() -> None:
    names = [case.name for case in cases()]
    assert len(names) == len(set(names))


def test_no_order_is_sent_twice_and_no_position_is_left_unguarded(deployment: Deployment) -> None:
    results = run_all(deployment, cut())
    broken = [f"{r.case.name}: {r.problems or r.untried}" for r in results if r.problems or r.untried]
    assert broken == []
