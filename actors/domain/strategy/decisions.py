"""What the machine wants done, in the imperative. A shell carries the decisions out in their order."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from actors.domain.identifiers import IntentId
from actors.domain.money import Paise
from actors.domain.orders.log_events import ExitCause, LogWord
from actors.domain.orders.order import Intent
from actors.domain.strategy.events import Timer


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Fire `TimerFired(timer)` at `at` on the wall clock, never early. Setting a timer again moves it."""

    timer: Timer
    at: datetime


@dataclass(frozen=True, slots=True)
class CancelTimers:
    """Forget every timer of the strategy."""


@dataclass(frozen=True, slots=True)
class ArmIntent:
    """Write the intent to the journal, then report `IntentArmed` (mechanism 3)."""

    intent: Intent


@dataclass(frozen=True, slots=True)
class SendOrder:
    """Place the intent's order, effectively once.

    `look_up_first`: an earlier attempt may have left us (recovery, slow retry), so search the order book by tag
    before sending anything. `not_before`: until then nothing is sent, whatever else can be done is done.
    `not_after`: from then on only look up, never send: a BUY must not surprise. `grace`: each request leaves within
    that of the instant at which it was due, `not_before` for the first one, or not at all (row E4).
    `check_position`: ask the account what it holds first, and sell no more than that. `order_id`: the order exists,
    only follow it.
    """

    intent: Intent
    look_up_first: bool = False
    not_before: datetime | None = None
    not_after: datetime | None = None
    check_position: bool = False
    order_id: str | None = None
    grace: timedelta | None = None


@dataclass(frozen=True, slots=True)
class WithdrawOrder:
    """Send nothing more for the intent: from now on only find out whether its order exists."""

    intent_id: IntentId


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """Cancel what is still open of the intent's order at the broker."""

    intent_id: IntentId
    order_id: str


@dataclass(frozen=True, slots=True)
class AskCover:
    """Ask the account what it holds of the run's shares; report `CoverRead`."""


@dataclass(frozen=True, slots=True)
class ProbeBroker:
    """Ask whether the broker answers; report `BrokerRestored` if it does."""


@dataclass(frozen=True, slots=True)
class WatchPrice:
    """Follow the symbol; with a stop-loss (paise), hear at once when it is touched."""

    stop_loss: Paise | None


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One line of `order_logs`. `price` in rupees. `cause`: of the decision to exit, what for."""

    event: LogWord
    reason: str = ""
    intent_id: IntentId | None = None
    order_id: str | None = None
    status: str | None = None
    quantity: int | None = None
    price: Decimal | None = None
    cause: ExitCause | None = None


@dataclass(frozen=True, slots=True)
class RaiseAlert:
    """Tell the trader and the operator. `code` is stable; `message` is a sentence."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class EndRun:
    """The run is over: nothing is open, nothing will be sent. `manual`: the trader pressed STOP (ruling 7)."""

    manual: bool


Decision = (
    SetTimer
    | CancelTimers
    | ArmIntent
    | SendOrder
    | WithdrawOrder
    | CancelOrder
    | AskCover
    | ProbeBroker
    | WatchPrice
    | LogEvent
    | RaiseAlert
    | EndRun
)
