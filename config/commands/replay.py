"""`tradeactors replay`: what a strategy would have done on a recorded day."""

import json
from collections.abc import Sequence
from datetime import date, datetime, time, tzinfo
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from actors.domain.session import SessionHours
from actors.replay.files.options import ReadingOptions, Stamps

if TYPE_CHECKING:
    from actors.replay.files.reading import Recording
    from actors.replay.player import Replay

_HIGHEST_STOP = Decimal(10_000_000)
_MOST_SHARES = 100_000_000


def _recording_file(text: str) -> Path:
    if not text:
        raise typer.BadParameter("an empty name names no file; add the name of one, or - for the standard input")
    if "://" in text:
        raise typer.BadParameter(
            "it is an address, and no file; download it first, or pipe it to: tradeactors replay -"
        )
    return Path(text)


def _wall_clock(text: str) -> time:
    try:
        parsed = time.fromisoformat(text)
    except ValueError:
        parsed = None
    if parsed is None or parsed.tzinfo is not None:
        raise typer.BadParameter("write HH:MM or HH:MM:SS")
    return parsed


def _rupees(text: str) -> Decimal:
    try:
        rupees = Decimal(text)
    except InvalidOperation:
        rupees = Decimal("NaN")
    if not rupees.is_finite() or not 0 < rupees <= _HIGHEST_STOP:
        raise typer.BadParameter("write rupees, such as 92.00")
    return rupees


def _day(text: str) -> date:
    try:
        return date.fromisoformat(_hyphens(text))
    except ValueError:
        raise typer.BadParameter("write YYYY-MM-DD") from None


def _zone(text: str) -> tzinfo:
    try:
        return ZoneInfo(text)
    except (ValueError, OSError, KeyError):
        raise typer.BadParameter("write a time zone such as Asia/Kolkata or UTC") from None


def _session(text: str) -> SessionHours:
    try:
        opens, closes = (time.fromisoformat(part.strip()) for part in _hyphens(text).split("-"))
        return SessionHours(opens, closes)
    except ValueError:
        raise typer.BadParameter("write HH:MM-HH:MM") from None


def _hyphens(text: str) -> str:
    """A text in which hyphens are no longer dashes, as word processors and chats make them."""
    from actors.replay.files.times import hyphens

    return hyphens(text)


def _svg(text: str) -> Path:
    if Path(text).suffix.lower() != ".svg":
        raise typer.BadParameter("write a name that ends in .svg")
    return Path(text)


def replay(  # noqa: PLR0913 - each is an option of the command
    file: Annotated[
        Path,
        typer.Argument(
            parser=_recording_file,
            metavar="FILE",
            help="One-minute bars: CSV, or JSON of Kite; - for the standard input",
        ),
    ],
    *,
    buy: Annotated[time, typer.Option(parser=_wall_clock, metavar="HH:MM[:SS]", help="When to buy")],
    sell: Annotated[time, typer.Option(parser=_wall_clock, metavar="HH:MM[:SS]", help="When to sell")],
    stop: Annotated[Decimal, typer.Option(parser=_rupees, metavar="RUPEES", help="Stop-loss price")],
    qty: Annotated[int, typer.Option(min=1, max=_MOST_SHARES, help="Shares")],
    day: Annotated[
        date | None, typer.Option("--date", parser=_day, metavar="YYYY-MM-DD", help="Which day of a file of several")
    ] = None,
    zone: Annotated[
        tzinfo | None,
        typer.Option("--tz", parser=_zone, metavar="ZONE", help="Zone of times without an offset; else Asia/Kolkata"),
    ] = None,
    stamps: Annotated[
        Stamps | None, typer.Option(help="Which end of a bar its time is; else judged by the first and the last bar")
    ] = None,
    session: Annotated[
        SessionHours | None,
        typer.Option(parser=_session, metavar="HH:MM-HH:MM", help="A special session; else 09:15-15:30"),
    ] = None,
    symbol: Annotated[str | None, typer.Option(help="Which symbol of a file of several")] = None,
    chart: Annotated[
        Path | None, typer.Option(parser=_svg, metavar="FILE.svg", help="Draw the day with buy, stop-loss and sale")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table")] = False,
) -> None:
    """Run one strategy over a recorded day, in virtual time, with the code that trades."""
    from actors.domain.errors import InvalidValue
    from actors.domain.money import to_paise
    from actors.replay.files.reading import read_recording
    from actors.replay.player import replay as play
    from actors.replay.ticks import walked
    from broker.exchange_time import IST

    try:
        file = Path("/dev/stdin") if str(file) == "-" else file
        today = datetime.now(IST).date()
        recording = read_recording(file, ReadingOptions(day, zone or IST, stamps, session, symbol, today))
        ticks = walked(recording.bars, recording.spacing, recording.closes)
        result = play(ticks, buy, sell, to_paise(stop), qty, recording.symbol)
        if chart is not None:
            _draw(chart, file, recording, result)
    except InvalidValue as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps(_as_json(recording, result), indent=2))
    else:
        _print_table(recording, result)
        if chart is not None:
            typer.echo(f"The day is drawn in {_printable(str(chart))}")


