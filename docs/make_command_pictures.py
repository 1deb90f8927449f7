"""Draw what operators' commands print, from a running deployment, into docs/pictures/: status, top, why and logs.

    .venv/bin/python docs/make_command_pictures.py STRATEGY_ID [--data-dir DIR] [--prefix trouble-]

Run it beside `tradeactors up`, or with the settings of a deployment. The pictures in the documents were made so.
"""

import argparse
import asyncio
import sys
from pathlib import Path

from rich.console import Console, RenderableType
from rich.text import Text

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
FOLDER = ROOT / "docs" / "pictures"
COLUMNS = 80


def draw(name: str, command: str, shown: RenderableType) -> None:
    """A terminal in which a command has printed this."""
    console = Console(record=True, width=COLUMNS, file=(FOLDER / "nothing").open("w"), force_terminal=True)
    (FOLDER / "nothing").unlink()
    console.print(Text(f"$ {command}", style="bold"), Text(), shown, sep="\n")
    # Fonts of the reader's machine: a page may load nothing from other servers.
    picture = console.export_svg(title="TradeActors", font_aspect_ratio=0.61)
    start, end = picture.find("@font-face"), picture.rfind('format("woff");')
    if start >= 0:
        picture = picture[:start] + picture[picture.find("}", end) + 1 :]
    (FOLDER / f"{name}.svg").write_text(picture.replace("Fira Code", "monospace"), encoding="utf-8")


async def main() -> None:
    """Look once, and draw all four."""
    from api.overview.looking import open_looking
    from config.commands.overview import logs, tables, verdict, why
    from config.commands.overview.status import facts_now, settings_to_look

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("strategy", type=int)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--prefix", default="", help="what the names of the pictures begin with")
    parser.add_argument("--only", default="status,top,why,logs")
    asked = parser.parse_args()
    wanted = asked.only.split(",")
    FOLDER.mkdir(exist_ok=True)
    settings = settings_to_look(asked.data_dir)
    async with open_looking(settings) as looking:
        facts = await facts_now(looking)
    seen = tables.overview(facts, verdict.verdict_of(facts))
    for name in ("status", "top"):
        if name in wanted:
            draw(f"{asked.prefix}{name}", f"tradeactors {name}", seen)
    timeline = await why.read(settings, asked.strategy, None)
    if isinstance(timeline, str):
        raise SystemExit(timeline)
    if "why" in wanted:
        draw(f"{asked.prefix}why", f"tradeactors why {asked.strategy}", why.shown(timeline))
    if "logs" in wanted:
        lines = [line async for line in logs.lines_of(settings, asked.strategy, 12, follow=False) if line is not None]
        text = "\n".join(logs.as_text(line, settings.zone) for line in lines)
        draw(f"{asked.prefix}logs", f"tradeactors logs {asked.strategy} -n 12", Text(text))


if __name__ == "__main__":
    asyncio.run(main())
