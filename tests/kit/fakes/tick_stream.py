"""The broker's tick stream."""

from dataclasses import dataclass, field


@dataclass
class FakeTickStream:
    """`TickStream`, with so many instruments on each connection."""

    most_instruments: int = 3000
    subscribed: list[int] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)

    def subscribe(self, token: int) -> int:
        """See `TickStream.subscribe`."""
        self.asked.append(token)
        if token not in self.subscribed:
            self.subscribed.append(token)
        return self.subscribed.index(token) // self.most_instruments

    def unsubscribe(self, token: int) -> None:
        """See `TickStream.unsubscribe`."""
        self.subscribed.remove(token)
