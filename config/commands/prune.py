"""`tradeactors prune`: remove the records that are older than their retention."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from config.commands.base.deployment import DataDir

if TYPE_CHECKING:
    from collections.abc import Sequence

    from config.settings import Settings
    from persistence.database.retention import OldRecords, Retention

_NOT_PRUNED = "Kept without limit: users, broker accounts, strategies, runs, intents."


def prune(
    data_dir: DataDir = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and remove nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before removing.")] = False,
) -> None:
    """Remove the months of both logs, the logins and the notices that are beyond their retention."""
    from config.commands.base.deployment import joined_settings, require
    from config.commands.base.failures import confirm, plain_failures

    with plain_failures():
        settings = joined_settings(data_dir)
        require(settings, "database_url")
        retention, now = retention_of(settings), datetime.now(UTC)
        found = asyncio.run(_ask(settings, retention, now, remove=False))
        for line in report(found, retention, now):
            typer.echo(line)
        if dry_run or all(old.kept_because for old in found):
            return
        if not yes:
            confirm("Remove them? They cannot be brought back but from a backup.")
        removed = asyncio.run(_ask(settings, retention, now, remove=True))
        typer.echo(f"Removed: {sum(old.rows for old in removed if not old.kept_because)} rows.")


def retention_of(settings: "Settings") -> "Retention":
    """How long the settings want records kept."""
    from persistence.database.retention import Retention

    return Retention(
        order_logs=_days(settings.order_log_retention_days),
        audit_log=_days(settings.audit_log_retention_days),
        logins=timedelta(days=settings.login_retention_days),
        notifications=timedelta(days=settings.notification_retention_days),
    )


def report(found: "Sequence[OldRecords]", retention: "Retention", now: datetime) -> list[str]:
    """What is beyond its retention, a line for each part of a table, and whether it goes."""
    limits = {
        "order_logs": retention.order_logs,
        "audit_log": retention.audit_log,
        "logins": retention.logins,
        "notifications": retention.notifications,
    }
    lines = [
        f"{table}: kept "
        + ("without limit." if limit is None else f"for {limit.days} days, from {now - limit:%Y-%m-%d}.")
        for table, limit in limits.items()
    ]
    for old in found:
        end = f"stays: {old.kept_because}" if old.kept_because else "goes"
        span = f"{old.oldest:%Y-%m-%d} to {old.newest:%Y-%m-%d}" if old.oldest and old.newest else "empty"
        lines.append(f"  {old.table} {old.period}: {old.rows} rows, {span}, {old.bytes_on_disk} bytes; {end}.")
    going = [old for old in found if not old.kept_because]
    total = f"{sum(old.rows for old in going)} rows, {sum(old.bytes_on_disk for old in going)} bytes"
    return [*lines, f"Beyond their retention: {total}." if going else "Nothing is to be removed.", _NOT_PRUNED]


def _days(days: int) -> timedelta | None:
    return timedelta(days=days) if days else None


async def _ask(settings: "Settings", retention: "Retention", now: datetime, *, remove: bool) -> "list[OldRecords]":
    from persistence.database import retention as records
    from persistence.database.engine import open_database, sessions_of

    engine = open_database(settings.database_url, pool_size=1)
    try:
        return await (records.prune if remove else records.old_records)(sessions_of(engine), retention, now)
    finally:
        await engine.dispose()
