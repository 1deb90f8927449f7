"""Rows B3, C1, D1, D2, I1, K1 and L1 over HTTP, on the real database, Redis and instrument list."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select
from sqlmodel import col

from actors.domain.identifiers import IntentId, Leg, order_tag
from api.base.clock import utc_now
from persistence.database.engine import Sessions, transaction
from persistence.database.models.runs import Intent, Run
from persistence.database.models.strategies import Strategy
from persistence.journal.records import LogRecord
from persistence.mirror.mirror import RuntimeMirror
from persistence.mirror.prices import FeedState
from tests.integration.api_user import ApiUser
from tests.kit.fakes.strategy_engine import FakeEngine
from tests.kit.mirrored import running_of, runtime_of, strategy_of

pytest_plugins = ["tests.integration.fixtures"]

IST = ZoneInfo("Asia/Kolkata")


async def test_a_broker_comes_before_a_strategy(user: ApiUser) -> None:
    answer = await user.create()
    assert (answer.status_code, answer.json()["code"]) == (409, "broker_not_connected")


async def test_create_answers_an_id(trader: ApiUser, sessions: Sessions) -> None:
    strategy_id = await trader.strategy(symbol="nse:infy", buy_time="09:30:15", stop_loss=92.1)
    async with transaction(sessions) as session:
        strategy = await session.get(Strategy, strategy_id)
    assert strategy is not None
    assert (strategy.exchange, strategy.tradingsymbol) == ("NSE", "INFY")
    assert strategy.stop_loss_paise == 9210
    assert strategy.instrument_token > 0
    got = (await trader.call("GET", f"/strategy/{strategy_id}")).json()
    assert (got["symbol"], got["buy_time"], got["sell_time"]) == ("INFY", "09:30:15", "15:10:00")
    assert (got["stop_loss"], got["product"], got["strategy_status"]) == (92.1, "MIS", "created")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("symbol", "NOSUCHSHARE"),
        ("symbol", "NIFTY 50"),
        ("symbol", "A:B:C"),
        ("buy_time", "9:30"),
        ("buy_time", "25:00"),
        ("sell_time", "09:30"),
        ("stop_loss", 0),
        ("stop_loss", -5),
        ("stop_loss", 92.123),
        ("stop_loss", 1490.55),
        ("stop_loss", "92.10"),
        ("stop_loss", True),
        ("stop_loss", None),
        ("quantity", 0),
        ("quantity", 2.5),
        ("quantity", "10"),
        ("product", "NRML"),
    ],
)
async def test_unacceptable_values_name_their_field(trader: ApiUser, field: str, value: object) -> None:
    answer = await trader.create(**{field: value})
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize(("number", "field"), [("NaN", "body"), ("Infinity", "body"), ("1e400", "stop_loss")])
async def test_numbers_that_are_none_are_refused(
    trader: ApiUser, client: httpx.AsyncClient, number: str, field: str
) -> None:
    body = '{"symbol":"INFY","buy_time":"09:30","sell_time":"15:10","quantity":1,"stop_loss":NUMBER}'
    headers = {
        "Authorization": f"Bearer {trader.tokens['access_token']}",
        "Content-Type": "application/json",
    }
    answer = await client.post("/strategy/create", content=body.replace("NUMBER", number), headers=headers)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


async def test_start_records_a_run_and_its_entry_shows_them_and_spawns_the_actor(
    trader: ApiUser, sessions: Sessions, mirror: RuntimeMirror, engine: FakeEngine
) -> None:
    strategy_id = await trader.strategy()
    assert engine.expected == [strategy_id]
    answer = await trader.call("POST", "/strategy/start", strategy_id=strategy_id)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["strategy_id"], body["strategy_status"]) == (strategy_id, "running")
    buy_at = datetime.fromisoformat(body["buy_at"])
    assert body["buy_at"].endswith("09:30:00+05:30")
    assert body["sell_at"].endswith("15:10:00+05:30")
    assert body["message"].startswith(f"Waiting to buy at {buy_at:%Y-%m-%d} 09:30:00")
    assert buy_at > utc_now()
    async with transaction(sessions) as session:
        run = (await session.scalars(select(Run).where(col(Run.strategy_id) == strategy_id))).one()
        intent = (await session.scalars(select(Intent).where(col(Intent.run_id) == run.id))).one()
        strategy = await session.get(Strategy, strategy_id)
    assert strategy is not None
    assert (strategy.status, run.epoch, run.buy_at) == ("running", 0, buy_at)
    assert (intent.leg, intent.seq, intent.side, intent.state) == ("ENTRY", 1, "BUY", "armed")
    assert intent.tag == order_tag(run.tag_key, IntentId(run.id, Leg.ENTRY, 1))
    assert engine.ensured == [(run.id, strategy_id)]
    assert strategy_id in await running_of(mirror, "INFY")
    assert await strategy_of(mirror, strategy_id) == {
        "user_id": str(run.user_id),
        "symbol": "INFY",
        "buy_time": "09:30:00",
        "sell_time": "15:10:00",
        "stop_loss": "1490.50",
        "stop_loss_percent": "",
        "quantity": "10",
        "product": "MIS",
        "status": "running",
    }
    runtime = await runtime_of(mirror, strategy_id)
    assert (runtime["run_id"], runtime["position"], runtime["status"]) == (str(run.id), "none", "running")


async def test_start_repeated_and_raced_is_one_run_with_one_answer(
    trader: ApiUser, sessions: Sessions, engine: FakeEngine
) -> None:
    strategy_id = await trader.strategy()
    answers = await asyncio.gather(
        *(trader.call("POST", "/strategy/start", strategy_id=strategy_id) for _ in range(20))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    async with transaction(sessions) as session:
        runs = (await session.scalars(select(Run).where(col(Run.strategy_id) == strategy_id))).all()
    assert len(runs) == 1
    assert set(engine.ensured) == {(runs[0].id, strategy_id)}


async def test_start_with_the_engine_down_says_so_and_a_repeat_carries_on(trader: ApiUser, engine: FakeEngine) -> None:
    strategy_id = await trader.strategy()
    engine.up = False
    answer = await trader.call("POST", "/strategy/start", strategy_id=strategy_id)
    assert (answer.status_code, answer.json()["code"]) == (503, "engine_unavailable")
    engine.up = True
    assert (await trader.call("POST", "/strategy/start", strategy_id=strategy_id)).status_code == 200
    assert len(engine.ensured) == 1


async def test_stop_sells_and_answers_the_final_state_as_often_as_asked(trader: ApiUser, mirror: RuntimeMirror) -> None:
    strategy_id = await trader.started()
    for _ in range(2):
        answer = await trader.call("POST", "/strategy/stop", strategy_id=strategy_id)
        assert answer.status_code == 200
        body = answer.json()
        assert (body["strategy_status"], body["position"], body["message"]) == ("stopped", "sold", "Stopped")
    assert await runtime_of(mirror, strategy_id) == {}
    status = (await trader.call("GET", f"/strategy/status/{strategy_id}")).json()
    assert (status["strategy_status"], status["position"]) == ("stopped", "sold")


async def test_stop_that_still_sells_is_202(trader: ApiUser, engine: FakeEngine) -> None:
    strategy_id = await trader.started()
    engine.flat_on_stop = False
    answer = await trader.call("POST", "/strategy/stop", strategy_id=strategy_id)
    assert answer.status_code == 202
    assert (answer.json()["strategy_status"], answer.json()["position"]) == ("running", "selling")
    assert engine.stop_timeouts == [10.0]


async def test_stop_of_a_strategy_that_never_ran_changes_nothing(trader: ApiUser, engine: FakeEngine) -> None:
    strategy_id = await trader.strategy()
    engine.up = False
    answer = await trader.call("POST", "/strategy/stop", strategy_id=strategy_id)
    assert (answer.status_code, answer.json()["strategy_status"]) == (200, "created")


async def test_a_stopped_strategy_can_be_started_again(trader: ApiUser, sessions: Sessions) -> None:
    strategy_id = await trader.started()
    await trader.call("POST", "/strategy/stop", strategy_id=strategy_id)
    assert (await trader.call("POST", "/strategy/start", strategy_id=strategy_id)).status_code == 200
    async with transaction(sessions) as session:
        runs = (await session.scalars(select(Run).where(col(Run.strategy_id) == strategy_id))).all()
    assert [run.ended_at is None for run in sorted(runs, key=lambda run: run.id)] == [False, True]


STATUS_FIELDS = (
    "strategy_id run_id symbol product strategy_status phase position status_detail last_action last_price "
    "last_price_age_ms feed "
    "feed_lag_ms feed_since stop_loss stop_loss_percent "
    "quantity filled_quantity buy_price sell_price pnl charges net_pnl stop_now target unrealised_pnl next "
    "buy_at sell_at last_buy_order last_sell_order last_sl_order guard message updated_at"
)


async def test_status_has_the_fields_of_the_contract_and_the_latest_price(
    trader: ApiUser, mirror: RuntimeMirror
) -> None:
    strategy_id = await trader.strategy(symbol="TCS")
    created = (await trader.call("GET", f"/strategy/status/{strategy_id}")).json()
    assert list(created) == STATUS_FIELDS.split()
    assert (created["strategy_status"], created["position"], created["last_price"]) == ("created", "none", None)
    assert created["phase"] == "created"
    assert created["target"] is created["charges"] is created["net_pnl"] is None
    await trader.call("POST", "/strategy/start", strategy_id=strategy_id)
    await mirror.put_price("TCS", 412_305, None, utc_now())
    status = (await trader.call("GET", f"/strategy/status/{strategy_id}")).json()
    assert list(status) == STATUS_FIELDS.split()
    assert (status["strategy_status"], status["phase"], status["last_price"]) == ("running", "waiting", 4123.05)
    assert 0 <= status["last_price_age_ms"] < 10_000
    assert status["feed"] == "live"
    await mirror.put_feed("TCS", FeedState(live=False))
    assert (await trader.call("GET", f"/strategy/status/{strategy_id}")).json()["feed"] == "down"
    traded_at, now = utc_now() - timedelta(minutes=10), utc_now()
    late = FeedState(live=True, lag_ms=8000, since=now)
    await mirror.put_price("TCS", 412_305, traded_at, now, feed=late)
    shown = (await trader.call("GET", f"/strategy/status/{strategy_id}")).json()
    assert (shown["feed"], shown["feed_lag_ms"]) == ("late", 8000)
    assert datetime.fromisoformat(shown["feed_since"]) == now
    assert shown["last_price_age_ms"] >= 600_000, "the age of the trade, not of the message"
    assert status["message"].startswith("Waiting to buy at ")
    await mirror.delete_strategy(strategy_id, "TCS")
    from_database = (await trader.call("GET", f"/strategy/status/{strategy_id}")).json()
    assert (from_database["strategy_status"], from_database["phase"]) == ("running", "waiting")
    assert from_database["buy_at"] == status["buy_at"]


async def test_status_after_the_end_shows_the_result(trader: ApiUser, engine: FakeEngine) -> None:
    strategy_id = await trader.started()
    await engine.end(engine.running[strategy_id], position="exited_by_sl", message="STOP-LOSS Triggered")
    status = (await trader.call("GET", f"/strategy/status/{strategy_id}")).json()
    assert (status["strategy_status"], status["position"]) == ("stopped", "exited_by_sl")
    assert (status["phase"], status["message"]) == ("ended", "STOP-LOSS Triggered")


async def test_the_stop_loss_moves_while_running_and_nothing_else_does(
    trader: ApiUser, engine: FakeEngine, mirror: RuntimeMirror
) -> None:
    strategy_id = await trader.started()
    moved = await trader.call("PATCH", f"/strategy/{strategy_id}", stop_loss=1500.1)
    assert (moved.status_code, moved.json()["stop_loss"]) == (200, 1500.1)
    assert engine.moved == [(strategy_id, 150_010)]
    assert (await strategy_of(mirror, strategy_id))["stop_loss"] == "1500.10"
    for change in ({"quantity": 5}, {"stop_loss": 1501.0, "buy_time": "09:20"}):
        refused = await trader.call("PATCH", f"/strategy/{strategy_id}", **change)
        assert (refused.status_code, refused.json()["code"]) == (409, "strategy_running")
    assert engine.moved == [(strategy_id, 150_010)]


async def test_a_strategy_that_does_not_run_can_be_changed(trader: ApiUser) -> None:
    strategy_id = await trader.strategy()
    changed = await trader.call("PATCH", f"/strategy/{strategy_id}", quantity=5, buy_time="10:00", product="CNC")
    assert (changed.json()["quantity"], changed.json()["buy_time"], changed.json()["product"]) == (5, "10:00:00", "CNC")
    too_late = await trader.call("PATCH", f"/strategy/{strategy_id}", buy_time="15:10")
    assert (too_late.status_code, too_late.json()["errors"][0]["field"]) == (422, "sell_time")
    assert (await trader.call("PATCH", f"/strategy/{strategy_id}", symbol="TCS")).status_code == 422
    assert (await trader.call("PATCH", f"/strategy/{strategy_id}", stop_loss=92.123)).status_code == 422


async def test_delete(trader: ApiUser, sessions: Sessions) -> None:
    never_ran, ran = await trader.strategy(), await trader.started()
    refused = await trader.call("DELETE", f"/strategy/{ran}")
    assert (refused.status_code, refused.json()["code"]) == (409, "strategy_running")
    await trader.call("POST", "/strategy/stop", strategy_id=ran)
    for strategy_id in (never_ran, ran):
        assert (await trader.call("DELETE", f"/strategy/{strategy_id}")).status_code == 204
        assert (await trader.call("GET", f"/strategy/{strategy_id}")).status_code == 404
        assert (await trader.call("GET", f"/strategy/status/{strategy_id}")).status_code == 404
    async with transaction(sessions) as session:
        assert await session.get(Strategy, never_ran) is None
        kept = await session.get(Strategy, ran)
    assert kept is not None
    assert kept.deleted_at is not None


async def test_list_is_paged_newest_first(trader: ApiUser) -> None:
    ids = [await trader.strategy() for _ in range(3)]
    page = (await trader.call("GET", "/strategy/list?limit=2")).json()
    assert [row["strategy_id"] for row in page["strategies"]] == ids[:0:-1]
    assert (page["total"], page["limit"], page["offset"]) == (3, 2, 0)
    rest = (await trader.call("GET", "/strategy/list?limit=2&offset=2")).json()
    assert [row["strategy_id"] for row in rest["strategies"]] == ids[:1]
    assert (await trader.call("GET", "/strategy/list?limit=100000")).status_code == 422


async def test_list_is_filtered_by_status_and_symbol(trader: ApiUser) -> None:
    infy, tcs = await trader.strategy(), await trader.strategy(symbol="TCS")
    running, stopped = await trader.started(symbol="TCS"), await trader.started(symbol="M&M", stop_loss=3000.0)
    await trader.call("POST", "/strategy/stop", strategy_id=stopped)
    for query, expected in [
        ("status=created", [tcs, infy]),
        ("status=running", [running]),
        ("status=stopped", [stopped]),
        ("status=paused", []),
        ("symbol=tcs", [running, tcs]),
        ("symbol=NSE:TCS&status=created", [tcs]),
        ("symbol=BSE:TCS", []),
        ("symbol=M%26M", [stopped]),
    ]:
        page = (await trader.call("GET", f"/strategy/list?{query}")).json()
        assert [row["strategy_id"] for row in page["strategies"]] == expected, query
        assert page["total"] == len(expected)
    second = (await trader.call("GET", "/strategy/list?status=created&limit=1&offset=1")).json()
    assert ([row["strategy_id"] for row in second["strategies"]], second["total"]) == ([infy], 2)
    for query, field in [("status=gone", "status"), ("symbol=A:B:C", "symbol"), ("user_id=1", "query")]:
        refused = await trader.call("GET", f"/strategy/list?{query}")
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, field)


async def test_orders_show_the_log(trader: ApiUser, engine: FakeEngine, sessions: Sessions) -> None:
    strategy_id = await trader.started()
    from tests.integration.persistence.journal.test_ledger import bought

    async with transaction(sessions) as session:
        run = (await session.scalars(select(Run).where(col(Run.strategy_id) == strategy_id))).one()
    assert engine.ledger is not None
    await engine.ledger.record(bought(run, epoch=1))
    page = (await trader.call("GET", f"/strategy/{strategy_id}/orders")).json()
    assert page["total"] == 1
    assert (page["orders"][0]["event"], page["orders"][0]["quantity"]) == ("BUY", 10)
    assert Decimal(str(page["orders"][0]["price"])) == Decimal("1500.06")
    for name in ("occurred_at", "recorded_at"):
        assert datetime.fromisoformat(page["orders"][0][name]).utcoffset() == timedelta(hours=5, minutes=30)


async def test_the_times_of_an_attempt_carry_the_offset_of_the_exchange(trader: ApiUser, engine: FakeEngine) -> None:
    strategy_id = await trader.started()
    assert engine.ledger is not None
    due = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
    run_id = engine.running[strategy_id]
    attempt = LogRecord(event="BUY", occurred_at=due, leg="ENTRY", detail={"triggered_at": due.isoformat()})
    await engine.ledger.append_log((await engine.ledger.load_run(run_id)).user_id, strategy_id, run_id, attempt)
    (line,) = (await trader.call("GET", f"/strategy/{strategy_id}/orders")).json()["orders"]
    assert (line["triggered_at"], line["sent_at"]) == ("2026-11-23T09:30:00+05:30", None)
    assert line["occurred_at"] == "2026-11-23T09:30:00+05:30"


async def test_another_tenants_strategy_does_not_exist(
    trader: ApiUser, client: httpx.AsyncClient, app: FastAPI, engine: FakeEngine
) -> None:
    strategy_id = await trader.started()
    stranger = await ApiUser.register(client)
    bodies = {"/strategy/start": {"strategy_id": strategy_id}, "/strategy/stop": {"strategy_id": strategy_id}}
    fields: dict[str, dict[str, Any]] = {
        "patch": {"stop_loss": 1.0},
        "put": {"days": "every_session"},
        "skip": {"date": "2026-12-24"},
        "pause": {"until": "2026-12-24"},
    }
    tried = 0
    for path, operations in app.openapi()["paths"].items():
        if "{strategy_id}" not in path and path not in bodies:
            continue
        for method in operations:
            body = bodies.get(path, fields.get(path.rpartition("/")[2], fields.get(method, {})))
            answer = await stranger.call(method.upper(), path.replace("{strategy_id}", str(strategy_id)), **body)
            assert (answer.status_code, answer.json()["code"]) == (404, "strategy_not_found"), (method, path)
            tried += 1
    assert tried >= 8
    assert (await stranger.call("GET", "/strategy/list")).json()["total"] == 0
    assert len(engine.ensured) == 1
    assert engine.moved == []


async def test_secrets_are_nowhere_in_redis(trader: ApiUser, mirror: RuntimeMirror) -> None:
    await trader.started()
    assert trader.paper is not None
    secrets = (trader.paper.api_key, trader.paper.api_secret, trader.paper.access_token)
    seen = []
    async for key in mirror._redis.scan_iter():
        kind = await mirror._redis.type(key)
        if kind == "hash":
            seen.append(json.dumps(await mirror._redis.hgetall(key)))
    assert seen
    assert not any(secret in text for secret in secrets for text in seen)
