"""What the documents say about the code, where it can be checked."""

import ast
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from api.app import create_app
from api.base.answers.translations import TRANSLATIONS
from api.edge import error_handlers
from config.settings import Settings

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
FOLDERS = ("actors", "api", "benchmarks", "broker", "config", "docs", "persistence", "tests")
HOUSES = ("actors", "api", "broker", "config", "persistence")
EMPTY = "*(empty)*"
DATA_DIR = "~/.local/share/tradeactors"


def test_the_transition_table_is_drawn_as_it_is() -> None:
    drawing = runpy.run_path(str(DOCS / "make_state_diagram.py"))
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    assert drawing["page_with_block"](page) == page, "run: .venv/bin/python docs/make_state_diagram.py"


def test_the_rooms_are_drawn_as_they_are() -> None:
    drawing = runpy.run_path(str(DOCS / "make_room_picture.py"))
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    assert drawing["page_with_block"](page) == page, "run: .venv/bin/python docs/make_room_picture.py"


def test_every_module_stands_on_a_floor() -> None:
    drawing = runpy.run_path(str(DOCS / "make_room_picture.py"))
    placed = {room for floor in drawing["floors"]() for room in floor}
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for house in drawing["HOUSES"]
        for path in (ROOT / house).rglob("*.py")
        if path.name != "__init__.py"
    }
    assert [name for name in modules if not any(f"{name}.".startswith(f"{room}.") for room in placed)] == []


def test_a_room_can_be_seen_at_one_look() -> None:
    rooms = {path.parent for house in HOUSES for path in (ROOT / house).rglob("__init__.py")}
    rooms.discard(ROOT / "persistence" / "migrations" / "versions")  # one after another, each of its time
    files = {str(room.relative_to(ROOT)): len(list(room.glob("*.py"))) - 1 for room in rooms}
    assert {room: count for room, count in files.items() if count > 12} == {}
    assert [room for room in rooms if not (room / "__init__.py").read_text(encoding="utf-8").strip()] == []


def test_every_setting_is_listed_with_its_default() -> None:
    page = (DOCS / "settings.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `([A-Z_]+)` \| (.+?) \| .+ \|$", page, re.MULTILINE))
    assert listed == {name.upper(): _default(field.default) for name, field in Settings.model_fields.items()}


def test_every_call_is_described_and_no_other() -> None:
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    paths = create_app(Settings()).openapi()["paths"]
    calls = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    assert set(re.findall(r"^### `(.+)`$", page, re.MULTILINE)) == calls


def test_every_error_code_is_listed_and_no_other() -> None:
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    translated = {code for _, code, _ in TRANSLATIONS.values()}
    of_their_own = {"invalid_request", "internal_error", "headers_too_large"}
    codes = translated | of_their_own | set(error_handlers._STATUS_CODES.values()) | set(_raised_codes())
    assert set(re.findall(r"^\| \d{3} \| `(\w+)` \|", page, re.MULTILINE)) == codes


def test_every_threat_names_a_test() -> None:
    page = (DOCS / "security.md").read_text(encoding="utf-8")
    threats = page.split("\n## Threats\n")[1].split("\n## ")[0].split("\n### ")[1:]
    assert len(threats) > 25
    assert [threat.splitlines()[0] for threat in threats if "\n- `tests/" not in threat] == []


@pytest.mark.parametrize("page", ["security.md", "asvs.md"])
def test_every_test_that_a_page_names_exists(page: str) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (DOCS / page).read_text(encoding="utf-8"))
    assert len(named) > 50
    missing = [
        f"{module}::{test}"
        for module, test in named
        if not (ROOT / module).exists() or f"def {test}(" not in (ROOT / module).read_text(encoding="utf-8")
    ]
    assert missing == []


def test_links_between_documents_lead_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *DOCS.rglob("*.md")]
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert broken == []


def test_every_file_that_a_document_names_exists() -> None:
    pages = [*ROOT.glob("*.md"), *DOCS.rglob("*.md")]
    named = [
        (page, name)
        for page in pages
        if page.name != "CHANGELOG.md"
        for name in re.findall(rf"`((?:{'|'.join(FOLDERS)})/[\w/*-]*(?:\.\w+|/))`", page.read_text(encoding="utf-8"))
    ]
    assert len(named) > 200
    missing = [f"{page.relative_to(ROOT)}: {name}" for page, name in named if not any(ROOT.glob(name.rstrip("/")))]
    assert missing == []


