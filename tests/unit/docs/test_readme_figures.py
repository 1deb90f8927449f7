"""Each figure that README.md has from a committed report stands in that report: one is not written without the other.

Figures are read out of both, so that a report may be written again at any time: README is then red until it follows.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
Facts = Mapping[str, str]

WORDS = {"three": "3", "four": "4", "ten": "10", "a hundred": "100"}
AMOUNT = r"[\d.]+ m?s"


def chaos(page: str) -> Facts:
    """Both tables together: a duplicate in either is one."""
    unguarded = r"(\d+) positions left unguarded"
    matrix = found(rf"(\d+) cases, of the matrix's .*?: (\d+) duplicate orders, (\d+) shorts, {unguarded}", page)
    outside = found(rf"(\d+) cases: (\d+) shorts, (\d+) sales of .*? (\d+) duplicate orders, {unguarded}", page)
    return {
        "cases": matrix[1],
        "outside": outside[1],
        "duplicates": str(int(matrix[2]) + int(outside[4])),
        "shorts": str(int(matrix[3]) + int(outside[2])),
        "unguarded": str(int(matrix[4]) + int(outside[5])),
    }


def guards(page: str) -> Facts:
    whole = found(
        r"(\d+) cases: (\d+) duplicate orders, (\d+) shorts, (\d+) positions unguarded for too long, (\d+) other", page
    )
    of = {
        killed: (cases, median, worst)
        for killed, cases, median, worst in re.findall(
            rf"\| ([a-z ]+) killed \| (\d+) \| ({AMOUNT}) \| ({AMOUNT}) \|", page
        )
    }
    beside = [worst for killed, (_, _, worst) in of.items() if killed.endswith(" and execution")]
    return {
        "cases": whole[1],
        "broken": str(sum(map(int, whole.group(2, 3, 4, 5)))),
        "strategy": of["strategy"][1],
        "execution": of["execution"][1],
        "execution_cases": of["execution"][0],
        "execution_worst": of["execution"][2],
        "beside_worst": max(beside, key=milliseconds),
    }


def outside(page: str) -> Facts:
    return {
        "accounts": found(r"strategies at a time of (\d+) accounts", page)[1],
        "runs": found(r"\| strategies started; ended \| (\d+); \1 \|", page)[1],
        "shorts": found(r"\| shorts that an order of ours opened \| (\d+) \|", page)[1],
        "duplicates": found(r"\| tags with two orders \| (\d+) \|", page)[1],
    }


def month(page: str) -> Facts:
    assert found(r"\| promises broken \| (\d+) \|", page)[1] == "0"
    return {
        "month": found(r"to \d+ (\w+ \d{4}),", page)[1],
        "days": found(r", (\d+) days with", page)[1],
        "traders": found(r"days with (\d+) traders", page)[1],
        "trades": found(
            r"\| trades that should happen \| (\d+) \| \| of these, bought once and sold once, [^|]+ \| \1 \|", page
        )[1],
        "left_out": found(
            r"\| trades that should not happen \| (\d+) \| \| of these, not made, and said \| \1 \|", page
        )[1],
    }


def scale(page: str) -> Facts:
    wrong = found(r"\| duplicates, wrong orders, shares left, strategies not sold in 60 s \| (\d+) \|", page)[1]
    return {
        "strategies": found(r": (\d+) strategies of", page)[1],
        "minutes": found(r"for (\d+) minutes", page)[1],
        "duplicates": wrong,
        "shares": wrong,
    }


def bench(page: str) -> Facts:
    cold = found(r"## Stop-loss, cold: tick received to order on the wire, 1 on the symbol (.*?) ## ", page)[1]
    row = found(r"\| ours, API load: received → [^|]+ \| (\d+) \| ([\d.]+) \| (?:[\d.]+ \| )*([\d.]+) \|", cold)
    return {"tries": row[1], "median": f"{row[2]} ms", "worst": f"{row[3]} ms"}


REPORTS: dict[str, Callable[[str], Facts]] = {
    "docs/chaos-report.md": chaos,
    "docs/guards-report.md": guards,
    "docs/outside-report.md": outside,
    "docs/month-report.md": month,
    "docs/scale-report.md": scale,
    "benchmarks/RESULTS.md": bench,
}

CELLS = {
    "docs/chaos-report.md": r"(?P<cases>\d+) and (?P<outside>\d+) cases: (?P<duplicates>\d+) duplicates, "
    r"(?P<shorts>\d+) shorts, (?P<unguarded>\d+) unguarded",
    "docs/guards-report.md": rf"(?P<cases>\d+) cases: (?P<broken>\d+) broken; strategy killed: exit after "
    rf"(?P<strategy>{AMOUNT}), execution killed: after (?P<execution>{AMOUNT}) \(medians\)",
    "docs/outside-report.md": r"(?P<runs>\d+) runs: (?P<shorts>\d+) shorts of ours, (?P<duplicates>\d+) duplicates",
    "docs/month-report.md": r"(?P<days>\d+) days: (?P<trades>\d+) trades, each once; (?P<left_out>\d+) that had to be "
    r"left out, each said",
    "docs/scale-report.md": r"(?P<duplicates>\d+) duplicates, (?P<shares>\d+) shares left",
    "benchmarks/RESULTS.md": rf"stop-loss to the wire: (?P<median>{AMOUNT}) median, (?P<worst>{AMOUNT}) at worst of "
    r"(?P<tries>\d+)",
}
"""The last column of README's table of commands, by the report that a cell links to."""

