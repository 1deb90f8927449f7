"""Row N4: when a schedule starts its strategy, and which days it leaves out or misses."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from api.base.errors import ApiError
from api.strategies.schedules import arming
from api.strategies.schedules.arming import ScheduleArming
from api.strategies.schedules.schemas import ScheduleRequest
from persistence.database.engine import transaction
from persistence.database.models.strategies import Strategy
from persistence.database.models.trading_day.schedules import Schedule
from tests.integration.schedule_bench import (
    ALL,
    MON,
    ORDINARY,
    SAT,
    TUE,
    Bench,
    every_session,
    moment,
)
from tests.kit.fakes.strategy_engine import FakeEngine
from tests.kit.paper import PaperExchange

pytest_plugins = ["tests.integration.fixtures", "tests.integration.schedule_bench"]


async def test_a_day_is_armed_from_eight_forty_on_for_that_day(bench: Bench, engine: FakeEngine) -> None:
    strategy_id = await bench.scheduled()
    await bench.at(MON, 8, 39, 50)
    assert await bench.days(strategy_id) == []
    await bench.at(MON, 8, 40, 5)
    assert await bench.days(strategy_id) == [(MON, "armed", "")]
    (run,) = await bench.runs(strategy_id)
    assert (run.buy_at, run.sell_at) == (moment(MON, 9, 20), moment(MON, 15, 10))
    assert engine.running[strategy_id] == run.id
    await bench.at(MON, 9, 30)
    assert len(await bench.runs(strategy_id)) == 1
    assert await bench.told(strategy_id) == []


async def test_many_sweeps_of_two_processes_arm_once(bench: Bench, engine: FakeEngine) -> None:
    strategy_id = await bench.scheduled()
    bench.clock.now = moment(MON, 8, 40, 5)
    await asyncio.gather(*(process.sweep() for process in (bench.arming, bench.another) * 4))
    assert await bench.days(strategy_id) == [(MON, "armed", "")]
    (run,) = await bench.runs(strategy_id)
    await engine.end(run.id, position="sold", message="Sold")  # and nothing arms it again afterwards
    for minute in (41, 50, 55):
        bench.clock.now = moment(MON, 8, minute)
        await asyncio.gather(bench.arming.sweep(), bench.another.sweep())
    assert len(await bench.runs(strategy_id)) == 1


async def test_two_looks_at_once_without_a_claim_arm_once(bench: Bench) -> None:
    strategy_id = await bench.scheduled()
    bench.clock.now = moment(MON, 8, 40, 5)
    async with transaction(bench.sessions) as session:
        schedule = await session.get(Schedule, strategy_id)
        strategy = await session.get(Strategy, strategy_id)
    assert schedule is not None
    assert strategy is not None
    looks = []
    for process in (bench.arming, bench.another):
        plan = await _plan_of(process, schedule, strategy)
        looks.append(process._days(plan))
    await asyncio.gather(*looks)
    assert len(await bench.runs(strategy_id)) == 1


async def _plan_of(process: ScheduleArming, schedule: Schedule, strategy: Strategy) -> Any:
    settings, calendars = process._settings, process._calendars
    plan = await arming.plan_of(calendars, settings, schedule, strategy, "paper")
    return arming._Look(schedule, strategy, plan, process._now())


async def test_a_process_that_was_down_arms_what_can_be_and_says_what_was_missed(bench: Bench) -> None:
    early, late = await bench.scheduled(), await bench.scheduled(buy_time="11:00")
    await bench.at(MON, 10, 0)
    assert await bench.days(early) == [(MON, "missed", "not_running")]
    assert await bench.runs(early) == []
    assert await bench.days(late) == [(MON, "armed", "")]
    (text,) = await bench.told(early)
    assert text.startswith(f"Missed: INFY (strategy {early}) was not started for {MON} 09:20:00.")
    await bench.at(MON, 10, 30)
    assert len(await bench.told(early)) == 1


async def test_days_without_any_process_are_all_reported_and_none_is_made_up_for(bench: Bench) -> None:
    strategy_id = await bench.scheduled()
    await bench.at(TUE, 20, 0)
    assert await bench.days(strategy_id) == [(MON, "missed", "not_running"), (TUE, "missed", "not_running")]
    assert await bench.runs(strategy_id) == []
    assert len(await bench.told(strategy_id)) == 2


async def test_a_login_that_has_ended_is_waited_for_and_told_by_readiness_alone(
    bench: Bench, paper: PaperExchange
) -> None:
    strategy_id = await bench.scheduled()
    assert bench.trader.paper is not None
    paper.control.expire_token(bench.trader.paper.user_id)
    await bench.at(MON, 8, 40, 5)
    assert await bench.days(strategy_id) == [(MON, "waiting", "broker_token_expired")]
    await bench.at(MON, 8, 41)
    paper.control.set_token(bench.trader.paper.user_id, bench.trader.paper.access_token)
    assert (await bench.trader.connect()).status_code == 200
    await bench.at(MON, 9, 19)
    assert await bench.days(strategy_id) == [(MON, "armed", "")]
    assert await bench.told(strategy_id) == []


async def test_what_is_refused_until_five_seconds_before_the_buy_is_missed_and_never_moved(
    bench: Bench, paper: PaperExchange
) -> None:
    strategy_id = await bench.scheduled()
    assert bench.trader.paper is not None
    paper.control.expire_token(bench.trader.paper.user_id)
    await bench.at(MON, 9, 19, 20)
    assert await bench.days(strategy_id) == [(MON, "waiting", "broker_token_expired")]
    paper.control.set_token(bench.trader.paper.user_id, bench.trader.paper.access_token)
    assert (await bench.trader.connect()).status_code == 200
    await bench.at(MON, 9, 19, 55)
    assert await bench.days(strategy_id) == [(MON, "missed", "broker_token_expired")]
    await bench.at(MON, 9, 20, 1)
    assert await bench.runs(strategy_id) == []
    await bench.at(TUE, 8, 41)
    assert [run.buy_at for run in await bench.runs(strategy_id)] == [moment(TUE, 9, 20)]


async def test_a_day_that_never_was_a_session_is_no_day_of_the_schedule(bench: Bench) -> None:
    strategy_id = await bench.scheduled(every_session(first=SAT))
    await bench.at(SAT, 10, 0)
    assert (await bench.days(strategy_id), await bench.told(strategy_id)) == ([], [])
    await bench.at(SAT + timedelta(days=2), 8, 41)
    assert await bench.days(strategy_id) == [(SAT + timedelta(days=2), "armed", "")]


async def test_chosen_weekdays_are_kept_to(bench: Bench) -> None:
    strategy_id = await bench.scheduled(ScheduleRequest(days=["tue"]))
    await bench.at(MON, 10, 0)
    await bench.at(TUE, 8, 41)
    assert await bench.days(strategy_id) == [(TUE, "armed", "")]


@pytest.mark.parametrize(
    ("special", "sell_time", "outcome"),
    [
        (False, "12:00", ("skipped", "special_session")),
        (True, "15:10", ("skipped", "hours")),
        (True, "12:00", ("armed", "")),
    ],
)
async def test_half_a_day_is_traded_if_that_was_asked_for_and_both_times_fit(
    bench: Bench, special: bool, sell_time: str, outcome: tuple[str, str]
) -> None:
    bench.hours({MON: "09:15-12:30"})
    request = ScheduleRequest(days="every_session", special_sessions=special)
    strategy_id = await bench.scheduled(request, sell_time=sell_time)
    await bench.at(MON, 8, 41)
    await bench.at(MON, 9, 25)
    assert await bench.days(strategy_id) == [(MON, *outcome)]
    assert len(await bench.told(strategy_id)) == (1 if outcome[0] == "skipped" else 0)


async def test_a_special_saturday_is_left_out_unless_asked_for(bench: Bench) -> None:
    bench.hours({SAT: ORDINARY})
    ordinary = await bench.scheduled(every_session(first=SAT))
    asked = await bench.scheduled(every_session(first=SAT, special=True))
    await bench.at(SAT, 8, 41)
    assert await bench.days(asked) == [(SAT, "armed", "")]
    assert await bench.runs(ordinary) == []


async def test_a_session_that_is_cancelled_after_arming_ends_the_run_before_it_buys(bench: Bench) -> None:
    strategy_id = await bench.scheduled()
    await bench.at(MON, 8, 41)
    bench.hours({MON: "closed"})
    bench.clock.now = moment(MON, 9, 5)
    await bench.another.sweep()  # whose calendar is read now
    assert await bench.days(strategy_id) == [(MON, "skipped", "no_session")]
    (run,) = await bench.runs(strategy_id)
    assert run.ended_at is not None
    assert "does not trade on" in (await bench.told(strategy_id))[0]


async def test_a_session_that_is_called_off_before_arming_is_left_out_and_said_before_its_buy(bench: Bench) -> None:
    bench.hours({MON: "closed"})
    strategy_id = await bench.scheduled()
    await bench.at(MON, 8, 41)
    (text,) = await bench.told(strategy_id)
    assert text.endswith(f"does not trade on {MON:%A, %Y-%m-%d}: the exchange does not open on this day.")
    await bench.at(MON, 9, 25)
    assert await bench.days(strategy_id) == [(MON, "skipped", "no_session")]
    assert (len(await bench.told(strategy_id)), await bench.runs(strategy_id)) == (1, [])


async def test_an_edit_takes_effect_with_the_next_arming(bench: Bench) -> None:
    strategy_id = await bench.scheduled()
    assert (await bench.trader.call("PATCH", f"/strategy/{strategy_id}", buy_time="10:30", quantity=7)).is_success
    await bench.at(MON, 9, 30)
    (run,) = await bench.runs(strategy_id)
    assert (run.buy_at, run.quantity) == (moment(MON, 10, 30), 7)


async def test_a_schedule_wants_a_stop_in_percent_and_keeps_it(bench: Bench) -> None:
    strategy_id = await bench.trader.strategy()
    with pytest.raises(ApiError) as refused:
        await bench.schedules.put(bench.user_id, strategy_id, ALL)
    assert (refused.value.status, refused.value.code) == (409, "schedule_needs_percent")
    kept = await bench.scheduled()
    answer = await bench.trader.call("PATCH", f"/strategy/{kept}", stop_loss=1490.5)
    assert (answer.status_code, answer.json()["code"]) == (409, "schedule_needs_percent")
    assert (await bench.trader.call("PATCH", f"/strategy/{kept}", stop_loss_percent=3)).status_code == 200
