"""A new access token: the engine has the strategies that it knows ask the broker, and never fails over it."""

import asyncio

from ray.exceptions import RayActorError

from actors.runtime.driver.engine import RayEngine
from actors.runtime.names import Pools


class Handle:
    """A strategy's actor as its callers see it."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.ask_broker_now = self
        self.asked = asyncio.Event()
        self._fault = fault

    async def remote(self) -> None:
        """The call."""
        self.asked.set()
        if self._fault is not None:
            raise self._fault


async def test_the_strategies_that_are_known_ask_the_broker_and_a_dead_one_hinders_none() -> None:
    engine = RayEngine(Pools(1, 1, ("paper",)))
    dead, waiting, other = Handle(RayActorError()), Handle(), Handle()
    engine._known = {1: dead, 2: waiting, 3: other}
    engine.ask_broker_now([1, 2, 99])
    await asyncio.wait_for(waiting.asked.wait(), 5)
    await asyncio.wait_for(dead.asked.wait(), 5)
    assert not other.asked.is_set(), "a strategy of another user"
