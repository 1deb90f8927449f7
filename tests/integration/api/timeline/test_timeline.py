"""`GET /strategy/{strategy_id}/timeline` over HTTP, on rows that the real ledger wrote."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from persistence.database.engine import Sessions, transaction
from persistence.database.models.runs import Run
from persistence.database.models.strategies import Strategy
from persistence.database.repositories.runs import Runs
from persistence.journal.records import LogRecord
from tests.integration.api_user import ApiUser
from tests.integration.persistence.journal.test_ledger import bought, exit_intent
from tests.integration.rows import new_run
from tests.kit.fakes.strategy_engine import FakeEngine

pytest_plugins = ["tests.integration.fixtures"]


async def open_run(sessions: Sessions, strategy_id: int) -> Run:
    async with transaction(sessions) as session:
        strategy = await session.get_one(Strategy, strategy_id)
        run = await Runs(session).open_of(strategy.user_id, strategy_id)
    assert run is not None
    return run


async def timeline(user: ApiUser, strategy_id: int, query: str = "") -> httpx.Response:
    return await user.call("GET", f"/strategy/{strategy_id}/timeline{query}")


async def record_a_buy(engine: FakeEngine, run: Run) -> None:
    """What the strategy's actor and its execution record of a BUY that filled."""
    assert engine.ledger is not None

    def line(event: str, after_ms: int, **changes: Any) -> LogRecord:
        at = run.buy_at + timedelta(milliseconds=after_ms)
        return LogRecord(event=event, occurred_at=at, leg="ENTRY", seq=1, **changes)

    detail = {"triggered_at": run.buy_at.isoformat(), "sent_at": (run.buy_at + timedelta(milliseconds=14)).isoformat()}
    await engine.ledger.append_log(
        run.user_id, run.strategy_id, run.id, line("BUY", 30, order_id="1", status="accepted", detail=detail)
    )
    filled = (
        line("BUY_TRIGGERED", 2, reason="2 ms after its time"),
        line("ORDER_COMPLETE", 120, order_id="1", quantity=10),
    )
    update = bought(run)
    await engine.ledger.record(replace(update, logs=filled, intents=(*update.intents, exit_intent(run))))


async def test_it_tells_when_each_leg_was_due_sent_and_filled(
    trader: ApiUser, engine: FakeEngine, sessions: Sessions
) -> None:
    strategy_id = await trader.started()
    run = await open_run(sessions, strategy_id)
    await record_a_buy(engine, run)
    answer = await timeline(trader, strategy_id)
    assert answer.status_code == 200
    body = answer.json()
    assert list(body) == [
        "strategy_id", "run_id", "started_at", "ended_at", "message", "summary", "legs", "legs_total",
        "notes", "notes_total", "notes_total_capped", "limit", "offset",
    ]  # fmt: skip
    assert (body["legs_total"], body["notes_total"], body["notes_total_capped"]) == (2, 1, False)
    assert (body["strategy_id"], body["run_id"], body["message"]) == (strategy_id, run.id, "Bought 10 INFY")
    entry, leaving = body["legs"]
    assert entry["scheduled_at"].endswith("T09:30:00+05:30")
    assert (entry["late_ms"], entry["outcome"], entry["average_price"]) == (14, "filled", 1500.06)
    after_ms = {
        name: round((datetime.fromisoformat(entry[name]) - run.buy_at) / timedelta(milliseconds=1))
        for name in ("triggered_at", "sent_at", "acknowledged_at", "filled_at")
    }
    assert after_ms == {"triggered_at": 2, "sent_at": 14, "acknowledged_at": 30, "filled_at": 120}
    assert [(a["status"], a["order_id"]) for a in entry["attempts"]] == [("accepted", "1")]
    assert (leaving["leg"], leaving["outcome"], leaving["sent_at"]) == ("EXIT", "waiting", None)
    assert leaving["scheduled_at"].endswith("T15:10:00+05:30")
    assert [note["event"] for note in body["notes"]] == ["BUY_TRIGGERED"]
    assert body["summary"] == (
        "Bought 10 INFY at 1500.06, 14 ms after 09:30:00; held until 15:10:00, or the stop-loss at 1490.50."
    )


async def test_a_strategy_that_never_ran_has_an_empty_one(trader: ApiUser) -> None:
    body = (await timeline(trader, await trader.strategy())).json()
    assert (body["run_id"], body["legs"], body["notes"], body["summary"]) == (None, [], [], "Not started yet.")


async def test_an_earlier_run_is_told_when_it_is_named(trader: ApiUser, sessions: Sessions) -> None:
    strategy_id = await trader.started()
    first = await open_run(sessions, strategy_id)
    await trader.call("POST", "/strategy/stop", strategy_id=strategy_id)
    await trader.call("POST", "/strategy/start", strategy_id=strategy_id)
    latest = (await timeline(trader, strategy_id)).json()
    assert latest["run_id"] > first.id
    assert latest["ended_at"] is None
    named = (await timeline(trader, strategy_id, f"?run_id={first.id}")).json()
    assert (named["run_id"], named["ended_at"] is None) == (first.id, False)


async def test_runs_of_others_and_of_other_strategies_do_not_exist(
    trader: ApiUser, client: httpx.AsyncClient, sessions: Sessions
) -> None:
    mine, other = await trader.started(), await trader.strategy()
    run = await open_run(sessions, mine)
    stranger = await ApiUser.register(client)
    theirs = await new_run(sessions)
    for strategy_id, run_id in ((other, run.id), (mine, theirs.id), (mine, theirs.id + 1_000_000)):
        answer = await timeline(trader, strategy_id, f"?run_id={run_id}")
        assert (answer.status_code, answer.json()["code"]) == (404, "run_not_found")
    for query in ("", f"?run_id={run.id}"):
        answer = await timeline(stranger, mine, query)
        assert (answer.status_code, answer.json()["code"]) == (404, "strategy_not_found")


@pytest.mark.parametrize("query", ["?run_id=0", "?run_id=x", "?run_id=99999999999999999999", "?user_id=1"])
async def test_what_is_not_a_run_is_refused(trader: ApiUser, query: str) -> None:
    assert (await timeline(trader, await trader.strategy(), query)).status_code == 422
