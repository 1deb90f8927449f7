"""Making a backup of an embedded stack, also while its strategies trade."""

import errno
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from config.backup import archive, database
from config.backup.archive import Manifest
from config.backup.errors import BackupRefused
from config.files import refusal_of
from config.secret_store import SECRETS_FILE, StoredSecrets, as_file, locked_secrets, read_secrets
from config.settings import PREFIX, Settings
from config.stack.completeness import refuse_incomplete, system_identifier
from config.stack.data_directory import RunningStack, find_running_stack, refuse_what_is_hidden
from config.stack.postgres import DATABASE, forget_variables_of_libpq, postgres_version
from config.stack.postgres_alone import postgres_alone
from config.version import product_version
from persistence.secrets.encryption import decode_key, key_version

_OF_ONE_MACHINE = frozenset(
    f"{PREFIX}{name}"
    for name in (
        "DATA_DIR", "DATABASE_URL", "REDIS_URL", "RAY_ADDRESS", "RAY_NODE_ADDRESS", "SECRETS_DIR", "FAILPOINTS",
        "API_HOST", "API_PORT", "PAPER_PORT", "PAPER_ROOT", "PAPER_WS_ROOT", "DASHBOARD_PORT",
    )
)  # fmt: skip

_WHICH = "Name the directory of the stack (--data-dir)."
_STANDARD_OUTPUT = "-"
"""What other programs take for the standard output, where it would come mixed with what we say."""


@dataclass(frozen=True, slots=True)
class MadeBackup:
    """A backup that is in its place: how large it is, in bytes, and what it says of itself.

    `damaged_line`: of the paper exchange's ledger that is in it, the first that the exchange could not read.
    """

    path: Path
    size: int
    manifest: Manifest
    damaged_line: int | None = None


def make_backup(settings: Settings, target: Path, *, replace_old: bool = False) -> MadeBackup:
    """Write everything that a stack on another machine needs into one file of mode 0600.

    Raises:
        BackupRefused: the database is external, is missing or is starting; the file exists or cannot be written.
        StackError: the data directory is incomplete, or the database cannot be started.
    """
    if settings.database_url:
        raise BackupRefused(
            f"{PREFIX}DATABASE_URL is set: the database is not TradeActors' own. Back it up with pg_dump, as "
            "docs/operations.md says."
        )
    forget_variables_of_libpq()
    _refuse_place(settings.data_dir, target, replace_old=replace_old)
    refuse_what_is_hidden(settings.data_dir)
    running = find_running_stack(settings.data_dir)
    try:
        with _workshop(target.parent) as directory:
            with _database(settings.data_dir, running) as url:
                manifest, files = _collect(settings, url, running, directory)
            archive.write_archive(target, manifest, files, replace_old=replace_old, workshop=directory)
            ledger = files.get(archive.PAPER_LEDGER)
            damaged_line = None if ledger is None else first_damaged_line(ledger)
    except OSError as refused:
        raise BackupRefused(f"Cannot write {target}: {_where(refused, target)}{refusal_of(refused)}.") from refused
    return MadeBackup(target, target.stat().st_size, manifest, damaged_line)


def _where(refused: OSError, target: Path) -> str:
    """What was refused, where it is neither the file nor one of its parts: a file that is read, or /tmp."""
    place = Path(os.fsdecode(refused.filename or ""))
    of_the_file = place in {Path(), target, target.parent} or any(
        part.startswith(archive.TEMPORARY) for part in place.parts
    )
    return "" if of_the_file else f"{place}: "


def _refuse_place(data_dir: Path, target: Path, *, replace_old: bool) -> None:
    """Whatever is at `target` goes when the backup comes, and what is in the data directory is lost with it."""
    if target.name == _STANDARD_OUTPUT:
        raise BackupRefused("A backup is written into a file, and not to the standard output; name one.")
    if target.is_dir():
        raise BackupRefused(f"{target} is a directory; name a file in it, such as {target / 'tradeactors.tar'}.")
    # Not `Path.resolve`, which ends in a RuntimeError at links in a circle before Python 3.13.
    place = Path(os.path.realpath(target.parent)) / target.name
    if any(place.is_relative_to(os.path.realpath(kept)) for kept in (data_dir, data_dir / "postgres")):
        raise BackupRefused(
            f"{target} is in the data directory {data_dir}, with which it would be lost; choose a place outside, best "
            "on another disk."
        )
    if not os.path.lexists(target):
        return
    if not archive.begins_as_backup(target):
        raise BackupRefused(
            f"{target} exists and is no backup of TradeActors, and --force replaces no other file; choose another name."
        )
    if not replace_old:
        raise BackupRefused(f"{target} exists already; choose another name, or --force to replace it.")


