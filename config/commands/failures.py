"""What an operator can put right, said in a sentence."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer


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
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
