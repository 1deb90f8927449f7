"""The broker's tick stream."""

from dataclasses import dataclass, field

from actors.ports.prices import TooManyInstruments


@dataclass
class FakeTickStream:
    """`TickStream` with room for `most_instruments` on each of `most_connections`. `asked`: every subscription."""

    most_instruments: int = 3000
    most_connections: int = 3
    asked: list[int] = field(default_factory=list)
    _connections: list[list[int]] = field(default_factory=list)

    @property
    def subscribed(self) -> list[int]:
        """The instruments whose ticks would come."""
        return [token for connection in self._connections for token in connection]

    def subscribe(self, token: int) -> int:
        self.asked.append(token)
        for place, connection in enumerate(self._connections):
            if token in connection:
                return place
        place = self._free_place()
        self._connections[place].append(token)
        return place

    def unsubscribe(self, token: int) -> None:
        for connection in self._connections:
            if token in connection:
                connection.remove(token)

    def _free_place(self) -> int:
        for place, connection in enumerate(self._connections):
            if len(connection) < self.most_instruments:
                return place
        if len(self._connections) == self.most_connections:
            raise TooManyInstruments(f"there are {self.most_connections} connections, all full")
        self._connections.append([])
        return len(self._connections) - 1
