"""Two days of the month, on a stack of their own; `make month` runs all of it."""

import pytest

from tests.kit.machine_clock import CANNOT
from tests.month.course import run_month
from tests.month.judge import judge, strays
from tests.month.plan import TWO_DAYS, Outcome

pytestmark = pytest.mark.skipif(CANNOT is not None, reason=str(CANNOT))


def test_what_should_be_traded_is_traded_once_and_what_is_not_was_said_beforehand() -> None:
    seen = run_month(TWO_DAYS, lambda _line: None)
    verdicts = judge(TWO_DAYS, seen)
    assert [(v.day.day, v.planned.symbol, v.wrong) for v in verdicts if v.wrong] == []
    assert strays(TWO_DAYS, seen) == []
    outcomes = [verdict.outcome for verdict in verdicts]
    assert outcomes == [Outcome.STOPPED, Outcome.PANIC, Outcome.TRADES, Outcome.NO_LOGIN]
    assert len(seen.orders) == 6
    assert seen.mails
