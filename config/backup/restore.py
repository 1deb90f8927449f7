"""Bringing a backup back into an empty data directory.

Everything is checked before the directory is touched. What a restore means for money is written in docs/operations.md:
the journal is older than the account at the broker, and so every run that was open is marked.
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from api.bootstrap import calendars_of
from broker.market.backup_gap import last_provable_day
from broker.market.trading_calendar import TradingCalendars
from config.backup import archive, database
from config.backup.archive import Manifest, OpenBackup, open_backup
from config.backup.create import portable_settings
from config.backup.errors import BackupRefused
from config.files import refusal_of
from config.secret_store import (
    SECRETS_FILE,
    UNFINISHED_RESTORE,
    StoredSecrets,
    new_jwt_secret,
    sync_directory,
    write_secrets,
)
from config.settings import PREFIX, Settings
from config.stack.completeness import MOVED_ASIDE
from config.stack.data_directory import (
    LOCK_FILE,
    AlreadyRunningError,
    DataDirectoryLock,
    RunningStack,
    find_running_stack,
)
from config.stack.guarded_process import StackError
from config.stack.postgres import DATABASE, forget_variables_of_libpq, hold_database, postgres_version
from config.stack.postgres_alone import postgres_alone
from persistence.database.engine import knows_revision
from persistence.journal.restored_runs import mark_restored_runs

_OF_A_STACK = frozenset({"postgres", SECRETS_FILE, UNFINISHED_RESTORE})
"""One of them is in each directory that a stack has run on."""

CLOCKS_DIFFER = timedelta(minutes=1)
"""How much later than now a backup may seem to be made, on a machine whose clock is a little ahead."""


@dataclass(frozen=True, slots=True)
class RestoredBackup:
    """What has come back: the runs that were open, and where the directory is that was there before (None: nothing).

    `other_settings`: settings that were set when the backup was made and are not the same here, as (then, now).
    `calendar`: where the file of CALENDAR_OVERRIDES of the backup is now.
    """

    manifest: Manifest
    open_runs: int
    moved_aside: Path | None
    other_settings: Mapping[str, tuple[str, str]]
    calendar: Path | None


def restore_backup(settings: Settings, source: Path, *, move_aside: bool = False) -> RestoredBackup:
    """Fill DATA_DIR from a backup; nothing is started. `move_aside`: a directory that is not empty is renamed before.

    Raises:
        BackupRefused: a process uses the directory, or the file, the directory or the settings do not allow it;
            everything is as it was.
        StackError: the database cannot be started; what was begun is removed, and what was moved is back.
    """
    if settings.database_url:
        raise BackupRefused(
            f"{PREFIX}DATABASE_URL is set: the database is not TradeActors' own. Restore it with pg_restore, as "
            "docs/operations.md says."
        )
    if settings.data_dir.is_symlink() and settings.data_dir.exists():  # to another disk: the data go there, too
        settings = settings.model_copy(update={"data_dir": settings.data_dir.resolve()})
    forget_variables_of_libpq()
    calendars_of(settings)
    with open_backup(source) as backup:
        _refuse_later_versions(backup.manifest)
        _refuse_later_times(backup.manifest.backed_up_at, datetime.now(UTC))
        running = find_running_stack(settings.data_dir)
        if running is not None:
            raise _in_use(settings.data_dir, running)
        if settings.data_dir.is_dir() and not move_aside:
            _refuse_contents(settings.data_dir)  # before a lock is put there
        moved_aside = _make_room(settings.data_dir, move_aside=move_aside)
        try:
            lock = DataDirectoryLock(settings.data_dir)
        except AlreadyRunningError as taken:  # another restore, say, which began a moment before
            raise _in_use(settings.data_dir, taken.running) from None
        try:
            _refuse_contents(settings.data_dir)
            try:
                open_runs, calendar = _fill(settings, backup, lock)
            except BaseException:
                _undo(settings.data_dir, moved_aside)
                raise
        finally:
            lock.release()
    then, now = backup.manifest.settings, portable_settings(settings)
    names = sorted((then.keys() | now.keys()) - {f"{PREFIX}CALENDAR_OVERRIDES"})
    other = {name: (then.get(name, ""), now.get(name, "")) for name in names if then.get(name, "") != now.get(name, "")}
    return RestoredBackup(backup.manifest, open_runs, moved_aside, other, calendar)


def _in_use(data_dir: Path, other: RunningStack) -> BackupRefused:
    return BackupRefused(
        f"The process {other.pid} uses {data_dir}, a stack or another restore: stop it, or wait for its end, or "
        "restore into another directory (--data-dir)."
    )


def _refuse_later_versions(manifest: Manifest) -> None:
    made_by = f"The backup was made by version {manifest.product_version}"
    if manifest.postgres_version > postgres_version():
        raise BackupRefused(
            f"{made_by} with PostgreSQL {manifest.postgres_version}, and this is PostgreSQL {postgres_version()}; "
            "restore it with that version."
        )
    if not knows_revision(manifest.revision):
        raise BackupRefused(
            f"{made_by}, whose database has the schema {manifest.revision}, which this version does not know; "
            "restore it with that version."
        )


def _refuse_later_times(backed_up_at: datetime, now: datetime) -> None:
    """Which orders came after the backup, and what the order book proves of them, is judged by its time."""
    if backed_up_at > now + CLOCKS_DIFFER:
        raise BackupRefused(
            f"The backup is of {backed_up_at:%Y-%m-%d %H:%M:%S} UTC, and the clock of this machine says "
            f"{now:%Y-%m-%d %H:%M:%S} UTC. Put the clock right; if it is right, that of the other machine was wrong: "
            "wait until then, or restore an earlier backup."
        )


def _make_room(data_dir: Path, *, move_aside: bool) -> Path | None:
    """Move what is in the directory aside, if that is wanted and there is something; returns where it is now."""
    if not move_aside or not data_dir.is_dir():
        return None
    if (contents := _contents(data_dir)) and not contents & _OF_A_STACK:
        raise BackupRefused(
            f"{data_dir} holds files and no data of TradeActors, so it is not moved aside. Restore into a new "
            "directory (--data-dir)."
        )
    lock = DataDirectoryLock(data_dir)  # refuses what is not ours
    try:
        if not _contents(data_dir):
            return None
        if (data_dir / "postgres").is_dir():
            os.close(hold_database(data_dir / "postgres"))
        aside = data_dir.with_name(f"{data_dir.name}{MOVED_ASIDE}{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
        try:
            data_dir.rename(aside)
        except OSError as refused:
            raise BackupRefused(
                f"Cannot move {data_dir} to {aside}: {refused.strerror}. Restore into a new directory instead, which "
                "may lie in it (--data-dir)."
            ) from refused
        return aside
    finally:
        lock.release()


def _refuse_contents(data_dir: Path) -> None:
    if _contents(data_dir):
        raise BackupRefused(
            f"{data_dir} is not empty. Restore into another directory (--data-dir), or move this one aside "
            "with --force; nothing in it is deleted."
        )


def _contents(data_dir: Path) -> set[str]:
    return {entry.name for entry in data_dir.iterdir() if not _is_of_the_disk(entry)} - {LOCK_FILE}


def _is_of_the_disk(entry: Path) -> bool:
    """Whether it is what a new file system begins with, where the data directory is a disk of its own."""
    return entry.name == "lost+found" and entry.is_dir() and not entry.is_symlink()


def _fill(settings: Settings, backup: OpenBackup, lock: DataDirectoryLock) -> tuple[int, Path | None]:
    data_dir, manifest = settings.data_dir, backup.manifest
    try:
        (data_dir / UNFINISHED_RESTORE).touch(mode=0o600)
        sync_directory(data_dir)
        calendar = data_dir / _calendar_name(manifest.calendar_name) if archive.CALENDAR in backup else None
        if calendar is not None:
            backup.copy(archive.CALENDAR, calendar)
        calendars = calendars_of(
            settings.model_copy(update={"calendar_overrides": settings.calendar_overrides or calendar})
        )
        with postgres_alone(data_dir, lock) as plan:
            kept = data_dir / archive.DATABASE
            backup.copy(archive.DATABASE, kept)
            database.load(plan.url(DATABASE, driver=""), kept)
            kept.unlink()
            open_runs = mark_restored_runs(
                plan.url(DATABASE),
                backed_up_at=manifest.backed_up_at,
                restored_at=datetime.now(UTC),
                provable_until=lambda broker: _provable_until(settings, calendars, broker, manifest.backed_up_at),
            )
        # Ids that were given out after the backup are given again: no access token of then may open them.
        secrets = StoredSecrets.from_json(backup.read(archive.SECRETS).decode())
        write_secrets(data_dir, replace(secrets, jwt_secret=new_jwt_secret(), database=""))
        if archive.PAPER_LEDGER in backup:
            (data_dir / "paper").mkdir(mode=0o700)
            backup.copy(archive.PAPER_LEDGER, data_dir / "paper" / "ledger.jsonl")
        (data_dir / UNFINISHED_RESTORE).unlink()
        sync_directory(data_dir)
    except OSError as refused:
        raise StackError(
            f"Cannot restore into {data_dir}: {_where(refused, data_dir)}{refusal_of(refused)}."
        ) from refused
    except (ValueError, KeyError, TypeError, AttributeError) as damaged:
        raise BackupRefused(
            f"The secrets of the backup are damaged ({type(damaged).__name__}); take another backup."
        ) from damaged
    return open_runs, calendar


def _where(refused: OSError, data_dir: Path) -> str:
    """What was refused, where it is not in the data directory: a place for sockets, say."""
    named = refused.filename is not None and not Path(refused.filename).is_relative_to(data_dir)
    return f"{refused.filename}: " if named else ""


def _calendar_name(name: str) -> str:
    """That of the operator's file, unless something else of the data directory has it."""
    return name if name.endswith(".toml") else archive.CALENDAR


def _provable_until(settings: Settings, calendars: TradingCalendars, broker: str, backed_up_at: datetime) -> date:
    calendar = settings.calendar or ("24x7" if broker == "paper" else "XNSE")
    return last_provable_day(calendars.load(calendar), backed_up_at)


def _undo(data_dir: Path, moved_aside: Path | None) -> None:
    """Remove what a restore has begun. As root, the database lies elsewhere, behind a link."""
    link = data_dir / "postgres"
    if link.is_symlink():
        database_directory = link.resolve()
        for made in (database_directory, database_directory.with_name(f"{database_directory.name}.new")):
            shutil.rmtree(made, ignore_errors=True)
    if moved_aside is not None:
        shutil.rmtree(data_dir, ignore_errors=True)
        moved_aside.rename(data_dir)
        return
    for entry in sorted(data_dir.iterdir(), key=lambda entry: entry.name == UNFINISHED_RESTORE):
        if _is_of_the_disk(entry):
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
