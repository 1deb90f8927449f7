"""Timelines of runs that are far longer than a page: what is read and answered is bounded, and nothing is lost."""

import time
from datetime import datetime
from typing import Any

import pytest

from persistence.database.engine import Sessions
from persistence.database.models.runs import Run
from tests.integration.api.timeline.long_runs import record, record_exits
from tests.integration.api.timeline.test_timeline import open_run, timeline
from tests.integration.api_user import ApiUser

pytest_plugins = ["tests.integration.fixtures"]

_DECISION = """
INSERT INTO order_logs (user_id, strategy_id, run_id, leg, seq, event, reason, detail, occurred_at)
VALUES (:user, :strategy, :run, 'EXIT', 1, 'SELL_TRIGGERED', 'STOP pressed', '{"exit_cause": "STOP"}', :at)
"""
_OTHER_CAUSE = "UPDATE intents SET cause = 'STOPLOSS' WHERE run_id = :run AND leg = 'EXIT' AND seq = 40"
_MOVES = """
INSERT INTO order_logs (user_id, strategy_id, run_id, event, reason, occurred_at)
SELECT :user, :strategy, :run, 'STOP_LOSS_MOVED', 'move ' || n, CAST(:at AS timestamptz) + n * interval '1 s'
FROM generate_series(1, :moves) AS n
"""
_UNSENT = """
INSERT INTO order_logs (user_id, strategy_id, run_id, leg, seq, event, status, detail, occurred_at)
SELECT :user, :strategy, :run, 'EXIT', 1, 'STOPLOSS', 'not_sent', jsonb_build_object('sent_at', at), at
FROM generate_series(1, 2000) AS n, LATERAL (SELECT CAST(:at AS timestamptz) + n * interval '1 s' AS at) AS due
"""


async def started_run(trader: ApiUser, sessions: Sessions) -> tuple[int, Run]:
    strategy_id = await trader.started()
    return strategy_id, await open_run(sessions, strategy_id)


async def whole_timeline(user: ApiUser, strategy_id: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """All legs and notes, from page to page."""
    legs: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    offset = 0
    while True:
        page = (await timeline(user, strategy_id, f"?limit=50&offset={offset}")).json()
        entry, *exits = page["legs"]
        assert entry["leg"] == "ENTRY"
        if not exits and not page["notes"]:
            return [entry, *legs], notes
        legs, notes = [*exits, *legs], [*page["notes"], *notes]
        offset += 50


async def takes_at_most(seconds: float, user: ApiUser, strategy_id: int) -> bool:
    """Whether a page takes so little of the processor: the quickest of some, since a busy machine only adds."""
    for _ in range(20):
        before = time.process_time()
        await timeline(user, strategy_id)
        if time.process_time() - before < seconds:
            return True
    return False


async def test_one_timeline_stops_nobody_elses_requests(trader: ApiUser, sessions: Sessions) -> None:
    strategy_id, run = await started_run(trader, sessions)
    await record_exits(sessions, run, 3000)
    await timeline(trader, strategy_id)
    assert await takes_at_most(0.2, trader, strategy_id)
    answer = await timeline(trader, strategy_id)
    body = answer.json()
    assert (len(body["legs"]), body["legs_total"]) == (51, 3001)
    assert (len(body["notes"]), body["notes_total"], body["notes_total_capped"]) == (50, 1000, True)
    assert [leg["seq"] for leg in body["legs"]] == [1, *range(2951, 3001)]
    assert [note["reason"] for note in body["notes"]] == [f"RMS: blocked {n}" for n in range(2951, 3001)]
    assert len(answer.content) < 64 * 1024


async def test_thirty_thousand_moves_of_a_stop_are_a_page(trader: ApiUser, sessions: Sessions) -> None:
    strategy_id, run = await started_run(trader, sessions)
    await record(sessions, run, _MOVES, moves=30_000)
    await timeline(trader, strategy_id)
    assert await takes_at_most(0.1, trader, strategy_id)
    body = (await timeline(trader, strategy_id)).json()
    assert [note["reason"] for note in body["notes"]] == [f"move {n}" for n in range(29_951, 30_001)]
    earlier = (await timeline(trader, strategy_id, "?limit=2&offset=50")).json()
    assert [note["reason"] for note in earlier["notes"]] == ["move 29949", "move 29950"]
    assert (earlier["limit"], earlier["offset"]) == (2, 50)


async def test_page_by_page_nothing_is_lost(trader: ApiUser, sessions: Sessions) -> None:
    strategy_id, run = await started_run(trader, sessions)
    await record_exits(sessions, run, 130)
    await record(sessions, run, _MOVES, moves=75)
    legs, notes = await whole_timeline(trader, strategy_id)
    assert [(leg["leg"], leg["seq"]) for leg in legs] == [("ENTRY", 1), *(("EXIT", n) for n in range(1, 131))]
    assert all(leg["attempts_total"] == 1 and len(leg["attempts"]) == 1 and leg["late_ms"] == 0 for leg in legs[1:])
    assert {leg["cause"] for leg in legs[1:]} == {"STOPLOSS"}
    assert len(notes) == 130 + 75
    instants = [datetime.fromisoformat(note["at"]) for note in notes]
    assert instants == sorted(instants)


async def test_what_stop_sells_is_called_so_on_every_page(trader: ApiUser, sessions: Sessions) -> None:
    strategy_id, run = await started_run(trader, sessions)
    await record_exits(sessions, run, 120, cause="SELL")
    await record(sessions, run, _DECISION)
    legs, _ = await whole_timeline(trader, strategy_id)
    assert {leg["cause"] for leg in legs[1:]} == {"STOP"}
    await record(sessions, run, _OTHER_CAUSE)
    legs, _ = await whole_timeline(trader, strategy_id)
    assert [leg["cause"] for leg in legs[1:]] == ["STOP"] * 39 + ["STOPLOSS"] + ["SELL"] * 80


async def test_of_a_leg_with_many_attempts_the_first_and_the_last_are_told(trader: ApiUser, sessions: Sessions) -> None:
    strategy_id, run = await started_run(trader, sessions)
    await record_exits(sessions, run, 1)
    await record(sessions, run, _UNSENT)
    leaving = (await timeline(trader, strategy_id)).json()["legs"][1]
    assert leaving["attempts_total"] == 2001
    assert 10 <= len(leaving["attempts"]) <= 20
    answered = [datetime.fromisoformat(attempt["answered_at"]) for attempt in leaving["attempts"]]
    assert answered == sorted(answered)
    assert (answered[0] - run.buy_at).total_seconds() == 1
    assert (answered[-1] - run.buy_at).total_seconds() == 2000
    sent_at = datetime.fromisoformat(leaving["sent_at"])
    assert (sent_at - run.buy_at).total_seconds() == 15, "the only attempt that has reached the broker is among them"


@pytest.mark.parametrize("query", ["?limit=0", "?limit=51", "?offset=-1", "?limit=x"])
async def test_a_page_has_its_bounds(trader: ApiUser, query: str) -> None:
    assert (await timeline(trader, await trader.strategy(), query)).status_code == 422
