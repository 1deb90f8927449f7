"""What was done in a user's name and from where; append-only."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Index,
)

from persistence.database.models.base import (
    TableModel,
    id_field,
    instant_field,
    json_field,
    reference_field,
    text_field,
)


class AuditEntry(TableModel, table=True):
    """Which user did what from where; append-only. Holds no secret and no password."""

    __tablename__ = "audit_log"
    __table_args__ = (
        CheckConstraint("action <> ''", name="action"),
        Index(None, "user_id", "id"),
        {"postgresql_partition_by": "RANGE (at)"},
    )

    id: int = id_field()
    user_id: int | None = reference_field("users.id", nullable=True)
    action: str = text_field()
    subject: str = text_field(default="")
    detail: dict[str, Any] = json_field()
    address: str | None = text_field(nullable=True)
    at: datetime = instant_field(now=True, partitions=True)
