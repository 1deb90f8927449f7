"""What is found of a user's day, and each sentence, on the real database, Valkey and paper exchange (row N3)."""

from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI

from tests.integration.api.readiness.trading_day import TradingDay, day_of_its_own, details, problems
from tests.integration.api_user import ApiUser
from tests.kit.fakes.strategy_engine import FakeEngine
from tests.kit.paper import PaperExchange

pytest_plugins = ["tests.integration.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

SUNDAY = 6


async def test_over_rest_a_user_without_anything_hears_what_is_missing(user: ApiUser) -> None:
    answer = await user.call("GET", "/readiness")
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["verdict"], found["strategies"]) == ("blocked", [])
    assert problems(found) == {"broker_connected": "block", "planned": "warn"}
    assert (await user.call("GET", "/readiness")).json() == found, "the answer is what was found, until it is refreshed"
    assert (await user.call("POST", "/readiness/refresh")).json() == found, "at most once a minute"


async def test_a_day_on_which_all_is_well(app: FastAPI, trader: ApiUser) -> None:
    day = await TradingDay.of(app, trader, day_of_its_own())
    strategy_id, _ = await day.plan({}, {"symbol": "TCS", "buy_time": "10:00", "stop_loss": 100.0, "quantity": 1})
    found = await day.answer(minutes=20)
    assert (found["verdict"], problems(found)) == ("attention", {"band": "warn"}), found
    first = found["strategies"][0]
    assert (first["strategy_id"], first["symbol"], first["will_trade"]) == (strategy_id, "INFY", True)
    assert (first["funds_needed"], first["charges_estimate"]) == (3020.0, pytest.approx(16, abs=3))
    assert found["session"]["special"] is False
    assert found["as_of"] == day.clock.at.isoformat()


async def test_a_login_and_a_start_are_seen_without_a_refresh(
    app: FastAPI, user: ApiUser, paper: PaperExchange
) -> None:
    day = await TradingDay.of(app, user, day_of_its_own())
    day.clock.at = day.buy_at - timedelta(minutes=20)
    assert (await day.service.last_found(day.user_id)).verdict == "blocked"
    user.paper = paper.control.new_account()
    assert (await user.connect()).status_code == 200
    day.clock.at += timedelta(seconds=1)
    await day.log_in(connected_at=day.clock.at)
    day.clock.at += timedelta(seconds=1)
    connected = await day.service.last_found(day.user_id)
    assert problems(connected.model_dump(mode="json")) == {"planned": "warn"}
    (strategy_id,) = await day.plan()
    started = await day.service.last_found(day.user_id)
    assert [(row.strategy_id, row.will_trade) for row in started.strategies] == [(strategy_id, True)]
    assert (await day.service.last_found(day.user_id)) == started


async def test_a_stop_loss_in_percent_is_looked_at_where_it_would_stand(app: FastAPI, trader: ApiUser) -> None:
    day = await TradingDay.of(app, trader, day_of_its_own())
    body = {"symbol": "INFY", "buy_time": "09:30", "sell_time": "15:10", "stop_loss_percent": 2, "quantity": 10}
    strategy_id = (await trader.call("POST", "/strategy/create", **body)).json()["strategy_id"]
    assert (await trader.call("POST", "/strategy/start", strategy_id=strategy_id)).status_code == 200
    await day.set_runs([strategy_id])
    await day.log_in()
    found = await day.answer(minutes=20)
    assert (found["verdict"], problems(found)) == ("ready", {}), found


async def test_funds_are_counted_in_the_order_of_time(app: FastAPI, user: ApiUser, paper: PaperExchange) -> None:
    user.paper = paper.control.new_account(cash=4000)
    await user.connect()
    day = await TradingDay.of(app, user, day_of_its_own())
    first, second, third = await day.plan({"sell_time": "11:00"}, {"buy_time": "10:00"}, {"buy_time": "11:30"})
    found = await day.answer(minutes=20)
    assert found["verdict"] == "blocked"
    trades = {row["strategy_id"]: (row["will_trade"], row["because"]) for row in found["strategies"]}
    assert trades == {first: (True, []), second: (False, ["funds_short"]), third: (True, [])}
    assert details(found, "funds_short") == [
        "INFY 10:00: it needs ₹3,080.40 with a reserve of 2 %, and ₹919.60 will be free: add ₹2,160.80, or buy less"
    ]


async def test_what_start_would_refuse_is_said_in_its_words(
    app: FastAPI, trader: ApiUser, paper: PaperExchange
) -> None:
    day = await TradingDay.of(app, trader, day_of_its_own())
    (strategy_id,) = await day.plan({"symbol": "M&M", "stop_loss": 1000.0})
    paper.control.set_price("NSE:M&M", 999)
    try:
        found = await day.answer(minutes=20)
    finally:
        paper.control.set_price("NSE:M&M", 3450)
    assert found["strategies"][0]["because"] == ["stop_loss"]
    assert "M&M 09:30: the stop-loss must be below the market price 999.00" in details(found, "stop_loss")
    (fix,) = {(c["fix"]["kind"], c["fix"]["url"]) for c in found["checks"] if c["level"] == "block"}
    assert fix == ("edit", f"/strategy/{strategy_id}")


