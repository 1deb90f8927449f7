"""Logins that end at once, and accounts that are deleted.

A refresh token's family becomes a row of its own: the login that access tokens name as well.

Revision ID: 0002
Revises: 0001
Create Date: 2026-12-05
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BELONGINGS = ("logins", "broker_accounts", "strategies", "runs")


def upgrade() -> None:
    """Make a login of every family of refresh tokens."""
    op.add_column("users", sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))
    _create_logins()
    op.alter_column("refresh_tokens", "family_id", new_column_name="login_id")
    op.execute("ALTER INDEX refresh_tokens_family_id_idx RENAME TO refresh_tokens_login_id_idx")
    op.drop_column("refresh_tokens", "revoked_at")
    op.create_foreign_key(
        "refresh_tokens_login_id_user_id_fkey",
        "refresh_tokens",
        "logins",
        ["login_id", "user_id"],
        ["id", "user_id"],
        ondelete="CASCADE",
    )
    _refuse_rows_of_deleted_users()


def downgrade() -> None:
    """Tell the tokens again what their login tells."""
    for table in BELONGINGS:
        op.execute(f"DROP TRIGGER {table}_of_live_user ON {table}")
    op.execute("DROP FUNCTION refuse_deleted_user()")
    op.add_column("refresh_tokens", sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE refresh_tokens SET revoked_at = logins.ended_at FROM logins WHERE logins.id = login_id")
    op.drop_constraint("refresh_tokens_login_id_user_id_fkey", "refresh_tokens", type_="foreignkey")
    op.execute("ALTER INDEX refresh_tokens_login_id_idx RENAME TO refresh_tokens_family_id_idx")
    op.alter_column("refresh_tokens", "login_id", new_column_name="family_id")
    op.drop_table("logins")
    op.drop_column("users", "deleted_at")


def _refuse_rows_of_deleted_users() -> None:
    # FOR KEY SHARE: who deletes the account holds FOR UPDATE, so that whatever races it waits, and is then refused.
    op.execute(
        """
        CREATE FUNCTION refuse_deleted_user() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM FROM users WHERE id = NEW.user_id AND deleted_at IS NULL FOR KEY SHARE;
            IF NOT FOUND THEN
                RAISE EXCEPTION 'user % has deleted the account', NEW.user_id
                    USING ERRCODE = 'restrict_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
            END IF;
            RETURN NEW;
        END
        $$
        """
    )
    for table in BELONGINGS:
        op.execute(
            f"CREATE TRIGGER {table}_of_live_user BEFORE INSERT ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_deleted_user()"
        )


def _create_logins() -> None:
    op.create_table(
        "logins",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("end_reason", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "end_reason IN ('logout', 'password_changed', 'token_reused', 'account_deleted')",
            name=op.f("logins_end_reason_check"),
        ),
        sa.CheckConstraint("end_reason IS NULL OR ended_at IS NOT NULL", name=op.f("logins_ended_at_check")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="logins_user_id_fkey", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="logins_pkey"),
        sa.UniqueConstraint("id", "user_id", name="logins_id_user_id_key"),
    )
    op.create_index("logins_user_id_idx", "logins", ["user_id"])
    # Revoking always took the whole family; its reason was not recorded.
    op.execute(
        "INSERT INTO logins (id, user_id, started_at, ended_at) "
        "SELECT family_id, user_id, min(issued_at), max(revoked_at) FROM refresh_tokens GROUP BY family_id, user_id"
    )
