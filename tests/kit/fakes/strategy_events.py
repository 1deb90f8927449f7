"""What strategies hear from execution."""

import asyncio
from dataclasses import dataclass, field

from actors.domain.strategy.events import Event


@dataclass
class FakeStrategies:
    """`StrategyEvents`: what was reported to the strategies; `failure` is raised instead.

    `frozen`: a report is not taken before this is set.
    """

    events: list[Event] = field(default_factory=list)
    failure: Exception | None = None
    frozen: asyncio.Event | None = None

    async def report(self, strategy_id: int, event: Event) -> None:
        if self.frozen is not None:
            await self.frozen.wait()
        if self.failure is not None:
            raise self.failure
        self.events.append(event)
