"""No rooms import each other, not even by way of a third: a room that holds the top and the bottom of a subject would.

import-linter has the floors (`pyproject.toml`); this also sees a module that no floor names. What a program runs
(`__main__`) is no part of its room.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping, Set
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOUSES = ("actors", "api", "broker", "config", "persistence")


def test_rooms_do_not_import_each_other_in_a_circle() -> None:
    files = {
        ".".join(file.relative_to(ROOT).with_suffix("").parts): file
        for house in HOUSES
        for file in (ROOT / house).rglob("*.py")
        if file.name != "__main__.py"
    }
    rooms = {name.removesuffix(".__init__"): name.rpartition(".")[0] for name in files}
    assert len(set(rooms.values())) > 60
    imports = defaultdict[str, set[str]](set)
    for name, file in files.items():
        imported = {rooms[module] for module in modules_imported(file) if module in rooms}
        imports[name.rpartition(".")[0]] |= imported
    assert circle(imports) == []


def test_a_circle_is_found() -> None:
    assert circle({"a": {"a", "b"}, "b": {"c"}, "c": set()}) == []
    assert set(circle({"a": {"b"}, "b": {"c"}, "c": {"a"}})) == {"a", "b", "c"}


@pytest.mark.parametrize(
    "line", ["import api.base.errors", "from api.base.errors import x", "from api.base import errors"]
)
def test_an_import_is_found_however_it_is_written(line: str, tmp_path: Path) -> None:
    for text in (line, f"def late():\n    {line}\n"):
        (tmp_path / "a.py").write_text(text, encoding="utf-8")
        assert "api.base.errors" in set(modules_imported(tmp_path / "a.py"))


def modules_imported(file: Path) -> Iterator[str]:
    """What a file may import; of `from a import b` both `a` and `a.b`."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def circle(imports: Mapping[str, Set[str]]) -> list[str]:
    """The rooms of one circle, if there is one."""
    try:
        TopologicalSorter({room: imported - {room} for room, imported in imports.items()}).prepare()
    except CycleError as found:
        rooms: list[str] = found.args[1]
        return rooms
    return []
