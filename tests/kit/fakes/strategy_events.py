"""What strategies hear from execution."""

from dataclasses import dataclass, field

from actors.domain.strategy.events import Event


@dataclass
class FakeStrategies:
    """`StrategyEvents`: what was reported to the strategies; `failure` is raised instead."""

    events: list[Event] = field(default_factory=list)
    failure: Exception | None = None

    async def report(self, strategy_id: int, event: Event) -> None:
        if self.failure is not None:
            raise self.failure
        self.events.append(event)
