"""What all tenants together take of the machine, and from which networks a user has logged in before.

Revision ID: 0006
Revises: 0005
Create Date: 2026-12-10
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

ROLE = "tradeactors_tenant"
ENDS = ("logout", "password_changed", "password_reset", "token_reused", "account_deleted")


def upgrade() -> None:
    """A function that counts past the walls between tenants, and the address of a login."""
    _create_engine_load()
    op.add_column("logins", sa.Column("address", sa.Text(), nullable=True))
    op.create_index("logins_user_id_address_idx", "logins", ["user_id", "address"])
    op.drop_index("logins_user_id_idx", table_name="logins")  # the new one begins with the same column
    _allow_ends(ENDS)


def downgrade() -> None:
    """As it was; a password that was reset counts as changed."""
    op.execute("UPDATE logins SET end_reason = 'password_changed' WHERE end_reason = 'password_reset'")
    _allow_ends(tuple(end for end in ENDS if end != "password_reset"))
    op.create_index("logins_user_id_idx", "logins", ["user_id"])
    op.drop_index("logins_user_id_address_idx", table_name="logins")
    op.drop_column("logins", "address")
    op.execute("DROP FUNCTION engine_load()")


def _create_engine_load() -> None:
    # SECURITY DEFINER: a tenant's transaction sees its own runs only. Two numbers are all that comes out.
    op.execute(
        """
        DO $do$
        BEGIN
            EXECUTE format($sql$
                CREATE FUNCTION engine_load(OUT running bigint, OUT symbols bigint)
                LANGUAGE sql SECURITY DEFINER SET search_path = %I, pg_temp AS $body$
                    SELECT count(*), count(DISTINCT (broker, exchange, tradingsymbol))
                    FROM runs
                    JOIN strategies ON strategies.id = runs.strategy_id
                    JOIN broker_accounts ON broker_accounts.id = runs.broker_account_id
                    WHERE runs.ended_at IS NULL
                $body$
            $sql$, current_schema());
        END
        $do$
        """
    )
    op.execute("REVOKE ALL ON FUNCTION engine_load() FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION engine_load() TO {ROLE}")


def _allow_ends(ends: tuple[str, ...]) -> None:
    words = ", ".join(f"'{end}'" for end in ends)
    op.execute("ALTER TABLE logins DROP CONSTRAINT logins_end_reason_check")
    op.execute(f"ALTER TABLE logins ADD CONSTRAINT logins_end_reason_check CHECK (end_reason IN ({words}))")
