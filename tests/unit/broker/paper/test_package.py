"""The paper exchange judges the engine, so it must not share code with it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import broker.paper
from broker.paper.__main__ import parse
from broker.paper.base.config import PaperConfig

FOLDER = Path(broker.paper.__file__).parent
ALLOWED = {"fastapi", "starlette", "uvicorn", "websockets", "pydantic", "structlog"} | sys.stdlib_module_names


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda path: str(path.relative_to(FOLDER)))
def test_it_imports_nothing_of_the_engine(path: Path) -> None:
    foreign = {
        name
        for name in imported(path)
        if name.split(".")[0] not in ALLOWED and name != "broker.paper" and not name.startswith("broker.paper.")
    }
    assert foreign == set()


def test_the_command_line_sets_the_config() -> None:
    config = parse(["--port", "0", "--ledger-path", "x.jsonl", "--default-source=hold", "--liquidity-per-tick=5"])
    expected = PaperConfig(port=0, ledger_path=Path("x.jsonl"), default_source="hold", liquidity_per_tick=5)
    assert config == expected
    assert parse([]) == PaperConfig()


def test_senseless_settings_are_refused() -> None:
    with pytest.raises(SystemExit):
        parse(["--default-source", "magic"])
    with pytest.raises(ValueError, match="tick_seconds"):
        PaperConfig(tick_seconds=0)
    with pytest.raises(ValueError, match="port must be 0 to 65535"):
        PaperConfig(port=99_999)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            ("--ledger-path", "l"),
            "l, line 2 is damaged (Expecting value: line 1 column 1 (char 0)); restore a backup, ",
        ),
        (("--instruments-path", "l"), "l is no list of instruments as Kite serves it (KeyError: 'instrument_token'); "),
        (("--instruments-path", "none"), "Cannot use none: No such file or directory; name another one.\n"),
        (("--host", "203.0.113.1"), "Cannot use 203.0.113.1:0: Cannot assign requested address; name another one.\n"),
    ],
)
def test_what_it_cannot_begin_with_is_said_in_a_sentence(
    tmp_path: Path, options: tuple[str, ...], sentence: str
) -> None:
    (tmp_path / "l").write_text('{"kind": "request", "record": {}}\n\0\0\0\n')
    line = [sys.executable, "-P", "-m", "broker.paper", "--port", "0", *options]
    done = subprocess.run(
        line, capture_output=True, text=True, check=False, cwd=tmp_path, env={"PYTHONPATH": str(FOLDER.parents[1])}
    )
    assert done.returncode == 1
    assert done.stderr.startswith(sentence)
    assert done.stderr.count("\n") == 1
