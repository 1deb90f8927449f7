"""The verdict of `tradeactors status`: what is wrong, how urgent it is, and what cannot be known."""

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from api.overview.facts import Facts, Stream
from api.strategies.schemas import Guard
from config.commands.overview.trouble import Trouble, Urgency
from config.commands.overview.verdict import Outcome, as_json, verdict_of
from persistence.database.operator_view import AlertSeen, Outbox
from tests.unit.config.overview.facts import EXPECTED, NOW, facts, presences, run

PAGE = Path(__file__).parents[4] / "docs" / "operations.md"
NOT_GUARDED = Guard(state="not_guarded", reason="No guard hears prices", since=NOW, confirmed_at=NOW)
ONE_GUARD = Guard(state="guarded", since=NOW, confirmed_at=NOW, by=["execution"])
EXIT_FAILED = Guard(state="exit_failed", reason="Incorrect access token")


def codes(troubles: Iterable[Trouble]) -> list[tuple[str, Urgency]]:
    return [(trouble.code, trouble.urgency) for trouble in troubles]


def test_nothing_runs_and_all_is_well() -> None:
    verdict = verdict_of(facts())
    assert (verdict.outcome, verdict.sentence) == (Outcome.WELL, "All well: no strategy runs")
    assert not verdict.troubles


def test_positions_that_are_guarded_and_being_sold_are_well() -> None:
    mirror = {"guards": {1: ONE_GUARD, 2: Guard(state="exiting")}}
    verdict = verdict_of(facts([run(1), run(2, position="selling")], mirror=mirror))
    assert verdict.sentence == "All well: 2 strategies run, 2 hold a position: 1 guarded, 1 being sold"
    assert codes(verdict.troubles) == [("one_guard", Urgency.NOTE)]


