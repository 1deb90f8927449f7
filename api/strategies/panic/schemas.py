"""`/panic` and `/risk/unlock`: requests and answers (row N8)."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from api.base.fields import PositionWord


class PanicTaken(BaseModel):
    """The panic is under way."""

    panic_id: UUID
    entries_forbidden: bool = Field(description="No BUY of yours is sent until `POST /risk/unlock`.")
    stopping: list[int] = Field(
        description="Strategies that have heard it already. All others are told within seconds; see the panic itself."
    )
    warnings: list[str] = Field(description="What could not be done, or not yet, in sentences.")


class PanicOutcome(BaseModel):
    """What has come of one strategy that the panic found running."""

    strategy_id: int
    symbol: str
    outcome: Literal["flat", "working", "failed"] = Field(
        description="`flat`: it holds nothing. `working`: it is being ended, and tries on. `failed`: it has ended, and "
        "what it bought may still be there; look at your account."
    )
    position: PositionWord
    message: str


class SharesNotTouched(BaseModel):
    """Shares of the account that no strategy had bought. `quantity` is negative if the account owes them."""

    symbol: str
    product: str
    quantity: int


class PanicAnswer(BaseModel):
    """How far a panic has come."""

    panic_id: UUID
    asked_at: datetime
    asked_by: Literal["user", "operator"]
    state: Literal["working", "finished"]
    finished_at: datetime | None
    unlocked_at: datetime | None
    entries_forbidden: bool
    strategies: list[PanicOutcome]
    not_touched: list[SharesNotTouched] | None = Field(
        description="What the account holds beside them, when all had ended; null before, or if it could not be read."
    )
    message: str


class UnlockAnswer(BaseModel):
    """Entries are allowed."""

    entries_forbidden: bool
