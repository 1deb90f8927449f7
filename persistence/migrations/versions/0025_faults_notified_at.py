"""When the operator was last notified of a fault that lasts: he is notified again if it goes on.

Revision ID: 0025
Revises: 0024
Create Date: 2027-02-02
"""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Of what lasts already he was notified at some time before."""
    notified_at = sa.Column("notified_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now())
    op.add_column("operator_faults", notified_at)


def downgrade() -> None:
    """He is notified once."""
    op.drop_column("operator_faults", "notified_at")
