"""`/strategy`: requests and answers (rows C1, D1, I1, L1)."""

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from actors.domain.identifiers import Product
from api.base.fields import (
    Percent,
    PhaseWord,
    PositionWord,
    Price,
    Quantity,
    Request,
    StrategyId,
    StrategyStatusWord,
    Symbol,
    TimeOfDay,
)


class StrategyCreateRequest(Request):
    """Row C1. The stop-loss is mandatory: exactly one of `stop_loss`, in rupees, and `stop_loss_percent`, below the
    average price that the shares were bought at (row N5).
    """

    symbol: Symbol
    buy_time: TimeOfDay
    sell_time: TimeOfDay
    stop_loss_percent: Percent | None = None
    stop_loss: Price | None = Field(default=None, validate_default=True)
    quantity: Quantity
    product: Product = Product.MIS

    @field_validator("stop_loss")
    @classmethod
    def _one_stop(cls, stop_loss: Decimal | None, info: ValidationInfo) -> Decimal | None:
        if stop_loss is None and info.data.get("stop_loss_percent", 0) is None:
            raise ValueError("is needed, or stop_loss_percent")
        return _not_both(stop_loss, info)


class StrategyIdRequest(Request):
    """Which strategy."""

    strategy_id: StrategyId


class StopRequest(StrategyIdRequest):
    """Which strategy. `pause_schedule`: its schedule, if it has one, starts it on no other day either."""

    pause_schedule: bool = Field(default=False, strict=True)


def _of_a_patch(schema: dict[str, Any]) -> None:
    """At least one field, and none is null: None is only what stands for a field that was left out."""
    schema["minProperties"] = 1
    for field in schema["properties"].values():
        if "anyOf" in field:
            field.update(next(choice for choice in field.pop("anyOf") if choice.get("type") != "null"))
            field.pop("default", None)


class StrategyPatchRequest(Request):
    """What to change; at least one field. While the strategy runs, only its stop-loss can be moved.

    At most one of `stop_loss` and `stop_loss_percent`, which takes the place of what there was. `confirm` moves it even
    to where it sells at once: at or above the market price.
    """

    model_config = ConfigDict(json_schema_extra=_of_a_patch)

    buy_time: TimeOfDay | None = None
    sell_time: TimeOfDay | None = None
    stop_loss_percent: Percent | None = None
    stop_loss: Price | None = None
    quantity: Quantity | None = None
    product: Product | None = None
    confirm: bool = Field(default=False, strict=True)

    @field_validator("stop_loss")
    @classmethod
    def _one_stop(cls, stop_loss: Decimal | None, info: ValidationInfo) -> Decimal | None:
        return _not_both(stop_loss, info)

    @field_validator("buy_time", "sell_time", "stop_loss", "stop_loss_percent", "quantity", "product", mode="before")
    @classmethod
    def _not_null(cls, value: object) -> object:
        if value is None:  # it could mean "none", as of a stop-loss, and an answer of 200 would look like it
            raise ValueError("must not be empty: leave it out to keep it as it is")
        return value

    @model_validator(mode="after")
    def _something(self) -> "StrategyPatchRequest":
        if all(value is None for name, value in self.__dict__.items() if name != "confirm"):
            raise ValueError("needs at least one field to change")
        return self


def _not_both(stop_loss: Decimal | None, info: ValidationInfo) -> Decimal | None:
    if stop_loss is not None and info.data.get("stop_loss_percent") is not None:
        raise ValueError("must not be given beside stop_loss_percent")
    return stop_loss


class StrategyIdAnswer(BaseModel):
    """The id of a new strategy."""

    strategy_id: int


class StartNote(BaseModel):
    """Something about a START that the user should look at. `strategy_id`: the other strategy that it is about."""

    code: str = Field(examples=["equal_strategy_running"])
    strategy_id: int
    message: str


class StrategyStarted(BaseModel):
    """Row D1: the session that is armed. `message` is the sentence that the app shows; `notes` hinder nothing."""

    strategy_id: int
    strategy_status: StrategyStatusWord
    buy_at: datetime
    sell_at: datetime
    message: str = Field(examples=["Waiting to buy at 2026-11-23 09:30:00"])
    notes: list[StartNote] = []