def test_what_the_lists_of_usual_changes_name_stands_in_the_file_before_it() -> None:
    named = [
        (file, name)
        for file, names in re.findall(r"`(\w[\w/.]+\.(?:py|ts|svelte))`\s+\((`\w+`[^)]*)\)", _usual_changes())
        for name in re.findall(r"`(\w+)`", names)
    ]
    assert len(named) > 25
    missing = [f"{name} in {file}" for file, name in named if name not in (ROOT / file).read_text(encoding="utf-8")]
    assert missing == []


def test_a_file_that_the_lists_name_without_its_room_is_beside_the_one_before_it() -> None:
    room, lost, count = ROOT, list[str](), 0
    for name in re.findall(r"`((?:[\w-]+/)*[\w.-]+\.(?:py|ts|svelte)|(?:[\w-]+/)+)`", _usual_changes()):
        if "/" in name:
            room = (ROOT / name).parent if "." in name else ROOT / name
        else:
            count += 1
            lost += [] if (room / name).exists() else [f"{name} in {room.relative_to(ROOT)}"]
    assert count > 8
    assert lost == []


@pytest.mark.parametrize(
    "change",
    ["an endpoint", "a screen of the app", "a way of sending a notification", "a check of readiness", "a setting"],
)
def test_a_usual_change_has_its_list(change: str) -> None:
    assert f"\n### … {change}\n" in _usual_changes()


def test_methods_that_a_document_names_exist() -> None:
    members = _members()
    ours = [
        (page, owner, name)
        for page in [*ROOT.glob("*.md"), *DOCS.rglob("*.md")]
        if page.name != "CHANGELOG.md"
        for owner, name in re.findall(r"`([A-Z]\w*[a-z]\w*)\.(\w+)`", page.read_text(encoding="utf-8"))
        if owner in members
    ]
    assert len(ours) > 8
    assert [f"{page.name}: {owner}.{name}" for page, owner, name in ours if name not in members[owner]] == []


def test_every_decision_has_the_same_parts() -> None:
    decisions = sorted((DOCS / "decisions").glob("[0-9]*.md"))
    assert decisions
    assert [page.name[:4] for page in decisions] == [f"{number:04}" for number in range(1, len(decisions) + 1)]
    for page in decisions:
        parts = re.findall(r"^## (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert parts == ["Context", "Decision", "Consequences", "Alternatives", "What enforces it"], page.name


def _usual_changes() -> str:
    return (DOCS / "architecture.md").read_text(encoding="utf-8").split("\n## Where do I change")[1]


def _members() -> dict[str, set[str]]:
    """What the product's classes have, by their names: methods, fields, and what is set on `self`."""
    found: dict[str, set[str]] = {}
    lines = re.MULTILINE | re.DOTALL
    for module in (module for house in HOUSES for module in (ROOT / house).rglob("*.py")):
        for owner, body in re.findall(r"^class (\w+)(.*?)(?=^[^\s)#]|\Z)", module.read_text(encoding="utf-8"), lines):
            names = re.findall(r"^    (?:async def |def )?(\w+)(?=[(:,]| = )|\bself\.(\w+)", body, lines)
            found.setdefault(owner, set()).update(name for pair in names for name in pair)
    return found


def _raised_codes() -> Iterator[str]:
    """The codes that stand in calls of `ApiError(status, code, …)`, `unauthorized(code, …)`, `InvalidField(code=…)`."""
    places = {"ApiError": 1, "unauthorized": 0}
    for module in (ROOT / "api").rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "InvalidField":
                named = (argument.value for argument in node.keywords if argument.arg == "code")
                yield from (str(code.value) for code in named if isinstance(code, ast.Constant))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in places:
                code = node.args[places[node.func.id]]
                if isinstance(code, ast.Constant):
                    yield str(code.value)


def _default(value: Any) -> str:
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, tuple):
        value = ",".join(str(part) for part in value)
    if isinstance(value, Path):
        assert value == Path(DATA_DIR)
    return f"`{value}`" if value not in {None, ""} else EMPTY
