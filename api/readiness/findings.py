"""The words of readiness: what is looked at, and what is found."""

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Literal

from broker.kite.account_questions import DayQuote


class Level(StrEnum):
    """What a check says. `UNKNOWN`: it could not be carried out, so nothing depends on it being well."""

    OK = "ok"
    WARN = "warn"
    UNKNOWN = "unknown"
    BLOCK = "block"


class Verdict(StrEnum):
    """The answer in a word. The database keeps it."""

    READY = "ready"
    ATTENTION = "attention"
    BLOCKED = "blocked"
    NO_SESSION = "no_session"


class Login(StrEnum):
    """How the connection to the broker is."""

    GOOD = "good"
    MISSING = "missing"
    UNREADABLE = "unreadable"
    ENDED = "ended"
    NOT_ALLOWED = "not_allowed"
    UNCHECKED = "unchecked"


FixKind = Literal["login", "connect", "funds", "edit", "unlock", "operator"]


@dataclass(frozen=True, slots=True)
class Fix:
    """What to do, and by which call, if there is one."""

    kind: FixKind
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; of one strategy, or of the whole account.

    `reason`: the detail without the name of the strategy.
    """

    code: str
    level: Level
    detail: str
    fix: Fix | None = None
    strategy_id: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """A rule's word about a trade: its code, a sentence, and the field at fault, if one is."""

    code: str
    sentence: str
    field: str | None = None


@dataclass(frozen=True, slots=True)
class SessionDay:
    """The session that goes on or comes today; instants in the exchange's zone. `special`: of unusual hours."""

    day: date
    opens: datetime
    closes: datetime
    special: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """A strategy that waits to buy today, and what is known of it; amounts in rupees.

    `stop_loss`: None if it depends on a price that is not known. `judged`: its rules were asked, with the answers of
    the broker. `needed`: margin of its BUY alone; None if it is not known.
    """

    strategy_id: int
    symbol: str
    buy_at: datetime
    sell_at: datetime
    stop_loss: Decimal | None
    judged: bool = False
    refusals: tuple[Said, ...] = ()
    unanswered: tuple[Said, ...] = ()
    quote: DayQuote | None = None
    needed: Decimal | None = None
    charges: Decimal | None = None

    @property
    def name(self) -> str:
        """As a trader knows it: `INFY 09:20`."""
        at = f"{self.buy_at:%H:%M:%S}" if self.buy_at.second else f"{self.buy_at:%H:%M}"
        return f"{self.symbol} {at}"


@dataclass(frozen=True, slots=True)
class Held:
    """What was bought today and frees its margin when it is sold."""

    sell_at: datetime
    needed: Decimal


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of the deployment. `sentence` is for the operator; traders read one sentence about all of them.

    `of_address`: it concerns the accounts alone whose orders leave from an address of ours for a real broker. `held`:
    whether it still is so could not be found out; what was known before holds.
    """

    code: str
    sentence: str
    blocks: bool
    of_address: bool = False
    held: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that the checks look at, at the instant `now`.

    `next_day`: of the next session. `closed_next`: the next weekday, if the exchange is closed on it. `login_ends_at`:
    when the token dies. `free`: rupees for new orders; None if the broker did not say. `traded`: something of the user
    has been bought or ended today. `whole`: not only the login was looked at.
    """

    now: datetime
    session: SessionDay | None
    login: Login
    trades: tuple[Trade, ...]
    next_day: date | None = None
    closed_next: date | None = None
    login_ends_at: datetime | None = None
    reason: str = ""
    free: Decimal | None = None
    held: tuple[Held, ...] = ()
    entries_forbidden: bool = False
    faults: tuple[Fault, ...] = ()
    traded: bool = False
    whole: bool = True


@dataclass(frozen=True, slots=True)
class TradeFound:
    """Whether a strategy will trade: None if it could not be checked. `because`: codes of the checks that say so."""

    trade: Trade
    will_trade: bool | None
    because: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found."""

    verdict: Verdict
    checks: tuple[Check, ...]
    trades: tuple[TradeFound, ...] = field(default=())
