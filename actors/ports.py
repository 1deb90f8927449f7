"""What the shells need of the world, as protocols, and the values that cross them.

Values are frozen and made of standard types and domain types, so they travel between processes as they are.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol

from actors.domain.decisions import LogEvent
from actors.domain.events import Event
from actors.domain.identifiers import Instrument, IntentId, Leg, Product
from actors.domain.money import Paise
from actors.domain.order import Intent, OrderReport
from actors.domain.retry_policy import AttemptOutcome
from actors.domain.stop_loss import Tick
from actors.domain.strategy_spec import StrategyRun
from actors.domain.strategy_state import StrategyState


class PeerUnavailable(Exception):
    """The actor on the other side died or is starting; what it was asked may or may not have been done."""


class StaleEpoch(Exception):
    """A newer incarnation of this strategy is at work; this one must stop."""


class Clock(Protocol):
    """The wall clock, in UTC. Shells read time from here only."""

    def now(self) -> datetime:
        """The present instant, timezone-aware."""
        ...


# --- strategy → execution -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OrderCommand:
    """Place the order of one intent, effectively once, and report what becomes of it."""

    strategy_id: int
    run_id: int
    user_id: int
    account_id: int
    epoch: int
    instrument: Instrument
    product: Product
    intent: Intent
    triggered_at: datetime
    look_up_first: bool = False
    not_after: datetime | None = None
    check_position: bool = False
    order_id: str | None = None


@dataclass(frozen=True, slots=True)
class Holding:
    """What a run holds by its own fills, told to execution so that somebody compares it with the account.

    `quantity` shares; 0 takes the holding back. `exiting`: its exit has left the strategy, so the position moves.
    """

    strategy_id: int
    run_id: int
    user_id: int
    account_id: int
    epoch: int
    instrument: Instrument
    product: Product
    quantity: int
    exiting: bool


class OrderDesk(Protocol):
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

    async def guard(self, holding: Holding) -> None:
        """Have the account watched for what the run holds; renewing is idempotent. Raises PeerUnavailable."""
        ...


# --- strategy → journal ---------------------------------------------------------------------------------------------


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

    async def alert(self, user_id: int, strategy_id: int, code: str, message: str) -> None:
        """Tell the operator, and the log. Raises PeerUnavailable."""
        ...


# --- ticks ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FeedStatus:
    """What a router or the feed knows of the stream. `last_tick_at` is the exchange time of the newest tick."""

    live: bool
    last_tick_at: datetime | None = None


class TooManyInstruments(Exception):
    """The broker's tick stream takes no more instruments."""


class PriceWatch(Protocol):
    """The tick router of one symbol as a strategy sees it."""

    def when_changed(self, callback: Callable[[], None]) -> None:
        """Have the callback told, in the caller's loop, when what `watch` answered is true no more: renew then."""
        ...

    async def watch(self, strategy_id: int, instrument: Instrument, stop_loss: Paise | None) -> FeedStatus:
        """Follow the price, with or without a stop-loss; renewing is idempotent. Raises PeerUnavailable."""
        ...

    async def unwatch(self, strategy_id: int, instrument: Instrument) -> None:
        """Stop following. Raises PeerUnavailable."""
        ...


class TickSource(Protocol):
    """The market listener as a router sees it."""

    async def subscribe(self, instrument: Instrument, *, armed: bool) -> FeedStatus:
        """Have the ticks of the instrument sent to its router; renewing is idempotent. Raises PeerUnavailable.

        `armed`: a stop-loss is watched, so that it matters if no tick comes.
        """
        ...


class TickStream(Protocol):
    """The broker's tick stream as the market listener sees it; reconnecting and resubscribing are its own affair."""

    def subscribe(self, token: int) -> int:
        """Have the instrument's ticks sent, in FULL mode, from now on and after each reconnect: on which connection.

        Raises:
            TooManyInstruments: it has no place for one more.
        """
        ...

    def unsubscribe(self, token: int) -> None:
        """Have them sent no more."""
        ...


class TickReceiver(Protocol):
    """Where ticks go: to the router of an instrument, or from a router to a strategy. Never waits."""

    def deliver(self, receiver: int | str, tick: Tick) -> None:
        """Hand over one tick; a receiver that is gone loses it."""
        ...


class PriceMirror(Protocol):
    """Where the latest price, and the state of the stream it comes from, are shown (row F4)."""

    def show_price(self, symbol: str, tick: Tick) -> None:
        """Mirror the price; never waits, and a failure only costs freshness."""
        ...

    def show_feed(self, symbol: str, *, live: bool) -> None:
        """Mirror whether the symbol's prices arrive at all; never waits."""
        ...


# --- execution → broker -----------------------------------------------------------------------------------------------


class BrokerUnavailable(Exception):
    """A read of the broker failed; nothing is proven by it."""


@dataclass(frozen=True, slots=True)
class PlaceResult:
    """What one request to place an order has proven. `sent_at` is the instant before it left us."""

    outcome: AttemptOutcome
    sent_at: datetime
    order_id: str | None = None
    reason: str = ""


PositionKey = tuple[str, str, str]
"""Exchange, tradingsymbol and product: what a position is kept under at Kite (kite.md §1)."""


def position_key(instrument: Instrument, product: Product) -> PositionKey:
    """The key of a position."""
    return instrument.exchange, instrument.tradingsymbol, product.value


