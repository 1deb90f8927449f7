"""Schedules of strategies, and a row for each of their days.

Revision ID: 0021
Revises: 0020
Create Date: 2027-01-08
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

ROLE = "tradeactors_tenant"
OWN_ROW = "user_id = nullif(current_setting('tradeactors.user_id', true), '')::bigint"
GRANTS = {"schedules": "SELECT, INSERT, UPDATE, DELETE", "schedule_days": "SELECT, INSERT, UPDATE"}
INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Two tables with policies. No strategy has a schedule at first. A user cannot delete a day."""
    _create_schedules()
    _create_days()
    for table, rights in GRANTS.items():
        op.execute(f"GRANT {rights} ON {table} TO {ROLE}")
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY tenant ON {table} TO {ROLE} USING ({OWN_ROW}) WITH CHECK ({OWN_ROW})")


def _create_schedules() -> None:
    op.create_table(
        "schedules",
        sa.Column("strategy_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("days", sa.BigInteger(), nullable=False),
        sa.Column("special_sessions", sa.Boolean(), nullable=False),
        sa.Column("from_date", sa.Date(), nullable=False),
        sa.Column("until_date", sa.Date(), nullable=True),
        sa.Column("skip_dates", sa.ARRAY(sa.Date()), nullable=False, server_default=sa.text("'{}'")),
        sa.Column("state", sa.Text(), nullable=False, server_default="active"),
        sa.Column("pause_reason", sa.Text(), nullable=True),
        sa.Column("paused_until", sa.Date(), nullable=True),
        sa.Column("active_since", INSTANT, nullable=False),
        sa.Column("looked_at", INSTANT, nullable=False),
        sa.Column("restored_at", INSTANT, nullable=True),
        sa.Column("next_look_at", INSTANT, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False, server_default=sa.func.now()),
        sa.Column("updated_at", INSTANT, nullable=False, server_default=sa.func.now()),
        sa.CheckConstraint("days BETWEEN 1 AND 127", name="days"),
        sa.CheckConstraint("until_date IS NULL OR until_date >= from_date", name="until_date"),
        sa.CheckConstraint("(state = 'paused') = (pause_reason IS NOT NULL)", name="pause_reason"),
        sa.CheckConstraint("paused_until IS NULL OR state = 'paused'", name="paused_until"),
        sa.CheckConstraint("state IN ('active', 'paused', 'ended')", name="state"),
        sa.PrimaryKeyConstraint("strategy_id", name="schedules_pkey"),
        _strategy("schedules"),
    )
    op.create_index("schedules_user_id_strategy_id_idx", "schedules", ["user_id", "strategy_id"])
    open_ones = sa.text("state <> 'ended'")
    op.create_index("schedules_to_look_at", "schedules", ["next_look_at"], postgresql_where=open_ones)


def _create_days() -> None:
    op.create_table(
        "schedule_days",
        sa.Column("strategy_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("session_date", sa.Date(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False, server_default="waiting"),
        sa.Column("code", sa.Text(), nullable=False, server_default=""),
        sa.Column("reason", sa.Text(), nullable=False, server_default=""),
        sa.Column("run_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False, server_default=sa.func.now()),
        sa.Column("updated_at", INSTANT, nullable=False, server_default=sa.func.now()),
        sa.CheckConstraint("(outcome = 'armed') = (run_id IS NOT NULL)", name="run_id"),
        sa.CheckConstraint("outcome IN ('waiting', 'armed', 'skipped', 'missed')", name="outcome"),
        sa.PrimaryKeyConstraint("strategy_id", "session_date", name="schedule_days_pkey"),
        _strategy("schedule_days"),
        sa.ForeignKeyConstraint(
            ["run_id", "strategy_id", "user_id"],
            ["runs.id", "runs.strategy_id", "runs.user_id"],
            name="schedule_days_run_id_strategy_id_user_id_fkey",
        ),
    )
    op.create_index("schedule_days_user_id_session_date_idx", "schedule_days", ["user_id", "session_date"])


def _strategy(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["strategy_id", "user_id"],
        ["strategies.id", "strategies.user_id"],
        name=f"{table}_strategy_id_user_id_fkey",
        ondelete="CASCADE",
    )


def downgrade() -> None:
    """As it was: each START arms one session."""
    op.drop_table("schedule_days")
    op.drop_table("schedules")