NOW_, SOON, NOTE = Urgency.NOW, Urgency.SOON, Urgency.NOTE
WRONG: dict[str, tuple[Facts, list[tuple[str, Urgency]]]] = {
    "not guarded": (
        facts([run()], mirror={"guards": {1: NOT_GUARDED}}), [("unguarded_position", NOW_)],
    ),
    "Redis shows nothing of a position": (
        facts([run()], mirror={"guards": {}}), [("unguarded_position", NOW_)],
    ),
    "not guarded at an hour at which no prices come": (
        facts([run(broker="kite")], mirror={"guards": {1: NOT_GUARDED}}), [("unguarded_position", NOTE)],
    ),
    "an exit fails": (facts([run()], mirror={"guards": {1: EXIT_FAILED}}), [("exit_failed", NOW_)]),
    "outcome unknown": (
        facts([run(position="buying", detail="order_outcome_unknown")]), [("order_outcome_unknown", NOW_)],
    ),
    "short": (facts([run(detail="account_short")]), [("position_short", NOW_)]),
    "login has ended": (
        facts([run(position="none", status="paused", detail="broker_session_expired")]),
        [("broker_session_expired", SOON)],
    ),
    "waits for the trader's word": (
        facts([run(open=False, detail="needs_confirmation")]), [("needs_confirmation", NOW_)],
    ),
    "BUY overdue": (facts([run(position="none")]), [("strategy_silent", SOON)]),
    "SELL overdue": (facts([run(sell_at=NOW - timedelta(minutes=2))]), [("strategy_silent", NOW_)]),
    "never came up": (
        facts([run(position="none", epoch=0, buy_at=NOW + timedelta(hours=1))]), [("strategy_silent", SOON)],
    ),
    "an alert of which no state remains": (
        facts(view={"alerts": [AlertSeen("duplicate_order", 1, "Two orders under one tag", NOW)]}),
        [("duplicate_order", NOW_)],
    ),
    "feed down while a position is held": (
        facts([run()], mirror={"feeds": {"paper": [Stream("0", "down")]}}), [("feed_lost", NOW_)],
    ),
    "no feed while a BUY waits": (
        facts([run(position="none", buy_at=NOW + timedelta(hours=1))], mirror={"feeds": {}}), [("feed_lost", SOON)],
    ),
    "one stream of two is late": (
        facts([run()], mirror={"feeds": {"paper": [Stream("0", "live", 9), Stream("1", "late", 4200)]}}),
        [("ticks_stale", SOON)],
    ),
    "Ray's head is gone": (facts(head_answers=False), [("head_gone", SOON)]),
    "an actor is silent": (
        facts(mirror={"presences": [*presences("feed:0", "ledger:0", "api:h:1"), *presences("execution:0", age_s=30)]}),
        [("actor_silent", NOW_)],
    ),
    "an actor was never there": (
        facts(mirror={"presences": presences("feed:0", "ledger:0", "api:h:1")}), [("actor_silent", NOW_)],
    ),
    "no API": (facts(mirror={"presences": presences(*EXPECTED)}), [("api_gone", SOON)]),
    "schema": (facts(newest_revision="0025"), [("schema", SOON)]),
    "a fault that API processes see": (facts(view={"faults": ["readiness_clock"]}), [("readiness_clock", SOON)]),
    "orders leave from elsewhere": (facts(view={"faults": ["readiness_address"]}), [("readiness_address", NOW_)]),
    "a panic that does not end": (
        facts(view={"panics": [NOW - timedelta(minutes=3), NOW]}), [("panic_unfinished", NOW_)],
    ),
    "notices late and given up": (
        facts(view={"outbox": Outbox(waiting=3, late=2, given_up=1)}),
        [("notices_late", SOON), ("notices_given_up", NOTE)],
    ),
    "a schedule missed": (facts(view={"scheduled_today": {"armed": 3, "missed": 1}}), [("schedules_missed", NOTE)]),
    "no room": (facts(free_bytes=100_000_000), [("disk", NOW_)]),
    "a node that is being emptied": (facts(mirror={"emptied": ["10.0.0.12"]}), [("node_emptied", NOTE)]),
    "odd orders": (facts(mirror={"buried": 1}), [("orders_buried", NOTE)]),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_with_what_to_do(case: str) -> None:
    seen, expected = WRONG[case]
    verdict = verdict_of(seen)
    assert codes(verdict.troubles) == expected
    serious = any(urgency is not NOTE for _, urgency in expected)
    assert verdict.outcome is (Outcome.TROUBLE if serious else Outcome.WELL)
    for trouble in verdict.troubles:
        assert trouble.sentence[0] == trouble.sentence[0].upper()
        assert trouble.do
        assert trouble.anchor in anchors()


def anchors() -> set[str]:
    headings = re.findall(r"^#+ (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    "held",
    [
        run(updated_at=NOW - timedelta(seconds=5)),
        run(updated_at=NOW - timedelta(seconds=19)),
    ],
)
def test_guards_have_a_moment_after_a_fill(held: Any) -> None:
    waits = Guard(state="not_guarded", reason="No guard has confirmed the stop-loss yet")
    assert not verdict_of(facts([held], mirror={"guards": {1: waits}})).troubles
    later = replace(held, updated_at=NOW - timedelta(seconds=21))
    assert codes(verdict_of(facts([later], mirror={"guards": {1: waits}})).troubles) == [("unguarded_position", NOW_)]


def test_a_sell_that_is_held_back_on_purpose_is_not_overdue() -> None:
    for detail in ("missed_execution", "market_closed", "order_queued"):
        assert not verdict_of(facts([run(sell_at=NOW - timedelta(hours=1), detail=detail)])).troubles


def test_the_worst_comes_first_and_unguarded_positions_are_named_in_the_verdict() -> None:
    seen = facts([run()], mirror={"guards": {1: NOT_GUARDED}, "buried": 1}, head_answers=False)
    verdict = verdict_of(seen)
    assert verdict.sentence == "Not well: 1 position is NOT guarded; 2 things need a person"
    assert [trouble.urgency for trouble in verdict.troubles] == [NOW_, SOON, NOTE]


def test_without_postgresql_it_cannot_be_told_and_what_redis_shows_is_judged() -> None:
    verdict = verdict_of(facts([run(epoch=None, started_at=None)], database=None, mirror={"guards": {1: NOT_GUARDED}}))
    assert (verdict.outcome, verdict.sentence) == (Outcome.UNKNOWN, "Cannot tell: PostgreSQL cannot be read")
    (unknown,) = verdict.unknown
    assert unknown.startswith("PostgreSQL does not answer: which strategies run")
    assert unknown.endswith("; Redis shows 1 that run")
    assert codes(verdict.troubles) == [("unguarded_position", NOW_)]


def test_a_schema_of_another_version_is_named() -> None:
    verdict = verdict_of(replace(facts(database=None), other_schema=True))
    assert "run `tradeactors migrate`" in verdict.unknown[0]


def test_without_redis_it_cannot_be_told_whether_positions_are_guarded() -> None:
    verdict = verdict_of(replace(facts([run()]), mirror=None))
    assert (verdict.outcome, verdict.sentence) == (Outcome.UNKNOWN, "Cannot tell: Redis cannot be read")
    assert verdict.unknown == [
        "Redis does not answer: whether the 1 position held are guarded, the feeds and the processes are not known"
    ]
    assert as_json(replace(facts([run()]), mirror=None), verdict)["figures"]["not_guarded"] is None


def test_without_both_nothing_is_claimed() -> None:
    seen = facts(database=None)
    verdict = verdict_of(replace(seen, mirror=None))
    assert verdict.sentence == "Cannot tell: neither PostgreSQL nor Redis can be read"
    figures = as_json(replace(seen, mirror=None), verdict)["figures"]
    assert set(figures.values()) == {None}


def test_the_json_has_the_verdict_the_troubles_and_the_figures() -> None:
    seen = facts([run()], mirror={"guards": {1: EXIT_FAILED}})
    said = as_json(seen, verdict_of(seen))
    assert (said["verdict"], said["exit_code"]) == ("trouble", 1)
    assert said["troubles"][0]["runbook"] == "docs/operations.md#at-once-since-money-may-be-at-risk"
    assert said["troubles"][0]["strategy_id"] == 1
    assert said["figures"]["exit_failed"] == said["figures"]["holding"] == 1
    assert {process["name"] for process in said["processes"]} == {*EXPECTED, "api:host:1"}
