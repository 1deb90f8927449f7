"""Row-level security: in a tenant's transaction the rows of all others do not exist (decision 9).

The owner of the tables is not subject to the policies: the engine works for all tenants, and logins find their user.

Revision ID: 0003
Revises: 0002
Create Date: 2026-12-06
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ROLE = "tradeactors_tenant"
OWN_USER = "nullif(current_setting('tradeactors.user_id', true), '')::bigint"
OWN_ROW = f"user_id = {OWN_USER}"

POLICIES = {
    "users": f"id = {OWN_USER}",
    "logins": OWN_ROW,
    "refresh_tokens": OWN_ROW,
    "broker_accounts": OWN_ROW,
    "strategies": OWN_ROW,
    "runs": OWN_ROW,
    "intents": f"EXISTS (SELECT FROM runs WHERE runs.id = run_id AND runs.{OWN_ROW})",
    "order_logs": OWN_ROW,
    "audit_log": OWN_ROW,
}
"""By table: which rows are the tenant's own, to read and to write."""

PRIVILEGES = {
    "users": "SELECT, UPDATE (email, password_hash, deleted_at)",
    "logins": "SELECT, INSERT, UPDATE (ended_at, end_reason)",
    "refresh_tokens": "SELECT, INSERT, UPDATE (used_at), DELETE",
    "broker_accounts": "SELECT, INSERT, UPDATE, DELETE",
    "strategies": "SELECT, INSERT, UPDATE, DELETE",
    "runs": "SELECT, INSERT, UPDATE (state)",
    "intents": "SELECT, INSERT",
    "order_logs": "SELECT",
    "audit_log": "SELECT, INSERT",
}
"""By table: what the API does for a tenant. A lock on a row needs UPDATE on one column."""


def upgrade() -> None:
    """Make the role, and write the policies for it."""
    _create_role()
    for table, own in POLICIES.items():
        op.execute(f"GRANT {PRIVILEGES[table]} ON {table} TO {ROLE}")
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY tenant ON {table} TO {ROLE} USING ({own}) WITH CHECK ({own})")


def downgrade() -> None:
    """Take the policies away. The role stays: it belongs to the whole server, and may be used by another database."""
    for table in reversed(POLICIES):
        op.execute(f"DROP POLICY tenant ON {table}")
        op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
        op.execute(f"REVOKE ALL ON {table} FROM {ROLE}")


def _create_role() -> None:
    # Roles belong to the server: another database's migration may have made it, or be making it at this moment.
    op.execute(
        f"""
        DO $$
        DECLARE
            before CONSTANT text := current_setting('role');
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{ROLE}') THEN
                BEGIN
                    CREATE ROLE {ROLE} NOLOGIN;
                EXCEPTION
                    WHEN duplicate_object OR unique_violation THEN NULL;
                    WHEN insufficient_privilege THEN
                        RAISE insufficient_privilege USING MESSAGE = format(
                            'the role {ROLE} is missing, and %1$I may not create it: an administrator must run '
                            'CREATE ROLE {ROLE} NOLOGIN; GRANT {ROLE} TO %1$I;', current_user);
                END;
            END IF;
            BEGIN
                EXECUTE format('GRANT {ROLE} TO %I', current_user);
            EXCEPTION
                WHEN insufficient_privilege THEN NULL; -- whether it was granted before shows below
            END;
            BEGIN
                PERFORM set_config('role', '{ROLE}', true);
                PERFORM set_config('role', before, true);
            EXCEPTION
                WHEN insufficient_privilege OR invalid_parameter_value THEN
                    RAISE insufficient_privilege USING MESSAGE = format(
                        '%1$I may not act as {ROLE}: an administrator must run GRANT {ROLE} TO %1$I;', current_user);
            END;
            IF NOT has_schema_privilege('{ROLE}', current_schema(), 'USAGE') THEN
                EXECUTE format('GRANT USAGE ON SCHEMA %I TO {ROLE}', current_schema());
            END IF;
        END
        $$
        """
    )
