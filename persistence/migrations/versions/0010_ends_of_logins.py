"""What a user sees of a login, when it was used and confirmed last, and which broker account was disconnected.

Revision ID: 0010
Revises: 0009
Create Date: 2026-12-20
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

ROLE = "tradeactors_tenant"
ENDS_BEFORE = ("logout", "password_changed", "password_reset", "token_reused", "account_deleted")
ENDS = (*ENDS_BEFORE, "ended_by_user", "expired")


def upgrade() -> None:
    """New columns of users and logins. A login that goes on was last used when its newest refresh token was issued."""
    op.add_column("users", sa.Column("disconnected_account", sa.Text(), nullable=True))
    op.execute(f"GRANT UPDATE (disconnected_account) ON users TO {ROLE}")
    op.add_column("logins", sa.Column("number", sa.BigInteger(), sa.Identity(always=True), nullable=False))
    op.create_unique_constraint("logins_number_key", "logins", ["number"])
    op.add_column("logins", sa.Column("last_address", sa.Text(), nullable=True))
    op.add_column("logins", sa.Column("user_agent", sa.Text(), nullable=False, server_default=""))
    for name in ("last_used_at", "confirmed_at"):
        op.add_column(
            "logins", sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now())
        )
    op.execute(
        "UPDATE logins SET last_address = address, confirmed_at = started_at, last_used_at = coalesce((SELECT "
        "max(issued_at) FROM refresh_tokens WHERE login_id = logins.id), ended_at, started_at)"
    )
    op.execute(f"GRANT UPDATE (last_used_at, last_address, confirmed_at) ON logins TO {ROLE}")
    _allow_ends(ENDS)


def downgrade() -> None:
    """As it was; a login that its user ended, or that was too old, counts as logged out."""
    op.execute("UPDATE logins SET end_reason = 'logout' WHERE end_reason IN ('ended_by_user', 'expired')")
    _allow_ends(ENDS_BEFORE)
    for name in ("confirmed_at", "last_used_at", "user_agent", "last_address"):
        op.drop_column("logins", name)
    op.drop_constraint("logins_number_key", "logins")
    op.drop_column("logins", "number")
    op.drop_column("users", "disconnected_account")


def _allow_ends(ends: tuple[str, ...]) -> None:
    words = ", ".join(f"'{end}'" for end in ends)
    op.execute("ALTER TABLE logins DROP CONSTRAINT logins_end_reason_check")
    op.execute(f"ALTER TABLE logins ADD CONSTRAINT logins_end_reason_check CHECK (end_reason IN ({words}))")
