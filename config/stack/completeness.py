"""Whether a data directory still has everything that belongs together, before a part is started on it."""

import sys
from glob import escape
from pathlib import Path

from config.files import refusal_of
from config.secret_store import UNFINISHED_RESTORE, read_secrets, remember_database
from config.stack.guarded_process import StackError

MOVED_ASIDE = ".before-restore-"
"""What stands, before its time, behind the name of a directory that a restore has moved aside."""

_IDENTIFIER_BYTES = 8
_REMEDY = "Put it back, or restore a backup into an empty directory (tradeactors restore FILE)."


def refuse_incomplete(data_dir: Path) -> None:
    """Start nothing on a directory that was copied without its database, or with another one.

    Raises:
        StackError: what is missing, and what to do.
    """
    if (data_dir / UNFINISHED_RESTORE).exists():
        raise StackError(
            f"A restore into {data_dir} was interrupted, so the directory is incomplete; "
            "restore again (tradeactors restore --force FILE)."
        )
    data, wanted = data_dir / "postgres", _remembered(data_dir)
    found = system_identifier(data)
    if found is None:
        _refuse_a_directory_moved_aside(data_dir)
        _refuse_a_lost_database(data_dir, data, wanted)
    elif wanted and found != wanted:
        raise StackError(
            f"{data} is not the database that {data_dir / 'secrets.json'} belongs to, so stored broker keys could not "
            f"be read; put the right one of them back, or restore a backup. If you have changed the database on "
            f'purpose, remove the value of "database" in secrets.json.'
        )


def _refuse_a_directory_moved_aside(data_dir: Path) -> None:
    """A restore that was killed at once may have moved the directory aside, and put nothing in its place."""
    aside = sorted(data_dir.parent.glob(f"{escape(data_dir.name)}{MOVED_ASIDE}*"))
    if aside:
        raise StackError(
            f"{data_dir} has no database, and a restore has moved {aside[-1]} aside, so it was interrupted; restore "
            "again (tradeactors restore --force FILE), or move that directory back. "
            "To begin with an empty database, use another TRADEACTORS_DATA_DIR."
        )


def _refuse_a_lost_database(data_dir: Path, data: Path, wanted: str) -> None:
    has_run = bool(wanted) or (data_dir / "logs" / "postgres.log").exists()
    if data.is_symlink() and has_run:
        raise StackError(
            f"{data} is a link to {data.readlink()}, where there is no database: as root, the database lies outside "
            f"the data directory, and a copy of the directory does not hold it. {_REMEDY} "
            f"To begin with an empty database, use another TRADEACTORS_DATA_DIR."
        )
    if wanted:
        raise StackError(
            f"{data_dir} has the secrets of a database that is missing: there is none in {data}. {_REMEDY} "
            f"To begin with an empty database, use another TRADEACTORS_DATA_DIR."
        )
    if data.exists() and not data.is_dir():
        raise StackError(f"{data} is a file, and the embedded database needs a directory there: move it away.")
    if data.is_dir() and any(data.iterdir()):
        raise StackError(f"{data} holds files, but no PostgreSQL database. {_REMEDY}")


def remember(data_dir: Path) -> None:
    """Note with the secrets which database they belong to, once it runs.

    Raises:
        StackError: that cannot be written down.
    """
    identifier = system_identifier(data_dir / "postgres")
    if identifier is None:
        return
    try:
        remember_database(data_dir, identifier)
    except (OSError, ValueError) as refused:
        raise StackError(f"Cannot change {data_dir / 'secrets.json'}: {_why(refused)}.") from refused


def system_identifier(data: Path) -> str | None:
    """What tells a database cluster from all others, or None where there is none.

    It is the first field of `pg_control` (PostgreSQL, `src/include/catalog/pg_control.h`).
    """
    try:
        with (data / "global" / "pg_control").open("rb") as control:
            identifier = control.read(_IDENTIFIER_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as refused:
        raise StackError(f"Cannot read {data}: {refusal_of(refused)}.") from refused
    return str(int.from_bytes(identifier, sys.byteorder)) if len(identifier) == _IDENTIFIER_BYTES else None


def _remembered(data_dir: Path) -> str:
    try:
        stored = read_secrets(data_dir)
    except ValueError as damaged:
        raise StackError(f"{damaged}.") from damaged
    return stored.database if stored else ""


def _why(refused: OSError | ValueError) -> str:
    return refusal_of(refused) if isinstance(refused, OSError) else str(refused)
