"""What is too old to be kept: which records would go, which stay and why, and their removal.

Order log and audit log lose whole months, by dropping their partitions: no line of them is ever deleted or changed.
Logins that have ended are deleted, and so are old notices and answers. Nothing else goes: users, broker
accounts, strategies, runs and intents are kept.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from persistence.database.engine import Sessions, transaction
from persistence.database.partitions import LOGS, Partition, be_patient, make_months, month_after, partitions_of
from persistence.database.repositories.audit import AuditLog
from persistence.database.repositories.kept_answers import KEPT_FOR

_LOCK_PATIENCE_S = 2.0
_BATCH = 1000

_OVER = """
    (ended_at < :before OR (ended_at IS NULL AND started_at < :before AND NOT EXISTS (
        SELECT FROM refresh_tokens WHERE login_id = logins.id AND expires_at > now())))
"""
"""Logins that ended before then, or were left without a token that could carry them on."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long records are kept; None: without limit."""

    order_logs: timedelta | None
    audit_log: timedelta | None
    logins: timedelta
    notifications: timedelta

    def of_log(self, log: str) -> timedelta | None:
        """That of one of `LOGS`."""
        return self.order_logs if log == "order_logs" else self.audit_log


@dataclass(frozen=True, slots=True)
class OldRecords:
    """Records beyond their retention. `kept_because`: why they stay nevertheless, or nothing.

    `bytes_on_disk` has the indexes with it, except for rows that lie among others.
    """

    table: str
    period: str
    rows: int
    oldest: datetime | None
    newest: datetime | None
    bytes_on_disk: int
    kept_because: str = ""


@dataclass(frozen=True, slots=True)
class _OldPartition:
    partition: Partition
    records: OldRecords


async def old_records(sessions: Sessions, retention: Retention, now: datetime) -> list[OldRecords]:
    """What `prune` would remove at that instant, and what it would keep for the sake of open runs. Changes nothing."""
    async with transaction(sessions) as session:
        await be_patient(session, _LOCK_PATIENCE_S)
        found = []
        for log in LOGS:
            found += [old.records async for old in _old_partitions(session, log, retention, now)]
            found += [records async for records in _old_strays(session, log, retention, now)]
        old = [await _old_logins(session, now - retention.logins)]
        old.append(await _old_notifications(session, now - retention.notifications))
    return [*found, *(records for records in old if records.rows)]


async def prune(sessions: Sessions, retention: Retention, now: datetime) -> list[OldRecords]:
    """Remove what `old_records` names; what was removed and what was kept. Each month is a transaction of its own.

    The audit log has a line about each month that was removed.

    Raises:
        DatabaseBusy: other transactions hold a log; what was removed before stays so. Call again.
        DatabaseUnavailable: if PostgreSQL does not answer.
    """
    await make_months(sessions, now)
    done = []
    for log in LOGS:
        async with transaction(sessions) as session:
            await be_patient(session, _LOCK_PATIENCE_S)
            candidates = [old async for old in _old_partitions(session, log, retention, now)]
        for old in candidates:
            if not old.records.kept_because:
                await _drop(sessions, old)
            done.append(old.records)
    async with transaction(sessions) as session:
        logins = await _old_logins(session, now - retention.logins)
        notices = await _old_notifications(session, now - retention.notifications)
    if logins.rows:
        await forget_logins(sessions, now - retention.logins)
        done.append(logins)
    if notices.rows:
        await forget_notifications(sessions, now - retention.notifications)
        done.append(notices)
    return done


async def forget_logins(sessions: Sessions, before: datetime) -> int:
    """Delete logins that ended before an instant, or could not be carried on since; how many there were.

    Raises:
        DatabaseUnavailable: if PostgreSQL does not answer.
    """
    forget = text(
        f"DELETE FROM logins WHERE id IN (SELECT id FROM logins WHERE {_OVER} "  # noqa: S608 - constant text
        "LIMIT :batch FOR UPDATE SKIP LOCKED) "
        "RETURNING id"
    )
    return await _delete_in_batches(sessions, forget, {"before": before})


async def forget_answers(sessions: Sessions) -> int:
    """Delete answers that are no longer given again; how many there were.

    Raises:
        DatabaseUnavailable: if PostgreSQL does not answer.
    """
    forget = text(
        "DELETE FROM kept_answers WHERE (user_id, key_hash) IN (SELECT user_id, key_hash FROM kept_answers "
        "WHERE kept_at <= now() - :kept_for LIMIT :batch FOR UPDATE SKIP LOCKED) RETURNING user_id"
    )
    return await _delete_in_batches(sessions, forget, {"kept_for": KEPT_FOR})


