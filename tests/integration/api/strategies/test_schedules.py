"""Row N4: what STOP, panic, pauses and the trader's own hand make of a schedule, and the calls of the API."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from api.base.errors import ApiError
from api.strategies.schedules.schemas import ScheduleRequest
from persistence.mirror.mirror import RuntimeMirror, open_redis
from tests.integration.api_user import PASSWORD, ApiUser
from tests.integration.schedule_bench import (
    ALL,
    MON,
    THU,
    TODAY,
    TUE,
    WED,
    Bench,
    moment,
)
from tests.kit.fakes.strategy_engine import FakeEngine
from tests.kit.paper import PaperExchange

pytest_plugins = ["tests.integration.fixtures", "tests.integration.schedule_bench"]


async def test_stop_ends_todays_run_only(bench: Bench) -> None:
    strategy_id = await bench.scheduled()
    await bench.at(MON, 8, 41)
    await bench.lifecycle.stop(bench.user_id, strategy_id)
    await bench.at(MON, 8, 50)
    assert len(await bench.runs(strategy_id)) == 1
    await bench.at(TUE, 8, 41)
    assert len(await bench.runs(strategy_id)) == 2


async def test_stop_pauses_the_schedule_as_well_if_it_is_asked_to(bench: Bench) -> None:
    strategy_id = await bench.scheduled()
    await bench.at(MON, 8, 41)
    answer = await bench.trader.call("POST", "/strategy/stop", strategy_id=strategy_id, pause_schedule=True)
    assert answer.status_code == 200, answer.text
    await bench.at(TUE, 8, 41)
    assert len(await bench.runs(strategy_id)) == 1
    assert (await bench.answer(strategy_id)).pause_reason == "by_user"


async def test_a_position_of_the_day_before_is_never_added_to(bench: Bench) -> None:
    strategy_id = await bench.scheduled(product="CNC")
    await bench.at(MON, 8, 41)
    await bench.at(TUE, 8, 41)
    assert (await bench.days(strategy_id))[1] == (TUE, "waiting", "still_running")
    await bench.at(TUE, 9, 19, 56)
    assert (await bench.days(strategy_id))[1] == (TUE, "skipped", "still_running")
    assert len(await bench.runs(strategy_id)) == 1
    assert "still open" in (await bench.told(strategy_id))[0]


async def test_a_start_by_hand_is_the_days_also_if_it_was_stopped_again(bench: Bench) -> None:
    strategy_id = await bench.scheduled()
    bench.clock.now = moment(MON, 8, 10)
    await bench.lifecycle.start(bench.user_id, strategy_id)
    await bench.lifecycle.stop(bench.user_id, strategy_id)
    await bench.at(MON, 8, 41)
    assert await bench.days(strategy_id) == [(MON, "armed", "by_hand")]
    assert len(await bench.runs(strategy_id)) == 1


async def test_panic_pauses_all_schedules_until_they_are_resumed_by_hand(bench: Bench) -> None:
    first, second = await bench.scheduled(), await bench.scheduled(buy_time="10:00")
    assert (await bench.trader.call("POST", "/panic")).status_code == 202
    paused: set[str | None] = set()
    async with asyncio.timeout(20):
        while paused != {"panic"}:
            paused = {(await bench.answer(strategy_id)).pause_reason for strategy_id in (first, second)}
    await bench.at(MON, 8, 41)
    assert await bench.runs(first) == await bench.runs(second) == []
    assert (await bench.trader.call("POST", "/auth/confirm", password=PASSWORD)).is_success
    assert (await bench.trader.call("POST", "/risk/unlock")).status_code == 200
    await bench.at(MON, 8, 50)
    assert await bench.runs(first) == []
    await bench.schedules.resume(bench.user_id, first)
    await bench.at(MON, 8, 51)
    assert len(await bench.runs(first)) == 1
    assert await bench.runs(second) == []


async def test_three_bad_days_in_a_row_pause_the_schedule_and_resuming_begins_again(
    bench: Bench, paper: PaperExchange
) -> None:
    strategy_id = await bench.scheduled()
    assert bench.trader.paper is not None
    paper.control.expire_token(bench.trader.paper.user_id)
    for day in (MON, TUE, WED):
        await bench.at(day, 9, 0)
        await bench.at(day, 9, 20)
    assert [outcome for _, outcome, _ in await bench.days(strategy_id)] == ["missed"] * 3
    answer = await bench.answer(strategy_id)
    assert (answer.state, answer.pause_reason, answer.next) == ("paused", "failed_often", [])
    assert "its schedule is paused" in (await bench.told(strategy_id))[-1]
    paper.control.set_token(bench.trader.paper.user_id, bench.trader.paper.access_token)
    assert (await bench.trader.connect()).status_code == 200
    await bench.at(THU, 9, 0)
    assert await bench.runs(strategy_id) == []
    await bench.schedules.resume(bench.user_id, strategy_id)
    await bench.at(THU, 9, 1)
    assert len(await bench.runs(strategy_id)) == 1


async def test_a_pause_with_an_end_goes_on_by_itself(bench: Bench) -> None:
    strategy_id = await bench.scheduled()
    paused = await bench.schedules.pause(bench.user_id, strategy_id, WED)
    assert paused.next[0].date == WED
    for day in (MON, TUE):
        await bench.at(day, 9, 0)
        await bench.at(day, 9, 30)
    assert await bench.days(strategy_id) == []
    await bench.at(WED, 8, 41)
    assert await bench.days(strategy_id) == [(WED, "armed", "")]


async def test_a_pause_is_no_missed_day_and_resuming_in_time_arms_today(bench: Bench) -> None:
    strategy_id = await bench.scheduled()
    await bench.schedules.pause(bench.user_id, strategy_id, None)
    await bench.at(TUE, 9, 0)
    await bench.schedules.resume(bench.user_id, strategy_id)
    await bench.at(TUE, 9, 1)
    assert await bench.days(strategy_id) == [(TUE, "armed", "")]


async def test_a_day_to_skip_is_skipped_without_a_word(bench: Bench) -> None:
    strategy_id = await bench.scheduled()
    skipped = await bench.schedules.skip(bench.user_id, strategy_id, MON)
    assert (skipped.skip, skipped.next[0].date) == ([MON], TUE)
    await bench.at(MON, 8, 41)
    await bench.at(MON, 9, 20)
    assert await bench.days(strategy_id) == [(MON, "skipped", "skipped_by_user")]
    assert await bench.told(strategy_id) == []
    await bench.at(TUE, 8, 41)
    with pytest.raises(ApiError) as refused:
        await bench.schedules.skip(bench.user_id, strategy_id, TUE)
    assert refused.value.code == "schedule_day_armed"


async def test_a_schedule_that_is_made_again_on_the_same_day_does_not_arm_again(
    bench: Bench, engine: FakeEngine
) -> None:
    strategy_id = await bench.scheduled(buy_time="11:00")
    await bench.at(MON, 8, 41)
    (run,) = await bench.runs(strategy_id)
    await engine.end(run.id, position="sold", message="Sold")
    await bench.schedules.delete(bench.user_id, strategy_id)
    await bench.schedules.put(bench.user_id, strategy_id, ALL)
    await bench.at(MON, 9, 0)
    assert len(await bench.runs(strategy_id)) == 1


async def test_a_schedule_ends_after_its_last_day(bench: Bench) -> None:
    strategy_id = await bench.scheduled(ScheduleRequest(days="every_session", until=MON))
    await bench.at(MON, 8, 41)
    await bench.at(TUE, 8, 41)
    answer = await bench.answer(strategy_id)
    assert (answer.state, answer.next, [day.outcome for day in answer.latest]) == ("ended", [], ["armed"])
    assert len(await bench.runs(strategy_id)) == 1
    with pytest.raises(ApiError) as refused:
        await bench.schedules.resume(bench.user_id, strategy_id)
    assert refused.value.code == "schedule_ended"


async def test_a_broker_is_not_disconnected_while_a_schedule_is_active(bench: Bench) -> None:
    strategy_id = await bench.scheduled()
    refused = await bench.trader.call("DELETE", "/broker")
    assert (refused.status_code, refused.json()["code"]) == (409, "schedules_active")
    await bench.schedules.pause(bench.user_id, strategy_id, None)
    assert (await bench.trader.call("DELETE", "/broker")).status_code == 204


async def test_with_redis_down_the_day_waits(bench: Bench) -> None:
    strategy_id = await bench.scheduled()
    nowhere = open_redis("redis://127.0.0.1:1")
    bench.clock.now = moment(MON, 8, 41)
    await bench.process(RuntimeMirror(nowhere, default_broker="paper")).sweep()
    await nowhere.aclose()
    assert await bench.days(strategy_id) == [(MON, "waiting", "redis_unavailable")]
    assert await bench.told(strategy_id) == [], "it may mend itself"
    await bench.at(MON, 8, 42)
    assert await bench.days(strategy_id) == [(MON, "armed", "")]


async def test_the_overview_names_days_holidays_and_outcomes(bench: Bench) -> None:
    bench.hours({WED: "closed"})
    strategy_id = await bench.scheduled()
    await bench.at(MON, 8, 41)
    overview = await bench.schedules.overview(bench.user_id, 7)
    assert [(day.date, day.closed, [s.outcome for s in day.strategies]) for day in overview.days[:4]] == [
        (MON, None, ["armed"]),
        (TUE, None, ["planned"]),
        (WED, "holiday", ["skipped"]),
        (THU, None, ["planned"]),
    ]
    assert overview.days[5].closed == "weekend"
    assert overview.days[0].strategies[0].strategy_id == strategy_id


async def test_the_calls_of_the_api(trader: ApiUser, user: ApiUser) -> None:
    strategy_id = await trader.strategy(stop_loss=None, stop_loss_percent=2)
    path = f"/strategy/{strategy_id}/schedule"
    missing = await trader.call("GET", path)
    assert (missing.status_code, missing.json()["code"]) == (404, "schedule_not_found")
    first = TODAY + timedelta(days=40)
    put = await trader.call("PUT", path, days=["mon", "fri"], **{"from": first.isoformat()})
    assert put.status_code == 200, put.text
    assert (put.json()["days"], put.json()["from"], len(put.json()["next"])) == (["mon", "fri"], first.isoformat(), 5)
    assert (await trader.call("GET", path)).json() == put.json()
    wrongs: list[dict[str, Any]] = [
        {"days": []},
        {"days": ["someday"]},
        {"days": ["mon"], "until": "2020-01-01"},
        {},
        {"days": "mon"},
    ]
    for wrong in wrongs:
        assert (await trader.call("PUT", path, **wrong)).status_code == 422
    assert (await trader.call("POST", f"{path}/pause", until=None)).json()["state"] == "paused"
    assert (await trader.call("POST", f"{path}/resume")).json()["state"] == "active"
    skipped = await trader.call("POST", f"{path}/skip", date=put.json()["next"][0]["date"])
    assert skipped.json()["skip"] == [put.json()["next"][0]["date"]]
    assert (await trader.call("POST", f"{path}/skip", date="2020-01-01")).status_code == 422
    days = (await trader.call("GET", "/schedule?days=3")).json()["days"]
    assert [day["date"] for day in days] == [(TODAY + timedelta(days=n)).isoformat() for n in range(3)]
    assert (await trader.call("DELETE", path)).status_code == 204
    assert (await trader.call("DELETE", path)).status_code == 404
