"""When days are looked at without being asked, and what their owners and the operator are notified of (row N3)."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import update

from api.readiness.operator import FAULTS, OVER_AFTER
from persistence.database.engine import transaction
from persistence.database.models.trading_day.readiness import OperatorFault
from persistence.database.readiness import OperatorFaults
from tests.integration.api.readiness.trading_day import TradingDay, day_of_its_own, problems
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
    day = await TradingDay.of(app, trader, day_of_its_own())
    (strategy_id,) = await day.plan()
    paper.control.expire_token(trader.paper.user_id)
    assert await day.round(minutes=95) == [], "the first look is silent"
    assert (await day.service.last_found(day.user_id)).verdict == "blocked"
    (told,) = await day.round(minutes=29)
    assert told.startswith("Will NOT trade today: INFY 09:30. Your login at the broker has ended: log in again.")
    assert f" Log in here: {day.opened.settings.public_root}/broker/login?code=" in told
    assert await day.round(minutes=28) == await day.round(minutes=11) == [], "nothing has changed"
    (aloud,) = await day.round(minutes=10)
    assert aloud.startswith("Will NOT trade today: INFY 09:30. Your login at the broker has ended: log in again.")
    paper.control.set_token(trader.paper.user_id, trader.paper.access_token)
    await day.log_in(connected_at=day.buy_at - timedelta(minutes=5.5))
    assert await day.round(minutes=5.4) == ["Ready: INFY 09:30 will trade today."]
    assert (await day.service.last_found(day.user_id)).strategies[0].strategy_id == strategy_id


async def test_ten_minutes_before_a_buy_that_will_not_happen_it_is_said_aloud(
    app: FastAPI, trader: ApiUser, paper: PaperExchange
) -> None:
    assert trader.paper is not None
    day = await TradingDay.of(app, trader, day_of_its_own())
    first, _ = await day.plan({}, {"buy_time": "10:30", "symbol": "TCS", "stop_loss": 3000.0})
    assert await day.round(minutes=29) == ["All well: INFY 09:30 and TCS 10:30 will trade today."]
    assert await day.round(minutes=7) == await day.round(minutes=5) == []
    await day.set_runs([first], position="bought")
    paper.control.expire_token(trader.paper.user_id)
    day.clock.at = day.buy_at + timedelta(minutes=50)
    await day.rounds.round()
    (heard,) = await day.heard()
    assert (heard["kind"], heard["at_risk"], heard["lasts"]) == ("will_not_trade", True, True)
    assert heard["text"].startswith("Will NOT trade today: TCS 10:30. Your login at the broker has ended")
    paper.control.set_token(trader.paper.user_id, trader.paper.access_token)
    await day.log_in(connected_at=day.clock.at + timedelta(seconds=30))
    assert await day.round(minutes=-51) == ["TCS 10:30 will trade today after all."]


async def standing(day: TradingDay) -> list[str]:
    """The texts of the notices that still say that something does not trade."""
    page = (await day.user.call("GET", "/notifications")).json()["notifications"]
    return [entry["text"] for entry in page if entry["lasts"]]


async def test_what_is_still_in_the_way_at_five_past_nine_is_said_a_second_time(
    app: FastAPI, trader: ApiUser, paper: PaperExchange
) -> None:
    assert trader.paper is not None
    day = await TradingDay.of(app, trader, day_of_its_own(0), calendar="XNSE")
    await day.plan({"buy_time": "09:40"})
    paper.control.expire_token(trader.paper.user_id)
    opens = day.buy_at.replace(hour=9, minute=15)

    async def heard_before_opening(minutes: int) -> list[str]:
        day.clock.at = opens - timedelta(minutes=minutes)
        await day.rounds.round()
        return [entry["text"] for entry in await day.heard()]

    (first,) = await heard_before_opening(30)
    assert await heard_before_opening(11) == []
    (second,) = await heard_before_opening(10)
    assert first.partition(" Log in here")[0] == second.partition(" Log in here")[0]
    assert await heard_before_opening(7) == []
    assert await standing(day) == [second], "one of the two stands"
    paper.control.set_token(trader.paper.user_id, trader.paper.access_token)
    await day.log_in(connected_at=opens - timedelta(minutes=6.5))
    assert await heard_before_opening(6) == ["Ready: INFY 09:40 will trade today."]
    assert await standing(day) == []


async def test_a_login_in_the_middle_of_a_look_makes_what_it_found_no_news(
    app: FastAPI, trader: ApiUser, paper: PaperExchange
) -> None:
    assert trader.paper is not None
    day = await TradingDay.of(app, trader, day_of_its_own())
    await day.plan()
    paper.control.expire_token(trader.paper.user_id)

    async def logs_in_meanwhile(user_id: int) -> Any:
        assert trader.paper is not None
        paper.control.set_token(trader.paper.user_id, trader.paper.access_token)
        await day.log_in(connected_at=day.clock.at + timedelta(milliseconds=200))
        return await day.opened.browser_logins.new_link(user_id)

    day.service._new_link = logs_in_meanwhile
    assert await day.round(minutes=10) == [], "it would trade by now, and be said aloud not to"
    assert await day.round(minutes=9.8) == ["All well: INFY 09:30 will trade today."]


async def test_after_a_login_that_came_too_late_for_one_what_was_said_of_it_is_over(
    app: FastAPI, trader: ApiUser, paper: PaperExchange
) -> None:
    assert trader.paper is not None
    day = await TradingDay.of(app, trader, day_of_its_own())
    await day.plan({}, {"buy_time": "10:30", "symbol": "TCS", "stop_loss": 3000.0})
    paper.control.expire_token(trader.paper.user_id)
    assert len(await day.round(minutes=29)) == len(await day.round(minutes=10)) == 1
    paper.control.set_token(trader.paper.user_id, trader.paper.access_token)
    await day.log_in(connected_at=day.buy_at + timedelta(minutes=1))
    assert await day.round(minutes=-1.2) == ["Ready: TCS 10:30 will trade today."]
    assert await standing(day) == []


async def test_when_nothing_waits_any_more_nothing_is_said_to_stand_in_the_way(
    app: FastAPI, trader: ApiUser, paper: PaperExchange
) -> None:
    assert trader.paper is not None
    day = await TradingDay.of(app, trader, day_of_its_own())
    await day.plan()
    paper.control.expire_token(trader.paper.user_id)
    assert len(await day.round(minutes=10)) == 1
    assert len(await standing(day)) == 1
    assert await day.round(minutes=-1.5) == [], "its end says what happened"
    assert await standing(day) == []


async def test_two_processes_look_once_and_notify_once(app: FastAPI, trader: ApiUser, paper: PaperExchange) -> None:
    assert trader.paper is not None
    one = await TradingDay.of(app, trader, day_of_its_own())
    await one.plan()
    paper.control.expire_token(trader.paper.user_id)
    two = await one.second(app)
    one.clock.at = two.clock.at = one.buy_at - timedelta(minutes=29)
    await asyncio.gather(*(day.rounds.round() for day in (one, two) * 3))
    assert len(await one.heard()) == 1
    looks = await asyncio.gather(*(day.service.look(one.user_id, one.clock.at) for day in (one, two) * 3))
    assert len([look for look in looks if look is not None]) == 1, "one of them has the day, the others leave it"


async def test_a_session_that_was_cancelled_is_said(app: FastAPI, trader: ApiUser) -> None:
    day = await TradingDay.of(app, trader, day_of_its_own(6), calendar="XNSE")
    await day.plan()
    (told,) = await day.round(minutes=29)
    assert told.startswith("Will NOT trade today: INFY 09:30. There is no trade today. The next session is on Monday, ")


async def test_the_operator_hears_once_that_a_part_is_down_and_once_that_it_is_back(
    app: FastAPI, trader: ApiUser
) -> None:
    async with transaction(app.state.resources.sessions) as session:
        for code in FAULTS:
            await OperatorFaults(session).end(code, timedelta(0))
    engine = FakeEngine(up=False)
    with AlertInbox() as inbox:
        alerts: dict[str, Any] = {"alert_urls": (SecretStr(inbox.url),)}
        one, two = [await TradingDay.of(app, trader, day_of_its_own(), engine, **alerts) for _ in range(2)]
        for day in (one, two, one):
            await day.operator.tell_changes()
        assert inbox.all_codes == ["readiness_engine"]
        healthy = await TradingDay.of(app, trader, day_of_its_own(), FakeEngine(), **alerts)
        await healthy.operator.tell_changes()
        assert inbox.all_codes == ["readiness_engine"], "another process still sees it"
        async with transaction(app.state.resources.sessions) as session:
            an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
            await session.execute(update(OperatorFault).values(notified_at=an_hour_ago))
        for day in (one, two, one):
            await day.operator.tell_changes()
        assert inbox.all_codes == ["readiness_engine"] * 2, "nobody has reacted for an hour: one of them tells again"
        engine.up = True
        async with transaction(app.state.resources.sessions) as session:
            await session.execute(update(OperatorFault).values(seen_at=datetime.now(UTC) - OVER_AFTER))
        for day in (one, two):
            day.clock.at += timedelta(minutes=1)
            await day.operator.tell_changes()
        assert inbox.all_codes == ["readiness_engine", "readiness_engine", "readiness_restored"]


@pytest.mark.parametrize(
    ("silent", "verdict", "level"),
    [(["execution:1"], "attention", "warn"), (["execution:0", "execution:1"], "blocked", "block")],
)
async def test_places_that_orders_leave_from_and_that_are_silent_are_said(
    app: FastAPI, trader: ApiUser, silent: list[str], verdict: str, level: str
) -> None:
    day = await TradingDay.of(app, trader, day_of_its_own(), FakeEngine(silent=silent))
    await day.plan()
    found = await day.answer(minutes=60)
    assert (found["verdict"], problems(found)) == (verdict, {"operator": level})
    (fault,) = await day.operator.faults()
    assert fault.sentence.endswith(f"({', '.join(silent)})")
