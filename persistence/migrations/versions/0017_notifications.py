"""What traders are notified of, and how they want it.

Revision ID: 0017
Revises: 0015
Create Date: 2027-01-04
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

ROLE = "tradeactors_tenant"
OWN_ROW = "user_id = nullif(current_setting('tradeactors.user_id', true), '')::bigint"
GRANTS = {
    "notifications": "SELECT, INSERT, UPDATE (over_at, read_at), DELETE",
    "notification_preferences": "SELECT, INSERT, UPDATE, DELETE",
}


def upgrade() -> None:
    """Two tables of the tenants' own rows, behind the same wall as the others (decision 9)."""
    _create_notifications()
    op.create_table(
        "notification_preferences",
        sa.Column("user_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("quiet_from", sa.Time(), nullable=True),
        sa.Column("quiet_until", sa.Time(), nullable=True),
        sa.Column("amounts", sa.Boolean(), nullable=False),
        sa.Column("levels", JSONB(), nullable=False, server_default=sa.text("'{}'::jsonb")),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.CheckConstraint("(quiet_from IS NULL) = (quiet_until IS NULL)", name="quiet_until"),
        sa.CheckConstraint("quiet_from <> quiet_until", name="quiet_from"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="notification_preferences_user_id_fkey", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", name="notification_preferences_pkey"),
    )
    for table, rights in GRANTS.items():
        op.execute(f"GRANT {rights} ON {table} TO {ROLE}")
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY tenant ON {table} TO {ROLE} USING ({OWN_ROW}) WITH CHECK ({OWN_ROW})")


def _create_notifications() -> None:
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "notifications",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("brief", sa.Text(), nullable=False),
        sa.Column("condition", sa.Text(), nullable=True),
        sa.Column("resolves", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        sa.Column("strategy_id", sa.BigInteger(), nullable=True),
        sa.Column("run_id", sa.BigInteger(), nullable=True),
        sa.Column("at", instant, nullable=False),
        sa.Column("recorded_at", instant, nullable=False, server_default=sa.func.now()),
        sa.Column("over_at", instant, nullable=True),
        sa.Column("read_at", instant, nullable=True),
        sa.CheckConstraint("key <> ''", name="key"),
        sa.CheckConstraint("kind <> ''", name="kind"),
        sa.CheckConstraint("text <> '' AND brief <> ''", name="text"),
        sa.CheckConstraint("over_at IS NULL OR condition IS NOT NULL", name="over_at"),
        sa.PrimaryKeyConstraint("id", name="notifications_pkey"),
        sa.UniqueConstraint("user_id", "key", name="notifications_user_id_key_key"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="notifications_user_id_fkey", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["strategy_id", "user_id"],
            ["strategies.id", "strategies.user_id"],
            name="notifications_strategy_id_user_id_fkey",
            ondelete="SET NULL (strategy_id)",
        ),
    )
    op.create_index(
        "notifications_one_open_per_condition",
        "notifications",
        ["user_id", "condition"],
        unique=True,
        postgresql_where=sa.text("over_at IS NULL AND condition IS NOT NULL"),
    )
    op.create_index("notifications_user_id_id_idx", "notifications", ["user_id", "id"])
    op.create_index("notifications_unread", "notifications", ["user_id"], postgresql_where=sa.text("read_at IS NULL"))
    op.create_index("notifications_strategy_id_idx", "notifications", ["strategy_id"])
    op.create_index("notifications_recorded_at_idx", "notifications", ["recorded_at"])


def downgrade() -> None:
    """As it was: alerts go to the operator only."""
    op.drop_table("notification_preferences")
    op.drop_table("notifications")
