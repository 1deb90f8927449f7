"""Each store, or both, killed or standing still while a trader panics (row N8)."""

import pytest

from config.stack.stack import Stack
from tests.chaos.panic_without_stores import AWAY, panic_without
from tests.kit.parts import Away, frozen, killed
from tests.kit.trader import Deployment


@pytest.mark.parametrize("how", [killed, frozen], ids=["killed", "frozen"])
@pytest.mark.parametrize("which", sorted(AWAY))
def test_everything_is_sold_once_and_nothing_is_bought(
    stack: Stack, deployment: Deployment, which: str, how: Away
) -> None:
    panic_without(stack, deployment, which, how)
