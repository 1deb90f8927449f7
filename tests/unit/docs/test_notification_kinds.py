"""The tables of what users are notified of have every kind, and say rightly which of them money may depend on."""

import re
from pathlib import Path

from actors.domain.notices.notice import AT_RISK, NoticeKind

DOCS = Path(__file__).parents[3] / "docs"
KINDS = {str(kind) for kind in NoticeKind}


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the table whose first column has that heading."""
    text = (DOCS / page).read_text(encoding="utf-8")
    table = re.search(rf"^\| {re.escape(heading)} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert table is not None, f"{page} has no such table"
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[1].splitlines()]


def test_the_traders_page_has_every_kind_once_and_names_those_that_money_may_depend_on() -> None:
    table = rows("trading-day.md", "kind")
    named = [cells[0].strip("`") for cells in table]
    assert sorted(named) == sorted(KINDS)
    assert {cells[0].strip("`") for cells in table if cells[2] == "yes"} == {str(kind) for kind in AT_RISK}


def test_the_reference_has_every_kind_once() -> None:
    named = [kind for cells in rows("api.md", "`kind`") for kind in re.findall(r"`([a-z_]+)`", cells[0])]
    assert sorted(named) == sorted(KINDS)


def test_the_reference_names_those_that_money_may_depend_on() -> None:
    text = " ".join((DOCS / "api.md").read_text(encoding="utf-8").split())
    sentence = re.search(r"((?:`[a-z_]+`(?:, | and ))+`[a-z_]+`) are `at_risk`", text)
    assert sentence is not None
    assert set(re.findall(r"`([a-z_]+)`", sentence[1])) == {str(kind) for kind in AT_RISK}
