"""Requests and answers of contract 3.3. Requests refuse fields that they do not know.

Prices are numbers in rupees with two decimals; times of day are "HH:MM" or "HH:MM:SS" of the exchange (IST); instants
are ISO 8601 with offset.
"""

import re
from datetime import datetime, time
from decimal import Decimal
from typing import Annotated, Any, Literal

from email_validator import EmailNotValidError, validate_email
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from actors.domain.errors import InvalidValue
from actors.domain.identifiers import Product, split_symbol
from actors.domain.money import to_paise

MAX_PRICE = Decimal(10_000_000)
MAX_QUANTITY = 10_000_000
MAX_ID = 2**63 - 1
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?")


def _parse_email(text: str) -> str:
    try:
        return validate_email(text, check_deliverability=False).normalized.lower()
    except EmailNotValidError as error:
        raise ValueError("is not a valid e-mail address") from error  # the library's own text quotes the input


def _parse_time(text: Any) -> time:
    if isinstance(text, str) and _TIME.fullmatch(text):
        return time.fromisoformat(text)
    raise ValueError('must be a time of day such as "09:30" or "09:30:15"')


def _parse_price(number: Any) -> Decimal:
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise ValueError("must be a number")  # noqa: TRY004 - pydantic reports ValueError
    price = Decimal(repr(number))  # the shortest text that means this float: what was typed
    if not price.is_finite() or not 0 < price <= MAX_PRICE:
        raise ValueError(f"must be greater than 0 and at most {MAX_PRICE}")
    try:
        to_paise(price)
    except InvalidValue as error:
        raise ValueError("must have at most two decimals") from error
    return price


def _parse_symbol(text: str) -> str:
    try:
        return ":".join(split_symbol(text))
    except InvalidValue as error:
        raise ValueError("must be a symbol such as INFY or NSE:INFY") from error


Email = Annotated[
    str, StringConstraints(max_length=254), AfterValidator(_parse_email), Field(examples=["asha@example.com"])
]
NewPassword = Annotated[SecretStr, Field(min_length=8, max_length=256, examples=["correct horse battery"])]
Password = Annotated[SecretStr, Field(min_length=1, max_length=256, examples=["correct horse battery"])]
Secret = Annotated[SecretStr, Field(min_length=1, max_length=256)]
TimeOfDay = Annotated[
    time,
    BeforeValidator(_parse_time),
    PlainSerializer(time.isoformat, return_type=str),
    WithJsonSchema({"type": "string", "pattern": _TIME.pattern, "examples": ["09:30"]}),
]
Price = Annotated[
    Decimal,
    BeforeValidator(_parse_price),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "multipleOf": 0.01, "examples": [1490.5]}),
]
Quantity = Annotated[int, Field(strict=True, gt=0, le=MAX_QUANTITY, examples=[10])]
Symbol = Annotated[
    str,
    StringConstraints(min_length=1, max_length=64),
    AfterValidator(_parse_symbol),
    Field(examples=["INFY"], description="`INFY` (on NSE) or `BSE:INFY`"),
]
StrategyId = Annotated[int, Field(strict=True, gt=0, le=MAX_ID, examples=[1])]

StrategyStatusWord = Literal["created", "running", "paused", "stopped"]
PositionWord = Literal["none", "buying", "bought", "selling", "sold", "exited_by_sl", "buy_failed"]


class Request(BaseModel):
    """Base of all request bodies."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class RegisterRequest(Request):
    """Row A1."""

    email: Email
    password: NewPassword


class LoginRequest(Request):
    """Row A2."""

    email: Email
    password: Password


class RefreshRequest(Request):
    """A refresh token, which is good once."""

    refresh_token: Secret


class LoginAnswer(BaseModel):
    """Tokens of a login; `expires_in` seconds for the access token."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - RFC 6750's word, not a secret
    expires_in: int = Field(examples=[1800])
    refresh_token: str


class ValidateAnswer(BaseModel):
    """Row A2: whose token it is and how long it lasts."""

    valid: Literal[True] = True
    user_id: int
    email: str
    expires_at: datetime


