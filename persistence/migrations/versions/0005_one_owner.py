"""An account at a broker has one owner: two users of one account would watch and count its orders apart.

Of several connections to one account, the one with open runs is kept, else the one that was made last; the others are
removed, each with a line of the log and of its user's audit log. If strategies of several users run on one account,
nothing is changed: only those users can say who goes on.

Revision ID: 0005
Revises: 0004
Create Date: 2026-12-09
"""

import structlog
from alembic import op
from sqlalchemy import text

from persistence.errors import SchemaRefused

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

log = structlog.stdlib.get_logger(__name__)

CONSTRAINT = "broker_accounts_broker_broker_user_id_key"

RANKED = """
    SELECT id, user_id, broker, broker_user_id, runs,
           row_number() OVER account AS place,
           count(*) FILTER (WHERE runs) OVER (PARTITION BY broker, broker_user_id) AS owners_with_runs
    FROM (
        SELECT broker_accounts.*,
               EXISTS (SELECT FROM runs WHERE broker_account_id = broker_accounts.id AND ended_at IS NULL) AS runs
        FROM broker_accounts
    ) AS connection
    WINDOW account AS (PARTITION BY broker, broker_user_id ORDER BY runs DESC, connected_at DESC, id DESC)
"""


def upgrade() -> None:
    """Remove the surplus connections, and prevent new ones."""
    op.execute("LOCK TABLE broker_accounts, runs IN SHARE ROW EXCLUSIVE MODE")
    _refuse_several_with_runs()
    _remove_surplus()
    op.create_unique_constraint(CONSTRAINT, "broker_accounts", ["broker", "broker_user_id"])


def downgrade() -> None:
    """Let an account have several owners again; connections that were removed stay so."""
    op.drop_constraint(CONSTRAINT, "broker_accounts", type_="unique")


def _refuse_several_with_runs() -> None:
    found = op.get_bind().execute(
        text(
            f"SELECT broker, broker_user_id, string_agg(user_id::text, ', ' ORDER BY user_id) AS users "  # noqa: S608
            f"FROM ({RANKED}) AS ranked WHERE runs AND owners_with_runs > 1 GROUP BY broker, broker_user_id"
        )
    )
    shared = [f"{row.broker} account {row.broker_user_id} by users {row.users}" for row in found]
    if shared:
        raise SchemaRefused(
            f"Strategies of several users run on one broker account: {'; '.join(shared)}. An account can have one "
            "owner only. Nothing was changed: start the version from before the upgrade, let all but one of these "
            "users stop their strategies, and upgrade again."
        )


def _remove_surplus() -> None:
    bind = op.get_bind()
    removed = bind.execute(
        text(
            f"DELETE FROM broker_accounts USING ({RANKED}) AS ranked "  # noqa: S608 - constant text
            "WHERE broker_accounts.id = ranked.id AND ranked.place > 1 "
            "RETURNING ranked.user_id, ranked.broker, ranked.broker_user_id"
        )
    ).all()
    for row in removed:
        bind.execute(
            text(
                "INSERT INTO audit_log (user_id, action, subject, detail) VALUES (:user_id, 'broker_disconnect', "
                ":broker, jsonb_build_object('reason', 'account_taken', 'account', CAST(:account AS text)))"
            ),
            {"user_id": row.user_id, "broker": row.broker, "account": row.broker_user_id},
        )
        log.warning("broker_connection_removed", user_id=row.user_id, broker=row.broker, account=row.broker_user_id)
    if removed:
        log.warning("broker_accounts_have_one_owner", connections_removed=len(removed))