class StrategyAnswer(BaseModel):
    """What the user asked for: exactly one of `stop_loss` (rupees) and `stop_loss_percent` is not null."""

    strategy_id: int
    symbol: str
    buy_time: TimeOfDay
    sell_time: TimeOfDay
    stop_loss: float | None
    stop_loss_percent: float | None
    quantity: int
    product: Product
    strategy_status: StrategyStatusWord
    created_at: datetime
    updated_at: datetime


class StrategyPatched(StrategyAnswer):
    """A changed strategy. `stop_loss_confirmed`: of a position whose stop-loss was moved, whether both guards have the
    new level (row M4): false means that the strategy has it, and execution has not confirmed it yet. Else null."""

    stop_loss_confirmed: bool | None = None


class Guard(BaseModel):
    """Who watches the stop-loss of what is held: `by` names the guards that hear prices, confirmed at `confirmed_at`.

    `since`: since when it is as it is, if that is known.
    """

    state: Literal["guarded", "not_guarded", "exiting", "exit_failed", "nothing"]
    reason: str | None = None
    since: datetime | None = None
    confirmed_at: datetime | None = None
    by: list[Literal["strategy", "execution"]] = []


class NextStep(BaseModel):
    """What a running strategy waits for: its time to `buy` or to `sell`, or the broker's word of an `order`.

    `at`: when that is due; null for an order. The stop-loss may sell before.
    """

    what: Literal["buy", "sell", "order"]
    at: datetime | None


class EstimatedCharges(BaseModel):
    """Rupees that broker, exchange and state take of one BUY and one SELL, by Zerodha's schedule (kite.md §8.1).

    A preview reckons both at `last_price`, the status of a finished run at what it was bought and sold at.
    """

    estimated: bool = Field(default=True, description="Always true: the contract note has the last word.")
    brokerage: float
    transaction_tax: float
    exchange: float
    sebi: float
    stamp_duty: float
    gst: float
    total: float


class StrategyStatus(BaseModel):
    """Row L1: where a strategy stands. `message` is the sentence that the app shows.

    `stop_loss`: the level in rupees; null while it waits for the fill that it is `stop_loss_percent` below.
    """

    strategy_id: int
    run_id: int | None = Field(description="The latest run; null before the first START.")
    symbol: str
    product: Product | None = Field(description="Null only for a run that a version without this field has started.")
    strategy_status: StrategyStatusWord
    phase: PhaseWord = Field(description="Where the latest run is between its START and its end.")
    position: PositionWord
    status_detail: str
    last_action: str
    last_price: float | None
    last_price_age_ms: int | None
    feed: Literal["live", "late", "down"] | None
    feed_lag_ms: int | None
    feed_since: datetime | None
    stop_loss: float | None
    stop_loss_percent: float | None
    quantity: int
    filled_quantity: int
    buy_price: float | None
    sell_price: float | None
    pnl: float | None
    charges: EstimatedCharges | None = Field(
        description="Of a run that has sold all that it bought; else null. An estimate, for one order each way."
    )
    net_pnl: float | None = Field(description="`pnl` less the total of `charges`; null where one of them is.")
    stop_now: float | None = Field(
        description="The level in rupees at or below which what is held is sold now. Null while nothing is held or "
        "it is being sold."
    )
    target: float | None = Field(description="Rupees at which it is to be sold with profit. Always null so far.")
    unrealised_pnl: float | None = Field(
        description="What is held, at `last_price`, before charges. Null while nothing is held, and while it is sold."
    )
    next: NextStep | None
    buy_at: datetime | None
    sell_at: datetime | None
    last_buy_order: str | None
    last_sell_order: str | None
    last_sl_order: str | None
    guard: Guard
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

    total: int = Field(description="How many there are in all, counted up to 1000.")
    total_capped: bool = Field(description="Whether there are more than `total`.")
    limit: int
    offset: int


class StrategyPage(Page):
    """The user's strategies, newest first."""

    strategies: list[StrategyAnswer]


class OrderLogPage(Page):
    """The order log of a strategy, oldest first."""

    orders: list[OrderLogAnswer]