async def forget_notifications(sessions: Sessions, before: datetime) -> int:
    """Delete notices that were recorded before an instant, read or not; how many there were.

    Raises:
        DatabaseUnavailable: if PostgreSQL does not answer.
    """
    forget = text(
        "DELETE FROM notifications WHERE id IN (SELECT id FROM notifications WHERE recorded_at < :before "
        "LIMIT :batch FOR UPDATE SKIP LOCKED) RETURNING id"
    )
    return await _delete_in_batches(sessions, forget, {"before": before})


async def _delete_in_batches(sessions: Sessions, delete: TextClause, values: Mapping[str, object]) -> int:
    """Delete what a statement with the bound `:batch` finds, in a transaction for each batch; how many rows."""
    deleted = 0
    while True:
        async with transaction(sessions) as session:
            gone = len((await session.scalars(delete, {**values, "batch": _BATCH})).all())
        deleted += gone
        if gone < _BATCH:
            return deleted


async def _old_partitions(
    session: AsyncSession, log: str, retention: Retention, now: datetime
) -> AsyncIterator[_OldPartition]:
    kept_for = retention.of_log(log)
    if kept_for is None:
        return
    for partition in await partitions_of(session, log):
        if partition.beyond <= now - kept_for:
            facts = text(
                f"SELECT count(*), min({LOGS[log]}), max({LOGS[log]}), "  # noqa: S608 - names of the schema
                f"pg_total_relation_size('{partition.name}') FROM {partition.name}"
            )
            rows, oldest, newest, size = (await session.execute(facts)).one()
            why = await _open_run(session, partition)
            month = f"{partition.first:%Y-%m}"
            yield _OldPartition(partition, OldRecords(log, month, rows, oldest, newest, size, why))


async def _open_run(session: AsyncSession, partition: Partition) -> str:
    """Which open run keeps the month: one that has lines in it, or began in it or before."""
    began = "started_at < :beyond"
    if partition.log == "order_logs":
        # by the instants too: lines of other months may lie in the same table, where there is no partition yet
        began += (
            f" OR EXISTS (SELECT FROM {partition.name} AS line WHERE line.run_id = runs.id "
            "AND line.recorded_at >= :first AND line.recorded_at < :beyond)"
        )
    wanted = text(f"SELECT min(id) FROM runs WHERE ended_at IS NULL AND ({began})")  # noqa: S608
    run_id = await session.scalar(wanted, {"first": partition.first, "beyond": partition.beyond})
    return "" if run_id is None else f"run {run_id} is open"


async def _old_strays(
    session: AsyncSession, log: str, retention: Retention, now: datetime
) -> AsyncIterator[OldRecords]:
    """Old lines of months that have no partition yet; `prune` makes one for them first."""
    kept_for, key = retention.of_log(log), LOGS[log]
    if kept_for is None:
        return
    months = text(
        f"SELECT date_trunc('month', {key} AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS month, count(*) AS rows, "  # noqa: S608
        f"min({key}) AS oldest, max({key}) AS newest, sum(pg_column_size(line)) AS size "
        f"FROM {log}_default AS line GROUP BY 1 ORDER BY 1"
    )
    for row in await session.execute(months):
        first = row.month.astimezone(UTC)
        partition = Partition(log, f"{log}_default", first, month_after(first))
        if partition.beyond <= now - kept_for:
            why = await _open_run(session, partition)
            yield OldRecords(log, f"{first:%Y-%m}", row.rows, row.oldest, row.newest, row.size, why)


async def _old_logins(session: AsyncSession, before: datetime) -> OldRecords:
    facts = text(
        "SELECT count(*), min(started_at), max(coalesce(ended_at, started_at)), "  # noqa: S608 - constant text
        f"coalesce(sum(pg_column_size(logins)), 0) FROM logins WHERE {_OVER}"
    )
    rows, oldest, newest, size = (await session.execute(facts, {"before": before})).one()
    return OldRecords("logins", "ended", rows, oldest, newest, size)


async def _old_notifications(session: AsyncSession, before: datetime) -> OldRecords:
    facts = text(
        "SELECT count(*), min(recorded_at), max(recorded_at), coalesce(sum(pg_column_size(notifications)), 0) "
        "FROM notifications WHERE recorded_at < :before"
    )
    rows, oldest, newest, size = (await session.execute(facts, {"before": before})).one()
    return OldRecords("notifications", "old", rows, oldest, newest, size)


async def _drop(sessions: Sessions, old: _OldPartition) -> None:
    async with transaction(sessions) as session:
        await be_patient(session, _LOCK_PATIENCE_S)
        await session.execute(text(f"DROP TABLE {old.partition.name}"))
        await AuditLog(session).add(
            "records_pruned",
            user_id=None,
            subject=f"{old.records.table} {old.records.period}",
            rows=str(old.records.rows),
        )
