"""What a strategy needs: execution, and the journal."""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from actors.domain.identifiers import Instrument, IntentId, Product
from actors.domain.money import Paise
from actors.domain.orders.cover import Cover, PositionKey, Stake, position_key
from actors.domain.orders.order import Intent, OrderReport
from actors.domain.strategy.decisions import LogEvent
from actors.domain.strategy.events import Event
from actors.domain.strategy.spec import StrategyRun
from actors.domain.strategy.state import StrategyState


@dataclass(frozen=True, slots=True)
class RunRef:
    """Which run is meant, whose it is and what it trades in. `epoch`: the incarnation that means it."""

    strategy_id: int
    run_id: int
    user_id: int
    account_id: int
    epoch: int
    instrument: Instrument
    product: Product

    @property
    def key(self) -> PositionKey:
        """The position of the account that the run trades in."""
        return position_key(self.instrument, self.product)


@dataclass(frozen=True, slots=True)
class OrderCommand(RunRef):
    """Place the order of one intent of the run, effectively once, and report its results."""

    intent: Intent
    triggered_at: datetime
    look_up_first: bool = False
    not_before: datetime | None = None
    not_after: datetime | None = None
    check_position: bool = False
    order_id: str | None = None
    stake: Stake | None = None
    """Of an exit: what its run holds by its own fills."""
    grace: timedelta | None = None
    has_derivatives: bool = False
    given_at: datetime | None = None
    """Of a command that is given again since execution was lost: when this incarnation first gave it."""
    look_once: bool = False
    """It is known that no earlier attempt has left: one look at the book is enough before it is sent."""


@dataclass(frozen=True, slots=True)
class StopOrder:
    """A stop-loss as execution is armed with it: at a breach (`stop_loss.is_breached`), `command` is carried out.

    `stop_loss` in paise. `token`: the broker's token of the instrument, and `token_heard_at` when the strategy first
    had a tick under it that day; None if none has come, and then execution must not guess it.
    """

    command: OrderCommand
    broker: str
    stop_loss: Paise
    watched_since: datetime
    level_set_at: datetime | None = None
    token: int | None = None
    token_heard_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class GuardAnswer:
    """What execution says to a holding: whether it is armed with its stop, and hears the prices that it decides by."""

    armed: bool = False
    hears: bool = False


@dataclass(frozen=True, slots=True)
class Holding(RunRef):
    """What a run holds by its own fills, reported to execution, where it is compared with the account.

    `quantity` shares; 0 takes the holding back. `exiting`: its exit has left the strategy, so the position moves; one
    that failed and waits is not exiting. `stop`: the stop-loss that execution is to watch as well, None for none.
    `hears`: the strategy's own prices come. `number` grows with each change that an incarnation tells: a holding with a
    lower one, or of an older epoch, arms and disarms nothing.
    """

    quantity: int
    exiting: bool
    stake: Stake
    stop: StopOrder | None = None
    hears: bool = False
    number: int = 0


class OrderExecution(Protocol):
    """The execution pool as a strategy sees it."""

    def execute(self, command: OrderCommand) -> Awaitable[Event]:
        """Give the command; where that is possible it leaves in this very call, before anything is awaited.

        What is awaited is the event that ends the placing: the order is final, or proven absent. Progress comes as
        events before. It raises PeerUnavailable: ask again with `look_up_first`.
        """
        ...

    async def cancel(self, account_id: int, intent_id: IntentId, order_id: str) -> None:
        """Cancel until the order is final. Raises PeerUnavailable."""
        ...

    async def withdraw(self, account_id: int, intent_id: IntentId) -> None:
        """Send nothing more for the intent; what was sent is still looked up. Raises PeerUnavailable."""
        ...

    async def orders_by_tag(self, account_id: int, tags: Sequence[str]) -> Mapping[str, OrderReport]:
        """The orders of today's book that carry one of the tags.

        Raises:
            PeerUnavailable: or the broker does not answer: absence is not proven.
        """
        ...

    async def probe(self, account_id: int) -> bool:
        """Whether the broker answers for this account. Raises PeerUnavailable."""
        ...

    async def cover(self, holding: Holding) -> Cover:
        """What of a run's shares the account still holds, by a reading that begins now.

        Raises:
            PeerUnavailable: or the broker does not answer.
        """
        ...

    async def guard(self, holding: Holding) -> GuardAnswer:
        """Have the account watched for what the run holds, and its stop-loss armed; renewing is idempotent.

        Raises:
            PeerUnavailable: nothing is known of either.
        """
        ...


@dataclass(frozen=True, slots=True)
class LoadedRun:
    """A run as its (re)starting actor gets it. `epoch` is the caller's own, higher than any before."""

    run: StrategyRun
    epoch: int
    snapshot: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """A line for `order_logs`, and when it happened."""

    at: datetime
    event: LogEvent


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """All that one step changed: the state after it, and what happened. Recorded as a whole or not at all."""

    state: StrategyState
    epoch: int
    at: datetime
    logs: tuple[LoggedEvent, ...] = ()
    ended: bool = False
    manual: bool = False


class Journal(Protocol):
    """The Ledger as a strategy sees it."""

    async def load(self, run_id: int) -> LoadedRun | None:
        """The run, its epoch raised; None if it has ended. Raises PeerUnavailable."""
        ...

    async def record(self, entry: JournalEntry) -> None:
        """Commit the entry, and mirror it.

        Raises:
            PeerUnavailable: not known to be recorded; record again.
            StaleEpoch: a newer incarnation owns the run.
        """
        ...

    async def alert(self, user_id: int, strategy_id: int, code: str, message: str, about: str = "") -> None:
        """As `Alerts.alert`, but wait until it is heard: the process may end then. Raises PeerUnavailable."""
        ...

    async def alert_over(self, user_id: int, strategy_id: int, codes: Sequence[str], about: str = "") -> None:
        """As `Alerts.alert_over`, but wait until it is heard. Raises PeerUnavailable."""
        ...
