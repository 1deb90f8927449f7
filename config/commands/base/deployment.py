"""The settings of the deployment that a command joins."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from config.settings import Settings


def _directory(text: str) -> Path:
    if not text:  # as of a variable that is not set, which would else be the current directory
        raise typer.BadParameter("an empty name names no directory; name one, or leave the option out")
    return Path(text)


DataDir = Annotated[
    Path | None,
    typer.Option(parser=_directory, metavar="PATH", help="Where everything is kept. [TRADEACTORS_DATA_DIR]"),
]
"""`--data-dir` of the commands."""

_DO = "set it, start `tradeactors up`, or name the directory on which it runs (--data-dir)"


def joined_settings(data_dir: Path | None, **overrides: Any) -> "Settings":
    """The settings, completed by those of a stack that runs on the same data directory.

    Raises:
        SettingsError: as `load_settings`.
        StackError: whether a stack runs there is hidden from this user, or its sockets were removed.
    """
    import os

    from config.settings import load_settings
    from config.stack.data_directory import find_running_stack, refuse_what_is_hidden
    from config.stack.postgres import forget_variables_of_libpq

    settings = load_settings(secrets="optional", data_dir=data_dir, **overrides)
    if not settings.database_url:
        refuse_what_is_hidden(settings.data_dir)
    running = find_running_stack(settings.data_dir)
    if running is not None:
        running.refuse_lost_sockets()
        if not settings.database_url:
            forget_variables_of_libpq()
        for name, value in running.environment.items():
            os.environ.setdefault(name, value)
    return load_settings(secrets="engine", data_dir=data_dir, **overrides)


def require(settings: "Settings", *names: str) -> None:
    """Check that the settings of these names have a value.

    Raises:
        SettingsError: they have none, and no stack runs here, or one that is still starting.
        StackError: they have none, and whether a stack runs here is hidden from this user.
    """
    from config.settings import PREFIX, SettingsError
    from config.stack.data_directory import find_running_stack, refuse_what_is_hidden

    missing = [f"{PREFIX}{name.upper()}" for name in names if not getattr(settings, name)]
    if missing:
        refuse_what_is_hidden(settings.data_dir)
        running = find_running_stack(settings.data_dir)
        if running is not None and not running.environment:
            which = f"The stack on {settings.data_dir} is starting or ending (process {running.pid})"
            raise SettingsError([f"{which}: try again when its `up` says that it is up."])
        raise SettingsError([f"{name} is empty and no `tradeactors up` runs here: {_DO}." for name in missing])
