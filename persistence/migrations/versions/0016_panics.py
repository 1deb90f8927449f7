"""Panics: marks that forbid the entries of a user until he allows them again.

Revision ID: 0016
Revises: 0015
Create Date: 2026-12-29
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

ROLE = "tradeactors_tenant"
OWN_ROW = "user_id = nullif(current_setting('tradeactors.user_id', true), '')::bigint"
TABLE = "panics"


def upgrade() -> None:
    """A table with a policy. A user cannot delete a panic, and of an old one only its ends can change."""
    instant = sa.DateTime(timezone=True)
    op.create_table(
        TABLE,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False, server_default="user"),
        sa.Column("asked_at", instant, nullable=False, server_default=sa.func.now()),
        sa.Column("finished_at", instant, nullable=True),
        sa.Column("unlocked_at", instant, nullable=True),
        sa.Column("not_touched", postgresql.JSONB(), nullable=True),
        sa.CheckConstraint("asked_by IN ('user', 'operator')", name="asked_by"),
        sa.PrimaryKeyConstraint("id", name=f"{TABLE}_pkey"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=f"{TABLE}_user_id_fkey", ondelete="CASCADE"),
    )
    op.create_index(
        "panics_one_lock_per_user", TABLE, ["user_id"], unique=True, postgresql_where=sa.text("unlocked_at IS NULL")
    )
    op.create_index("panics_unfinished", TABLE, ["user_id"], postgresql_where=sa.text("finished_at IS NULL"))
    op.create_index(f"{TABLE}_user_id_asked_at_idx", TABLE, ["user_id", "asked_at"])
    op.execute(f"GRANT SELECT, INSERT, UPDATE (finished_at, unlocked_at, not_touched) ON {TABLE} TO {ROLE}")
    op.execute(f"ALTER TABLE {TABLE} ENABLE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON {TABLE} TO {ROLE} USING ({OWN_ROW}) WITH CHECK ({OWN_ROW})")


def downgrade() -> None:
    """As it was: no entries are forbidden."""
    op.drop_table(TABLE)
