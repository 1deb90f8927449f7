"""Two days of the month, on a stack of their own; `make month` runs all of it."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit.machine_clock import CANNOT
from tests.month.course import run_month
from tests.month.judge import judge, strays
from tests.month.plan import TWO_DAYS, Outcome

pytestmark = pytest.mark.skipif(CANNOT is not None, reason=str(CANNOT))

SHOWN = 40
WRONG = re.compile(r'"level": ?"(warning|error|critical)"|Traceback|WARNING|ERROR|FATAL')


# What does not come true is waited for some minutes, once for each thing that follows from it.
@pytest.mark.timeout(1500)
def test_what_should_be_traded_is_traded_once_and_what_is_not_was_said_beforehand(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    said: list[str] = []
    try:
        trades_as_it_should(tmp_path, said.append)
    except BaseException:
        for title, lines in {"the course": said, **warnings_of(tmp_path)}.items():
            request.node.add_report_section("call", title, "\n".join(lines))
        raise


def trades_as_it_should(logs: Path, say: Callable[[str], None]) -> None:
    seen = run_month(TWO_DAYS, say, logs)
    verdicts = judge(TWO_DAYS, seen)
    assert [(v.day.day, v.planned.symbol, v.wrong) for v in verdicts if v.wrong] == []
    assert strays(TWO_DAYS, seen) == []
    outcomes = [verdict.outcome for verdict in verdicts]
    assert outcomes == [Outcome.STOPPED, Outcome.PANIC, Outcome.TRADES, Outcome.NO_LOGIN]
    assert len(seen.orders) == 6
    assert seen.mails


def warnings_of(logs: Path) -> dict[str, list[str]]:
    """The latest that each part of the stack has warned of."""
    found: dict[str, list[str]] = {}
    for log in sorted(logs.rglob("*.*")):
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        found[log.name] = [line for line in lines if WRONG.search(line)][-SHOWN:]
    return {name: lines for name, lines in found.items() if lines}