async def test_a_token_that_has_died_is_said_and_nothing_else_is_asked(
    app: FastAPI, trader: ApiUser, paper: PaperExchange
) -> None:
    assert trader.paper is not None
    day = await TradingDay.of(app, trader, day_of_its_own())
    await day.plan()
    paper.control.expire_token(trader.paper.user_id)
    for route in ("/user/margins", "/margins", "/quote", "/portfolio"):
        paper.control.fault("rate-limit-429", match={"route": route})
    try:
        found = await day.answer(minutes=20)
        assert len(paper.control.faults()) == 4, "none of these questions was asked"
    finally:
        paper.control.clear_faults()
    assert problems(found) == {"token_valid": "block"}
    assert found["strategies"][0] | {"buy_at": ""} == found["strategies"][0] | {"buy_at": "", "will_trade": False}
    assert details(found, "token_valid") == ["Your login at the broker has ended: log in again"]


async def test_a_token_of_yesterday_is_known_to_be_dead_without_a_question(app: FastAPI, trader: ApiUser) -> None:
    day = await TradingDay.of(app, trader, day_of_its_own())
    await day.plan()
    await day.log_in(day.buy_at.replace(hour=5))
    assert problems(await day.answer(minutes=20)) == {"token_valid": "block"}
    day.clock.at = day.buy_at.replace(hour=5, minute=30)
    early = (await day.service.refresh(day.user_id)).model_dump(mode="json")
    assert details(early, "token_valid") == [
        "Your login at the broker ends at 06:00, before you buy: log in again after that"
    ]


async def test_a_broker_that_does_not_answer_leaves_it_unknown(
    app: FastAPI, trader: ApiUser, paper: PaperExchange
) -> None:
    day = await TradingDay.of(app, trader, day_of_its_own())
    await day.plan()
    paper.control.outage(on=True)
    try:
        found = await day.answer(minutes=20)
    finally:
        paper.control.outage(on=False)
    assert (found["verdict"], found["strategies"][0]["will_trade"]) == ("attention", None)
    assert problems(found) == {"token_valid": "unknown"}
    assert details(found, "token_valid") == [
        "Your login at the broker could not be checked: The broker does not answer"
    ]


async def test_a_question_that_is_not_answered_leaves_that_unknown(
    app: FastAPI, trader: ApiUser, paper: PaperExchange
) -> None:
    day = await TradingDay.of(app, trader, day_of_its_own())
    await day.plan()
    paper.control.fault("rate-limit-429", match={"route": "/margins/orders"})
    paper.control.fault("not-accepted-drop", match={"route": "/quote"})
    try:
        found = await day.answer(minutes=20)
    finally:
        paper.control.clear_faults()
    assert (found["verdict"], found["strategies"][0]["will_trade"]) == ("attention", None)
    assert problems(found) == {"funds_short": "unknown", "price_unknown": "unknown"}


async def test_a_panic_keeps_everything_from_trading(app: FastAPI, trader: ApiUser) -> None:
    day = await TradingDay.of(app, trader, day_of_its_own())
    await trader.call("POST", "/panic")
    found = await day.answer(minutes=20)
    assert problems(found)["entries_forbidden"] == "block"


async def test_on_a_sunday_there_is_no_trade_and_no_broker_is_asked(
    app: FastAPI, trader: ApiUser, paper: PaperExchange
) -> None:
    day = await TradingDay.of(app, trader, day_of_its_own(SUNDAY), calendar="XNSE")
    paper.control.outage(on=True)
    try:
        found = await day.answer(minutes=20)
        again = (await day.service.last_found(day.user_id)).model_dump(mode="json")
    finally:
        paper.control.outage(on=False)
    assert (found["verdict"], found["session"], found["strategies"]) == ("no_session", None, [])
    assert problems(found) == {}
    assert details(found, "session")[0].startswith("There is no trade today. The next session is on Monday, ")
    assert again["verdict"] == "no_session"


async def test_after_the_session_there_is_no_trade_any_more(app: FastAPI, trader: ApiUser) -> None:
    day = await TradingDay.of(app, trader, day_of_its_own(0), calendar="XNSE")
    before = await day.answer(minutes=20)
    assert before["session"] == {
        "date": str(day.buy_at.date()), "opens": "09:15:00", "closes": "15:30:00", "special": False,
    }  # fmt: skip
    day.clock.at = day.buy_at.replace(hour=15, minute=30)
    after = await day.service.last_found(day.user_id)
    assert (after.verdict, after.as_of) == ("no_session", day.clock.at)


async def test_another_tenant_sees_his_own_day(app: FastAPI, trader: ApiUser, client: httpx.AsyncClient) -> None:
    day = await TradingDay.of(app, trader, day_of_its_own())
    await day.plan()
    await day.answer(minutes=20)
    other = await TradingDay.of(app, await ApiUser.register(client), day.buy_at)
    assert (await other.answer(minutes=20))["strategies"] == []


async def test_ray_that_is_down_blocks_and_is_said_in_one_sentence(
    app: FastAPI, trader: ApiUser, engine: FakeEngine
) -> None:
    day = await TradingDay.of(app, trader, day_of_its_own())
    await day.plan()
    engine.up = False
    found = await day.answer(minutes=20)
    engine.up = True
    assert problems(found) == {"operator": "block"}
    assert details(found, "operator") == [
        "A part of TradeActors does not work, and no orders are taken on. Its operator has been notified"
    ]