class BrokerConnectRequest(Request):
    """Row B1: the key pair, and an access token or the request token of a login just made."""

    broker: Literal["kite", "paper"] | None = Field(default=None, description="default: the first that is offered")
    api_key: Secret
    api_secret: Secret
    access_token: Secret | None = None
    request_token: Secret | None = None

    @model_validator(mode="after")
    def _one_token(self) -> "BrokerConnectRequest":
        if (self.access_token is None) == (self.request_token is None):
            raise ValueError("needs either access_token or request_token")
        return self


class BrokerConnectAnswer(BaseModel):
    """The broker has accepted the credentials."""

    broker_connected: Literal[True] = True
    broker: str
    broker_user_id: str


class BrokerStatusAnswer(BaseModel):
    """The user's connection; everything but the first is null without one."""

    broker_connected: bool
    broker: str | None = None
    broker_user_id: str | None = None
    api_key_hint: str | None = Field(default=None, description="the last four characters of the API key")
    connected_at: datetime | None = None
    token_obtained_at: datetime | None = None
    token_age_s: int | None = None
    token_expires_at: datetime | None = None
    token_expired: bool | None = None


class StrategyCreateRequest(Request):
    """Row C1."""

    symbol: Symbol
    buy_time: TimeOfDay
    sell_time: TimeOfDay
    stop_loss: Price
    quantity: Quantity
    product: Product = Product.MIS


class StrategyIdRequest(Request):
    """Which strategy."""

    strategy_id: StrategyId


class StrategyPatchRequest(Request):
    """What to change; at least one field. While the strategy runs, only `stop_loss` can be moved."""

    buy_time: TimeOfDay | None = None
    sell_time: TimeOfDay | None = None
    stop_loss: Price | None = None
    quantity: Quantity | None = None
    product: Product | None = None

    @model_validator(mode="after")
    def _something(self) -> "StrategyPatchRequest":
        if not any(value is not None for value in self.__dict__.values()):
            raise ValueError("needs at least one field to change")
        return self


class StrategyIdAnswer(BaseModel):
    """The id of a new strategy."""

    strategy_id: int


class StrategyStarted(BaseModel):
    """Row D1: the session that is armed."""

    strategy_id: int
    strategy_status: StrategyStatusWord
    buy_at: datetime
    sell_at: datetime


class StrategyAnswer(BaseModel):
    """What the user asked for."""

    strategy_id: int
    symbol: str
    buy_time: TimeOfDay
    sell_time: TimeOfDay
    stop_loss: float
    quantity: int
    product: Product
    strategy_status: StrategyStatusWord
    created_at: datetime
    updated_at: datetime


class StrategyStatus(BaseModel):
    """Row L1: where a strategy stands. `message` is the sentence that the app shows."""

    strategy_id: int
    strategy_status: StrategyStatusWord
    position: PositionWord
    status_detail: str
    last_action: str
    last_price: float | None
    last_price_age_ms: int | None
    stop_loss: float
    quantity: int
    filled_quantity: int
    buy_price: float | None
    sell_price: float | None
    pnl: float | None
    buy_at: datetime | None
    sell_at: datetime | None
    last_buy_order: str | None
    last_sell_order: str | None
    last_sl_order: str | None
    message: str
    updated_at: datetime


class OrderLogAnswer(BaseModel):
    """One line of the order log; `price` in rupees. An attempt to place an order also tells when its trigger was
    due (`triggered_at`) and when its request left (`sent_at`)."""

    log_id: int
    run_id: int
    event: str
    leg: Literal["ENTRY", "EXIT"] | None
    order_id: str | None
    status: str | None
    quantity: int | None
    price: float | None
    reason: str | None
    triggered_at: datetime | None = None
    sent_at: datetime | None = None
    occurred_at: datetime
    recorded_at: datetime


class Page(BaseModel):
    """One page of a longer list."""

    total: int
    limit: int
    offset: int


class StrategyPage(Page):
    """The user's strategies, newest first."""

    strategies: list[StrategyAnswer]


class OrderLogPage(Page):
    """The order log of a strategy, oldest first."""

    orders: list[OrderLogAnswer]