def _draw(chart: Path, file: Path, recording: "Recording", result: "Replay") -> None:
    from actors.domain.errors import InvalidValue
    from actors.replay.chart.picture import picture
    from config.files import refusal_of

    drawn = picture(recording.bars, recording.spacing, recording.closes, result, _result(result))
    try:
        if chart.exists() and chart.samefile(file):
            raise InvalidValue(f"{_printable(str(chart))} is the recording; name another file for the chart")
        if chart.exists() and not (chart.is_file() or chart.is_dir()):
            raise InvalidValue(f"{_printable(str(chart))} is a pipe or a device, and no file; name another file")
        chart.write_text(drawn, encoding="utf-8")
    except OSError as error:
        raise InvalidValue(f"{_printable(str(chart))} cannot be written: {refusal_of(error)}") from error


def _as_json(recording: "Recording", result: "Replay") -> dict[str, object]:
    from actors.domain.money import to_rupees

    pnl = result.position.pnl
    return {
        "decisions": [
            {
                "time": decision.at.isoformat(),
                "event": decision.event,
                "price": float(to_rupees(decision.price)) if decision.price is not None else None,
                "quantity": decision.quantity,
            }
            for decision in result.decisions
        ],
        "position": result.state.position_status,
        "pnl": float(pnl) if pnl is not None else 0.0,
        "message": result.state.message,
        "notes": list(result.notes),
        "recording": recording.understood.as_json(),
    }


def _print_table(recording: "Recording", result: "Replay") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from actors.domain.money import to_rupees

    _echo(recording.understood.sentences())
    table = Table("Market time", "Decision", "Price ₹", "Quantity", "Remark", title=Text(_title(result)))
    for decision in result.decisions:
        price = str(to_rupees(decision.price)) if decision.price is not None else ""
        quantity = str(decision.quantity or "")
        table.add_row(f"{decision.at:%H:%M:%S}", decision.event, price, quantity, Text(decision.reason))
    Console().print(table)
    _echo(result.notes)
    typer.echo(_result(result))


def _echo(sentences: Sequence[str]) -> None:
    for sentence in sentences:
        typer.echo(f"{sentence}.")


def _result(result: "Replay") -> str:
    pnl = result.position.pnl
    return f"{result.state.message}. Profit or loss: {f'₹{pnl}' if pnl is not None else 'none, nothing was sold'}"


def _title(result: "Replay") -> str:
    run = result.state.run
    day: datetime = run.buy_at
    stop = run.stop_loss / Decimal(100)
    return f"{run.quantity} {run.instrument.symbol} on {day:%d %b %Y}, stop-loss ₹{stop:.2f}"


def _printable(text: str) -> str:
    from actors.replay.files.faults import plain

    return plain(text)
