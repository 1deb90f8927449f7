"""What execution needs: the broker, the order lock, the journal's intents, and a way to report back."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol

from actors.domain.identifiers import Instrument, Leg
from actors.domain.market_hours import MarketHours
from actors.domain.money import Paise
from actors.domain.orders.cover import AccountPosition, OwnIntent, PositionKey
from actors.domain.orders.log_events import LogWord
from actors.domain.orders.order import OrderReport
from actors.domain.orders.placement_policy import AttemptOutcome
from actors.domain.orders.price_band import PriceBand
from actors.domain.strategy.events import Event
from actors.ports.common import Alerts
from actors.ports.prices import FeedTicks
from actors.ports.strategy import OrderCommand


class BrokerUnavailable(Exception):
    """A read of the broker failed; nothing is proven by it."""


class BrokerLoginExpired(BrokerUnavailable):
    """The broker refuses the access token: it answers nothing, and takes nothing, before the owner logs in again."""


@dataclass(frozen=True, slots=True)
class PlaceResult:
    """What one request to place an order has proven. `sent_at` is the instant before it left us."""

    outcome: AttemptOutcome
    sent_at: datetime
    order_id: str | None = None
    reason: str = ""


class OrderGateway(Protocol):
    """One account at one broker."""

    def place(self, command: OrderCommand) -> Coroutine[Any, Any, PlaceResult]:
        """One request, never repeated here; where that is possible it leaves in this very call. Await what it gives."""
        ...

    def rehearse(self, command: OrderCommand) -> None:
        """Everything that `place` does before the wire; nothing leaves."""
        ...

    async def orders(self) -> Sequence[OrderReport]:
        """The whole order book of the day. Raises BrokerUnavailable."""
        ...

    async def widen_protection(self, order_id: str, percent: Decimal) -> None:
        """Modify a parked order to a MARKET order with wider protection. Raises BrokerUnavailable."""
        ...

    async def rest_at(self, order_id: str, limit: Paise) -> None:
        """Modify a parked order to a LIMIT at this price in paise. Raises BrokerUnavailable."""
        ...

    async def price_band(self, instrument: Instrument) -> PriceBand:
        """Between which prices the instrument may trade now. Raises BrokerUnavailable."""
        ...

    async def cancel(self, order_id: str) -> None:
        """Cancel what is open of the order. Raises BrokerUnavailable."""
        ...

    async def positions(self, *, demat: bool) -> Mapping[PositionKey, AccountPosition]:
        """What the account holds or owes; what is absent is nothing. Raises BrokerUnavailable.

        `demat`: shares of earlier days too, which costs another reading and matters to CNC alone.
        """
        ...

    async def keep_warm(self) -> None:
        """Use the connections that have waited longest, so that an order finds them open. Raises BrokerUnavailable."""
        ...


class OrderGateways(Protocol):
    """Where an execution actor gets the gateway of an account, and the hours of its market."""

    async def gateway(self, account_id: int) -> OrderGateway:
        """The account's gateway, with its present credentials.

        Raises:
            BrokerUnavailable: the account or its credentials cannot be read now.
        """
        ...

    async def hours(self, account_id: int) -> MarketHours:
        """The hours in which the account's broker takes orders.

        Raises:
            BrokerUnavailable: the account cannot be read now.
        """
        ...


@dataclass(frozen=True, slots=True)
class StreamCallbacks:
    """What an account's stream says, in the loop of its follower.

    `on_update(report)`; `on_connected()` after each (re)connect; `on_lost()`; `on_heard()` for anything that arrives;
    `on_tick(token, price, traded_at, sent_at)`: price in paise, the exchange's stamps of the last trade and of the
    message.
    """

    on_update: Callable[[OrderReport], None]
    on_connected: Callable[[], None]
    on_lost: Callable[[], None] = lambda: None
    on_heard: Callable[[], None] = lambda: None
    on_tick: Callable[[int, Paise, datetime, datetime], None] = lambda *_: None


class OrderUpdates(Protocol):
    """The broker's stream of one account: its order updates, and the ticks that are asked for on it.

    An update is a hint: nothing is replayed after a break (kite.md §3.5).
    """

    def follow(self, account_id: int, callbacks: StreamCallbacks) -> None:
        """Have what the account's stream says handed over in the caller's loop, until the process ends.

        Following an account again is idempotent. Never waits, never raises.
        """
        ...

    def subscribe(self, account_id: int, tokens: frozenset[int]) -> None:
        """Have the ticks of exactly these instruments on the account's stream, also after each reconnect."""
        ...

    def rehearse(self, then: Callable[[], None]) -> None:
        """Take in a message that the broker has not sent, and call back where ticks are handed over."""
        ...

    def leave(self, account_id: int) -> None:
        """Close the account's stream."""
        ...


