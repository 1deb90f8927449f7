"""What an operator can put right, said in a sentence."""

import errno
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

_OF_THE_MACHINE = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG, errno.EIO, errno.ELOOP}
    | {errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EBUSY, errno.EXDEV}
    | {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN}
)
"""What a disk, a mode or a path refuses; the errors of networks are not among them."""


_NO_THREAD = "can't start new thread"
"""How Python begins what it says where the machine refuses a thread."""

_NOT_THERE = frozenset({"42P01", "42703", "3F000"})
"""PostgreSQL's codes for a table, a column and a schema that are not there."""

_ANOTHER_SCHEMA = (
    "The database has another schema than this version of TradeActors: run `tradeactors migrate` with the version that "
    "is to run on it."
)


_DASH = re.compile(r"-?[\u2010-\u2015\u2212][-\u2010-\u2015\u2212]?(.+)", re.DOTALL)
"""How an option begins whose two hyphens a word processor or a chat has made a dash."""


_FAILING = ("strict", "surrogateescape")
"""What Python does with a letter that the terminal does not have, in most locales and in the locale C: it raises."""


class PlainGroup(TyperGroup):
    """The commands, none of which ends in a traceback for what the machine refuses or the terminal cannot show."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments."""
        for name in (dashed[1] for text in args if (dashed := _DASH.fullmatch(text))):
            sentence = f"before {name} stands a dash, as word processors make of two hyphens: write --{name}"
            raise typer.BadParameter(f"{sentence}, or ./ before the name of a file", ctx=ctx)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was chosen."""
        open_standard_descriptors()
        if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors in _FAILING:
            sys.stdout.reconfigure(errors="replace")  # a terminal without ₹, a path that is no text
        with plain_refusals():
            return super().invoke(ctx)


class FileCommand(TyperCommand):
    """A command that is given a file, whose name may begin as options do."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments."""
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except Exception as refused:  # typer keeps the class to itself
            option = getattr(refused, "option_name", "") if type(refused).__name__ == "NoSuchOption" else ""
            name = next((text for text in given if option and text.startswith(option)), "")
            if (name.startswith("--") and "." not in name) or not name:
                raise
            sentence = f"there is no option {option}; if {name} is the name of a file, write ./{name}"
            raise typer.BadParameter(sentence, ctx=ctx) from None


@contextmanager
def plain_failures() -> Iterator[None]:
    """Turn what an operator can put right into sentences on stderr and exit code 1 (Ctrl-C: 130)."""
    from config.settings import SettingsError
    from config.stack.guarded_process import StackError
    from persistence.errors import DatabaseUnavailable, MirrorUnavailable, PersistenceError

    try:
        with plain_refusals(), plain_schema():
            yield
    except (DatabaseUnavailable, MirrorUnavailable) as away:
        typer.echo(f"{away}: start it, or correct its address, and try again.", err=True)
        raise typer.Exit(1) from None
    except (SettingsError, StackError, PersistenceError) as failure:
        typer.echo(str(failure), err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


@contextmanager
def plain_schema() -> Iterator[None]:
    """Say that the database is another version's. Raises StackError in place of what the database says."""
    from config.stack.guarded_process import StackError

    try:
        yield
    except Exception as unknown:
        if not _is_of_another_schema(unknown):
            raise
        raise StackError(_ANOTHER_SCHEMA) from unknown


_TO_CORRECT = {
    "database": "start it, or correct TRADEACTORS_DATABASE_URL",
    "Redis": "start it, or correct TRADEACTORS_REDIS_URL",
    "Ray": "start it, or correct TRADEACTORS_RAY_ADDRESS",
}
_LONGEST_SAID = 300


def sentence_about(part: str, error: Exception) -> str:
    """What a part of the deployment says in place of an answer, on a line, and what to do."""
    from persistence.errors import PersistenceError

    if _is_of_another_schema(error):
        return _ANOTHER_SCHEMA.removesuffix(".")
    said = str(error).splitlines()[0][:_LONGEST_SAID].rstrip(". ") if str(error) else ""
    kind = "" if isinstance(error, PersistenceError) else type(error).__name__
    return f"{': '.join(filter(None, (kind, said)))}; {_TO_CORRECT.get(part, 'look into the log of the API')}"


def _is_of_another_schema(error: Exception) -> bool:
    """Whether the database lacks a table or a column that this version knows."""
    from sqlalchemy.exc import ProgrammingError

    return isinstance(error, ProgrammingError) and getattr(error.orig, "sqlstate", "") in _NOT_THERE


def confirm(question: str) -> None:
    """Go on only if a person says yes. Raises StackError where there is no person to ask, `typer.Abort` for a no."""
    from config.stack.guarded_process import StackError

    nobody = "Nobody is here to say yes: run it at a terminal, or with --yes."
    if sys.stdin is None:  # closed
        raise StackError(nobody)
    try:
        typer.confirm(question, abort=True)
    except typer.Abort:
        if sys.stdin.isatty():
            raise
        typer.echo()
        raise StackError(nobody) from None


@contextmanager
def plain_refusals() -> Iterator[None]:
    """Turn what a disk, a mode or a path refuses into a sentence on stderr and exit code 1."""
    try:
        yield
    except OSError as refused:
        if refused.errno not in _OF_THE_MACHINE:
            raise
        from config.files import refusal_of

        where = f"Cannot use {refused.filename}: " if refused.filename else ""
        if not _output_works() and not where:
            said = f"What this command says cannot be written, so send its output elsewhere: {refused.strerror}"
        elif not where and not _directory_is_there():
            said = "The directory in which this runs has been removed; change into another one"
        else:
            said = where + refusal_of(refused)
        typer.echo(f"{said}.", err=True)
        raise typer.Exit(1) from None
    except (MemoryError, RuntimeError) as refused:
        if isinstance(refused, RuntimeError) and not str(refused).startswith(_NO_THREAD):
            raise
        from config.files import refusal_of

        number = errno.ENOMEM if isinstance(refused, MemoryError) else errno.EAGAIN
        typer.echo(f"{refusal_of(OSError(number, os.strerror(number)))}.", err=True)
        raise typer.Exit(1) from None


def open_standard_descriptors() -> None:
    """Open those that were closed (`<&- >&-`), to nothing.

    Else the next file that is opened, such as the lock of the data directory, gets the number of one, and a process
    that is started from here gets its own input or output in its place.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest number that is free


def _directory_is_there() -> bool:
    try:
        return Path.cwd().is_dir()
    except FileNotFoundError:
        return False


def _output_works() -> bool:
    # What could not be written is tried again when Python ends, which would then complain on its own.
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True
