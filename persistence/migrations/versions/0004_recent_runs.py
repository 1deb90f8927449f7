"""The open and the recent runs of an account are found without reading its history: the watcher asks every few seconds.

Revision ID: 0004
Revises: 0003
Create Date: 2026-12-08
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The new index serves whatever the old one served: it begins with the same column."""
    op.create_index("runs_broker_account_id_ended_at_idx", "runs", ["broker_account_id", "ended_at"])
    op.drop_index("runs_broker_account_id_idx", table_name="runs")


def downgrade() -> None:
    """The index as it was."""
    op.create_index("runs_broker_account_id_idx", "runs", ["broker_account_id"])
    op.drop_index("runs_broker_account_id_ended_at_idx", table_name="runs")