class OrderGateway(Protocol):
    """One account at one broker."""

    async def place(self, command: OrderCommand) -> PlaceResult:
        """One request, never repeated here."""
        ...

    async def orders(self) -> Sequence[OrderReport]:
        """The whole order book of the day. Raises BrokerUnavailable."""
        ...

    async def widen_protection(self, order_id: str, percent: Decimal) -> None:
        """Modify a parked order to a MARKET order with wider protection. Raises BrokerUnavailable."""
        ...

    async def cancel(self, order_id: str) -> None:
        """Cancel what is open of the order. Raises BrokerUnavailable."""
        ...

    async def net_quantity(self, instrument: Instrument, product: Product) -> int:
        """Shares the account holds of the instrument in the product. Raises BrokerUnavailable."""
        ...

    async def net_quantities(self, *, demat: bool) -> Mapping[PositionKey, int]:
        """The same for everything the account holds; what is absent is 0. Raises BrokerUnavailable.

        `demat`: shares of earlier days too, which costs another reading and matters to CNC alone.
        """
        ...

    async def keep_warm(self) -> None:
        """Use the sessions that have waited longest, so that an order finds them open. Raises BrokerUnavailable."""
        ...


class OrderGateways(Protocol):
    """Where an execution actor gets the gateway of an account."""

    async def gateway(self, account_id: int) -> OrderGateway:
        """The account's gateway, with its present credentials.

        Raises:
            BrokerUnavailable: the account or its credentials cannot be read now.
        """
        ...


class OrderUpdates(Protocol):
    """The broker's stream of order updates. It is a hint: nothing is replayed after a break (kite.md §3)."""

    def follow(
        self, account_id: int, on_update: Callable[[OrderReport], None], on_connected: Callable[[], None]
    ) -> None:
        """Have the account's updates handed over in the caller's loop, for ever; `on_connected` after each (re)connect.

        Following an account again is idempotent. Never waits, never raises.
        """
        ...

    def leave(self, account_id: int) -> None:
        """Close the account's stream."""
        ...


class ClaimVerdict(StrEnum):
    """The answer to a claim on the order lock of a strategy (row G1)."""

    GRANTED = "granted"
    HELD_BY_ME = "held_by_me"
    """This very intent holds it: an earlier attempt may have left us."""
    REFUSED = "refused"
    """A newer incarnation or a later intent holds it."""


class ClaimsUnavailable(Exception):
    """Neither Redis nor its stand-in could record the claim."""


class OrderClaims(Protocol):
    """`lock_state:{id}` and `queue:orders` (rows G1, G2)."""

    async def claim(self, command: OrderCommand) -> ClaimVerdict:
        """Take the strategy's order lock and show the event on the queue. Raises ClaimsUnavailable."""
        ...

    async def renew(self, command: OrderCommand) -> bool:
        """Keep the lock while the intent is live. False: somebody else holds it now."""
        ...

    async def release(self, command: OrderCommand) -> None:
        """Take the lock off if it is still this intent's. The event leaves the queue when its result is recorded."""
        ...


@dataclass(frozen=True, slots=True)
class KnownIntent:
    """An intent of the journal, as the watcher of an account needs it. `ended`: its run is over."""

    run_id: int
    strategy_id: int
    user_id: int
    leg: Leg
    tag: str
    symbol: str
    ended: bool


class AccountRecords(Protocol):
    """What the journal knows of an account's orders."""

    async def known_intents(self, account_id: int) -> Sequence[KnownIntent]:
        """Every intent of open runs, and of runs that ended within the last day. Raises PeerUnavailable."""
        ...


class StrategyEvents(Protocol):
    """How an execution actor reports back."""

    async def report(self, strategy_id: int, event: Event) -> None:
        """Give the strategy an event. A strategy that is restarting loses it, and finds the order in the book."""
        ...


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request to the broker, for `order_logs` (row G2, H1)."""

    command: OrderCommand
    number: int
    result: PlaceResult
    at: datetime


@dataclass(frozen=True, slots=True)
class OrderNote:
    """Something done about an order after it was placed (chased, cancelled), for `order_logs` (row H4)."""

    command: OrderCommand
    event: str
    order_id: str
    reason: str
    at: datetime


class AttemptLog(Protocol):
    """Where attempts are recorded. Never waits; what cannot be written is retried behind the scenes."""

    def log_attempt(self, attempt: Attempt) -> None:
        """Record the attempt."""
        ...

    def log_note(self, note: OrderNote) -> None:
        """Record what was done about an order that is not an attempt to place it."""
        ...

    def alert(self, user_id: int, strategy_id: int, code: str, message: str) -> None:
        """Tell the operator, and the log."""
        ...


# --- the engine, for the API ------------------------------------------------------------------------------------------


class EngineUnavailable(Exception):
    """The engine does not answer. What the database says stays true, and the next recovery sweep carries it out."""


@dataclass(frozen=True, slots=True)
class StopResult:
    """What a STOP came to.

    `flat`: nothing is open any more and the run is recorded as ended; otherwise the exit is still working. `status`:
    fields of `runtime:{id}` in their text forms (`persistence.runtime_mirror`) that are newer than the database.
    """

    flat: bool
    status: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecoveryReport:
    """One recovery sweep: open runs found, and what became of them."""

    found: int
    recovered: int
    failed: int = 0
