"""`/instruments`, `/market/calendar`, `/app/config`: queries and answers."""

from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, Field

from api.base.fields import Request, TimeOfDay

MOST_FOUND = 20
MOST_DAYS = 92


class InstrumentQuery(Request):
    """What a person has typed, and how many shares are wanted at most."""

    q: str = Field(
        min_length=1,
        max_length=64,
        description="The beginning of a symbol, with or without its exchange, or of words of a company's name.",
        examples=["inf"],
        json_schema_extra={"pattern": r"^[^\u0000]*$"},
    )
    limit: int = Field(default=10, ge=1, le=MOST_FOUND)


class InstrumentFound(BaseModel):
    """A share on the broker's list of today. `symbol` is what create takes.

    `mis_allowed`: the series knows intraday positions. `closing_auction`: it trades continuously until
    `auction_from` of the calendar only. `freeze_quantity`: the most shares of one order, if the list tells.
    """

    symbol: str
    exchange: str
    name: str
    tick_size: float
    lot_size: int
    mis_allowed: bool
    closing_auction: bool
    freeze_quantity: int | None


class InstrumentsFound(BaseModel):
    """The likeliest first. `nearest`: none begins with the text, and these are spelled nearly so.

    `note`: why a symbol that was asked for is gone.
    """

    instruments: list[InstrumentFound]
    nearest: bool
    note: str | None


class CalendarQuery(Request):
    """How many days, from today on."""

    days: int = Field(default=31, ge=1, le=MOST_DAYS)


class SessionHoursAnswer(BaseModel):
    """Orders are taken from `opens` on and before `closes`. Null where there is no such rule.

    `last_entry`: nothing is bought from then on. `mis_cutoff`: the broker squares MIS positions off. `auction_from`:
    shares with derivatives trade in the closing auction only.
    """

    opens: TimeOfDay
    closes: TimeOfDay
    last_entry: TimeOfDay | None
    mis_cutoff: TimeOfDay | None
    auction_from: TimeOfDay | None


class CalendarDay(BaseModel):
    """A day of the exchange. `special`: its hours are not the ordinary ones. `closed`: why it has no session."""

    date: date
    sessions: list[SessionHoursAnswer]
    special: bool
    closed: Literal["weekend", "holiday"] | None


class RegularHours(BaseModel):
    """Of an ordinary session."""

    opens: TimeOfDay
    closes: TimeOfDay


class MarketCalendar(BaseModel):
    """The coming days, of the exchange that the user's broker trades at; `days` begins with today.

    `calendar` `24x7` has no hours: `regular`, `mis_cutoff` and `auction_from` are null. `known_until`: the last day
    whose holidays are known; beyond it every weekday counts as a session. `now`: the server's clock.
    """

    calendar: Literal["XNSE", "24x7"]
    time_zone: str
    now: datetime
    regular: RegularHours | None
    mis_cutoff: TimeOfDay | None
    auction_from: TimeOfDay | None
    known_until: date | None
    days: list[CalendarDay]


class PasswordLimits(BaseModel):
    """How long a new password may be, in characters as a person counts them."""

    fewest_characters: int
    most_characters: int


class Limits(BaseModel):
    """What one user may have and ask for here; 0: no limit. `order_value` in rupees."""

    strategies: int
    running_strategies: int
    quantity: int
    order_value: int
    requests_per_minute: int
    starts_per_minute: int


class AppConfig(BaseModel):
    """What an app must know before a login. `registration`: who may register.

    `minimum_client_version`: an app of an earlier version does not work here and asks its user to update it.
    """

    version: str
    minimum_client_version: str
    registration: Literal["open", "invited", "closed"]
    brokers: list[Literal["kite", "paper"]]
    password: PasswordLimits
    time_zone: str
    limits: Limits
    login_days: int
    login_unused_days: int
