"""Draw the rooms and their floors into docs/architecture.md, between the markers, from the import contract.

    .venv/bin/python docs/make_room_picture.py

`tests/unit/docs/test_docs.py` fails when the picture is not that of `pyproject.toml` and of the rooms' `__init__.py`.
"""

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
BEGIN = "<!-- rooms: begin (written by docs/make_room_picture.py) -->"
END = "<!-- rooms: end -->"
HOUSES = ("actors", "api", "broker", "config", "persistence")
COLOURS = {"actors": "#dae8fc", "api": "#d5e8d4", "broker": "#ffe6cc", "config": "#f5f5f5", "persistence": "#e1d5e7"}


def floors() -> list[list[str]]:
    """The rooms of each floor, from the top: the first contract of import-linter."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return [floor.split(" | ") for floor in project["tool"]["importlinter"]["contracts"][0]["layers"]]


def rooms() -> dict[str, str]:
    """Every room, and what its `__init__.py` says that it is for."""
    found = {}
    for house in HOUSES:
        for path in sorted((ROOT / house).rglob("__init__.py")):
            said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            if said:
                sentence = re.match(r"(.+?\.)(?:\s|$)", " ".join(said.split()))
                found[str(path.parent.relative_to(ROOT))] = sentence[1] if sentence else said
    return found


def block() -> str:
    """Everything between the markers: the floors, then what each room is for."""
    return "\n".join([BEGIN, "", *_picture(), "", *_table(), "", END])


def page_with_block(page: str) -> str:
    """The page with its block brought up to date.

    Raises:
        ValueError: the page has not exactly one pair of markers.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in after:
        raise ValueError(f"{PAGE.name} must hold one pair of markers")
    return before + block() + after


def _picture() -> list[str]:
    lines = ["```mermaid", "flowchart TB"]
    for number, floor in enumerate(floors()):
        lines += [f'    subgraph f{number}[" "]', "        direction LR"]
        lines += [f'        {room.replace(".", "_")}["{room}"]:::{room.partition(".")[0]}' for room in floor]
        lines.append("    end")
    lines.append("    " + " --> ".join(f"f{number}" for number in range(len(floors()))))
    lines += [f"    classDef {house} fill:{colour},stroke:#666,color:#000" for house, colour in COLOURS.items()]
    return [*lines, "```"]


def _table() -> list[str]:
    return ["| room | what it is for |", "|---|---|", *(f"| `{room}/` | {said} |" for room, said in rooms().items())]


if __name__ == "__main__":
    PAGE.write_text(page_with_block(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
