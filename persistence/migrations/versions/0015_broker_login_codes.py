"""Codes by which a login at the broker comes back to its user: the state of a login, and links in messages.

Revision ID: 0015
Revises: 0013
Create Date: 2026-12-28
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0013"
branch_labels = None
depends_on = None

ROLE = "tradeactors_tenant"
OWN_ROW = "user_id = nullif(current_setting('tradeactors.user_id', true), '')::bigint"
TABLE = "broker_login_codes"


def upgrade() -> None:
    """A table with a policy. What belongs to a connection goes with it."""
    instant = sa.DateTime(timezone=True)
    op.create_table(
        TABLE,
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("broker_account_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        sa.Column("link_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", instant, nullable=False),
        sa.Column("expires_at", instant, nullable=False),
        sa.Column("taken_at", instant, nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.CheckConstraint("kind IN ('state', 'link')", name="kind"),
        sa.CheckConstraint("octet_length(code_hash) = 32", name="code_hash"),
        sa.CheckConstraint("expires_at > created_at", name="expires_at"),
        sa.CheckConstraint("outcome IS NULL OR taken_at IS NOT NULL", name="outcome"),
        sa.PrimaryKeyConstraint("id", name=f"{TABLE}_pkey"),
        sa.UniqueConstraint("code_hash", name=f"{TABLE}_code_hash_key"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=f"{TABLE}_user_id_fkey", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["broker_account_id", "user_id"],
            ["broker_accounts.id", "broker_accounts.user_id"],
            name=f"{TABLE}_broker_account_id_user_id_fkey",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["link_id"], [f"{TABLE}.id"], name=f"{TABLE}_link_id_fkey", ondelete="CASCADE"),
    )
    op.create_index(f"{TABLE}_user_id_id_idx", TABLE, ["user_id", "id"])
    op.create_index(f"{TABLE}_broker_account_id_idx", TABLE, ["broker_account_id"])
    op.create_index(f"{TABLE}_link_id_idx", TABLE, ["link_id"])
    op.execute(f"GRANT SELECT, INSERT, UPDATE (taken_at, outcome), DELETE ON {TABLE} TO {ROLE}")
    op.execute(f"ALTER TABLE {TABLE} ENABLE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON {TABLE} TO {ROLE} USING ({OWN_ROW}) WITH CHECK ({OWN_ROW})")


def downgrade() -> None:
    """As it was: logins that are under way come back to nothing, and links that were sent open nothing."""
    op.drop_table(TABLE)
