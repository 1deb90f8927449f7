"""Strategies that a schedule is still to start are trades of the day (rows N3, N4)."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import update
from sqlmodel import col

from persistence.database.engine import tenant_transaction, transaction
from persistence.database.models.runs import Run
from persistence.database.schedules import ScheduleDays
from tests.integration.api.readiness.trading_day import TradingDay, day_of_its_own, details, problems
from tests.integration.api_user import ApiUser
from tests.kit.paper import PaperExchange

pytest_plugins = ["tests.integration.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

MONDAY = 0


def trades(answer: dict[str, Any]) -> list[tuple[int, bool | None, list[str]]]:
    return [(row["strategy_id"], row["will_trade"], row["because"]) for row in answer["strategies"]]


async def arm(day: TradingDay, strategy_id: int, **before: float) -> None:
    """Sweep until it is armed: the application's own sweep may look at it at the same moment."""
    day.clock.at = day.buy_at - timedelta(**before)
    for _ in range(10):
        await day.arming.sweep()
        async with tenant_transaction(day.opened.sessions, day.user_id) as session:
            row = (await ScheduleDays(session).since(day.user_id, strategy_id, day.buy_at.date())).get(
                day.buy_at.date()
            )
        if row is not None and row.outcome == "armed":
            return
    pytest.fail(f"not armed: {row}")


async def test_scheduled_without_a_login_is_said_before_anything_has_started(
    app: FastAPI, trader: ApiUser, paper: PaperExchange
) -> None:
    assert trader.paper is not None
    day = await TradingDay.of(app, trader, day_of_its_own())
    strategy_id = await day.schedule()
    paper.control.expire_token(trader.paper.user_id)
    assert await day.round(minutes=95) == [], "the first look is silent"
    found = (await day.service.last_found(day.user_id)).model_dump(mode="json")
    assert (found["verdict"], trades(found)) == ("blocked", [(strategy_id, False, ["token_valid"])])
    (told,) = await day.round(minutes=29)
    assert told.startswith("Will NOT trade today: INFY 09:30. Your login at the broker has ended: log in again.")
    assert " Log in here: " in told
    assert await day.round(minutes=28) == [], "nothing has changed"
    (aloud,) = await day.round(minutes=10)
    assert aloud.startswith("Will NOT trade today: INFY 09:30.")
    paper.control.set_token(trader.paper.user_id, trader.paper.access_token)
    await day.log_in(connected_at=day.buy_at - timedelta(minutes=5.5))
    assert await day.round(minutes=5.4) == ["Ready: INFY 09:30 will trade today."]


async def test_armed_it_is_the_run_with_the_same_verdict_and_counted_once(
    app: FastAPI, user: ApiUser, paper: PaperExchange
) -> None:
    user.paper = paper.control.new_account(cash=4000)  # enough for one, not for two
    await user.connect()
    day = await TradingDay.of(app, user, day_of_its_own())
    strategy_id = await day.schedule()
    before = await day.answer(minutes=40)
    assert (before["verdict"], trades(before)) == ("ready", [(strategy_id, True, [])]), before
    assert before["strategies"][0]["funds_needed"] == 3020.0
    await arm(day, strategy_id, minutes=35)
    after = await day.answer(minutes=30)
    assert (after["verdict"], after["strategies"]) == ("ready", before["strategies"])
    assert details(after, "funds_short") == details(before, "funds_short")
    (waiting,) = await _waiting(day)
    assert waiting.buys == (day.buy_at,)


async def test_a_run_and_a_schedule_need_their_money_together(
    app: FastAPI, user: ApiUser, paper: PaperExchange
) -> None:
    user.paper = paper.control.new_account(cash=4000)
    await user.connect()
    day = await TradingDay.of(app, user, day_of_its_own())
    (started,) = await day.plan()
    scheduled = await day.schedule(buy_time="10:00")
    found = await day.answer(minutes=20)
    assert trades(found) == [(started, True, []), (scheduled, False, ["funds_short"])]
    (waiting,) = await _waiting(day)
    assert waiting.buys == (day.buy_at, day.buy_at + timedelta(minutes=30))


async def test_one_schedule_more_than_may_run_at_once_is_said_before_its_start_is_refused(
    app: FastAPI, trader: ApiUser
) -> None:
    day = await TradingDay.of(app, trader, day_of_its_own(), max_running=2)
    started = (await day.plan({"symbol": "SBIN", "stop_loss": 790}))[0]
    first, second = [await day.schedule(symbol=symbol) for symbol in ("INFY", "TCS")]
    found = await day.answer(hours=1)
    assert trades(found) == [(started, True, []), (first, True, []), (second, False, ["too_many_running"])]


