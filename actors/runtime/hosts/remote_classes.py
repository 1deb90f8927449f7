"""Method names of the ledger, execution and feed actors, so that a strategy can call them without importing them.

A process that holds an actor's handle has loaded the actor's class, and everything that the class's module imports.
So the class that Ray is given only names the host's methods; the host itself is imported in its own process.
"""

import importlib
from typing import Any

from actors.runtime.hosts.process_tuning import set_niceness
from actors.runtime.peers import own_name


class _Named:
    """What the dashboard shows as the actor's repr: its name, and not where it is in memory."""

    def __repr__(self) -> str:
        return own_name()


def _made(module: str, name: str, *arguments: Any) -> Any:
    """The host, made in the process that it runs in; the import is not to be seen by those who only call it.

    A worker that has just begun gives way to all others: with both cores busy the import alone would take it seconds.
    """
    set_niceness(0)
    return getattr(importlib.import_module(module), name)(*arguments)


class Ledger(_Named):
    """`actors.runtime.hosts.ledger.Ledger`, as its callers know it; each method is described there."""

    async def __init__(self, *arguments: Any) -> None:  # type: ignore[misc] # Ray awaits it
        self._host = _made("actors.runtime.hosts.ledger", "Ledger", *arguments)

    async def load(self, *arguments: Any) -> Any:
        return await self._host.load(*arguments)

    async def record(self, *arguments: Any) -> Any:
        return await self._host.record(*arguments)

    async def log_attempt(self, *arguments: Any) -> Any:
        return await self._host.log_attempt(*arguments)

    async def log_note(self, *arguments: Any) -> Any:
        return await self._host.log_note(*arguments)

    async def alert(self, *arguments: Any) -> Any:
        return await self._host.alert(*arguments)

    async def alert_over(self, *arguments: Any) -> Any:
        return await self._host.alert_over(*arguments)

    async def show_price(self, *arguments: Any) -> Any:
        return await self._host.show_price(*arguments)

    async def show_feed(self, *arguments: Any) -> Any:
        return await self._host.show_feed(*arguments)

    async def open_runs(self, *arguments: Any) -> Any:
        return await self._host.open_runs(*arguments)

    async def open_run_labels(self, *arguments: Any) -> Any:
        return await self._host.open_run_labels(*arguments)

    async def ensure_mirror(self, *arguments: Any) -> Any:
        return await self._host.ensure_mirror(*arguments)

    async def load_ended(self, *arguments: Any) -> Any:
        return await self._host.load_ended(*arguments)

    async def reopen(self, *arguments: Any) -> Any:
        return await self._host.reopen(*arguments)

    async def amend(self, *arguments: Any) -> Any:
        return await self._host.amend(*arguments)

    async def process_id(self, *arguments: Any) -> Any:
        return await self._host.process_id(*arguments)


class ExecutionActor(_Named):
    """`actors.runtime.hosts.execution.ExecutionActor`, as its callers know it."""

    async def __init__(self, *arguments: Any) -> None:  # type: ignore[misc] # Ray awaits it
        self._host = _made("actors.runtime.hosts.execution", "ExecutionActor", *arguments)

    async def invite(self, *arguments: Any) -> Any:
        return await self._host.invite(*arguments)

    async def execute(self, *arguments: Any) -> Any:
        return await self._host.execute(*arguments)

    async def cancel(self, *arguments: Any) -> Any:
        return await self._host.cancel(*arguments)

    async def withdraw(self, *arguments: Any) -> Any:
        return await self._host.withdraw(*arguments)

    async def forbid_entries(self, *arguments: Any) -> Any:
        return await self._host.forbid_entries(*arguments)

    async def shares(self, *arguments: Any) -> Any:
        return await self._host.shares(*arguments)

    async def order_address(self, *arguments: Any) -> Any:
        return await self._host.order_address(*arguments)

    async def orders_by_tag(self, *arguments: Any) -> Any:
        return await self._host.orders_by_tag(*arguments)

    async def probe(self, *arguments: Any) -> Any:
        return await self._host.probe(*arguments)

    async def cover(self, *arguments: Any) -> Any:
        return await self._host.cover(*arguments)

    async def guard(self, *arguments: Any) -> Any:
        return await self._host.guard(*arguments)

    async def needs_feed(self, *arguments: Any) -> Any:
        return await self._host.needs_feed(*arguments)

    async def leave(self, *arguments: Any) -> Any:
        return await self._host.leave(*arguments)

    async def process_id(self, *arguments: Any) -> Any:
        return await self._host.process_id(*arguments)


class MarketListener(_Named):
    """`actors.runtime.hosts.feed.MarketListener`, as its callers know it."""

    async def __init__(self, *arguments: Any) -> None:  # type: ignore[misc] # Ray awaits it
        self._host = _made("actors.runtime.hosts.feed", "MarketListener", *arguments)

    async def subscribe(self, *arguments: Any) -> Any:
        return await self._host.subscribe(*arguments)

    async def watch(self, *arguments: Any) -> Any:
        return await self._host.watch(*arguments)

    async def process_id(self, *arguments: Any) -> Any:
        return await self._host.process_id(*arguments)