class ClaimVerdict(StrEnum):
    """The answer to a claim on the order lock of a strategy (row G1)."""

    GRANTED = "granted"
    """No claim of the intent stands: while a claim lasts, no attempt has left us."""
    OWNED = "owned"
    """Redis does not answer; the run is the caller's, and nothing is known of earlier attempts."""
    HELD_BY_ME = "held_by_me"
    """Another claim of this very intent holds it: an earlier attempt may have left us."""
    REFUSED = "refused"
    """A newer incarnation or a later intent holds it."""
    FORBIDDEN = "forbidden"
    """The user has forbidden entries (row N8): no claim was made. Only the gate of entries says so."""

    @property
    def refuses(self) -> bool:
        """Whether nothing may be sent."""
        return self in {ClaimVerdict.REFUSED, ClaimVerdict.FORBIDDEN}


class ClaimsUnavailable(Exception):
    """Neither Redis nor its stand-in could record the claim."""


@dataclass(frozen=True, slots=True)
class EntryBans:
    """The users who have forbidden entries. `complete`: both PostgreSQL and Redis have answered."""

    users: frozenset[int]
    complete: bool


class OrderClaims(Protocol):
    """`lock_state:{id}` and `queue:orders` (rows G1, G2)."""

    async def claim(self, command: OrderCommand, claim_id: str) -> ClaimVerdict:
        """Take the strategy's order lock and show the event on the queue. Raises ClaimsUnavailable.

        It may have been taken nevertheless: the claim, repeated under its id, gets the answer that was lost.
        """
        ...

    def rehearse(self, command: OrderCommand) -> None:
        """Everything that `claim_now` does before its claim leaves; none does."""
        ...

    def claim_now(self, command: OrderCommand, claim_id: str) -> Coroutine[Any, Any, ClaimVerdict] | None:
        """Claim, and let the order leave without waiting for the answer, which what is returned gives.

        None: it must be waited for (`claim`), since another process might claim in this moment, or the claim could not
        leave. The answer raises ClaimsUnavailable.
        """
        ...

    async def foresee(self, command: OrderCommand) -> ClaimVerdict:
        """What a claim would be answered now; none is made. Raises ClaimsUnavailable."""
        ...

    async def entry_bans(self) -> EntryBans:
        """What PostgreSQL and Redis say now of who has forbidden entries (row N8). Never raises."""
        ...

    async def renew(self, command: OrderCommand) -> bool:
        """Keep the lock while the intent is live. False: another process holds it now."""
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
    key: PositionKey
    ended: bool

    @property
    def own(self) -> OwnIntent:
        """The intent as a judgement on the account needs it."""
        return OwnIntent(self.run_id, self.leg, self.tag, self.key)


class AccountRecords(Protocol):
    """What the journal knows of an account's orders."""

    async def known_intents(self, account_id: int) -> Sequence[KnownIntent]:
        """Every intent of open runs, and of runs that ended within the last day. Raises PeerUnavailable."""
        ...

    async def accounts_in_use(self) -> Sequence[int]:
        """The accounts that have such intents. Raises PeerUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class ExecutionStreams:
    """What an execution actor hears by itself: order updates and ticks of its accounts, and ticks of the feeds."""

    updates: OrderUpdates
    feed: FeedTicks


@dataclass(frozen=True, slots=True)
class GuardShown:
    """Who guards the position of a run, as `runtime:{id}` shows it (row M4). `by`: `strategy`, `execution` or both."""

    strategy_id: int
    run_id: int
    by: tuple[str, ...]
    at: datetime


class GuardDisplay(Protocol):
    """Shows in Redis who guards a position (row M4)."""

    async def show_guards(self, guards: Sequence[GuardShown]) -> None:
        """Show them where their runs are shown. Never raises: what is not taken is replaced by the next."""
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
    event: LogWord
    order_id: str
    reason: str
    at: datetime


class AttemptLog(Alerts, Protocol):
    """Where attempts are recorded. Never waits; what cannot be written is retried behind the scenes."""

    def log_attempt(self, attempt: Attempt) -> None:
        """Record the attempt."""
        ...

    def log_note(self, note: OrderNote) -> None:
        """Record what was done about an order that is not an attempt to place it."""
        ...
