"""What can happen to a strategy, in the past tense. The machine takes one event at a time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from actors.domain.identifiers import IntentId
from actors.domain.money import Paise
from actors.domain.orders.order import FailureKind, OrderReport
from actors.domain.prices.tick import Tick


class Timer(StrEnum):
    """The timers of one strategy. BUY and SELL are the user's; the others are the machine's own."""

    BUY = "buy"
    SELL = "sell"
    ENTRY_PATIENCE = "entry_patience"
    RETRY = "retry"
    MOVE_LOG = "move_log"


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer set by `SetTimer` is due. `due` is the instant it was set for."""

    timer: Timer
    due: datetime


@dataclass(frozen=True, slots=True)
class TickReceived:
    """A usable tick of the strategy's instrument (see `TickFilter`)."""

    tick: Tick


@dataclass(frozen=True, slots=True)
class IntentArmed:
    """The EXIT intent is journalled, or `durable=False`: the journal did not answer in time and is being retried."""

    intent_id: IntentId
    durable: bool = True


@dataclass(frozen=True, slots=True)
class OrderReported:
    """The broker's order for an intent exists, and this is what is known of it (rows E1, E2, H4)."""

    intent_id: IntentId
    report: OrderReport


@dataclass(frozen=True, slots=True)
class PlacementFailed:
    """It is proven that the broker holds no order for this intent.

    `not_before`: of a closed market, when it takes the order.
    """

    intent_id: IntentId
    kind: FailureKind
    reason: str
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class PlacementUnresolved:
    """It is not known yet whether the broker holds an order for this intent; the look-up goes on.

    `unreachable`: not because the book is silent about it, but because the broker does not answer at all.
    `login_expired`: because it does not accept the account's credentials any more, so that the trader must log in.
    """

    intent_id: IntentId
    reason: str
    unreachable: bool = False
    login_expired: bool = False


@dataclass(frozen=True, slots=True)
class OrderQueued:
    """The account's order budget makes the order wait; it is expected to leave at `expected_at` (ruling 8)."""

    intent_id: IntentId
    expected_at: datetime


@dataclass(frozen=True, slots=True)
class NoBuyers:
    """The exit waits in the queue of sellers at this price, in paise: its share is at the lower circuit."""

    intent_id: IntentId
    price: Paise


@dataclass(frozen=True, slots=True)
class BrokerRestored:
    """The broker answers again, or the account has a valid access token again."""


@dataclass(frozen=True, slots=True)
class StopRequested:
    """The trader pressed STOP (row I1)."""


@dataclass(frozen=True, slots=True)
class StopLossMoved:
    """The trader moved the stop-loss, in paise, while the tick stream was `feed_lag` behind our clock.

    `stop_share`: to this many hundredths of a percent below the average fill; `stop_loss` is 0 then.
    """

    stop_loss: Paise
    feed_lag: timedelta = timedelta(0)
    stop_share: int | None = None


@dataclass(frozen=True, slots=True)
class FeedLost:
    """The tick stream broke: no stop-loss decision until it is back (row J2). It is said again while it lasts.

    `late`: it has not broken, its ticks come too late; the stop-loss is decided by them all the same. `unlisted`: the
    broker does not list the instrument today.
    """

    reason: str = ""
    late: bool = False
    unlisted: bool = False


@dataclass(frozen=True, slots=True)
class FeedRestored:
    """The tick stream is back."""


@dataclass(frozen=True, slots=True)
class PositionClosedOutside:
    """The account no longer holds what this run bought: sold by hand or squared off by the broker."""

    reason: str


@dataclass(frozen=True, slots=True)
class ExitUncovered:
    """A working exit may sell more than the account still holds of the run: the rest would be a short (row M1)."""

    reason: str


@dataclass(frozen=True, slots=True)
class ClosedByTrader:
    """The trader says that he has closed the position himself, and the account does not contradict him."""


@dataclass(frozen=True, slots=True)
class StopLossTriggered:
    """Execution, the second guard, has seen the stop-loss touched, and its exit has left (row M4).

    `price` in paise; None if an exit was taken up again that an execution actor before it had begun.
    """

    intent_id: IntentId
    price: Paise | None


@dataclass(frozen=True, slots=True)
class CoverRead:
    """What the account holds of the run's shares, asked for by `AskCover`; `reason` says why some are lacking."""

    covered: int
    reason: str


@dataclass(frozen=True, slots=True)
class RunRecovered:
    """A new incarnation of the actor has loaded the run and read the order book once (row J1).

    `reports` holds, by tag, every order of the book that carries a tag of this run. `first`: there was no incarnation
    before this one, so nothing can have been sent.
    """

    reports: Mapping[str, OrderReport] = field(default_factory=dict)
    first: bool = False


Event = (
    TimerFired
    | TickReceived
    | IntentArmed
    | OrderReported
    | PlacementFailed
    | PlacementUnresolved
    | OrderQueued
    | BrokerRestored
    | StopRequested
    | StopLossMoved
    | FeedLost
    | FeedRestored
    | PositionClosedOutside
    | ExitUncovered
    | ClosedByTrader
    | CoverRead
    | RunRecovered
    | NoBuyers
    | StopLossTriggered
)


def inbox_rank(event: Event) -> int:
    """Smaller is taken in first: recovery before all; a timed SELL yields to whatever waits with it, so that a tick
    there wins (row F3).
    """
    match event:
        case RunRecovered():
            return 0
        case TimerFired(Timer.SELL, _):
            return 2
    return 1
