"""Where ticks go."""

from dataclasses import dataclass, field

from actors.domain.prices.tick import Tick


@dataclass
class FakeTickReceiver:
    """`TickReceiver`: every delivery, in its order."""

    delivered: list[tuple[int | str, Tick]] = field(default_factory=list)

    def deliver(self, receiver: int | str, tick: Tick) -> None:
        self.delivered.append((receiver, tick))
