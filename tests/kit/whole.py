"""Strategies and their execution actor together, over one fake account, in virtual time."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from actors.domain.identifiers import Instrument, IntentId
from actors.domain.market_hours import ALWAYS_OPEN, MarketHours
from actors.domain.orders.cover import Cover
from actors.domain.orders.order import OrderReport
from actors.domain.prices.tick import Tick
from actors.domain.strategy.events import Event, TickReceived
from actors.domain.strategy.state import Phase
from actors.execution.shell import ExecutionShell
from actors.ports.common import PeerUnavailable
from actors.ports.execution import BrokerUnavailable
from actors.ports.strategy import GuardAnswer, Holding, LoadedRun, OrderCommand
from actors.strategy.shell import StrategyShell
from tests.kit.builders import NOW, a_run
from tests.kit.execution import ExecutionBench
from tests.kit.fakes.journal import FakeJournal
from tests.kit.fakes.price_watch import FakePriceWatch
from tests.kit.virtual_time import until


class DirectExecution:
    """`OrderExecution`: the execution actor without a process boundary."""

    def __init__(self, actor: ExecutionShell) -> None:
        self.actor = actor

    def execute(self, command: OrderCommand) -> Awaitable[Event]:
        return self.actor.execute(command)

    async def cancel(self, account_id: int, intent_id: IntentId, order_id: str) -> None:
        try:
            await self.actor.cancel(account_id, intent_id, order_id)
        except BrokerUnavailable as error:
            raise PeerUnavailable(str(error)) from error

    async def withdraw(self, account_id: int, intent_id: IntentId) -> None:
        self.actor.withdraw(intent_id)

    async def orders_by_tag(self, account_id: int, tags: Sequence[str]) -> Mapping[str, OrderReport]:
        try:
            return await self.actor.orders_by_tag(account_id, tags)
        except BrokerUnavailable as error:
            raise PeerUnavailable(str(error)) from error

    async def probe(self, account_id: int) -> bool:
        return await self.actor.probe(account_id)

    async def cover(self, holding: Holding) -> Cover:
        try:
            return await self.actor.cover(holding)
        except BrokerUnavailable as error:
            raise PeerUnavailable(str(error)) from error

    async def guard(self, holding: Holding) -> GuardAnswer:
        try:
            return await self.actor.guard(holding)
        except BrokerUnavailable as error:
            raise PeerUnavailable(str(error)) from error


class WholeBench(ExecutionBench):
    """An execution bench with strategies that run: `strategy(n)` starts number n, on a share of its own."""

    def __init__(self, start: datetime = NOW, *, market: MarketHours = ALWAYS_OPEN, **limits: Any) -> None:
        super().__init__(start, market=market, **limits)
        self.broker.net.clear()
        self.actors: dict[int, StrategyShell] = {}
        self.journals: dict[int, FakeJournal] = {}
        self.tasks: dict[int, asyncio.Task[bool]] = {}
        self.actor._strategies = self

    async def report(self, strategy_id: int, event: Event) -> None:
        if strategy_id in self.actors:
            self.actors[strategy_id].post(event)

    def strategy(
        self, number: int = 1, *, epoch: int = 1, snapshot: Mapping[str, Any] | None = None, **run: Any
    ) -> StrategyShell:
        """Let a strategy run."""
        values = {"run_id": number, "strategy_id": number, "instrument": share(number)} | run
        loaded = LoadedRun(a_run(**values), epoch, snapshot)
        journal = FakeJournal()
        actor = StrategyShell(
            loaded,
            execution=DirectExecution(self.actor),
            journal=journal,
            prices=FakePriceWatch(self.clock),
            clock=self.clock,
        )
        self.actors[number], self.journals[number] = actor, journal
        self.tasks[number] = asyncio.create_task(actor.run())
        return actor

    def tick(self, number: int, price: int, *, age: timedelta = timedelta(0)) -> None:
        """A price of a strategy's share, in paise; `age`: how long ago the trade was made."""
        token, now = share(number).token, self.clock.now()
        self.actors[number].post(TickReceived(Tick.single(token, price, now - age, now)))

    async def reaches(self, number: int, phase: Phase, within_s: float = 120) -> StrategyShell:
        """Wait for a phase of a strategy."""
        actor = self.actors[number]
        await until(lambda: actor.state.phase is phase, within_s=within_s)
        return actor

    def alerts(self, number: int) -> list[str]:
        """The alerts of a strategy."""
        return [code for code, _ in self.journals[number].alerts]


def share(number: int) -> Instrument:
    """The share of strategy `number`."""
    return Instrument("NSE", f"SHARE{number}", 1000 + number)
