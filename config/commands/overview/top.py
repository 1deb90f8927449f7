"""`tradeactors top`: what `status` prints, live."""

import asyncio
import contextlib
import os
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from config.commands.base.deployment import DataDir
from config.commands.overview.status import facts_now, settings_to_look, what_cannot_be_told

if TYPE_CHECKING:
    from rich.live import Live

    from config.settings import Settings

_QUITS = frozenset(b"qQ\x03\x1b")
_ROWS_BESIDE = 16
"""How many rows of the screen the verdict, the figures and the processes take."""

_ROWS_OF_A_TROUBLE = 4

Every = Annotated[float, typer.Option("--every", min=0.5, max=60, help="Seconds between two looks.")]


def top(every: Every = 1.0, data_dir: DataDir = None) -> None:
    """Show live whether all is well, what is wrong and the figures; q or Ctrl-C ends it."""
    with what_cannot_be_told():
        settings = settings_to_look(data_dir)
        from rich.console import Console
        from rich.live import Live

        console = Console(highlight=False)
        if not console.is_terminal:
            typer.echo("`tradeactors top` needs a terminal; `tradeactors status` does not.", err=True)
            raise typer.Exit(2)
        with Live(console=console, screen=True, auto_refresh=False) as live:
            asyncio.run(_show(settings, live, every))


async def _show(settings: "Settings", live: "Live", every_s: float) -> None:
    """Look and show until a key ends it. What has changed since, such as the size of the screen, the next look sees."""
    from api.overview.looking import open_looking
    from config.commands.overview import tables, verdict

    ended, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, ended.set)
    with _keys(ended):
        async with open_looking(settings) as looking:
            while not ended.is_set():
                facts = await facts_now(looking)
                rows = max(1, (live.console.size.height - _ROWS_BESIDE) // _ROWS_OF_A_TROUBLE)
                live.update(tables.overview(facts, verdict.verdict_of(facts), rows), refresh=True)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(every_s):
                        await ended.wait()


@contextmanager
def _keys(ended: asyncio.Event) -> Iterator[None]:
    """Hear the keys one by one, without showing them, and leave the terminal as it was."""
    if not sys.stdin.isatty():
        yield
        return
    keyboard, loop = sys.stdin.fileno(), asyncio.get_running_loop()
    before = termios.tcgetattr(keyboard)

    def pressed() -> None:
        keys = os.read(keyboard, 32)
        if not keys or not _QUITS.isdisjoint(keys):
            ended.set()

    tty.setcbreak(keyboard)
    loop.add_reader(keyboard, pressed)
    try:
        yield
    finally:
        loop.remove_reader(keyboard)
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
