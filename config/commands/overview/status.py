"""`tradeactors status`: is all well, and if not, what is wrong and what is to be done?"""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from config.commands.base.deployment import DataDir

if TYPE_CHECKING:
    from api.overview.facts import Facts
    from api.overview.looking import Looking
    from config.settings import Settings

AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


def status(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Say whether all is well: exit code 0 if it is, 1 if something needs a person, 2 if it cannot be known."""
    with what_cannot_be_told(as_json=as_json):
        settings = settings_to_look(data_dir)
        from rich.console import Console

        from config.commands.overview import tables, verdict

        facts = asyncio.run(_look(settings))
        judged = verdict.verdict_of(facts)
        if as_json:
            typer.echo(json.dumps(verdict.as_json(facts, judged), indent=2))
        else:
            Console(highlight=False).print(tables.overview(facts, judged))
        raise typer.Exit(int(judged.outcome))


async def _look(settings: "Settings") -> "Facts":
    from api.overview.looking import open_looking

    async with open_looking(settings) as looking:
        return await facts_now(looking)


async def facts_now(looking: "Looking") -> "Facts":
    """What is there now, with the room on this machine's disk if embedded parts are here."""
    import shutil
    from dataclasses import replace

    from config.stack.data_directory import LOCK_FILE

    facts, data_dir = await looking.look(), looking.settings.data_dir
    if not (data_dir / LOCK_FILE).exists():  # no embedded part keeps anything there
        return facts
    return replace(facts, free_bytes=shutil.disk_usage(data_dir).free)


def settings_to_look(data_dir: Path | None) -> "Settings":
    """The settings of the deployment that is looked at; what libraries log of a part that is away is not shown.

    Raises:
        SettingsError: they are not complete, and no stack runs here.
        StackError: whether a stack runs here is hidden from this user.
    """
    import logging

    import structlog

    from config.commands.base.deployment import joined_settings, require

    settings = joined_settings(data_dir)
    require(settings, "database_url", "redis_url")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    return settings


@contextmanager
def what_cannot_be_told(*, as_json: bool = False) -> Iterator[None]:
    """Where nothing can be looked at, say so in a sentence and end with exit code 2 (Ctrl-C: 130)."""
    from config.commands.base.failures import plain_refusals, plain_schema
    from config.settings import SettingsError
    from config.stack.guarded_process import StackError
    from persistence.errors import PersistenceError

    try:
        with plain_refusals(), plain_schema():
            yield
    except (SettingsError, StackError, PersistenceError) as failure:
        if as_json:
            typer.echo(json.dumps({"verdict": "unknown", "exit_code": 2, "sentence": str(failure)}, indent=2))
        else:
            typer.echo(f"Cannot tell: {failure}", err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
