"""Each room of the API says in a protocol what it uses of what the process has opened: it must be there."""

import re
from importlib import import_module
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from api.bootstrap import Resources
from api.users.dependencies import UsedForClaims, UsedForPasswords
from api.users.login_cookie import UsedForOrigins

ROOT = Path(__file__).parents[3]
MODULES = [
    ".".join(file.relative_to(ROOT).with_suffix("").parts)
    for file in sorted((ROOT / "api").rglob("*.py"))
    if re.search(r"^class Used\(Protocol\):", file.read_text(encoding="utf-8"), re.MULTILINE)
]
USED = [import_module(module).Used for module in MODULES]


@pytest.mark.parametrize(
    "used",
    [*USED, UsedForClaims, UsedForOrigins, UsedForPasswords],
    ids=lambda used: f"{used.__module__} {used.__name__}",
)
def test_what_a_room_uses_is_opened(used: Any) -> None:
    assert get_type_hints(used).items() <= get_type_hints(Resources).items()


def test_the_rooms_are_found() -> None:
    assert {"api.strategies.routes", "api.strategies.preview.routes", "api.users.routes"} <= set(MODULES)
