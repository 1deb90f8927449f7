"""A strategy actor with everything around it faked, in virtual time."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from actors.domain.orders.order import Intent, OrderEvent, OrderReport
from actors.domain.strategy.events import Event, OrderReported, TickReceived
from actors.domain.strategy.state import Phase
from actors.ports.prices import PriceWatch
from actors.ports.strategy import LoadedRun, OrderCommand
from actors.strategy.shell import StrategyShell
from tests.kit.builders import BUY_AT, NOW, a_report, a_run, a_tick
from tests.kit.fakes.journal import FakeJournal
from tests.kit.fakes.order_execution import FakeExecution
from tests.kit.fakes.price_watch import FakePriceWatch
from tests.kit.virtual_time import FakeClock, until

SELL_AT = NOW + timedelta(minutes=10)
STOP = 145000


class StrategyBench:
    """One run of the builders' strategy: BUY after 30 s, SELL after ten minutes, stop-loss at 1450 rupees.

    `prices`: where it hears them, in place of the fake.
    """

    def __init__(
        self, *, epoch: int = 1, snapshot: Mapping[str, Any] | None = None, prices: PriceWatch | None = None, **run: Any
    ) -> None:
        self.run = a_run(**({"sell_at": SELL_AT} | run))
        watched_since = (snapshot or {}).get("watched_since")
        self.clock = FakeClock(max(NOW, datetime.fromisoformat(watched_since)) if watched_since else NOW)
        self.trace: list[str] = []
        self.execution, self.journal = FakeExecution(self.clock, self.trace), FakeJournal(self.trace)
        self.prices = FakePriceWatch(self.clock, trace=self.trace)
        loaded = LoadedRun(self.run, epoch, snapshot)
        watch = prices or self.prices
        self.actor = StrategyShell(
            loaded, execution=self.execution, journal=self.journal, prices=watch, clock=self.clock
        )
        self.task: asyncio.Task[bool] | None = None

    def start(self) -> "StrategyBench":
        """Let it run."""
        self.task = asyncio.create_task(self.actor.run())
        return self

    async def finished(self) -> None:
        """Wait for the end of its run."""
        assert self.task is not None
        await asyncio.wait_for(self.task, 3600)

    async def ordered(self, count: int = 1) -> OrderCommand:
        """The latest command to execution, once there are `count` of them."""
        await until(lambda: len(self.execution.commands) >= count, within_s=700)
        return self.execution.commands[count - 1]

    async def reaches(self, phase: Phase) -> None:
        """Wait for a phase."""
        await until(lambda: self.actor.state.phase is phase, within_s=700)

    async def guarding(self) -> "StrategyBench":
        """Run until the position is bought and guarded."""
        self.start()
        command = await self.ordered()
        self.execution.answer(reported(command.intent))
        await self.reaches(Phase.GUARDING)
        return self

    def tick(self, price: int, *, age_s: float = 0) -> None:
        """A price, as the router delivers it."""
        self.actor.post(TickReceived(a_tick(price, self.clock.now(), age=timedelta(seconds=age_s))))

    @property
    def sent(self) -> list[OrderEvent]:
        """What execution was asked to trade for, in its order."""
        return [command.intent.event for command in self.execution.commands]


def reported(intent: Intent, **report: Any) -> Event:
    """The order of an intent, filled unless the test says otherwise."""
    values: dict[str, Any] = {"filled": intent.quantity, "quantity": intent.quantity, "tag": intent.tag}
    return OrderReported(intent.id, a_report(f"order-{intent.id}", **(values | report)))


def listed(intent: Intent, **report: Any) -> OrderReport:
    """The same as a row of the order book."""
    event = reported(intent, **report)
    assert isinstance(event, OrderReported)
    return event.report


__all__ = ["BUY_AT", "SELL_AT", "STOP", "StrategyBench", "listed", "reported"]
