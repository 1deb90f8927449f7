"""Codes that the operator gives: to register, and to set a new password.

Revision ID: 0011
Revises: 0010
Create Date: 2026-12-20
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

ROLE = "tradeactors_tenant"


def upgrade() -> None:
    """A table of invitations, which no tenant may see, and the code of a user whose password is reset."""
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "invitations",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        sa.Column("invited_at", instant, nullable=False),
        sa.Column("expires_at", instant, nullable=False),
        sa.CheckConstraint("email = lower(email) AND email <> ''", name="email"),
        sa.CheckConstraint("octet_length(code_hash) = 32", name="code_hash"),
        sa.CheckConstraint("expires_at > invited_at", name="expires_at"),
        sa.PrimaryKeyConstraint("id", name="invitations_pkey"),
        sa.UniqueConstraint("email", name="invitations_email_key"),
        sa.UniqueConstraint("code_hash", name="invitations_code_hash_key"),
    )
    op.add_column("users", sa.Column("reset_code_hash", sa.LargeBinary(), nullable=True))
    op.add_column("users", sa.Column("reset_code_expires_at", instant, nullable=True))
    op.create_unique_constraint("users_reset_code_hash_key", "users", ["reset_code_hash"])
    op.create_check_constraint("reset_code_hash", "users", "octet_length(reset_code_hash) = 32")
    op.create_check_constraint(
        "reset_code_expires_at", "users", "(reset_code_hash IS NULL) = (reset_code_expires_at IS NULL)"
    )
    op.execute(f"GRANT UPDATE (reset_code_hash, reset_code_expires_at) ON users TO {ROLE}")


def downgrade() -> None:
    """As it was: codes that were given are void."""
    op.drop_column("users", "reset_code_expires_at")
    op.drop_column("users", "reset_code_hash")
    op.drop_table("invitations")
