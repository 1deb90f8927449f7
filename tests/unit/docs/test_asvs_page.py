"""The page that goes through OWASP's standard: it leaves nothing out, and what is met names its test."""

import re
from collections import Counter
from pathlib import Path

from sqlmodel import SQLModel

import persistence.database.tables  # noqa: F401 - makes all tables known

DOCS = Path(__file__).parents[3] / "docs"
VERDICTS = ("met", "met, by no test", "not applicable", "not applicable yet", "not met")
COLUMNS = 120

# Source: OWASP ASVS 4.0.3, the requirements of levels 1 and 2 without those that it deleted.
LAST_OF_SECTION = {
    "1.1": 7, "1.2": 4, "1.4": 5, "1.5": 4, "1.6": 4, "1.7": 2, "1.8": 2, "1.9": 2, "1.10": 1, "1.11": 2, "1.12": 2,
    "1.14": 6, "2.1": 12, "2.2": 3, "2.3": 3, "2.4": 5, "2.5": 7, "2.6": 3, "2.7": 6, "2.8": 7, "2.9": 3, "2.10": 4,
    "3.1": 1, "3.2": 4, "3.3": 4, "3.4": 5, "3.5": 3, "3.7": 1, "4.1": 5, "4.2": 2, "4.3": 3, "5.1": 5, "5.2": 8,
    "5.3": 10, "5.4": 3, "5.5": 4, "6.1": 3, "6.2": 6, "6.3": 2, "6.4": 2, "7.1": 4, "7.2": 2, "7.3": 4, "7.4": 3,
    "8.1": 4, "8.2": 3, "8.3": 8, "9.1": 3, "9.2": 4, "10.2": 2, "10.3": 3, "11.1": 8, "12.1": 3, "12.2": 1, "12.3": 6,
    "12.4": 2, "12.5": 2, "12.6": 1, "13.1": 5, "13.2": 6, "13.3": 2, "13.4": 2, "14.1": 4, "14.2": 6, "14.3": 3,
    "14.4": 7, "14.5": 4,
}  # fmt: skip
DELETED = {"1.4.2", "1.4.3", "1.12.1", "4.1.4", "7.3.2", "13.1.2", "13.2.4", "14.3.1"}

PAGE = (DOCS / "asvs.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (\d+\.\d+\.\d+) \| ([12]) \| (.+?) \| (.+?) \| (.*?) ?\|$", PAGE, re.MULTILINE)


def test_every_requirement_of_levels_1_and_2_has_one_row_in_its_order() -> None:
    every = [f"{section}.{number}" for section, last in LAST_OF_SECTION.items() for number in range(1, last + 1)]
    assert [number for number, *_ in ROWS] == [number for number in every if number not in DELETED]


def test_a_row_has_a_verdict_and_fits_into_a_line() -> None:
    assert [number for number, _, _, verdict, _ in ROWS if verdict not in VERDICTS] == []
    assert [line for line in PAGE.splitlines() if line.startswith("|") and len(line) > COLUMNS] == []


def test_what_is_met_names_its_test_and_what_is_not_says_why() -> None:
    tested = {
        number
        for numbers in re.findall(r"^- ([\d., ]+): `tests/", PAGE, re.MULTILINE)
        for number in numbers.split(", ")
    }
    assert {number for number, _, _, verdict, _ in ROWS if verdict == "met"} == tested
    assert [number for number, _, _, verdict, why in ROWS if verdict != "met" and not why] == []


def test_every_test_that_a_note_names_exists() -> None:
    tests = "\n".join(module.read_text(encoding="utf-8") for module in (DOCS.parent / "tests").rglob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 5
    assert {name for name in named if f"def {name}(" not in tests} == set()


def test_the_summary_counts_the_rows() -> None:
    counted = Counter((number.split(".")[0], verdict) for number, _, _, verdict, _ in ROWS)
    summary = re.findall(r"^\| V(\d+): .+? \| (\d+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", PAGE, re.MULTILINE)
    assert {row[0]: row[1:] for row in summary} == {
        str(chapter): tuple(str(counted[str(chapter), verdict]) for verdict in VERDICTS) for chapter in range(1, 15)
    }
    total = [sum(verdict == one[3] for one in ROWS) for verdict in VERDICTS]
    assert f"| all | {' | '.join(map(str, total))} |" in PAGE


def test_the_table_of_data_names_every_table_of_the_database() -> None:
    table = (DOCS / "security.md").read_text(encoding="utf-8").split("\n## Which data is kept\n")[1].split("\n## ")[0]
    assert set(SQLModel.metadata.tables) - set(re.findall(r"`(\w+)`", table)) == set()
