"""`POST /strategy/preview`: request and answer."""

from datetime import date, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from actors.domain.identifiers import Product
from api.base.fields import Percent, Price, Quantity, Request, StrategyId, Symbol, TimeOfDay
from api.strategies.schemas import EstimatedCharges, StrategyCreateRequest

_WANTED = [name for name, field in StrategyCreateRequest.model_fields.items() if field.is_required()]


def _absent() -> Any:
    """The default of a field that may be left out, and may not be null."""
    return None


def _new(stop: str) -> JsonDict:
    """The schema of a new strategy with one form of the stop-loss."""
    return {"required": [*_WANTED, stop], "properties": {"strategy_id": False}}


class StrategyPreviewRequest(Request):
    """A stored strategy (`strategy_id` alone), or the body of create.

    What was not sent has no value that may be read, except `product`.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": ["strategy_id"], "maxProperties": 1},
                _new("stop_loss"),
                _new("stop_loss_percent"),
            ]
        }
    )

    strategy_id: StrategyId = Field(default_factory=_absent)
    symbol: Symbol = Field(default_factory=_absent)
    buy_time: TimeOfDay = Field(default_factory=_absent)
    sell_time: TimeOfDay = Field(default_factory=_absent)
    stop_loss_percent: Percent | None = None
    stop_loss: Price | None = None
    quantity: Quantity = Field(default_factory=_absent)
    product: Product = Product.MIS

    @model_validator(mode="after")
    def _one_of_both(self) -> "StrategyPreviewRequest":
        if self.is_stored:
            if len(self.model_fields_set) > 1:
                raise ValueError("must have strategy_id alone, or the fields of a new strategy without it")
        elif missing := [name for name in _WANTED if name not in self.model_fields_set]:
            raise ValueError(f"needs {', '.join(missing)} too, or strategy_id alone")
        elif (self.stop_loss is None) == (self.stop_loss_percent is None):
            raise ValueError("needs exactly one of stop_loss and stop_loss_percent")
        return self

    @property
    def is_stored(self) -> bool:
        """Whether a stored strategy is meant."""
        return "strategy_id" in self.model_fields_set

    def asked(self) -> StrategyCreateRequest:
        """The body of create; its fields have been checked here."""
        return StrategyCreateRequest.model_construct(
            **{name: getattr(self, name) for name in StrategyCreateRequest.model_fields}
        )


class SessionOfDay(BaseModel):
    """The trading session of that day which holds both times. `sell_before`: everything must be sold before it.

    `special`: its hours are not those of an ordinary session.
    """

    date: date
    opens: TimeOfDay
    closes: TimeOfDay
    sell_before: TimeOfDay
    special: bool


class PreviewWarning(BaseModel):
    """Something that hinders nothing. `strategy_id`: the other strategy that it is about, if there is one."""

    code: str = Field(examples=["not_today"])
    message: str
    strategy_id: int | None = None


class StrategyPreview(BaseModel):
    """What a START at this moment would arm. Amounts are rupees, and null where the price is not known.

    `stop_loss`: of a stop-loss in percent, the level that a BUY at `last_price` would have.
    `notional`: the quantity at `last_price`. `worst_case_loss`: bought at `last_price` and sold at the stop-loss,
    without charges; a price that falls through the stop-loss in one step loses more.
    """

    strategy_id: int | None
    symbol: str
    product: Product
    quantity: int
    stop_loss: float | None
    stop_loss_percent: float | None
    session: SessionOfDay | None = Field(description="Null of a strategy that runs.")
    buy_at: datetime
    sell_at: datetime
    last_price: float | None
    notional: float | None
    worst_case_loss: float | None
    charges: EstimatedCharges | None
    message: str = Field(examples=["Waiting to buy at 2026-11-23 09:30:00"])
    warnings: list[PreviewWarning]
