"""What an operator can put right, said in a sentence."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import Any

import typer
from typer.core import TyperGroup

_OF_THE_MACHINE = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG, errno.EIO, errno.ELOOP}
    | {errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG}
)
"""What a disk, a mode or a path refuses; the errors of networks are not among them."""


class PlainGroup(TyperGroup):
    """The commands, none of which ends in a traceback for what the machine refuses or the terminal cannot show."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was chosen."""
        if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
            sys.stdout.reconfigure(errors="replace")  # a terminal without ₹, a path that is no text
        with plain_refusals():
            return super().invoke(ctx)


@contextmanager
def plain_failures() -> Iterator[None]:
    """Turn what an operator can put right into sentences on stderr and exit code 1 (Ctrl-C: 130)."""
    from config.settings import SettingsError
    from config.stack.guarded_process import StackError
    from persistence.errors import PersistenceError

    try:
        with plain_refusals():
            yield
    except (SettingsError, StackError, PersistenceError) as failure:
        typer.echo(str(failure), err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


@contextmanager
def plain_refusals() -> Iterator[None]:
    """Turn what a disk, a mode or a path refuses into a sentence on stderr and exit code 1."""
    try:
        yield
    except OSError as refused:
        if refused.errno not in _OF_THE_MACHINE:
            raise
        where = f"Cannot use {refused.filename}: " if refused.filename else ""
        if not _output_works() and not where:
            where = "What this command says cannot be written, so send its output elsewhere: "
        typer.echo(f"{where}{refused.strerror}.", err=True)
        raise typer.Exit(1) from None


def _output_works() -> bool:
    # What could not be written is tried again when Python ends, which would then complain on its own.
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True
