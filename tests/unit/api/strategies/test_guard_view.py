"""The guard of a status (rows L1, M4): what is not confirmed is not said to be guarded."""

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from api.strategies.guard_view import CONFIRMED_WITHIN, NOTHING_HELD, guard_of
from api.strategies.schemas import Guard
from tests.kit.builders import NOW

IST = ZoneInfo("Asia/Kolkata")


def guard(age: Any = timedelta(seconds=1), **fields: Any) -> Guard:
    runtime = {"terminated_at": "", "position": "bought", "status": "running", "message": "Bought 10 INFY"}
    if age is not None:
        since = (NOW - timedelta(minutes=5)).isoformat()
        runtime |= {"guard_by": "strategy,execution", "guard_since": since}
        runtime["guard_confirmed_at"] = (NOW - age).isoformat()
    return guard_of(runtime | fields, NOW, IST)


def test_both_guards_that_have_just_confirmed_guard() -> None:
    said = guard()
    assert (said.state, said.by) == ("guarded", ["strategy", "execution"])
    assert said.since is not None
    assert said.confirmed_at is not None
    assert said.since.isoformat() == "2026-11-23T09:25:00+05:30"
    assert NOW - said.confirmed_at == timedelta(seconds=1)


def test_one_guard_is_a_guard() -> None:
    assert guard(guard_by="execution").by == ["execution"]


@pytest.mark.parametrize(
    ("age", "fields", "reason"),
    [
        (None, {}, "No guard has confirmed the stop-loss yet"),
        (CONFIRMED_WITHIN * 2, {}, "No guard has given a sign of life since 09:29:30"),
        (timedelta(seconds=1), {"guard_by": ""}, "No guard hears prices"),
    ],
)
def test_what_is_not_confirmed_or_hears_nothing_does_not_guard(
    age: timedelta | None, fields: dict[str, Any], reason: str
) -> None:
    said = guard(age, **fields)
    assert (said.state, said.reason, said.by) == ("not_guarded", reason, [])


@pytest.mark.parametrize(
    "fields",
    [{"position": position} for position in ("none", "buying", "sold", "exited_by_sl", "buy_failed")]
    + [{"terminated_at": NOW.isoformat()}],
)
def test_where_nothing_is_held_nothing_is_guarded(fields: dict[str, str]) -> None:
    assert guard(**fields) == NOTHING_HELD


def test_a_working_exit_and_one_that_failed_are_told_apart() -> None:
    assert guard(position="selling").state == "exiting"
    failed = guard(position="selling", status="paused", message="Broker unreachable")
    assert (failed.state, failed.reason) == ("exit_failed", "Broker unreachable")


def test_shares_that_wait_for_the_traders_word_are_said_to_be_unguarded() -> None:
    said = guard(terminated_at=NOW.isoformat(), status_detail="needs_confirmation", message="Say that you hold them")
    assert (said.state, said.reason, said.by) == ("not_guarded", "Say that you hold them", [])
