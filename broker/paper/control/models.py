"""Bodies of the control API; prices in rupees."""

from __future__ import annotations

from datetime import date, time
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, IPvAnyAddress, model_validator

from broker.paper.base.config import MAX_CLOCK_FACTOR
from broker.paper.orders.trading_session import Group

# A price must fit the signed 32-bit paise of a tick packet, negative test values included.
Rupees = Annotated[float, Field(ge=-20_000_000, le=20_000_000)]


class Body(BaseModel):
    """A body that refuses misspelt fields, and the words that programs write for numbers that are none."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class NewAccount(Body):
    """An account to open; what is left out is made up."""

    user_id: str | None = Field(None, min_length=1, max_length=20)
    api_key: str | None = Field(None, min_length=1, max_length=64)
    api_secret: str | None = Field(None, min_length=1, max_length=64)
    access_token: str | None = Field(None, min_length=1, max_length=64)
    cash: float | None = Field(None, ge=0)
    redirect_url: str | None = None
    holdings: dict[str, int] = {}


class NewToken(Body):
    """An access token to set; made up when left out."""

    access_token: str | None = Field(None, min_length=1, max_length=64)


class RegisteredIps(Body):
    """Where order requests may come from; none is anywhere. A broker registers two addresses at most."""

    ips: list[IPvAnyAddress] = Field(max_length=2)
    refusal_status: Literal[400, 403] = 403


class Walk(Body):
    """A random walk from ``start`` (the last price when left out)."""

    kind: Literal["walk"] = "walk"
    seed: int | None = None
    start: float | None = Field(None, gt=0, le=20_000_000)


class ScriptStep(Body):
    """One price at a time, in seconds after the script was put in place."""

    at_seconds: float = Field(ge=0)
    price: Rupees


class Script(Body):
    """Prices at given times."""

    kind: Literal["script"] = "script"
    steps: list[ScriptStep] = Field(min_length=1)
    silent: bool = False


class Hold(Body):
    """A constant price; ``silent`` means that no tick is sent until the price is set again."""

    kind: Literal["hold"] = "hold"
    price: Rupees | None = None
    silent: bool = False


class Recorded(Body):
    """A recorded day: a file of the data directory or any path, from a market time on, ``speed`` times as fast."""

    kind: Literal["recorded"] = "recorded"
    file: str
    speed: float = Field(1.0, gt=0)
    start_at: str = Field("09:15", pattern=r"^\d{2}:\d{2}$")


Source = Annotated[Walk | Script | Hold | Recorded, Field(discriminator="kind")]


class MarketSetting(Body):
    """How one instrument's price moves and what may be ordered of it; what is left out is unchanged.

    ``liquidity_per_tick``, ``buyers``, ``sellers`` (shares that trade per tick, in both directions, against a SELL,
    against a BUY) and ``freeze_quantity`` null are unlimited; without ``buyers`` there are none at the lower circuit,
    without ``sellers`` none at the upper one. The band is either both circuit limits, in rupees, or ``band_percent``
    of the previous close; null takes it away. ``outside_band``: whether a protected MARKET order whose protection
    price lies outside the band gets the circuit limit as its price, or is rejected.
    """

    source: Source | None = None
    liquidity_per_tick: int | None = Field(None, ge=0)
    buyers: int | None = Field(None, ge=0)
    sellers: int | None = Field(None, ge=0)
    lower_circuit_limit: Rupees | None = Field(None, gt=0)
    upper_circuit_limit: Rupees | None = Field(None, gt=0)
    band_percent: float | None = Field(None, gt=0, lt=100)
    outside_band: Literal["clip", "reject"] = "clip"
    freeze_quantity: int | None = Field(None, gt=0)
    mis_blocked: bool = False

    @model_validator(mode="after")
    def _one_band(self) -> Self:
        limits = {"lower_circuit_limit", "upper_circuit_limit"} & self.model_fields_set
        if len(limits) == 1 or (limits and "band_percent" in self.model_fields_set):
            raise ValueError("give both circuit limits, or band_percent")
        low, high = self.lower_circuit_limit, self.upper_circuit_limit
        if (low is None) != (high is None) or (low is not None and high is not None and low >= high):
            raise ValueError("the lower circuit limit must be below the upper one")
        return self


class NamedMarketSetting(MarketSetting):
    """The same with the instrument in the body, for symbols with ``&`` or spaces."""

    instrument: str


class NewPrice(Body):
    """A price to publish at once; ``exchange_time`` (epoch seconds) and ``repeat`` make stale and double ticks."""

    instrument: str
    price: Rupees
    exchange_time: int | None = Field(None, ge=0, lt=2**31)
    repeat: int = Field(1, ge=1, le=10_000)


class Match(Body):
    """Which requests a fault hits; what is left out is any."""

    method: Literal["GET", "POST", "PUT", "DELETE"] | None = None
    route: str | None = None
    transaction_type: Literal["BUY", "SELL"] | None = None
    tag: str | None = None
    user_id: str | None = None


class NewFault(Body):
    """A fault to arm; ``times`` 0 keeps it until it is deleted, ``seconds`` left out is the default of its kind."""

    kind: str
    match: Match = Match()
    times: int = Field(1, ge=0)
    seconds: float | None = Field(None, ge=0, le=3600)
    message: str | None = None
    error_type: str | None = None
    status: int | None = Field(None, ge=200, le=599)
    content_type: str = Field("application/json", max_length=200, pattern=r"^[ -~]*$")
    body: str = Field("", max_length=65_536)
    quantity: int = Field(0, ge=0)
    location: str = "/paper/redirected"
    stall: bool = False
    cut: bool = False


class Outage(Body):
    """An outage for some seconds, or switched on and off."""

    seconds: float | None = Field(None, ge=0)
    on: bool | None = None


class ForeignOrder(Body):
    """An order that the account's owner places by hand, on the broker's own web site."""

    user_id: str
    exchange: str = "NSE"
    tradingsymbol: str
    transaction_type: Literal["BUY", "SELL"]
    quantity: int = Field(gt=0)
    product: str = "MIS"
    order_type: str = "MARKET"
    price: float = Field(0, ge=0)
    trigger_price: float = Field(0, ge=0)
    market_protection: float = -1
    tag: str | None = None


class HandEdit(Body):
    """What the account's owner changes of an order in the broker's app; what is left out stays."""

    quantity: int | None = Field(None, gt=0)
    price: float | None = Field(None, ge=0)
    order_type: Literal["MARKET", "LIMIT", "SL", "SL-M"] | None = None
    trigger_price: float | None = Field(None, ge=0)
    market_protection: float | None = None


class HeldShares(Body):
    """Shares in the demat account when the day began.

    Of ``opening_quantity``, ``t1_quantity`` is not delivered yet, ``collateral_quantity`` is pledged, and
    ``authorised_quantity`` is what an account that needs TPIN may sell. ``average_price`` left out is the last price.
    """

    instrument: str
    opening_quantity: int = Field(ge=0)
    average_price: float | None = Field(None, gt=0)
    t1_quantity: int = Field(0, ge=0)
    collateral_quantity: int = Field(0, ge=0)
    authorised_quantity: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _parts(self) -> Self:
        if max(self.t1_quantity + self.collateral_quantity, self.authorised_quantity) > self.opening_quantity:
            raise ValueError("a part is more than opening_quantity")
        return self


class Holdings(Body):
    """All shares of an account; those of instruments that are not named are gone."""

    holdings: list[HeldShares]


class CarriedPosition(Body):
    """A position carried over from an earlier day; ``quantity`` below 0 is a short."""

    instrument: str
    product: Literal["MIS", "NRML"]
    quantity: int
    average_price: float | None = Field(None, gt=0)


class Positions(Body):
    """All positions of an account; those that are not named are gone."""

    positions: list[CarriedPosition]


class Tpin(Body):
    """Whether CNC sales out of holdings need an authorisation (HTTP 428 without)."""

    required: bool


class ClockSetting(Body):
    """Set the wall clock (``now``), let time pass at once (``advance_seconds``), change the pace (``factor``).

    They are applied in the order ``now``, ``advance_seconds``, ``factor``.
    """

    now: AwareDatetime | None = None
    advance_seconds: float | None = Field(None, gt=0, le=7 * 24 * 3600)
    factor: float | None = Field(None, gt=0, le=MAX_CLOCK_FACTOR)


class FeedStamps(Body):
    """How ticks are stamped: of one instrument, or of the whole feed when it is left out.

    ``lag_seconds`` behind the clock (negative: ahead), or ``frozen``: ticks come, and all say the instant of now less
    the lag. ``quotes_too``: quotes over REST as well. ``reset`` takes an instrument's own stamping away.
    """

    instrument: str | None = None
    lag_seconds: float = Field(0, ge=-86400, le=86400)
    frozen: bool = False
    quotes_too: bool = False
    reset: bool = False


class Pace(Body):
    """A session day of its own: it is ``now`` there, and time passes ``factor`` times as fast as on the clock.

    ``since_ns``: when it was, epoch nanoseconds of the exchange's clock; this moment when left out.
    """

    now: AwareDatetime
    factor: float = Field(1.0, gt=0, le=MAX_CLOCK_FACTOR)
    since_ns: int | None = None


class SessionSetting(Body):
    """The trading session; what is left out is unchanged. Times are IST, ``token_flush`` null is never.

    ``pace`` lets the day of the session pass by itself, while stamps, prices and orders keep the exchange's clock;
    null brings the session back to it.
    """

    on: bool = True
    holidays: list[date] = []
    trading_days: list[date] = []
    mis_cutoff: dict[Group, time] = {}
    square_off: bool = True
    token_flush: time | None = None
    pace: Pace | None = None


class SquareOff(Body):
    """The account and the product whose positions the broker closes."""

    user_id: str
    product: Literal["MIS", "NRML", "CNC"] = "MIS"
