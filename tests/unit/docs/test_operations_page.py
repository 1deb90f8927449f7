"""What docs/operations.md tells an operator, where it can be checked against the code."""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from actors.domain.strategy.outcomes import FAILURE_STATUS
from actors.domain.strategy.state import RunStatus, StatusDetail
from api.readiness.operator import FAULTS
from config.ray_settings import CLUSTER_SETTINGS, PRELOADED, RAY_SETTINGS
from config.settings import PREFIX, Settings

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "operations.md"
HOUSES = ("actors", "api", "broker", "config", "persistence")
ALERTING = {"RaiseAlert": 0, "_raise_alert": 0, "alert": 2, "_tell": 0}
"""Calls that raise an alert, and where the code stands in them."""


def test_the_file_of_rays_variables_has_what_we_start_ray_with() -> None:
    block = re.search(r"<!-- ray.environment -->\n```sh\n(.+?)\n```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    written = dict(line.split("=", 1) for line in block[1].splitlines())
    ours = {**RAY_SETTINGS, **CLUSTER_SETTINGS, "RAY_preload_python_modules": PRELOADED}
    del ours["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"]
    assert {name: written.get(name) for name in ours} == ours
    assert written.keys() - ours.keys() == {"RAY_AUTH_TOKEN_PATH", "RAY_gcs_storage_path"}


def test_every_setting_that_is_named_exists() -> None:
    named = re.findall(rf"\b{PREFIX}([A-Z_]+)", PAGE.read_text(encoding="utf-8"))
    assert {name.lower() for name in named} <= Settings.model_fields.keys()


def test_every_alert_is_explained_and_no_other() -> None:
    page = PAGE.read_text(encoding="utf-8")
    section = page.split("\n## Alerts\n")[1].split("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]+`) \|", section, re.MULTILINE)
    assert {code for cell in cells for code in re.findall(r"`(\w+)`", cell)} == set(_alert_codes())


def test_every_event_of_the_log_that_is_explained_is_logged() -> None:
    section = PAGE.read_text(encoding="utf-8").split("\n| event | in | means |\n")[1].split("\n\n")[0]
    events = {
        event for cell in re.findall(r"^\| ([^|]+) \|", section, re.MULTILINE) for event in re.findall(r"`(.+?)`", cell)
    }
    code = "".join(path.read_text(encoding="utf-8") for house in HOUSES for path in (ROOT / house).rglob("*.py"))
    assert len(events) > 20
    assert [event for event in sorted(events) if f'"{event}"' not in code] == []


def _alert_codes() -> Iterator[str]:
    # What the status says is the alert's code too, where an order waits or its outcome is unknown.
    yield from (str(detail) for status, detail in FAILURE_STATUS.values() if status is RunStatus.PAUSED)
    yield str(StatusDetail.ORDER_UNKNOWN)
    yield from (*FAULTS, "readiness_restored")
    for module in (ROOT / "actors").rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and module.name == "alerts.py" and node.name == "alert_of":
                yield from _first_of_each_answer(node)
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                place = ALERTING.get(name)
                if place is not None and len(node.args) > place:
                    yield from _codes(ast.walk(node.args[place]))


def _first_of_each_answer(function: ast.FunctionDef) -> Iterator[str]:
    for node in ast.walk(function):
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
            yield from _codes(node.value.elts[:1])


def _codes(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
