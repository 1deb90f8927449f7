"""One judge (`strategy_rules`) for create, preview, START, readiness and schedules: whatever the strategy, the day, the
time and the account are, they never disagree (issue 19, step 3).

Each looks at more than the rules, or at less, and says so in its documentation. These differences are all that is
allowed here:

- *create* does not look at the market price, at positions, at what runs, or at a panic: it stores (docs/api.md);
- *readiness* looks at the day as well: the login, the money of all trades, the broker's silence (docs/trading-day.md);
- *a schedule* is for its days only. START takes the next session that holds the times, on whatever day that is; and it
  is good until five seconds after the buy time, a schedule until five seconds before (docs/api.md, "Schedules").
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from fastapi import FastAPI
from hypothesis import HealthCheck, assume, event, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import delete, update
from sqlmodel import col

from broker.exchange_time import IST
from broker.market.trading_calendar import NseCalendar
from persistence.database.engine import transaction
from persistence.database.models.brokers import BrokerAccount
from persistence.database.models.trading_day.schedules import Schedule
from tests.integration.api.readiness.five_judges import Armed, FiveJudges, Word
from tests.integration.api_user import ApiUser
from tests.kit.paper import PaperExchange

pytest_plugins = ["tests.integration.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

TODAY = datetime.now(IST).date()
MONDAY = TODAY + timedelta(days=21 - TODAY.weekday())
SUNDAY = MONDAY + timedelta(days=6)
HOURS: dict[str, tuple[time, time] | None] = {
    "ordinary": (time(9, 15), time(15, 30)),
    "half": (time(9, 15), time(12, 30)),
    "evening": (time(18), time(19, 15)),
    "called off": None,
    "sunday": None,
}
LATER = (SUNDAY + timedelta(days=n) for n in range(1, 30))
CALLED_OFF = next(day for day in LATER if NseCalendar().is_session(day))
DAYS = dict(zip(HOURS, (*(MONDAY + timedelta(days=n) for n in range(3)), CALLED_OFF, SUNDAY), strict=True))
SPECIAL = {"half", "evening"}
MIS_CUTOFF = time(15, 20)
ARMING_FROM, LEAD, LAST_TRY = time(8, 40), timedelta(minutes=30), timedelta(seconds=5)
MAY_RUN, MAY_KEEP = 2, 6
RICH = 1e9

BODY = {"symbol": "INFY", "buy_time": "09:30", "sell_time": "11:10", "stop_loss_percent": 2, "quantity": 10}
IN_THE_AUCTION = {"sell_time": "15:20", "product": "CNC"}
MOMENTS = st.integers(0, 24 * 60 - 1).map(lambda minute: f"{minute // 60:02}:{minute % 60:02}")
CHANGES: dict[str, st.SearchStrategy[Any]] = {
    "symbol": st.sampled_from(["NIFTYBEES", "RCOM-BE", "BSE:INFY", "M&M", "NIFTY 50", "INFY.NS", "TCS"]),
    "buy_time": st.sampled_from(["09:14", "09:15", "18:10", "11:09"]) | MOMENTS,
    "sell_time": st.sampled_from(["12:29", "12:30", "15:14", "15:15", "15:20", "15:30", "18:50"]) | MOMENTS,
    "stop_loss": st.sampled_from([1509.9, 1510.0, 1509.95, 100_000.0]) | st.integers(1, 17_000).map(lambda n: n / 10),
    "stop_loss_percent": st.sampled_from([0.01, 0.5, 90]),
    "quantity": st.sampled_from([66_225, 66_226, 100_000, 100_001]) | st.integers(1, 1000),
    "product": st.sampled_from(["MIS", "CNC"]),
}
BODIES = st.lists(st.sampled_from(sorted(CHANGES)), max_size=2, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: CHANGES[name] for name in names}).map(_changed)
)
CLOCKS = st.sampled_from([time(5, 30), time(8, 20), time(8, 41), time(9, 5), time(10), time(13), time(17, 45)])
BESIDE_BUY = st.sampled_from([-2400, -1200, -120, -6, -4, 4, 6]).map(lambda seconds: timedelta(seconds=seconds))
ACCOUNTS = (
    "good", "unconnected", "token refused", "login ends before", "panic", "short", "full", "keeps most", "poor",
    "broker away",
)  # fmt: skip

OF_ACCOUNT = {"unconnected": "broker_connected", "token refused": "token_valid", "panic": "entries_forbidden"}
"""What readiness calls the state of an account for which START is refused."""


def _changed(changes: dict[str, Any]) -> dict[str, Any]:
    body = BODY | changes
    if "stop_loss" in changes:
        del body["stop_loss_percent"]
    return body


@dataclass(frozen=True)
class Case:
    """What is judged, on which day, when, and whose it is. `open_always`: by the calendar that never closes."""

    body: dict[str, Any]
    kind: str
    now: datetime
    account: str
    special_sessions: bool
    open_always: bool

    @property
    def day(self) -> date:
        return DAYS[self.kind]

    @property
    def buy_at(self) -> datetime:
        return datetime.combine(self.day, time.fromisoformat(self.body["buy_time"]), IST)

    @property
    def too_early(self) -> bool:
        return self.now < min(datetime.combine(self.day, ARMING_FROM, IST), self.buy_at - LEAD)

    @property
    def too_late(self) -> bool:
        return self.now >= self.buy_at - LAST_TRY

    @property
    def no_day(self) -> bool:
        """The schedule has nothing to do with it."""
        return self.kind == "sunday" and not self.open_always

    @property
    def login_ends(self) -> bool:
        """The login at the broker was made before six in the morning, and ends before the BUY."""
        return self.account == "login ends before" and self.buy_at.time() >= time(6)

    @property
    def left_out(self) -> str:
        """Why a schedule leaves the day out, whatever START says (docs/api.md, "Schedules")."""
        hours = HOURS[self.kind]
        if not self.open_always:
            if hours is None:
                return "no_session"
            if self.kind in SPECIAL and not self.special_sessions:
                return "special_session"
            if not self._held_by(*hours):
                return "hours"
        return "" if "stop_loss_percent" in self.body else "schedule_needs_percent"

    def _held_by(self, opens: time, closes: time) -> bool:
        is_mis = self.body.get("product", "MIS") == "MIS"
        end = min(closes, MIS_CUTOFF) if is_mis and opens < MIS_CUTOFF else closes
        buy, sell = (time.fromisoformat(self.body[name]) for name in ("buy_time", "sell_time"))
        return opens <= buy < sell < end


@st.composite
def cases(draw: st.DrawFn) -> Case:
    body, kind = draw(BODIES), draw(st.sampled_from(["ordinary", "ordinary", *DAYS]))
    buy, sell = (time.fromisoformat(body[name]) for name in ("buy_time", "sell_time"))
    assume(buy < sell)  # what is not so is never stored, and test_preview.py has it
    begins = datetime.combine(DAYS[kind], time(), IST)
    buy_at = datetime.combine(DAYS[kind], buy, IST)
    now = draw(CLOCKS.map(lambda at: datetime.combine(DAYS[kind], at, IST)) | BESIDE_BUY.map(lambda by: buy_at + by))
    assume(begins <= now < begins + timedelta(days=1))
    account = draw(st.sampled_from(["good", *ACCOUNTS]))
    if account == "login ends before":
        now = begins + timedelta(hours=5, minutes=30)
    return Case(body, kind, now, account, draw(st.booleans()), draw(st.sampled_from([False, False, True])))


@dataclass
class World:
    """Two processes, one for each calendar, and a user for each state of an account."""

    nse: FiveJudges
    always: FiveJudges
    users: dict[str, int]
    paper: PaperExchange

    async def prepared(self, case: Case) -> tuple[FiveJudges, int]:
        """The process and the user of a case. The login at the broker is of that morning."""
        judges, user_id = self.always if case.open_always else self.nse, self.users[case.account]
        judges.clock.at = case.now
        made = datetime.combine(case.day, time(5 if case.account == "login ends before" else 7), IST)
        async with transaction(judges.opened.sessions) as session:
            mine = update(BrokerAccount).where(col(BrokerAccount.user_id) == user_id)
            await session.execute(mine.values(token_obtained_at=made, connected_at=made))
        return judges, user_id


@pytest_asyncio.fixture(loop_scope="module")
async def world(app: FastAPI, client: Any, paper: PaperExchange, tmp_path: Path) -> AsyncIterator[World]:
    overrides = tmp_path / "sessions.toml"
    lines = []
    for kind, hours in HOURS.items():
        said = "closed" if hours is None else f"{hours[0]:%H:%M}-{hours[1]:%H:%M}"
        lines.append(f'{DAYS[kind]} = "{said}"\n')
    overrides.write_text("".join(lines))
    async with transaction(app.state.resources.sessions) as session:  # a sweep finds all that is due by its clock
        await session.execute(delete(Schedule))
    limits = {"max_running": MAY_RUN, "max_strategies": MAY_KEEP, "starts_per_minute": 0}
    nse, always = (FiveJudges.of(app, overrides, calendar=name, **limits) for name in ("XNSE", "24x7"))
    users = {}
    for account in ACCOUNTS:
        user = await ApiUser.register(client)
        user.paper = paper.control.new_account(cash=100.0 if account == "poor" else RICH)
        assert (await user.connect()).status_code == 200
        users[account] = int((await user.call("GET", "/auth/validate")).json()["user_id"])
        await _bring_into(account, user, paper, nse, users[account])
    yield World(nse, always, users, paper)


async def _bring_into(account: str, user: ApiUser, paper: PaperExchange, judges: FiveJudges, user_id: int) -> None:
    assert user.paper is not None
    if account == "unconnected":
        async with transaction(judges.opened.sessions) as session:
            await session.execute(delete(BrokerAccount).where(col(BrokerAccount.user_id) == user_id))
    elif account == "token refused":
        paper.control.expire_token(user.paper.user_id)
    elif account == "panic":
        assert (await user.call("POST", "/panic")).status_code == 202
    elif account == "short":
        short = {"instrument": "NSE:INFY", "product": "MIS", "quantity": -50, "average_price": 1490}
        paper.control.set_positions(user.paper.user_id, short)
    elif account == "full":
        for symbol in ("SBIN", "TCS"):
            await user.started(symbol=symbol, stop_loss=1.0)
    elif account == "keeps most":
        for _ in range(MAY_KEEP):
            await user.strategy()


def the_rules_are_one(case: Case, created: Word, seen: Word, stored: Word, started: Word) -> None:
    """Create, preview of the body, preview of what is stored, START."""
    assert stored == started, "preview of a stored strategy and START"
    if created.refused:
        assert seen == created, "create and preview"
        assert created.code == "too_many_strategies" or started.refused, "create refuses what START takes"
        if created.code != "too_many_strategies" and case.account != "panic":
            assert started == created
    else:
        assert seen == started, "preview of a body and START"


def the_schedule_agrees(case: Case, started: Word, found: Armed | None) -> None:
    if case.no_day or case.too_early:
        assert found is None
        return
    assert found is not None, "the day was not looked at"
    outcome, code = found.row.outcome, found.row.code
    if case.left_out:
        assert (outcome, code) == ("skipped" if case.too_late else "waiting", case.left_out)
        assert case.left_out != "hours" or started.times is None or started.times.buy_at.date() != case.day
    elif case.too_late:
        assert (outcome, code) == ("missed", "not_running")
    elif started.times is None:
        assert (outcome, code, found.row.reason) == ("waiting", started.code, started.sentence)
    elif started.times.buy_at.date() == case.day:
        assert (outcome, found.times) == ("armed", started.times)
    else:
        assert (outcome, code) == ("waiting", "hours")


async def the_day_agrees(case: Case, started: Word, judges: FiveJudges, user_id: int, strategy_id: int) -> None:
    answer = await judges.ready(user_id)
    row = next((row for row in answer.strategies if row.strategy_id == strategy_id), None)
    if case.no_day or case.left_out or case.too_late:
        assert row is None, "nothing of it is to trade on this day"
        return
    assert row is not None, "it is to trade, and readiness does not know it"
    event(f"readiness {row.will_trade} {' '.join(row.because)}")
    if case.account == "broker away":
        assert row.will_trade is None
        return
    takes_it = started.times is not None and started.times.buy_at == row.buy_at
    if takes_it and (case.login_ends or (case.account == "poor" and not row.will_trade)):
        assert (row.will_trade, row.because) == (False, ["token_valid" if case.login_ends else "funds_short"])
        return
    assert row.will_trade is takes_it, (row, started)
    if takes_it:
        assert set(row.because) <= {"band", "price_jump"}, "that is worth a look, and hinders nothing"
    elif started.times is not None:
        assert row.because == ["hours"]
    elif case.account in OF_ACCOUNT:
        assert OF_ACCOUNT[case.account] in row.because
    else:
        said = [check.detail for check in answer.checks if check.strategy_id == strategy_id and check.level == "block"]
        assert any(started.about.lower() in detail.lower() for detail in said), (said, started)


def _at(kind: str, hour: int, minute: int) -> datetime:
    return datetime.combine(DAYS[kind], time(hour, minute), IST)


@pytest.mark.timeout(900)
@given(case=cases())
@example(case=Case(BODY, "ordinary", _at("ordinary", 8, 41), "good", False, False))
@example(case=Case(BODY, "ordinary", _at("ordinary", 8, 41), "broker away", False, False))
@example(case=Case(BODY, "ordinary", _at("ordinary", 8, 41), "full", False, False))
@example(case=Case(BODY, "ordinary", _at("ordinary", 8, 41), "short", False, False))
@example(case=Case(BODY, "ordinary", _at("ordinary", 8, 41), "poor", False, False))
@example(case=Case(BODY, "half", _at("half", 8, 41), "good", True, False))
@example(case=Case(BODY | {"sell_time": "15:14"}, "half", _at("half", 9, 5), "good", True, False))
@example(case=Case(BODY | IN_THE_AUCTION, "ordinary", _at("ordinary", 9, 5), "good", False, False))
@hypothesis_settings(max_examples=30, suppress_health_check=list(HealthCheck))
async def test_create_preview_start_readiness_and_schedules_never_disagree(world: World, case: Case) -> None:
    judges, user_id = await world.prepared(case)
    try:
        strategy = await judges.stored(user_id, case.body)
        await judges.scheduled(strategy, case.day, special_sessions=case.special_sessions)
        world.paper.control.outage(on=case.account == "broker away")
        seen = await judges.preview(user_id, **case.body)
        created = await judges.create(user_id, case.body)
        stored = await judges.preview(user_id, strategy_id=strategy.id)
        started = await judges.start(strategy)
        event(f"START {started.code or 'takes it'}")
        the_rules_are_one(case, created, seen, stored, started)
        await the_day_agrees(case, started, judges, user_id, strategy.id)
        the_schedule_agrees(case, started, await judges.armed(strategy, case.day))
    finally:
        world.paper.control.outage(on=False)
        await judges.forget()
