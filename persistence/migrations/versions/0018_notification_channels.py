"""Where notices are sent to, and what is on its way there.

Revision ID: 0018
Revises: 0017
Create Date: 2027-01-05
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

ROLE = "tradeactors_tenant"
OWN_ROW = "user_id = nullif(current_setting('tradeactors.user_id', true), '')::bigint"
GRANTS = {
    "notification_channels": "SELECT, INSERT, DELETE, UPDATE (address_box, key_version, hint, state, code_hash, "
    "code_expires_at, code_attempts, verified_at, failures, last_failure)",
    "notification_deliveries": "SELECT, INSERT, DELETE",
}


def upgrade() -> None:
    """Two tables of the tenants' own rows. Notices that are there already are not sent any more."""
    instant = sa.DateTime(timezone=True)
    op.add_column("notifications", sa.Column("handed_over_at", instant, nullable=True))
    op.execute("UPDATE notifications SET handed_over_at = now()")
    op.execute(f"GRANT UPDATE (handed_over_at) ON notifications TO {ROLE}")
    op.create_index(
        "notifications_to_hand_over", "notifications", ["id"], postgresql_where=sa.text("handed_over_at IS NULL")
    )
    _create_channels(instant)
    _create_deliveries(instant)
    for table, rights in GRANTS.items():
        op.execute(f"GRANT {rights} ON {table} TO {ROLE}")
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY tenant ON {table} TO {ROLE} USING ({OWN_ROW}) WITH CHECK ({OWN_ROW})")


def _create_channels(instant: "sa.DateTime") -> None:
    table = "notification_channels"
    op.create_table(
        table,
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("address_box", sa.LargeBinary(), nullable=False),
        sa.Column("key_version", sa.Text(), nullable=False),
        sa.Column("address_hash", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("code_hash", sa.LargeBinary(), nullable=True),
        sa.Column("code_expires_at", instant, nullable=True),
        sa.Column("code_attempts", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("verified_at", instant, nullable=True),
        sa.Column("failures", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("last_failure", sa.Text(), nullable=True),
        sa.Column("created_at", instant, nullable=False, server_default=sa.func.now()),
        sa.CheckConstraint("kind IN ('email', 'webpush')", name="kind"),
        sa.CheckConstraint("state IN ('unverified', 'active', 'failed')", name="state"),
        sa.CheckConstraint("octet_length(address_hash) = 32", name="address_hash"),
        sa.CheckConstraint("octet_length(code_hash) = 32", name="code_hash"),
        sa.CheckConstraint("(code_hash IS NULL) = (code_expires_at IS NULL)", name="code_expires_at"),
        sa.CheckConstraint("(state = 'unverified') = (verified_at IS NULL)", name="verified_at"),
        sa.PrimaryKeyConstraint("id", name=f"{table}_pkey"),
        sa.UniqueConstraint("user_id", "kind", "address_hash", name=f"{table}_user_id_kind_address_hash_key"),
        sa.UniqueConstraint("id", "user_id", name=f"{table}_id_user_id_key"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=f"{table}_user_id_fkey", ondelete="CASCADE"),
    )
    op.create_index(f"{table}_kind_address_hash_idx", table, ["kind", "address_hash"])
    op.create_index(f"{table}_key_version_id_idx", table, ["key_version", "id"])


def _create_deliveries(instant: "sa.DateTime") -> None:
    table = "notification_deliveries"
    op.create_table(
        table,
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("notification_id", sa.BigInteger(), nullable=False),
        sa.Column("channel_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("silent", sa.Boolean(), nullable=False),
        sa.Column("due_at", instant, nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("leased_until", instant, nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("settled_at", instant, nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.CheckConstraint("outcome IN ('sent', 'failed', 'expired')", name="outcome"),
        sa.CheckConstraint("(outcome IS NULL) = (settled_at IS NULL)", name="settled_at"),
        sa.PrimaryKeyConstraint("id", name=f"{table}_pkey"),
        sa.UniqueConstraint("notification_id", "channel_id", name=f"{table}_notification_id_channel_id_key"),
        sa.ForeignKeyConstraint(
            ["notification_id"], ["notifications.id"], name=f"{table}_notification_id_fkey", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["channel_id", "user_id"],
            ["notification_channels.id", "notification_channels.user_id"],
            name=f"{table}_channel_id_user_id_fkey",
            ondelete="CASCADE",
        ),
    )
    op.create_index(f"{table}_channel_id_idx", table, ["channel_id"])
    op.create_index(f"{table}_due", table, ["due_at"], postgresql_where=sa.text("outcome IS NULL"))


def downgrade() -> None:
    """As it was: notices are in the inbox only."""
    op.drop_table("notification_deliveries")
    op.drop_table("notification_channels")
    op.drop_column("notifications", "handed_over_at")
