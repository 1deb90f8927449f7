"""What a restore has brought back: runs are marked, so that their next incarnations take their past for unknown, and
schedules, so that they start nothing on a day that had begun.
"""

from collections.abc import Callable
from datetime import date, datetime

from sqlalchemy import create_engine, text

from persistence.database.engine import translated_errors

_OPEN = text("SELECT count(*) FROM runs WHERE ended_at IS NULL")
_BROKERS = text("SELECT DISTINCT broker FROM broker_accounts ORDER BY broker")
_MARK = text(
    """
    UPDATE runs
    SET epoch = greatest(epoch + 1, :epoch),
        state = coalesce(state, '{}'::jsonb) || jsonb_build_object('restored', jsonb_build_object(
            'backed_up_at', CAST(:backed_up_at AS text), 'provable_until', CAST(:provable_until AS text)))
    FROM broker_accounts
    WHERE broker_accounts.id = runs.broker_account_id AND broker_accounts.broker = :broker AND runs.ended_at IS NULL
    """
)
_HAS_SCHEDULES = text("SELECT to_regclass('public.schedules') IS NOT NULL")
"""Not in backups of earlier versions, which are migrated when the stack starts."""

_MARK_SCHEDULES = text(
    "UPDATE schedules SET restored_at = :restored_at, next_look_at = :restored_at, updated_at = now() "
    "WHERE state <> 'ended'"
)
_TELL = text("INSERT INTO audit_log (action, subject) VALUES ('restored_from_backup', :backed_up_at)")


def mark_restored_runs(
    database_url: str, *, backed_up_at: datetime, restored_at: datetime, provable_until: Callable[[str], date]
) -> int:
    """Mark every open run and schedule of a restored database, before any process loads it; returns how
    many runs there are.

    `provable_until` says of a broker until which day its order book shows everything since the backup
    (`actors.domain.strategy.spec.Restored`). Epochs rise to the second of the restore, which is far above any that an
    actor reaches one by one: what a process of before the restore still claims or records is refused (mechanism 5).

    Raises:
        DatabaseUnavailable: if PostgreSQL does not answer.
    """
    engine = create_engine(database_url)
    try:
        with translated_errors(), engine.begin() as connection:
            for broker in connection.scalars(_BROKERS).all():
                values = {
                    "broker": broker,
                    "epoch": int(restored_at.timestamp()),
                    "backed_up_at": backed_up_at.isoformat(),
                    "provable_until": provable_until(broker).isoformat(),
                }
                connection.execute(_MARK, values)
            if connection.scalar(_HAS_SCHEDULES):
                connection.execute(_MARK_SCHEDULES, {"restored_at": restored_at})
            connection.execute(_TELL, {"backed_up_at": backed_up_at.isoformat()})
            return int(connection.scalar(_OPEN) or 0)
    finally:
        engine.dispose()