SENTENCES = {
    "docs/guards-report.md": rf"the exit left after (?P<execution>{AMOUNT}) in the median and "
    rf"(?P<execution_worst>{AMOUNT}) at worst of (?P<execution_cases>\w+); with a second process killed beside it, "
    rf"after (?P<beside_worst>{AMOUNT}) at worst",
    "docs/outside-report.md": r"a trading day of (?P<accounts>\w+) accounts",
    "docs/month-report.md": r"(?P<traders>\w+) traders with schedules, (?P<month>\w+ \d{4})",
    "docs/scale-report.md": r"(?P<strategies>a \w+) strategies, killed for (?P<minutes>\w+) minutes",
}
"""What README says elsewhere out of a report."""


def test_every_figure_of_readme_stands_in_its_report() -> None:
    assert list(faults(read("README.md"), {report: read(report) for report in REPORTS})) == []


def test_every_result_in_the_table_is_one_that_is_compared() -> None:
    cells = dict(results(read("README.md")))
    assert cells.keys() == REPORTS.keys()
    assert [cell for report, cell in cells.items() if not re.fullmatch(CELLS[report], cell)] == []


@pytest.mark.parametrize(
    ("report", "before", "after"),
    [
        ("docs/chaos-report.md", "0 duplicate orders, 0 shorts", "1 duplicate orders, 0 shorts"),
        ("docs/guards-report.md", "| execution killed | ", "| execution killed | 1"),
        ("docs/outside-report.md", "| tags with two orders | 0 |", "| tags with two orders | 2 |"),
        ("docs/month-report.md", " days with ", "1 days with "),
        ("docs/scale-report.md", " strategies of ", "1 strategies of "),
        ("benchmarks/RESULTS.md", "| ours, API load: received → arrived at the exchange | ",
         "| ours, API load: received → arrived at the exchange | 9"),
    ],
)  # fmt: skip
def test_a_report_that_is_written_again_without_readme_is_noticed(report: str, before: str, after: str) -> None:
    pages = {name: read(name) for name in REPORTS}
    assert before in pages[report]
    assert any(fault.startswith(report) for fault in faults(read("README.md"), pages | {
        report: pages[report].replace(before, after, 1)
    }))  # fmt: skip


def test_the_results_are_of_the_days_that_the_table_says() -> None:
    # Two reports have no day of their own: what they are about is a month, and the rows of kills.
    dated = set(REPORTS) - {"docs/month-report.md", "docs/guards-report.md"}
    days = [date_of(found(r"\b\d{1,2} \w+ 20\d\d\b", read(report))[0]) for report in dated]
    said = found(r"\| result of (\d+)(?: (\w+))?(?: to (\d+) (\w+))? (20\d\d) \|", read("README.md"))
    first, last = (f"{said[1]} {said[2] or said[4]} {said[5]}", f"{said[3] or said[1]} {said[4] or said[2]} {said[5]}")
    assert (date_of(first), date_of(last)) == (min(days), max(days))


def faults(readme: str, pages: Mapping[str, str]) -> Iterator[str]:
    """What README says and its report does not, or no longer."""
    cells = dict(results(readme))
    for report, facts_of in REPORTS.items():
        facts = facts_of(pages[report])
        said = [re.fullmatch(CELLS[report], cells.get(report, ""))]
        if report in SENTENCES:
            said.append(re.search(SENTENCES[report], readme))
        if None in said:
            yield f"{report}: README does not say it as this test knows it"
        for name, figure in ((name, figure) for one in said if one for name, figure in one.groupdict().items()):
            if not says(figure, facts[name]):
                yield f"{report}: {name} is {facts[name]}, README says {figure}"


def results(readme: str) -> Iterator[tuple[str, str]]:
    """The last column of the table of commands: which report a cell links to, and its words."""
    return ((report, cell) for cell, report in re.findall(r"\| `make \w+` \| [^|]+ \| \[([^\]]+)\]\(([^)]+)\)", readme))


def says(figure: str, fact: str) -> bool:
    """Whether README's figure is the report's, rounded to the places that README gives."""
    figure = WORDS.get(figure, figure)
    if not re.fullmatch(AMOUNT, figure):
        return figure == fact
    number, unit = figure.split()
    exact = milliseconds(fact) / (1000 if unit == "s" else 1)
    return exact.quantize(Decimal(number), ROUND_HALF_UP) == Decimal(number)


def milliseconds(amount: str) -> Decimal:
    number, unit = amount.split()
    return Decimal(number) * (1000 if unit == "s" else 1)


def date_of(words: str) -> date:
    return datetime.strptime(words, "%d %B %Y").date()  # noqa: DTZ007 - a day, without an hour


def found(pattern: str, page: str) -> re.Match[str]:
    match = re.search(pattern, page)
    assert match is not None, f"it does not say: {pattern}"
    return match


def read(name: str) -> str:
    """A page in one line: sentences are wrapped."""
    return " ".join((ROOT / name).read_text(encoding="utf-8").split())
