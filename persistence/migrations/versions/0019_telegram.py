"""Chats of Telegram: their codes, what they confirm, and the lease of the process that asks for updates.

Revision ID: 0019
Revises: 0018
Create Date: 2027-01-11
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

ROLE = "tradeactors_tenant"
OWN_ROW = "user_id = nullif(current_setting('tradeactors.user_id', true), '')::bigint"
CHANNELS = "notification_channels"
KINDS = f"{CHANNELS}_kind_check"


def upgrade() -> None:
    """A chat is one user's at a time. Codes and confirmations are the tenants' own rows, the others no tenant's."""
    instant = sa.DateTime(timezone=True)
    op.drop_constraint(op.f(KINDS), CHANNELS, type_="check")
    op.create_check_constraint(op.f(KINDS), CHANNELS, "kind IN ('email', 'webpush', 'telegram', 'apprise')")
    op.add_column(CHANNELS, sa.Column("muted_until", instant, nullable=True))
    op.execute(f"GRANT UPDATE (muted_until) ON {CHANNELS} TO {ROLE}")
    op.create_index(
        f"{CHANNELS}_one_owner_of_a_chat",
        CHANNELS,
        ["address_hash"],
        unique=True,
        postgresql_where=sa.text("kind = 'telegram'"),
    )
    _create_codes(instant)
    _create_confirmations(instant)
    _create_pollers(instant)
    for table in ("telegram_codes", "telegram_confirmations"):
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {ROLE}")
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY tenant ON {table} TO {ROLE} USING ({OWN_ROW}) WITH CHECK ({OWN_ROW})")


def _create_codes(instant: "sa.DateTime") -> None:
    table = "telegram_codes"
    op.create_table(
        table,
        sa.Column("user_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", instant, nullable=False),
        sa.CheckConstraint("octet_length(code_hash) = 32", name="code_hash"),
        sa.PrimaryKeyConstraint("user_id", name=f"{table}_pkey"),
        sa.UniqueConstraint("code_hash", name=f"{table}_code_hash_key"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=f"{table}_user_id_fkey", ondelete="CASCADE"),
    )


def _create_confirmations(instant: "sa.DateTime") -> None:
    table = "telegram_confirmations"
    op.create_table(
        table,
        sa.Column("channel_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("word_hash", sa.LargeBinary(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("expires_at", instant, nullable=False),
        sa.Column("used_by", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("octet_length(word_hash) = 32", name="word_hash"),
        sa.PrimaryKeyConstraint("channel_id", name=f"{table}_pkey"),
        sa.ForeignKeyConstraint(
            ["channel_id", "user_id"],
            [f"{CHANNELS}.id", f"{CHANNELS}.user_id"],
            name=f"{table}_channel_id_user_id_fkey",
            ondelete="CASCADE",
        ),
    )


def _create_pollers(instant: "sa.DateTime") -> None:
    op.create_table(
        "telegram_pollers",
        sa.Column("bot_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("holder", sa.Text(), nullable=True),
        sa.Column("leased_until", instant, nullable=True),
        sa.Column("next_update_id", sa.BigInteger(), nullable=True),
        sa.Column("heard_at", instant, nullable=True),
        sa.PrimaryKeyConstraint("bot_id", name="telegram_pollers_pkey"),
    )
    op.create_table(
        "telegram_updates",
        sa.Column("bot_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("update_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("taken_at", instant, nullable=False, server_default=sa.func.now()),
        sa.Column("done_at", instant, nullable=True),
        sa.PrimaryKeyConstraint("bot_id", "update_id", name="telegram_updates_pkey"),
    )
    op.create_index("telegram_updates_taken_at_idx", "telegram_updates", ["taken_at"])


def downgrade() -> None:
    """As it was: chats are no channels any more, and are forgotten."""
    for table in ("telegram_updates", "telegram_pollers", "telegram_confirmations", "telegram_codes"):
        op.drop_table(table)
    op.execute("DELETE FROM notification_channels WHERE kind IN ('telegram', 'apprise')")
    op.drop_index(f"{CHANNELS}_one_owner_of_a_chat", CHANNELS)
    op.drop_column(CHANNELS, "muted_until")
    op.drop_constraint(op.f(KINDS), CHANNELS, type_="check")
    op.create_check_constraint(op.f(KINDS), CHANNELS, "kind IN ('email', 'webpush')")
