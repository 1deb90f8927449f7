"""A stop-loss as a share of the fill, in hundredths of a percent, and the grid that its level is rounded to.

Revision ID: 0020
Revises: 0019
Create Date: 2026-12-30
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

OLD = "stop_loss_paise > 0"
LEVELS = {
    "strategies": "CASE WHEN stop_share IS NULL THEN stop_loss_paise > 0 ELSE stop_loss_paise = 0 END",
    "runs": "stop_loss_paise > 0 OR (stop_loss_paise = 0 AND stop_share IS NOT NULL)",
}


def upgrade() -> None:
    """Every strategy that exists keeps its level in rupees."""
    op.add_column("runs", sa.Column("tick_paise", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.create_check_constraint(op.f("runs_tick_paise_check"), "runs", "tick_paise >= 0")
    for table, level in LEVELS.items():
        op.add_column(table, sa.Column("stop_share", sa.BigInteger(), nullable=True))
        op.create_check_constraint(op.f(f"{table}_stop_share_check"), table, "stop_share > 0 AND stop_share < 10000")
        op.drop_constraint(op.f(f"{table}_stop_loss_paise_check"), table)
        op.create_check_constraint(op.f(f"{table}_stop_loss_paise_check"), table, level)


def downgrade() -> None:
    """Refused by the database while a strategy or a run has a share: it would have no stop-loss at all."""
    for table in LEVELS:
        op.drop_constraint(op.f(f"{table}_stop_loss_paise_check"), table)
        op.create_check_constraint(op.f(f"{table}_stop_loss_paise_check"), table, OLD)
        op.drop_column(table, "stop_share")
    op.drop_column("runs", "tick_paise")
