"""What an operator can put right, said in a sentence."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import typer

_OF_THE_MACHINE = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG, errno.EIO, errno.ELOOP}
    | {errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG}
)
"""What a disk, a mode or a path refuses; the errors of networks are not among them."""


@contextmanager
def plain_failures() -> Iterator[None]:
    """Turn what an operator can put right into sentences on stderr and exit code 1 (Ctrl-C: 130)."""
    from config.settings import SettingsError
    from config.stack.guarded_process import StackError
    from persistence.errors import PersistenceError

    try:
        yield
    except (SettingsError, StackError, PersistenceError) as failure:
        typer.echo(str(failure), err=True)
        raise typer.Exit(1) from None
    except OSError as refused:
        if refused.errno not in _OF_THE_MACHINE:
            raise
        where = f" {refused.filename}" if refused.filename else ""
        typer.echo(f"Cannot use{where}: {refused.strerror}." if where else f"{refused.strerror}.", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
