"""When execution ends itself for `tradeactors drain`, and when it stays: it must be able to come back elsewhere."""

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from actors.domain.strategy.events import Event
from actors.ports.common import PeerUnavailable
from actors.ports.strategy import OrderCommand
from actors.runtime import node_marks
from actors.runtime.hosts import execution

SOON = timedelta(seconds=3)


class Here(execution.ExecutionActor):
    """An execution actor with a shell that only says which runs it works for."""

    def __init__(self) -> None:
        self.parts = cast("Any", SimpleNamespace(runs=frozenset[int](), held=True, unheard=0, executed=0))
        self.parts.working_runs = lambda: self.parts.runs
        self.parts.execute = self._executed
        self._execution = self._attempts = self._lease = self.parts
        self._left = False

    async def _executed(self, _command: OrderCommand) -> Event:
        self.parts.executed += 1
        return cast("Event", None)


class Ray:
    """Its head, and what it was asked to end."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers, self.ended = True, 0
        monkeypatch.setattr(node_marks, "head_answers", lambda: self.answers)
        monkeypatch.setattr(execution, "end_own_actor", self._end)
        monkeypatch.setattr(execution, "_GONE_WITHIN_S", 0.2)
        self.asked = asyncio.Event()

    def _end(self) -> None:
        self.ended += 1
        self.asked.set()


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Ray:
    return Ray(monkeypatch)


def soon() -> datetime:
    return datetime.now(UTC) + SOON


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("runs", frozenset({7}), "an order of its accounts is on its way"),
        ("held", False, "it has no lease"),
        ("unheard", 1, "an alert of it has not reached its ledger"),
    ],
)
async def test_it_stays_while_it_is_needed_here(ray: Ray, name: str, value: object, why: str) -> None:
    here = Here()
    setattr(here.parts, name, value)
    assert why in await here.leave(soon())
    assert ray.ended == 0
    await here.execute(cast("OrderCommand", None))
    assert here.parts.executed == 1


async def test_it_stays_while_the_head_is_silent_and_when_it_was_asked_too_long_ago(ray: Ray) -> None:
    here = Here()
    assert await here.leave(datetime.now(UTC) - SOON) == "it was asked to leave too late"
    ray.answers = False
    assert "head does not answer" in await here.leave(soon())
    assert ray.ended == 0


async def test_one_that_leaves_takes_no_order_and_goes_on_if_ray_does_not_end_it(ray: Ray) -> None:
    here = Here()
    leaving = asyncio.ensure_future(here.leave(soon()))
    await ray.asked.wait()
    with pytest.raises(PeerUnavailable):
        await here.execute(cast("OrderCommand", None))
    assert await leaving == "Ray has not ended it"
    await here.execute(cast("OrderCommand", None))
    assert here.parts.executed == 1
