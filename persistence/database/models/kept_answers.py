"""Answers that are kept by the Idempotency-Key of their request, so that what was done is not done again."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Index, LargeBinary
from sqlmodel import Field

from persistence.database.models.base import TableModel, instant_field, integer_field, text_field


class KeptAnswer(TableModel, table=True):
    """The answer to a request that was carried out. Holds no secret: only requests without one are kept.

    `key_hash` is the SHA-256 of the key, which is the client's and may say anything. `request_hash` is that of method,
    path and body. `answer` is the body as it was sent.
    """

    __tablename__ = "kept_answers"
    __table_args__ = (
        CheckConstraint("octet_length(key_hash) = 32", name="key_hash"),
        CheckConstraint("octet_length(request_hash) = 32", name="request_hash"),
        CheckConstraint("status BETWEEN 200 AND 299", name="status"),
        Index(None, "user_id", "kept_at"),
        Index(None, "kept_at"),
    )

    user_id: int = Field(
        sa_column=Column(BigInteger, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, autoincrement=False)
    )
    key_hash: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    request_hash: bytes
    status: int = integer_field()
    answer: str = text_field()
    kept_at: datetime = instant_field(now=True)
