"""Row N4 on the real PostgreSQL, Valkey and paper exchange, with a calendar and a clock of the test's own."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, TYPE_CHECKING

import pytest
from fastapi import FastAPI
from sqlalchemy import delete, select
from sqlmodel import col

from api.base.errors import ApiError, InvalidField
from api.strategies.rule_facts import StrategyChecks
from api.strategies.schedules.arming import ScheduleArming
from api.strategies.schedules.schemas import ScheduleAnswer, ScheduleRequest
from api.strategies.schedules.service import ScheduleService
from api.strategies.start_and_stop import LifecycleService
from broker.exchange_time import IST
from broker.market.trading_calendar import TradingCalendars
from config.settings import Settings
from persistence.database.engine import Sessions, transaction
from persistence.database.models.notifications import Notification
from persistence.database.models.runs import Run
from persistence.database.models.schedules import Schedule, ScheduleDay
from persistence.database.models.strategies import Strategy
from persistence.mirror.mirror import RuntimeMirror, open_redis
from tests.integration.api_user import PASSWORD, ApiUser
from tests.kit.fakes.strategy_engine import FakeEngine
from tests.kit.paper import PaperExchange

if TYPE_CHECKING:
    from api.bootstrap import Resources

pytest_plugins = ["tests.integration.fixtures"]

TODAY = datetime.now(IST).date()
MON = TODAY + timedelta(days=14 - TODAY.weekday())
TUE, WED, THU, FRI, SAT = (MON + timedelta(days=n) for n in range(1, 6))
ORDINARY = "09:15-15:30"
ALL = ScheduleRequest(days="every_session")


def every_session(first: date, *, special: bool = False) -> ScheduleRequest:
    """A schedule that begins on that day."""
    body = {"days": "every_session", "from": first, "special_sessions": special}
    return ScheduleRequest.model_validate(body)


@dataclass
class Clock:
    """A clock that the test sets."""

    now: datetime = field(default_factory=lambda: moment(MON, 8, 0))

    def __call__(self) -> datetime:
        return self.now


def moment(day: date, hour: int, minute: int, second: int = 0) -> datetime:
    return datetime.combine(day, time(hour, minute, second), IST)


@dataclass
class Bench:
    """What an API process does about schedules, by the test's clock. `another` is a second process."""

    arming: ScheduleArming
    schedules: ScheduleService
    lifecycle: LifecycleService
    clock: Clock
    sessions: Sessions
    overrides: Path
    trader: ApiUser
    user_id: int
    another: ScheduleArming
    process: Callable[[RuntimeMirror], ScheduleArming]

    async def strategy(self, **changes: Any) -> int:
        body = {"stop_loss": None, "stop_loss_percent": 2, "buy_time": "09:20"} | changes
        return await self.trader.strategy(**body)

    async def scheduled(self, request: ScheduleRequest = ALL, **changes: Any) -> int:
        strategy_id = await self.strategy(**changes)
        await self.schedules.put(self.user_id, strategy_id, request)
        return strategy_id

    async def at(self, day: date, hour: int, minute: int, second: int = 0) -> None:
        """It is this instant, and the process sweeps."""
        self.clock.now = moment(day, hour, minute, second)
        await self.arming.sweep()

    async def days(self, strategy_id: int) -> list[tuple[date, str, str]]:
        async with transaction(self.sessions) as session:
            mine = select(ScheduleDay).where(col(ScheduleDay.strategy_id) == strategy_id)
            rows = (await session.scalars(mine.order_by(col(ScheduleDay.session_date)))).all()
        return [(row.session_date, row.outcome, row.code) for row in rows]

    async def runs(self, strategy_id: int) -> list[Run]:
        async with transaction(self.sessions) as session:
            mine = select(Run).where(col(Run.strategy_id) == strategy_id)
            return list((await session.scalars(mine.order_by(col(Run.id)))).all())

    async def told(self, strategy_id: int) -> list[str]:
        async with transaction(self.sessions) as session:
            mine = select(Notification).where(col(Notification.strategy_id) == strategy_id)
            rows = (await session.scalars(mine.order_by(col(Notification.id)))).all()
        return [row.text for row in rows if row.key.startswith("schedule:")]

    async def answer(self, strategy_id: int) -> ScheduleAnswer:
        return await self.schedules.get(self.user_id, strategy_id)

    def hours(self, changes: dict[date, str] | None = None) -> None:
        """The operator's file: three weeks of ordinary weekdays, but for these changes."""
        days = {
            MON + timedelta(days=n): ORDINARY if (MON + timedelta(days=n)).weekday() < 5 else "closed"
            for n in range(-14, 28)
        }
        lines = [f'{day} = "{hours}"' for day, hours in (days | (changes or {})).items()]
        self.overrides.write_text("\n".join(lines) + "\n")


