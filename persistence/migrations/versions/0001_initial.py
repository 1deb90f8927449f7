"""The first schema: users, broker accounts, strategies, runs, intents, logs.

Revision ID: 0001
Revises:
Create Date: 2026-11-21
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

NOW = sa.text("now()")
EMPTY = sa.text("'{}'::jsonb")
APPEND_ONLY = ("order_logs", "audit_log")
TABLES = (
    "users",
    "audit_log",
    "broker_accounts",
    "refresh_tokens",
    "strategies",
    "runs",
    "intents",
    "order_logs",
)


def upgrade() -> None:
    """Create everything, parents first."""
    _create_users()
    _create_audit_log()
    _create_broker_accounts()
    _create_refresh_tokens()
    _create_strategies()
    _create_runs()
    _create_intents()
    _create_order_logs()
    _refuse_changes_to_logs()


def downgrade() -> None:
    """Drop everything, children first."""
    for table in reversed(TABLES):
        op.drop_table(table)
    op.execute("DROP FUNCTION refuse_change()")


def _refuse_changes_to_logs() -> None:
    op.execute(
        """
        CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '% is append-only: % is not allowed', TG_TABLE_NAME, TG_OP
                USING ERRCODE = 'restrict_violation';
        END
        $$
        """
    )
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )


def _create_users() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.CheckConstraint("email = lower(email) AND email <> ''", name=op.f("users_email_check")),
        sa.PrimaryKeyConstraint("id", name="users_pkey"),
        sa.UniqueConstraint("email", name="users_email_key"),
    )


def _create_audit_log() -> None:
    op.create_table(
        "audit_log",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=True),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), server_default="", nullable=False),
        sa.Column("detail", postgresql.JSONB(none_as_null=True), server_default=EMPTY, nullable=False),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.CheckConstraint("action <> ''", name=op.f("audit_log_action_check")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="audit_log_user_id_fkey"),
        sa.PrimaryKeyConstraint("id", name="audit_log_pkey"),
    )
    op.create_index("audit_log_user_id_id_idx", "audit_log", ["user_id", "id"])


def _create_broker_accounts() -> None:
    op.create_table(
        "broker_accounts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("broker", sa.Text(), nullable=False),
        sa.Column("broker_user_id", sa.Text(), nullable=False),
        sa.Column("api_key_hint", sa.Text(), nullable=False),
        sa.Column("secrets_box", sa.LargeBinary(), nullable=False),
        sa.Column("key_version", sa.Text(), nullable=False),
        sa.Column("token_obtained_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("connected_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.CheckConstraint("broker IN ('kite', 'paper')", name=op.f("broker_accounts_broker_check")),
        sa.CheckConstraint("char_length(api_key_hint) <= 4", name=op.f("broker_accounts_api_key_hint_check")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="broker_accounts_user_id_fkey", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="broker_accounts_pkey"),
        sa.UniqueConstraint("id", "user_id", name="broker_accounts_id_user_id_key"),
        sa.UniqueConstraint("user_id", name="broker_accounts_user_id_key"),
    )


def _create_refresh_tokens() -> None:
    op.create_table(
        "refresh_tokens",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("family_id", sa.Uuid(), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("expires_at > issued_at", name=op.f("refresh_tokens_expires_at_check")),
        sa.CheckConstraint("octet_length(token_hash) = 32", name=op.f("refresh_tokens_token_hash_check")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="refresh_tokens_user_id_fkey", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="refresh_tokens_pkey"),
        sa.UniqueConstraint("token_hash", name="refresh_tokens_token_hash_key"),
    )
    op.create_index("refresh_tokens_family_id_idx", "refresh_tokens", ["family_id"])
    op.create_index("refresh_tokens_user_id_idx", "refresh_tokens", ["user_id"])


def _create_strategies() -> None:
    op.create_table(
        "strategies",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("exchange", sa.Text(), nullable=False),
        sa.Column("tradingsymbol", sa.Text(), nullable=False),
        sa.Column("instrument_token", sa.BigInteger(), nullable=False),
        sa.Column("product", sa.Text(), nullable=False),
        sa.Column("buy_time", sa.Time(), nullable=False),
        sa.Column("sell_time", sa.Time(), nullable=False),
        sa.Column("stop_loss_paise", sa.BigInteger(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), server_default="created", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "deleted_at IS NULL OR status IN ('created', 'stopped')", name=op.f("strategies_deleted_at_check")
        ),
        sa.CheckConstraint("product IN ('MIS', 'CNC')", name=op.f("strategies_product_check")),
        sa.CheckConstraint(
            "status IN ('created', 'running', 'paused', 'stopped')", name=op.f("strategies_status_check")
        ),
        sa.CheckConstraint("buy_time < sell_time", name=op.f("strategies_times_check")),
        sa.CheckConstraint("quantity > 0", name=op.f("strategies_quantity_check")),
        sa.CheckConstraint("stop_loss_paise > 0", name=op.f("strategies_stop_loss_paise_check")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="strategies_user_id_fkey"),
        sa.PrimaryKeyConstraint("id", name="strategies_pkey"),
        sa.UniqueConstraint("id", "user_id", name="strategies_id_user_id_key"),
    )
    op.create_index("strategies_user_id_id_idx", "strategies", ["user_id", "id"])


def _create_runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("strategy_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("broker_account_id", sa.BigInteger(), nullable=True),
        sa.Column("epoch", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("tag_key", sa.LargeBinary(), nullable=False),
        sa.Column("buy_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sell_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stop_loss_paise", sa.BigInteger(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("product", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="running", nullable=False),
        sa.Column("position", sa.Text(), server_default="none", nullable=False),
        sa.Column("status_detail", sa.Text(), server_default="", nullable=False),
        sa.Column("last_action", sa.Text(), server_default="", nullable=False),
        sa.Column("message", sa.Text(), server_default="", nullable=False),
        sa.Column("state", postgresql.JSONB(none_as_null=True), nullable=True),
        sa.Column("filled_quantity", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("buy_price", sa.Numeric(precision=18, scale=6), nullable=True),
        sa.Column("sell_price", sa.Numeric(precision=18, scale=6), nullable=True),
        sa.Column("pnl", sa.Numeric(precision=18, scale=6), nullable=True),
        sa.Column("last_price_paise", sa.BigInteger(), nullable=True),
        sa.Column("last_buy_order", sa.Text(), nullable=True),
        sa.Column("last_sell_order", sa.Text(), nullable=True),
        sa.Column("last_sl_order", sa.Text(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.CheckConstraint(
            "position IN ('none', 'buying', 'bought', 'selling', 'sold', 'exited_by_sl', 'buy_failed')",
            name=op.f("runs_position_check"),
        ),
        sa.CheckConstraint("product IN ('MIS', 'CNC')", name=op.f("runs_product_check")),
        sa.CheckConstraint("status IN ('running', 'paused', 'failed', 'stopped')", name=op.f("runs_status_check")),
        sa.CheckConstraint("buy_at < sell_at", name=op.f("runs_times_check")),
        sa.CheckConstraint(
            "ended_at IS NOT NULL OR broker_account_id IS NOT NULL", name=op.f("runs_broker_account_id_check")
        ),
        sa.CheckConstraint("epoch >= 0", name=op.f("runs_epoch_check")),
        sa.CheckConstraint("filled_quantity >= 0", name=op.f("runs_filled_quantity_check")),
        sa.CheckConstraint("octet_length(tag_key) >= 16", name=op.f("runs_tag_key_check")),
        sa.CheckConstraint("quantity > 0", name=op.f("runs_quantity_check")),
        sa.CheckConstraint("stop_loss_paise > 0", name=op.f("runs_stop_loss_paise_check")),
        sa.ForeignKeyConstraint(
            ["broker_account_id", "user_id"],
            ["broker_accounts.id", "broker_accounts.user_id"],
            name="runs_broker_account_id_user_id_fkey",
            ondelete="SET NULL (broker_account_id)",
        ),
        sa.ForeignKeyConstraint(
            ["strategy_id", "user_id"], ["strategies.id", "strategies.user_id"], name="runs_strategy_id_user_id_fkey"
        ),
        sa.PrimaryKeyConstraint("id", name="runs_pkey"),
        sa.UniqueConstraint("id", "strategy_id", "user_id", name="runs_id_strategy_id_user_id_key"),
    )
    op.create_index("runs_broker_account_id_idx", "runs", ["broker_account_id"])
    op.create_index(
        "runs_one_open_per_strategy", "runs", ["strategy_id"], unique=True, postgresql_where=sa.text("ended_at IS NULL")
    )
    op.create_index("runs_strategy_id_id_idx", "runs", ["strategy_id", "id"])
    op.create_index("runs_user_id_idx", "runs", ["user_id"])


def _create_intents() -> None:
    op.create_table(
        "intents",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("leg", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=True),
        sa.Column("tag", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="armed", nullable=False),
        sa.Column("claim_epoch", sa.BigInteger(), nullable=True),
        sa.Column("order_id", sa.Text(), nullable=True),
        sa.Column("filled_quantity", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("average_price", sa.Numeric(precision=18, scale=6), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.CheckConstraint("leg IN ('ENTRY', 'EXIT')", name=op.f("intents_leg_check")),
        sa.CheckConstraint("side = CASE leg WHEN 'ENTRY' THEN 'BUY' ELSE 'SELL' END", name=op.f("intents_side_check")),
        sa.CheckConstraint(
            "state IN ('armed', 'claimed', 'sent', 'acknowledged', 'filled', 'rejected', 'cancelled', 'failed')",
            name=op.f("intents_state_check"),
        ),
        sa.CheckConstraint("tag ~ '^[A-Za-z0-9]{1,20}$'", name=op.f("intents_tag_check")),
        sa.CheckConstraint("filled_quantity >= 0", name=op.f("intents_filled_quantity_check")),
        sa.CheckConstraint("quantity > 0", name=op.f("intents_quantity_check")),
        sa.CheckConstraint("seq > 0", name=op.f("intents_seq_check")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="intents_run_id_fkey"),
        sa.PrimaryKeyConstraint("id", name="intents_pkey"),
        sa.UniqueConstraint("run_id", "leg", "seq", name="intents_run_id_leg_seq_key"),
        sa.UniqueConstraint("tag", name="intents_tag_key"),
    )


def _create_order_logs() -> None:
    op.create_table(
        "order_logs",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("strategy_id", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("leg", sa.Text(), nullable=True),
        sa.Column("seq", sa.BigInteger(), nullable=True),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("quantity", sa.BigInteger(), nullable=True),
        sa.Column("price", sa.Numeric(precision=18, scale=6), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("detail", postgresql.JSONB(none_as_null=True), server_default=EMPTY, nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.CheckConstraint("event <> ''", name=op.f("order_logs_event_check")),
        sa.CheckConstraint("leg IS NULL OR leg IN ('ENTRY', 'EXIT')", name=op.f("order_logs_leg_check")),
        sa.ForeignKeyConstraint(
            ["run_id", "strategy_id", "user_id"],
            ["runs.id", "runs.strategy_id", "runs.user_id"],
            name="order_logs_run_id_strategy_id_user_id_fkey",
        ),
        sa.PrimaryKeyConstraint("id", name="order_logs_pkey"),
    )
    op.create_index("order_logs_run_id_idx", "order_logs", ["run_id"])
    op.create_index("order_logs_user_id_strategy_id_id_idx", "order_logs", ["user_id", "strategy_id", "id"])