@contextmanager
def _workshop(beside: Path) -> Iterator[Path]:
    """A directory for the parts of a backup, which hold its secrets; those of backups that were killed are removed."""
    for left in beside.glob(f"{archive.TEMPORARY}*"):
        with suppress(OSError), _sole_owner(left):
            shutil.rmtree(left)
    with tempfile.TemporaryDirectory(dir=beside, prefix=archive.TEMPORARY) as made, _sole_owner(Path(made)):
        yield Path(made)


@contextmanager
def _sole_owner(directory: Path) -> Iterator[None]:
    """Hold a directory of ours; raises OSError where a living process holds it, and where it is not ours."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(directory))
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _database(data_dir: Path, running: RunningStack | None) -> Iterator[str]:
    """The address of the database of a stack, which is started for as long as it takes unless it runs."""
    if running is not None:
        url = running.environment.get(f"{PREFIX}DATABASE_URL")
        if url is None:
            raise BackupRefused(
                f"The stack on {data_dir} is starting or ending, or its database is external; try again in a minute."
            )
        running.refuse_lost_sockets()
        yield url.replace("+psycopg", "")
        return
    if not data_dir.is_dir():
        raise BackupRefused(f"There is no data directory {data_dir} ({PREFIX}DATA_DIR). {_WHICH}")
    refuse_incomplete(data_dir)
    if system_identifier(data_dir / "postgres") is None:
        raise BackupRefused(f"{data_dir} has no database: no stack has run there yet. {_WHICH}")
    with postgres_alone(data_dir) as plan:
        yield plan.url(DATABASE, driver="")


def _collect(
    settings: Settings, url: str, running: RunningStack | None, directory: Path
) -> tuple[Manifest, Mapping[str, Path]]:
    files: dict[str, Path] = {}
    with locked_secrets(settings.data_dir, shared=True):  # no key may change between the database and its keys
        stored = _secrets(settings.data_dir)
        # Taken before the instant that the dump shows: whatever came later is taken for unknown.
        backed_up_at = datetime.now(UTC)
        files[archive.DATABASE] = directory / archive.DATABASE
        database.dump(url, files[archive.DATABASE])
        versions = frozenset(key_version(decode_key(key)) for key in stored.encryption_keys)
        foreign_keys, foreign_channels = database.sealed_with_other_keys(url, versions)
    files[archive.SECRETS] = directory / archive.SECRETS
    files[archive.SECRETS].write_text(as_file(replace(stored, database="")), encoding="utf-8")
    # After the database: a broker that knows more than our journal is what recovery is made for, never one that knows
    # less.
    paper = settings.data_dir / "paper" / "ledger.jsonl"
    if paper.exists():
        files[archive.PAPER_LEDGER] = directory / archive.PAPER_LEDGER
        _copy_whole_lines(paper, files[archive.PAPER_LEDGER])
    overrides = _calendar_overrides(settings, running)
    if overrides is not None:
        files[archive.CALENDAR] = directory / archive.CALENDAR
        shutil.copyfile(overrides, files[archive.CALENDAR])
    manifest = Manifest(
        backed_up_at=backed_up_at,
        product_version=product_version(),
        postgres_version=postgres_version(),
        revision=database.schema_revision(url),
        while_running=running is not None,
        foreign_keys=foreign_keys,
        foreign_channels=foreign_channels,
        calendar_name=overrides.name if overrides else "",
        settings=portable_settings(settings, running),
        files={name: archive.describe(path) for name, path in files.items()},
    )
    return manifest, files


def portable_settings(settings: Settings, running: RunningStack | None = None) -> Mapping[str, str]:
    """The settings that were set, as variables, without secrets and without what is of one machine."""
    variables = settings.environment() if running is None else running.environment
    return {
        name: value
        for name, value in sorted(variables.items())
        if name.startswith(PREFIX) and name not in _OF_ONE_MACHINE and value
    }


def _secrets(data_dir: Path) -> StoredSecrets:
    try:
        stored = read_secrets(data_dir)
    except ValueError as damaged:
        raise BackupRefused(f"{damaged}.") from damaged
    if stored is None:
        raise BackupRefused(
            f"{data_dir / SECRETS_FILE} cannot be read, and a backup without its keys is of no use: put it back, or be "
            "a user who may read it."
        )
    return stored


def _calendar_overrides(settings: Settings, running: RunningStack | None) -> Path | None:
    given = settings.calendar_overrides
    if running is not None and (theirs := running.environment.get(f"{PREFIX}CALENDAR_OVERRIDES")):
        given = Path(theirs)
    return given if given is not None and given.is_file() else None


def first_damaged_line(ledger: Path) -> int | None:
    """The number of the first line that is no JSON, as a power cut leaves one; None if there is none."""
    with ledger.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                json.loads(line)
            except ValueError:
                return number
    return None


def _copy_whole_lines(source: Path, target: Path) -> None:
    """The exchange may be in the middle of a line."""
    content = source.read_bytes()
    target.write_bytes(content[: content.rfind(b"\n") + 1])
