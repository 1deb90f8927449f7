"""The broker's stream of an account."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from actors.domain.money import Paise
from actors.domain.orders.order import OrderReport
from actors.ports.execution import StreamCallbacks
from tests.kit.builders import INFY


@dataclass
class FakeUpdates:
    """`OrderUpdates`: `hear` hands an update to the follower of the account, `reconnect` says that the stream broke."""

    followed: dict[int, StreamCallbacks] = field(default_factory=dict)
    tokens: dict[int, frozenset[int]] = field(default_factory=dict)

    def follow(self, account_id: int, callbacks: StreamCallbacks) -> None:
        self.followed.setdefault(account_id, callbacks)

    def subscribe(self, account_id: int, tokens: frozenset[int]) -> None:
        if account_id in self.followed:
            self.tokens[account_id] = tokens

    def rehearse(self, then: Callable[[], None]) -> None:
        then()

    def leave(self, account_id: int) -> None:
        self.followed.pop(account_id, None)
        self.tokens.pop(account_id, None)

    def hear(self, account_id: int, report: OrderReport) -> None:
        """One update of the broker."""
        self.followed[account_id].on_update(report)

    def reconnect(self, account_id: int) -> None:
        """The stream is connected again."""
        self.followed[account_id].on_connected()

    def tick(self, account_id: int, price: Paise, at: datetime, token: int = INFY.token) -> None:
        """A trade at this instant, if the instrument is subscribed on the account's stream."""
        if token in self.tokens.get(account_id, frozenset()):
            self.followed[account_id].on_tick(token, price, at, at)
