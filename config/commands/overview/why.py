"""`tradeactors why`: the timeline of a strategy in the terminal, so why a trade did or did not happen."""

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from config.commands.base.deployment import DataDir
from config.commands.overview.status import AsJson, settings_to_look, what_cannot_be_told

if TYPE_CHECKING:
    from rich.console import RenderableType

    from api.timeline.schemas import StrategyTimeline, TimelineLeg
    from config.settings import Settings

Strategy = Annotated[int, typer.Argument(min=1, max=2**63 - 1, help="The id of the strategy, of any user.")]
RunId = Annotated[int | None, typer.Option("--run", min=1, max=2**63 - 1, help="A run of it; the latest by default.")]
_MOST = 50


def why(strategy_id: Strategy, run: RunId = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Say what happened to a strategy, and why; exit code 1 if there is none of that id, 2 if it cannot be known."""
    with what_cannot_be_told(as_json=as_json):
        settings = settings_to_look(data_dir)
        from rich.console import Console

        timeline = asyncio.run(read(settings, strategy_id, run))
        if isinstance(timeline, str):
            typer.echo(timeline, err=True)
            raise typer.Exit(1)
        if as_json:
            typer.echo(timeline.model_dump_json(indent=2))
        else:
            Console(highlight=False).print(shown(timeline))


async def read(settings: "Settings", strategy_id: int, run_id: int | None) -> "StrategyTimeline | str":
    """The timeline, or the sentence that says why there is none."""
    from api.base.errors import ApiError
    from api.timeline.reader import read_timeline
    from api.timeline.schemas import TimelineQuery
    from persistence.database.engine import open_database, sessions_of, transaction
    from persistence.database.operator_view import owner_of

    engine = open_database(settings.database_url, pool_size=1)
    sessions = sessions_of(engine)
    try:
        async with transaction(sessions) as session:
            user_id = await owner_of(session, strategy_id)
        if user_id is None:
            return f"There is no strategy {strategy_id}: correct the id, as the app shows it."
        query = TimelineQuery(limit=_MOST, offset=0, run_id=run_id)
        return await read_timeline(sessions, settings.zone, user_id, strategy_id, query)
    except ApiError as refusal:
        return f"{refusal.detail}: {strategy_id}, run {run_id}." if run_id else f"{refusal.detail}: {strategy_id}."
    finally:
        await engine.dispose()


def shown(timeline: "StrategyTimeline") -> "RenderableType":
    """The summary first, then each leg, then the notes in their order."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    run = "" if timeline.run_id is None else f", run {timeline.run_id}"
    parts: list[RenderableType] = [
        Text(timeline.summary, style="bold"),
        Text(f"strategy {timeline.strategy_id}{run}{_span(timeline)}", style="dim"),
    ]
    for leg in timeline.legs:
        parts += [Text(), Text(_leg_title(leg), style="bold"), _instants(leg)]
    if timeline.notes:
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
        table.add_column("when", no_wrap=True)
        table.add_column("what", overflow="fold")
        for note in timeline.notes:
            table.add_row(
                _clock(note.at), Text.assemble(_words(note.event), (f"  {note.reason}" if note.reason else ""))
            )
        parts += [Text(), table]
    left_out = timeline.notes_total - len(timeline.notes)
    if left_out > 0:
        more = "at least " if timeline.notes_total_capped else ""
        parts.append(Text(f"{more}{left_out} earlier notes: `tradeactors logs {timeline.strategy_id}`", style="dim"))
    return Group(*parts)


def _span(timeline: "StrategyTimeline") -> str:
    if timeline.started_at is None:
        return ""
    ended = f", ended {timeline.ended_at:%Y-%m-%d %H:%M:%S}" if timeline.ended_at else ", goes on"
    return f", started {timeline.started_at:%Y-%m-%d %H:%M:%S}{ended}"


def _leg_title(leg: "TimelineLeg") -> str:
    price = "" if leg.average_price is None else f" at {leg.average_price:.2f}"
    of = f"{leg.filled_quantity} of {leg.quantity}" if leg.filled_quantity != leg.quantity else str(leg.quantity)
    number = f" {leg.seq}" if leg.seq > 1 else ""
    order = f", order {leg.order_id}" if leg.order_id else ""
    return f"{leg.leg}{number} {leg.cause or ''}: {leg.outcome}, {of} shares{price}{order}"


def _instants(leg: "TimelineLeg") -> "RenderableType":
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    due = leg.scheduled_at or leg.triggered_at
    rows = [
        ("due", leg.scheduled_at),
        ("decided", leg.triggered_at),
        ("sent", leg.sent_at),
        ("at the broker", leg.acknowledged_at),
        ("filled", leg.filled_at),
    ]
    for what, instant in rows:
        if instant is not None:
            after = "" if due is None or instant == due else f"{(instant - due).total_seconds() * 1000:+.0f} ms"
            table.add_row(what, _clock(instant), after)
    for attempt in leg.attempts if leg.attempts_total > 1 else []:
        said = Text.assemble(attempt.status or "", (f"  {attempt.reason}" if attempt.reason else ""))
        table.add_row("attempt", _clock(attempt.answered_at), said)
    return Padding(table, (0, 0, 0, 2))


def _clock(instant: datetime) -> str:
    return f"{instant:%H:%M:%S}.{instant.microsecond // 1000:03d}"


def _words(event: str) -> str:
    return event.replace("_", " ")
