"""The execution pool as a strategy sees it: commands wait for the answer that a test gives."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from actors.domain.identifiers import IntentId
from actors.domain.orders.cover import Cover, position_key
from actors.domain.orders.order import OrderReport
from actors.domain.strategy.events import Event
from actors.execution.account.trading_account import newest_by_tag
from actors.ports.common import Clock
from actors.ports.strategy import GuardAnswer, Holding, OrderCommand


@dataclass
class FakeExecution:
    """`OrderExecution`. `execute` waits for `answer`, or raises what `failures` holds."""

    clock: Clock
    trace: list[str] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    book_failures: list[Exception] = field(default_factory=list)
    cancel_failures: list[Exception] = field(default_factory=list)
    book: list[OrderReport] = field(default_factory=list)
    alive: bool = True
    commands: list[OrderCommand] = field(default_factory=list)
    arrived: list[datetime] = field(default_factory=list)
    asked_for: list[Sequence[str]] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    withdrawn: list[IntentId] = field(default_factory=list)
    probes: int = 0
    guarded: list[tuple[datetime, Holding]] = field(default_factory=list)
    guard_failures: list[Exception] = field(default_factory=list)
    arms: bool = True
    covered: int | None = None
    cover_failures: list[Exception] = field(default_factory=list)
    _waiting: list[asyncio.Future[Event]] = field(default_factory=list)

    async def execute(self, command: OrderCommand) -> Event:
        self.commands.append(command)
        self.arrived.append(self.clock.now())
        self.trace.append(f"execute {command.intent.event}")
        if self.failures:
            raise self.failures.pop(0)
        reply: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        self._waiting.append(reply)
        return await reply

    def answer(self, event: Event) -> None:
        """End the oldest `execute` that still waits."""
        self._waiting.pop(0).set_result(event)

    def die(self, error: Exception) -> None:
        """End every `execute` that still waits with an error."""
        while self._waiting:
            self._waiting.pop(0).set_exception(error)

    async def cancel(self, account_id: int, intent_id: IntentId, order_id: str) -> None:
        if self.cancel_failures:
            raise self.cancel_failures.pop(0)
        self.cancelled.append(order_id)

    async def withdraw(self, account_id: int, intent_id: IntentId) -> None:
        self.withdrawn.append(intent_id)

    async def orders_by_tag(self, account_id: int, tags: Sequence[str]) -> Mapping[str, OrderReport]:
        self.asked_for.append(tags)
        self.trace.append("read book")
        if self.book_failures:
            raise self.book_failures.pop(0)
        return newest_by_tag(self.book, tags)

    async def probe(self, account_id: int) -> bool:
        self.probes += 1
        return self.alive

    async def cover(self, holding: Holding) -> Cover:
        """As much of the holding as `covered` says, else all of it."""
        if self.cover_failures:
            raise self.cover_failures.pop(0)
        key = position_key(holding.instrument, holding.product)
        staked = holding.quantity
        covered = staked if self.covered is None else min(staked, self.covered)
        runs = frozenset({holding.run_id})
        return Cover(
            key=key,
            staked=staked,
            covered=covered,
            held=covered,
            sold_outside=0,
            runs=runs,
            read_at=self.clock.monotonic(),
        )

    async def guard(self, holding: Holding) -> GuardAnswer:
        self.guarded.append((self.clock.now(), holding))
        if self.guard_failures:
            raise self.guard_failures.pop(0)
        return GuardAnswer(armed=holding.stop is not None and self.arms, hears=holding.stop is not None)
