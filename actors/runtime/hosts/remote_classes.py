"""Method names of the ledger, execution and feed actors, so that a strategy can call them without importing them.

A process that holds an actor's handle has loaded the actor's class, and everything that the class's module imports.
So the class that Ray is given only names the host's methods; the host itself is imported in its own process.
"""

import importlib
from typing import Any


def _far(module: str, name: str, *methods: str) -> type:
    async def begin(self: Any, *arguments: Any) -> None:
        self.host = getattr(importlib.import_module(module), name)(*arguments)

    members = {"__init__": begin, **{method: _passed_on(method) for method in methods}}
    return type(name, (), {**members, "__module__": __name__, "__doc__": f"See `{module}.{name}`."})


def _passed_on(method: str) -> Any:
    async def call(self: Any, *arguments: Any) -> Any:
        return await getattr(self.host, method)(*arguments)

    call.__name__ = call.__qualname__ = method
    return call


Ledger = _far(
    "actors.runtime.hosts.ledger", "Ledger",
    "load", "record", "log_attempt", "log_note", "alert", "show_price", "show_feed", "open_runs", "ensure_mirror",
    "load_ended", "reopen", "process_id",
)  # fmt: skip

ExecutionActor = _far(
    "actors.runtime.hosts.execution", "ExecutionActor",
    "invite", "execute", "cancel", "withdraw", "orders_by_tag", "probe", "cover", "guard",
    "process_id",
)  # fmt: skip

MarketListener = _far("actors.runtime.hosts.feed", "MarketListener", "subscribe", "watch", "process_id")