async def test_a_start_by_hand_is_counted_once_and_after_its_end_there_is_nothing(
    app: FastAPI, trader: ApiUser
) -> None:
    day = await TradingDay.of(app, trader, day_of_its_own())
    (strategy_id,) = await day.plan({"stop_loss": None, "stop_loss_percent": 2})
    await day.put_schedule(strategy_id)
    found = await day.answer(minutes=20)
    assert (found["verdict"], trades(found)) == ("ready", [(strategy_id, True, [])]), found
    await day.set_runs([strategy_id], ended_at=day.clock.at, status="stopped")
    found = await day.answer(minutes=18)
    assert trades(found) == [], "a day whose run has ended is not started again"
    assert await _waiting(day) == []


async def test_what_is_skipped_or_paused_is_not_there_without_a_refresh(app: FastAPI, trader: ApiUser) -> None:
    day = await TradingDay.of(app, trader, day_of_its_own())
    skipped, paused = await day.schedule(), await day.schedule(buy_time="10:00")
    day.clock.at = day.buy_at - timedelta(minutes=40)

    async def planned() -> list[int]:
        day.clock.at += timedelta(seconds=1)
        return [row.strategy_id for row in (await day.service.last_found(day.user_id)).strategies]

    async def change(strategy_id: int, verb: str, **body: str | None) -> None:
        answer = await trader.call("POST", f"/strategy/{strategy_id}/schedule/{verb}", **body)
        assert answer.status_code == 200, answer.text

    today: date = day.buy_at.date()
    assert await planned() == [skipped, paused]
    await change(skipped, "skip", date=today.isoformat())
    assert await planned() == [paused]
    await change(paused, "pause", until=(today + timedelta(days=1)).isoformat())
    assert (await planned(), await _waiting(day)) == ([], [])
    await change(paused, "pause", until=today.isoformat())
    assert await planned() == [paused], "its pause ends today"
    await change(paused, "pause", until=None)
    assert await planned() == []
    assert await day.round(minutes=29) == [], "nothing to say of a day without trades"


async def test_a_holiday_is_no_day_of_the_schedule(app: FastAPI, trader: ApiUser, tmp_path: Path) -> None:
    buy_at = day_of_its_own(MONDAY)
    holidays = tmp_path / "sessions.toml"
    holidays.write_text(f'{buy_at.date()} = "closed"\n')
    day = await TradingDay.of(app, trader, buy_at, overrides=holidays, calendar="XNSE")
    strategy_id = await day.schedule()
    found = await day.answer(minutes=29)
    assert (found["verdict"], found["strategies"], problems(found)) == ("no_session", [], {})
    assert await day.round(minutes=29) == []
    open_day = await TradingDay.of(app, trader, buy_at, calendar="XNSE")
    open_day.clock.at = buy_at - timedelta(minutes=25)
    found = (await open_day.service.last_found(day.user_id)).model_dump(mode="json")
    assert trades(found) == [(strategy_id, True, [])]


async def test_a_run_of_an_earlier_day_that_is_open_keeps_it_from_trading(app: FastAPI, trader: ApiUser) -> None:
    day = await TradingDay.of(app, trader, day_of_its_own())
    (strategy_id,) = await day.plan({"stop_loss": None, "stop_loss_percent": 2}, position="bought")
    async with transaction(day.opened.sessions) as session:
        earlier = {"buy_at": day.buy_at - timedelta(days=1), "sell_at": day.buy_at - timedelta(hours=20)}
        await session.execute(update(Run).where(col(Run.strategy_id) == strategy_id).values(earlier))
    await day.put_schedule(strategy_id)
    found = await day.answer(minutes=29)
    assert trades(found) == [(strategy_id, False, ["still_running"])]
    assert details(found, "still_running") == ["INFY 09:30: its run of an earlier day is still open"]


async def test_an_edit_of_what_is_scheduled_is_seen_without_a_refresh(app: FastAPI, trader: ApiUser) -> None:
    day = await TradingDay.of(app, trader, day_of_its_own())
    strategy_id = await day.schedule()
    day.clock.at = day.buy_at - timedelta(minutes=40)
    assert [row.buy_at for row in (await day.service.last_found(day.user_id)).strategies] == [day.buy_at]
    answer = await trader.call("PATCH", f"/strategy/{strategy_id}", buy_time="09:45")
    assert answer.status_code == 200, answer.text
    later = day.buy_at + timedelta(minutes=15)
    assert [row.buy_at for row in (await day.service.last_found(day.user_id)).strategies] == [later]


async def test_another_tenant_has_no_part_in_it(app: FastAPI, trader: ApiUser) -> None:
    day = await TradingDay.of(app, trader, day_of_its_own())
    await day.schedule()
    stranger = await TradingDay.of(app, await ApiUser.register(trader.client), day.buy_at)
    assert trades(await stranger.answer(minutes=20)) == []


async def _waiting(day: TradingDay) -> list[Any]:
    return [user for user in await day.rounds._waiting(day.clock.at) if user.user_id == day.user_id]
