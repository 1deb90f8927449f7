"""Users' connections to brokers (rows B1, B2), and the logins by which they are renewed (row N2)."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKeyConstraint, Index, UniqueConstraint
from sqlmodel import Field

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


class BrokerLoginCode(TableModel, table=True):
    """A code by which a login at the broker comes back to its user (row N2), stored as its SHA-256.

    A `state` goes through the broker's login page and back, in minutes. A `link` stands in a message; each time it is
    opened it makes a state (`link_id`), until one of them has connected. `taken_at`: a state is used once; `outcome`
    is `connected`, or the code of the error that it came to. Another account in the connection's place takes its codes
    with it.
    """

    __tablename__ = "broker_login_codes"
    __table_args__ = (
        one_of("kind", "state", "link"),
        CheckConstraint("octet_length(code_hash) = 32", name="code_hash"),
        CheckConstraint("expires_at > created_at", name="expires_at"),
        CheckConstraint("outcome IS NULL OR taken_at IS NOT NULL", name="outcome"),
        ForeignKeyConstraint(
            ["broker_account_id", "user_id"], ["broker_accounts.id", "broker_accounts.user_id"], ondelete="CASCADE"
        ),
        Index(None, "user_id", "id"),
        Index(None, "broker_account_id"),
        Index(None, "link_id"),
    )

    id: int = id_field()
    user_id: int = reference_field("users.id", ondelete="CASCADE")
    broker_account_id: int = Field(sa_column=Column(BigInteger, nullable=False))
    kind: str = text_field()
    code_hash: bytes = Field(unique=True)
    link_id: int | None = reference_field("broker_login_codes.id", nullable=True, ondelete="CASCADE")
    created_at: datetime = instant_field()
    expires_at: datetime = instant_field()
    taken_at: datetime | None = instant_field(nullable=True)
    outcome: str | None = text_field(nullable=True)