@pytest.fixture
async def bench(
    app: FastAPI, settings: Settings, sessions: Sessions, trader: ApiUser, tmp_path: Path
) -> AsyncIterator[Bench]:
    res: Resources = app.state.resources
    overrides, clock = tmp_path / "sessions.toml", Clock()
    overrides.write_text("")
    known = settings.model_copy(update={"calendar": "XNSE"})
    user_id = (await trader.call("GET", "/auth/validate")).json()["user_id"]

    def process(mirror: RuntimeMirror) -> tuple[ScheduleArming, ScheduleService, LifecycleService]:
        calendars = TradingCalendars(overrides)
        checks = StrategyChecks(known, res.brokers, res.lookups, calendars, clock)
        lifecycle = LifecycleService(known, res.capacity, sessions, sessions, mirror, res.engine, checks, clock)
        arming = ScheduleArming(known, sessions, lifecycle, calendars, clock)
        return arming, ScheduleService(known, sessions, sessions, checks, calendars, clock), lifecycle

    arming, schedules, lifecycle = process(res.mirror)
    another = process(res.mirror)[0]
    made = Bench(
        arming, schedules, lifecycle, clock, sessions, overrides, trader, user_id, another, lambda m: process(m)[0]
    )
    made.hours()
    yield made
    async with transaction(sessions) as session:  # the sweeps of the next test find all that is due
        await session.execute(delete(Schedule))


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
    from api.strategies.schedules import arming

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


async def test_a_login_that_has_ended_is_waited_for_and_told_once(bench: Bench, paper: PaperExchange) -> None:
    strategy_id = await bench.scheduled()
    assert bench.trader.paper is not None
    paper.control.expire_token(bench.trader.paper.user_id)
    await bench.at(MON, 8, 40, 5)
    assert await bench.days(strategy_id) == [(MON, "waiting", "broker_token_expired")]
    await bench.at(MON, 8, 41)
    assert len(await bench.told(strategy_id)) == 1
    assert "is not armed for" in (await bench.told(strategy_id))[0]
    paper.control.set_token(bench.trader.paper.user_id, bench.trader.paper.access_token)
    assert (await bench.trader.connect()).status_code == 200
    await bench.at(MON, 9, 19)
    assert await bench.days(strategy_id) == [(MON, "armed", "")]
    assert (await bench.told(strategy_id))[1:] == [f"INFY (strategy {strategy_id}) is armed for {MON} 09:20:00 now."]


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


async def test_a_holiday_is_no_day_of_the_schedule(bench: Bench) -> None:
    bench.hours({MON: "closed"})
    strategy_id = await bench.scheduled()
    await bench.at(MON, 10, 0)
    assert await bench.days(strategy_id) == []
    await bench.at(TUE, 8, 41)
    assert await bench.days(strategy_id) == [(TUE, "armed", "")]


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


async def test_an_edit_takes_effect_with_the_next_arming(bench: Bench) -> None:
    strategy_id = await bench.scheduled()
    assert (await bench.trader.call("PATCH", f"/strategy/{strategy_id}", buy_time="10:30", quantity=7)).is_success
    await bench.at(MON, 9, 30)
    (run,) = await bench.runs(strategy_id)
    assert (run.buy_at, run.quantity) == (moment(MON, 10, 30), 7)


async def test_a_schedule_wants_a_stop_in_percent_and_keeps_it(bench: Bench) -> None:
    strategy_id = await bench.trader.strategy()
    with pytest.raises(InvalidField) as refused:
        await bench.schedules.put(bench.user_id, strategy_id, ALL)
    assert refused.value.code == "schedule_needs_percent"
    kept = await bench.scheduled()
    answer = await bench.trader.call("PATCH", f"/strategy/{kept}", stop_loss=1490.5)
    assert (answer.status_code, answer.json()["code"]) == (422, "schedule_needs_percent")
    assert (await bench.trader.call("PATCH", f"/strategy/{kept}", stop_loss_percent=3)).status_code == 200


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


async def test_three_bad_days_in_a_row_pause_the_schedule_and_resuming_begins_anew(
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
        (WED, "holiday", []),
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
