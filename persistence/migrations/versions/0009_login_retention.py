"""Logins that have ended are found by their end, to be forgotten.

Revision ID: 0009
Revises: 0008
Create Date: 2026-12-12
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Two indexes: by the end, and of those that have none by their beginning."""
    op.create_index("logins_ended_at_idx", "logins", ["ended_at"])
    op.create_index("logins_open_started_at", "logins", ["started_at"], postgresql_where=sa.text("ended_at IS NULL"))


def downgrade() -> None:
    """As it was."""
    op.drop_index("logins_open_started_at", table_name="logins")
    op.drop_index("logins_ended_at_idx", table_name="logins")
