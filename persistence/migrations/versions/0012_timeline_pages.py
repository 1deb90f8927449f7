"""Pages of the order log are found by their order: of a strategy and of a run by time, and the lines of a leg.

Revision ID: 0012
Revises: 0011
Create Date: 2026-12-13
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

NEW = {
    "order_logs_user_id_strategy_id_occurred_at_id_idx": ["user_id", "strategy_id", "occurred_at", "id"],
    "order_logs_run_id_leg_seq_idx": ["run_id", "leg", "seq"],
    "order_logs_run_id_occurred_at_id_idx": ["run_id", "occurred_at", "id"],
}
OLD = {
    "order_logs_user_id_strategy_id_id_idx": ["user_id", "strategy_id", "id"],
    "order_logs_run_id_idx": ["run_id"],
}


def upgrade() -> None:
    """In every month, also in those to come. The new indexes begin with the columns of the old ones."""
    _replace(OLD, NEW)


def downgrade() -> None:
    """The indexes as they were."""
    _replace(NEW, OLD)


def _replace(before: dict[str, list[str]], after: dict[str, list[str]]) -> None:
    for name, columns in after.items():
        op.create_index(name, "order_logs", columns)
    for name in before:
        op.drop_index(name, table_name="order_logs")
