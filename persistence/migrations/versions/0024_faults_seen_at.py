"""When a fault of the deployment was last seen: processes that see differently must not begin and end it in turns.

Revision ID: 0024
Revises: 0023
Create Date: 2027-01-26
"""

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What was when it began is when it was last seen."""
    op.alter_column("operator_faults", "since", new_column_name="seen_at")


def downgrade() -> None:
    """As it was."""
    op.alter_column("operator_faults", "seen_at", new_column_name="since")
