"""What was last found of each user's trading day, and which faults the operator has heard of (row N3)."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, Column, ForeignKey, Text
from sqlmodel import Field

from persistence.database.models.base import TableModel, instant_field, json_field, one_of, text_field

VERDICTS = ("ready", "attention", "blocked", "no_session")


class FoundReadiness(TableModel, table=True):
    """What was last found for one user. `body`: the answer of `GET /readiness`.

    `told`: what the user has been notified of, for the session that it names. `leased_until`: one process is looking
    until then, and no other does.
    """

    __tablename__ = "readiness"
    __table_args__ = (one_of("verdict", *VERDICTS),)

    user_id: int = Field(
        sa_column=Column(BigInteger, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, autoincrement=False)
    )
    day: date | None = None
    verdict: str | None = text_field(nullable=True)
    body: dict[str, Any] | None = json_field(nullable=True)
    found_at: datetime | None = instant_field(nullable=True)
    told: dict[str, Any] = json_field()
    leased_until: datetime | None = instant_field(nullable=True)


class OperatorFault(TableModel, table=True):
    """A fault of the deployment that lasts: the process that writes its row tells the operator, and no other does.

    `seen_at`: when any process has last seen it. `notified_at`: when the operator was last notified.
    """

    __tablename__ = "operator_faults"

    code: str = Field(sa_column=Column(Text, primary_key=True))
    seen_at: datetime = instant_field(now=True)
    notified_at: datetime = instant_field(now=True)
