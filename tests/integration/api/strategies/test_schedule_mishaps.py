"""Row N4: what happens to the days of a schedule when something goes wrong or is changed in between."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from api.strategies.schedules.schemas import ScheduleRequest
from persistence.database.engine import transaction
from persistence.database.models.trading_day.schedules import Schedule
from persistence.database.schedules import Schedules
from persistence.mirror.mirror import RuntimeMirror, open_redis
from tests.integration.schedule_bench import (
    MON,
    TUE,
    Bench,
    every_session,
    moment,
)
from tests.kit.fakes.strategy_engine import FakeEngine
from tests.kit.paper import PaperExchange

pytest_plugins = ["tests.integration.fixtures", "tests.integration.schedule_bench"]


async def test_a_broker_that_does_not_answer_prevents_nothing_as_with_a_start_by_hand(
    bench: Bench, paper: PaperExchange
) -> None:
    strategy_id = await bench.scheduled()
    paper.control.outage(on=True)
    try:
        await bench.at(MON, 8, 41)
    finally:
        paper.control.outage(on=False)
    assert await bench.days(strategy_id) == [(MON, "armed", "")]


async def test_what_may_mend_itself_is_said_ten_minutes_before_the_buy(bench: Bench) -> None:
    strategy_id = await bench.scheduled()
    nowhere = open_redis("redis://127.0.0.1:1")
    without_redis = bench.process(RuntimeMirror(nowhere, default_broker="paper"))
    for hour, minute, heard in ((8, 41, 0), (9, 9, 0), (9, 11, 1), (9, 13, 1)):
        bench.clock.now = moment(MON, hour, minute)
        await without_redis.sweep()
        assert await bench.days(strategy_id) == [(MON, "waiting", "redis_unavailable")]
        assert len(await bench.told(strategy_id)) == heard
    await nowhere.aclose()
    await bench.at(MON, 9, 15)
    assert await bench.days(strategy_id) == [(MON, "armed", "")]
    assert (await bench.told(strategy_id))[1:] == [f"INFY (strategy {strategy_id}) is armed for {MON} 09:20:00 now."]


async def test_a_login_is_followed_by_a_look_at_once(bench: Bench, paper: PaperExchange) -> None:
    strategy_id = await bench.scheduled()
    assert bench.trader.paper is not None
    paper.control.expire_token(bench.trader.paper.user_id)
    await bench.at(MON, 9, 19, 30)
    paper.control.set_token(bench.trader.paper.user_id, bench.trader.paper.access_token)
    assert (await bench.trader.connect()).status_code == 200
    await bench.at(MON, 9, 19, 36)
    assert await bench.days(strategy_id) == [(MON, "armed", "")]


async def test_an_account_without_a_broker_waits_for_it_and_hears_of_what_was_missed(bench: Bench) -> None:
    strategy_id = await bench.scheduled()
    await bench.schedules.pause(bench.user_id, strategy_id, None)
    assert (await bench.trader.call("DELETE", "/broker")).status_code == 204
    await bench.schedules.resume(bench.user_id, strategy_id)
    await bench.at(MON, 8, 41)
    assert await bench.days(strategy_id) == [(MON, "waiting", "broker_not_connected")]
    assert await bench.told(strategy_id) == []
    await bench.at(MON, 9, 19, 55)
    assert await bench.days(strategy_id) == [(MON, "missed", "broker_not_connected")]
    assert len(await bench.told(strategy_id)) == 1
    assert (await bench.trader.connect()).status_code == 200
    await bench.at(TUE, 8, 41)
    assert (await bench.days(strategy_id))[1] == (TUE, "armed", "")


async def test_a_sunday_starts_nothing_not_even_for_monday(bench: Bench) -> None:
    bench.clock.now = moment(MON - timedelta(days=2), 8, 0)
    strategy_id = await bench.scheduled()
    for hour in (8, 9, 23):
        await bench.at(MON - timedelta(days=1), hour, 50)
    assert await bench.days(strategy_id) == []
    assert (await bench.answer(strategy_id)).next[0].date == MON


@pytest.mark.parametrize("hours", ["09:15-12:30", "18:00-19:00"])
async def test_hours_that_are_changed_after_arming_end_the_run_before_it_buys(bench: Bench, hours: str) -> None:
    strategy_id = await bench.scheduled(every_session(MON, special=True))
    await bench.at(MON, 8, 41)
    bench.hours({MON: hours})
    await bench.at(MON, 8, 47)
    assert await bench.days(strategy_id) == [(MON, "skipped", "hours")]
    (run,) = await bench.runs(strategy_id)
    assert run.ended_at is not None


async def test_times_that_are_edited_make_no_missed_day_of_the_past(bench: Bench) -> None:
    bench.clock.now = moment(MON, 12, 0)
    strategy_id = await bench.scheduled()
    await bench.at(MON, 12, 1)
    await bench.at(TUE, 7, 0)
    assert (await bench.trader.call("PATCH", f"/strategy/{strategy_id}", buy_time="13:00")).is_success
    await bench.at(TUE, 8, 41)
    assert await bench.days(strategy_id) == [(TUE, "armed", "")]
    assert await bench.told(strategy_id) == []


async def test_a_day_that_waited_comes_to_its_end_also_if_its_schedule_is_paused_or_changed(
    bench: Bench, paper: PaperExchange
) -> None:
    paused, changed = await bench.scheduled(), await bench.scheduled()
    assert bench.trader.paper is not None
    paper.control.expire_token(bench.trader.paper.user_id)
    await bench.at(MON, 8, 41)
    assert [await bench.days(strategy_id) for strategy_id in (paused, changed)] == [
        [(MON, "waiting", "broker_token_expired")]
    ] * 2
    paper.control.set_token(bench.trader.paper.user_id, bench.trader.paper.access_token)
    assert (await bench.trader.connect()).status_code == 200
    await bench.schedules.pause(bench.user_id, paused, None)
    await bench.schedules.put(bench.user_id, changed, ScheduleRequest(days=["tue"]))
    await bench.at(MON, 9, 30)
    assert await bench.days(paused) == [(MON, "skipped", "paused")]
    assert await bench.days(changed) == [(MON, "skipped", "changed")]
    assert await bench.told(paused) == [], "the trader has paused it himself"
    assert "does not trade on" in (await bench.told(changed))[0]


async def test_after_a_restore_the_day_that_had_begun_is_left_out_and_the_next_is_traded(bench: Bench) -> None:
    early, late = await bench.scheduled(), await bench.scheduled(buy_time="11:00")
    async with transaction(bench.sessions) as session:
        await session.execute(update(Schedule).values(restored_at=moment(MON, 10, 0)))
    await bench.at(MON, 10, 1)
    await bench.at(MON, 10, 2)
    await bench.at(MON, 11, 30)
    for strategy_id in (early, late):
        assert await bench.days(strategy_id) == [(MON, "skipped", "restored")]
        as_it_was, left_out = await bench.told(strategy_id)
        assert "its schedule is as it was then" in as_it_was
        assert "does not trade on" in left_out
        assert await bench.runs(strategy_id) == []
    await bench.at(TUE, 8, 41)
    assert (await bench.days(late))[1] == (TUE, "armed", "")


async def test_a_process_that_dies_while_it_looks_leaves_the_day_to_another(bench: Bench) -> None:
    strategy_id = await bench.scheduled()
    bench.clock.now = moment(MON, 8, 41)
    async with transaction(bench.sessions) as session:
        (due,) = await Schedules(session).due(bench.clock.now, 5)
        assert await Schedules(session).claim(due[0], bench.clock.now + timedelta(seconds=30))
    await bench.another.sweep()
    assert await bench.days(strategy_id) == [], "it is taken"
    bench.clock.now = moment(MON, 8, 41, 31)
    await bench.another.sweep()
    assert await bench.days(strategy_id) == [(MON, "armed", "")]


async def test_with_the_engine_away_the_day_is_armed_and_its_run_is_brought_up_later(
    bench: Bench, engine: FakeEngine
) -> None:
    strategy_id = await bench.scheduled()
    engine.up = False
    await bench.at(MON, 8, 41)
    engine.up = True
    assert await bench.days(strategy_id) == [(MON, "armed", "")]
    (run,) = await bench.runs(strategy_id)
    assert run.ended_at is None, "the recovery sweep finds it"
    assert await bench.told(strategy_id) == []
