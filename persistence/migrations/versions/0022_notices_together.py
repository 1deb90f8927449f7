"""Which notices on their way may wait for others of the same channel, to go in one message.

Revision ID: 0022
Revises: 0021
Create Date: 2027-01-14
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

TABLE = "notification_deliveries"


def upgrade() -> None:
    """Those that are on their way go alone."""
    op.add_column(TABLE, sa.Column("may_wait", sa.Boolean(), nullable=False, server_default=sa.text("false")))


def downgrade() -> None:
    """As it was: each goes alone."""
    op.drop_column(TABLE, "may_wait")
