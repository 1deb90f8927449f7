"""When days are looked at without being asked, and what their owners and the operator are notified of (row N3)."""

import asyncio
from datetime import timedelta

import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from api.readiness.operator import FAULTS
from persistence.database.engine import transaction
from persistence.database.readiness import OperatorFaults
from tests.integration.api.readiness.desk import Desk, day_of_its_own
from tests.integration.api_user import ApiUser
from tests.kit.alerts import AlertInbox
from tests.kit.fakes.strategy_engine import FakeEngine
from tests.kit.paper import PaperExchange

pytest_plugins = ["tests.integration.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_login_that_is_missing_is_said_once_then_aloud_and_its_end_is_said(
    app: FastAPI, trader: ApiUser, paper: PaperExchange
) -> None:
    assert trader.paper is not None
    desk = await Desk.of(app, trader, day_of_its_own())
    (strategy_id,) = await desk.plan()
    paper.control.expire_token(trader.paper.user_id)
    assert await desk.round(minutes=95) == [], "the first look is silent"
    assert (await desk.service.last_found(desk.user_id)).verdict == "blocked"
    (told,) = await desk.round(minutes=29)
    assert told.startswith("Will NOT trade today: INFY 09:30. Your login at the broker has ended: log in again.")
    assert f" Log in here: {desk.opened.settings.public_root}/broker/login?code=" in told
    assert await desk.round(minutes=28) == await desk.round(minutes=11) == [], "nothing has changed"
    (aloud,) = await desk.round(minutes=10)
    assert aloud.startswith("Will NOT trade today: INFY 09:30. Your login at the broker has ended: log in again.")
    paper.control.set_token(trader.paper.user_id, trader.paper.access_token)
    await desk.log_in(connected_at=desk.buy_at - timedelta(minutes=5.5))
    assert await desk.round(minutes=5.4) == ["Ready: INFY 09:30 will trade today."]
    assert (await desk.service.last_found(desk.user_id)).strategies[0].strategy_id == strategy_id


async def test_ten_minutes_before_a_buy_that_will_not_happen_it_is_said_aloud(
    app: FastAPI, trader: ApiUser, paper: PaperExchange
) -> None:
    assert trader.paper is not None
    desk = await Desk.of(app, trader, day_of_its_own())
    first, _ = await desk.plan({}, {"buy_time": "10:30", "symbol": "TCS", "stop_loss": 3000.0})
    assert await desk.round(minutes=29) == ["All well: INFY 09:30 and TCS 10:30 will trade today."]
    assert await desk.round(minutes=7) == await desk.round(minutes=5) == []
    await desk.set_runs([first], position="bought")
    paper.control.expire_token(trader.paper.user_id)
    desk.clock.at = desk.buy_at + timedelta(minutes=50)
    await desk.rounds.round()
    (heard,) = await desk.heard()
    assert (heard["kind"], heard["at_risk"], heard["lasts"]) == ("will_not_trade", True, True)
    assert heard["text"].startswith("Will NOT trade today: TCS 10:30. Your login at the broker has ended")
    paper.control.set_token(trader.paper.user_id, trader.paper.access_token)
    await desk.log_in(connected_at=desk.clock.at + timedelta(seconds=30))
    assert await desk.round(minutes=-51) == ["TCS 10:30 will trade today after all."]


async def test_two_processes_look_once_and_notify_once(app: FastAPI, trader: ApiUser, paper: PaperExchange) -> None:
    assert trader.paper is not None
    one = await Desk.of(app, trader, day_of_its_own())
    await one.plan()
    paper.control.expire_token(trader.paper.user_id)
    two = await one.second(app)
    one.clock.at = two.clock.at = one.buy_at - timedelta(minutes=29)
    await asyncio.gather(*(desk.rounds.round() for desk in (one, two) * 3))
    assert len(await one.heard()) == 1
    looks = await asyncio.gather(*(desk.service.look(one.user_id, one.clock.at) for desk in (one, two) * 3))
    assert len([look for look in looks if look is not None]) == 1, "one of them has the day, the others leave it"


async def test_a_session_that_was_cancelled_is_said(app: FastAPI, trader: ApiUser) -> None:
    desk = await Desk.of(app, trader, day_of_its_own(6), calendar="XNSE")
    await desk.plan()
    (told,) = await desk.round(minutes=29)
    assert told.startswith("Will NOT trade today: INFY 09:30. There is no trade today. The next session is on Monday, ")


async def test_the_operator_hears_once_that_a_part_is_down_and_once_that_it_is_back(
    app: FastAPI, trader: ApiUser
) -> None:
    async with transaction(app.state.resources.sessions) as session:
        for code in FAULTS:
            await OperatorFaults(session).end(code)
    engine = FakeEngine(up=False)
    with AlertInbox() as inbox:
        alerts = {"alert_urls": (SecretStr(inbox.url),)}
        one, two = [await Desk.of(app, trader, day_of_its_own(), engine, **alerts) for _ in range(2)]
        for desk in (one, two, one):
            await desk.operator.tell_changes()
        assert inbox.all_codes == ["readiness_engine"]
        engine.up = True
        for desk in (one, two):
            desk.clock.at += timedelta(minutes=1)
            await desk.operator.tell_changes()
        assert inbox.all_codes == ["readiness_engine", "readiness_restored"]
