"""A panic while PostgreSQL is killed, and while both stores stand still; `make panics` tries every way (row N8)."""

import pytest

from config.stack.stack import Stack
from tests.chaos.panic_without_stores import panic_without
from tests.kit.parts import Away, frozen, killed
from tests.kit.trader import Deployment


@pytest.mark.parametrize(
    ("which", "how"), [("postgresql", killed), ("both", frozen)], ids=["postgresql-killed", "both-frozen"]
)
def test_everything_is_sold_once_nothing_is_bought_and_the_outcome_is_recorded_when_the_store_is_back(
    stack: Stack, deployment: Deployment, which: str, how: Away
) -> None:
    panic_without(stack, deployment, which, how)
