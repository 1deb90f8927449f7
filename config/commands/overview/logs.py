"""`tradeactors logs`: everything that was recorded of a strategy, a line each, from the order log and the requests."""

import asyncio
import json
from dataclasses import asdict
from datetime import tzinfo
from typing import TYPE_CHECKING, Annotated

import typer

from config.commands.base.deployment import DataDir
from config.commands.overview.status import settings_to_look, what_cannot_be_told
from config.commands.overview.why import Strategy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from config.settings import Settings
    from persistence.database.operator_view import LogLine

_EVERY_S = 1.0
"""How often the tables are asked for new lines."""

Lines = Annotated[int, typer.Option("--lines", "-n", min=1, max=10_000, help="How many of the newest lines.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is recorded from now on, until Ctrl-C.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print a JSON object a line.")]


def logs(
    strategy_id: Strategy, lines: Lines = 200, follow: Follow = False, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Print what was recorded of a strategy; exit code 1 if there is none of that id, 2 if it cannot be known."""
    with what_cannot_be_told():
        settings = settings_to_look(data_dir)
        if not asyncio.run(_print(settings, strategy_id, lines, follow=follow, as_json=as_json)):
            typer.echo(f"There is no strategy {strategy_id}: correct the id, as the app shows it.", err=True)
            raise typer.Exit(1)


async def _print(settings: "Settings", strategy_id: int, most: int, *, follow: bool, as_json: bool) -> bool:
    """Print the lines; whether there is such a strategy."""
    found = False
    async for line in lines_of(settings, strategy_id, most, follow=follow):
        found = True
        if line is not None:
            typer.echo(as_object(line, settings.zone) if as_json else as_text(line, settings.zone))
    return found


async def lines_of(
    settings: "Settings", strategy_id: int, most: int, *, follow: bool
) -> "AsyncIterator[LogLine | None]":
    """Each line once; None first, if there is such a strategy."""
    from persistence.database.engine import open_database, sessions_of, transaction
    from persistence.database.operator_view import log_lines, owner_of

    engine = open_database(settings.database_url, pool_size=1)
    sessions, seen = sessions_of(engine), set[tuple[str, int]]()
    try:
        async with transaction(sessions) as session:
            user_id = await owner_of(session, strategy_id)
        if user_id is None:
            return
        yield None
        while True:
            async with transaction(sessions) as session:
                newest = await log_lines(session, user_id, strategy_id, most)
            for line in newest:  # a line may be committed after a younger one: what was not seen yet is new
                if (line.source, line.id) not in seen:
                    yield line
            seen = {(line.source, line.id) for line in newest} | seen
            if not follow:
                return
            await asyncio.sleep(_EVERY_S)
    finally:
        await engine.dispose()


def as_object(line: "LogLine", zone: tzinfo) -> str:
    """The line for machines."""
    return json.dumps(asdict(line) | {"at": line.at.astimezone(zone).isoformat()}, default=str)


def as_text(line: "LogLine", zone: tzinfo) -> str:
    """The line for people: when, which order, what, and why."""
    words = [f"{line.at.astimezone(zone):%Y-%m-%d %H:%M:%S.%f}"[:-3], f"{line.leg or '-':<7}", line.event]
    if line.status:
        words.append(line.status)
    if line.quantity is not None:
        words.append(f"{line.quantity} shares" + (f" at {line.price}" if line.price else ""))
    if line.order_id:
        words.append(f"order {line.order_id}")
    if (request := line.detail.get("request_id")) is not None:
        words.append(f"request {request}")
    said = "  ".join(words)
    return f"{said}  {line.reason}" if line.reason else said
