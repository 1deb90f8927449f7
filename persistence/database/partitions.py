"""The months of the append-only logs: each is a partition, made before its first line comes.

A line that comes while its month has no partition goes to the default partition, so that nothing is ever lost for the
want of one; it moves to its month when that is made. Months are those of UTC (migration 0008).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from persistence.database.engine import Sessions, transaction
from persistence.errors import DatabaseUnavailable, PersistenceError

log = structlog.stdlib.get_logger(__name__)

LOGS: Mapping[str, str] = {"order_logs": "recorded_at", "audit_log": "at"}
"""By log: the instant that says which month a line belongs to."""

MONTHS_AHEAD = 3
"""How many months there are partitions for beyond the current one."""

LOCK_PATIENCE_S = 0.2
"""How long a change of the partitions waits for locks: what comes after it waits as long, orders' records too."""

_LOCK = 0x6D6F6E7468  # "month"; any constant that no other program uses in this database


@dataclass(frozen=True, slots=True)
class Partition:
    """One month of a log, from its first instant to the one after its last."""

    log: str
    name: str
    first: datetime
    beyond: datetime


def month_of(instant: datetime) -> datetime:
    """The first instant of the month."""
    return instant.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def month_after(month: datetime) -> datetime:
    """The first instant of the next one."""
    return month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)


def months_ahead(now: datetime) -> Iterator[datetime]:
    """The current month, and those that there are to be partitions for."""
    month = month_of(now)
    for _ in range(MONTHS_AHEAD + 1):
        yield month
        month = month_after(month)


async def partitions_of(session: AsyncSession, log_name: str) -> list[Partition]:
    """The months of a log, oldest first; the default partition is none."""
    children = text(
        "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid "
        "WHERE inhparent = CAST(:log AS regclass)"
    )
    found = []
    for name in await session.scalars(children, {"log": log_name}):
        month = re.fullmatch(re.escape(log_name) + r"_(\d{4})_(\d\d)", name)
        if month:
            first = datetime(int(month[1]), int(month[2]), 1, tzinfo=UTC)
            found.append(Partition(log_name, name, first, month_after(first)))
    return sorted(found, key=lambda partition: partition.first)


async def make_months(sessions: Sessions, now: datetime) -> int:
    """Make what is missing of the months ahead, and the months of lines in the default partitions; how many were made.

    Where other transactions hold the locks it gives up without an error, until it is called again: the default
    partition takes the lines meanwhile. Safe to call from several processes at once.

    Raises:
        DatabaseUnavailable: if PostgreSQL does not answer.
    """
    made = 0
    for log_name in LOGS:
        async with transaction(sessions) as session:
            there = {partition.first for partition in await partitions_of(session, log_name)}
            wanted = {*months_ahead(now), *await _months_without(session, log_name)}
        for month in sorted(wanted - there):
            made += await _make(sessions, log_name, month)
    return made


async def _months_without(session: AsyncSession, log_name: str) -> set[datetime]:
    key = LOGS[log_name]
    strays = text(f"SELECT DISTINCT date_trunc('month', {key} AT TIME ZONE 'UTC') FROM {log_name}_default")  # noqa: S608
    return {month.replace(tzinfo=UTC) for month in await session.scalars(strays)}


async def _make(sessions: Sessions, log_name: str, month: datetime) -> bool:
    try:
        async with transaction(sessions) as session:
            await be_patient(session, LOCK_PATIENCE_S)
            if not await session.scalar(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": _LOCK}):
                return False
            make = text("SELECT make_log_partition(:log, :month)")
            made = await session.scalar(make, {"log": log_name, "month": month.replace(tzinfo=None)})
    except DatabaseUnavailable as error:
        if type(error) is DatabaseUnavailable:
            raise
        log.warning("month_not_made", log=log_name, month=f"{month:%Y-%m}", reason=str(error))
        return False
    except PersistenceError as error:  # a line of that month came in this moment
        log.warning("month_not_made", log=log_name, month=f"{month:%Y-%m}", reason=str(error))
        return False
    if made:
        log.info("month_made", log=log_name, month=f"{month:%Y-%m}")
    return bool(made)


async def be_patient(session: AsyncSession, locks_s: float) -> None:
    """In this transaction: wait for locks no longer than that, and for everything else without limit."""
    await session.execute(
        text("SELECT set_config('lock_timeout', :ms, true), set_config('statement_timeout', '0', true)"),
        {"ms": str(round(locks_s * 1000))},
    )
