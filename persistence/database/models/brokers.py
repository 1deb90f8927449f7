"""Users' connections to brokers (rows B1, B2)."""

from datetime import datetime

from sqlalchemy import (
    CheckConstraint,
    UniqueConstraint,
)

from persistence.database.models.base import TableModel, id_field, instant_field, one_of, reference_field, text_field

_BROKERS = ("kite", "paper")


class BrokerAccount(TableModel, table=True):
    """The one broker connection of a user (row B1); connecting again replaces it.

    An account at a broker has one owner here: budget, watcher and reservations count by this row.
    """

    __tablename__ = "broker_accounts"
    __table_args__ = (
        one_of("broker", *_BROKERS),
        CheckConstraint("char_length(api_key_hint) <= 4", name="api_key_hint"),
        UniqueConstraint("user_id"),
        UniqueConstraint("broker", "broker_user_id"),
        UniqueConstraint("id", "user_id"),
    )

    id: int = id_field()
    user_id: int = reference_field("users.id", ondelete="CASCADE")
    broker: str = text_field()
    broker_user_id: str = text_field()
    api_key_hint: str = text_field()
    secrets_box: bytes
    key_version: str = text_field()
    token_obtained_at: datetime = instant_field()
    connected_at: datetime = instant_field(now=True)
