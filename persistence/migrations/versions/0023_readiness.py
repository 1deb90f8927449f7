"""What was last found of each user's trading day, and the faults that the operator has heard of.

Revision ID: 0023
Revises: 0022
Create Date: 2027-01-19
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

ROLE = "tradeactors_tenant"
OWN_ROW = "user_id = nullif(current_setting('tradeactors.user_id', true), '')::bigint"


def upgrade() -> None:
    """One row for each user, who sees that of no other; and one for each fault, which no user sees."""
    instant, table = sa.DateTime(timezone=True), "readiness"
    op.create_table(
        table,
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Date(), nullable=True),
        sa.Column("verdict", sa.Text(), nullable=True),
        sa.Column("body", postgresql.JSONB(), nullable=True),
        sa.Column("found_at", instant, nullable=True),
        sa.Column("told", postgresql.JSONB(), nullable=False, server_default=sa.text("'{}'::jsonb")),
        sa.Column("leased_until", instant, nullable=True),
        sa.CheckConstraint("verdict IN ('ready', 'attention', 'blocked', 'no_session')", name="verdict"),
        sa.PrimaryKeyConstraint("user_id", name=f"{table}_pkey"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=f"{table}_user_id_fkey", ondelete="CASCADE"),
    )
    op.execute(f"GRANT SELECT, INSERT, DELETE ON {table} TO {ROLE}")
    op.execute(f"GRANT UPDATE (day, verdict, body, found_at, told, leased_until) ON {table} TO {ROLE}")
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON {table} TO {ROLE} USING ({OWN_ROW}) WITH CHECK ({OWN_ROW})")
    op.create_table(
        "operator_faults",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("since", instant, nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("code", name="operator_faults_pkey"),
    )


def downgrade() -> None:
    """As it was: nothing is looked at before its time."""
    op.drop_table("operator_faults")
    op.drop_table("readiness")
