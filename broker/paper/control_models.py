"""Bodies of the control API; prices in rupees."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, IPvAnyAddress

# A price must fit the signed 32-bit paise of a tick packet, negative test values included.
Rupees = Annotated[float, Field(ge=-20_000_000, le=20_000_000)]


class Body(BaseModel):
    """A body that refuses misspelt fields."""

    model_config = ConfigDict(extra="forbid")


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
    """A recorded day: a file of the data directory or any path, from a market time on, so many times as fast."""

    kind: Literal["recorded"] = "recorded"
    file: str
    speed: float = Field(1.0, gt=0)
    start_at: str = Field("09:15", pattern=r"^\d{2}:\d{2}$")


Source = Annotated[Walk | Script | Hold | Recorded, Field(discriminator="kind")]


class MarketSetting(Body):
    """How one instrument's price moves; ``liquidity_per_tick`` null is unlimited, left out is unchanged."""

    source: Source | None = None
    liquidity_per_tick: int | None = Field(None, ge=0)


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


class SquareOff(Body):
    """Whose positions of which product the broker closes."""

    user_id: str
    product: Literal["MIS", "NRML", "CNC"] = "MIS"
