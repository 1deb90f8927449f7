"""`tradeactors replay`: what a strategy would have done on a recorded day."""

import json
from datetime import datetime, time
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from actors.replay import Replay


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
        return Decimal(text)
    except InvalidOperation:
        raise typer.BadParameter("write rupees, such as 92.00") from None


def replay(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV time_ist,open,high,low,close,volume")],
    buy: Annotated[time, typer.Option(parser=_wall_clock, metavar="HH:MM[:SS]", help="When to buy")],
    sell: Annotated[time, typer.Option(parser=_wall_clock, metavar="HH:MM[:SS]", help="When to sell")],
    stop: Annotated[Decimal, typer.Option(parser=_rupees, metavar="RUPEES", help="Stop-loss price")],
    qty: Annotated[int, typer.Option(min=1, help="Shares")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table")] = False,
) -> None:
    """Run one strategy over a recorded day, in virtual time, with the code that trades."""
    from actors.domain.errors import InvalidValue
    from actors.domain.money import to_paise
    from actors.replay import read_bars
    from actors.replay import replay as play

    try:
        result = play(read_bars(file), buy, sell, to_paise(stop), qty, file.name.partition("-")[0])
    except InvalidValue as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps(_as_json(result), indent=2))
    else:
        _print_table(result)


def _as_json(result: "Replay") -> dict[str, object]:
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
    }


def _print_table(result: "Replay") -> None:
    from rich.console import Console
    from rich.table import Table

    from actors.domain.money import to_rupees

    table = Table("Market time", "Decision", "Price ₹", "Quantity", "Remark", title=_title(result))
    for decision in result.decisions:
        price = str(to_rupees(decision.price)) if decision.price is not None else ""
        quantity = str(decision.quantity or "")
        table.add_row(f"{decision.at:%H:%M:%S}", decision.event, price, quantity, decision.reason)
    console = Console()
    console.print(table)
    pnl = result.position.pnl
    console.print(
        f"{result.state.message}. Profit or loss: {f'₹{pnl}' if pnl is not None else 'none, nothing was sold'}"
    )


def _title(result: "Replay") -> str:
    run = result.state.run
    day: datetime = run.buy_at
    stop = run.stop_loss / Decimal(100)
    return f"{run.quantity} {run.instrument.symbol} on {day:%d %b %Y}, stop-loss ₹{stop:.2f}"
