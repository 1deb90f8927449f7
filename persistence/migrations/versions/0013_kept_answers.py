"""Answers are kept by the Idempotency-Key of their request.

Revision ID: 0013
Revises: 0012
Create Date: 2026-12-20
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

ROLE = "tradeactors_tenant"
OWN_ROW = "user_id = nullif(current_setting('tradeactors.user_id', true), '')::bigint"


def upgrade() -> None:
    """A table of the tenants' own rows, behind the same wall as the others (decision 9)."""
    op.create_table(
        "kept_answers",
        sa.Column("user_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.BigInteger(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("kept_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.CheckConstraint("octet_length(key_hash) = 32", name="key_hash"),
        sa.CheckConstraint("octet_length(request_hash) = 32", name="request_hash"),
        sa.CheckConstraint("status BETWEEN 200 AND 299", name="status"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="kept_answers_user_id_fkey", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user_id", "key_hash", name="kept_answers_pkey"),
    )
    op.create_index("kept_answers_user_id_kept_at_idx", "kept_answers", ["user_id", "kept_at"])
    op.create_index("kept_answers_kept_at_idx", "kept_answers", ["kept_at"])
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON kept_answers TO {ROLE}")
    op.execute("ALTER TABLE kept_answers ENABLE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON kept_answers TO {ROLE} USING ({OWN_ROW}) WITH CHECK ({OWN_ROW})")


def downgrade() -> None:
    """As it was: requests that are repeated are carried out again."""
    op.drop_table("kept_answers")
