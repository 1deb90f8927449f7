"""What is to trade today: the only place that knows where today's trades come from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo

from sqlalchemy.ext.asyncio import AsyncSession

from api.readiness.findings import Said
from api.strategies.schedules.schedule_rules import SKIPPING, of_another_day
from api.strategies.schedules.to_start import to_start_today
from broker.market.trading_calendar import TradingCalendar
from config.settings import Settings
from persistence.database.models.runs import Run
from persistence.database.models.strategies import Strategy
from persistence.database.readiness import ReadinessRows, Scheduled, Waiting
from persistence.database.repositories.runs import Runs

_REFUSED = frozenset({"engine_full"})
"""Why a schedule's START was refused, where no check of readiness finds it out: its day's record is believed."""


@dataclass(frozen=True, slots=True)
class PlannedTrade:
    """A strategy that is to buy today; instants in the exchange's zone.

    `started`: it has a run; else its schedule is still to start it. `refusal`: why it will not be started as it stands.
    """

    strategy: Strategy
    buy_at: datetime
    sell_at: datetime
    started: bool = True
    refusal: Said | None = None


@dataclass(frozen=True, slots=True)
class PlannedDay:
    """`waiting`: what is still to be bought, by buy time. `held`: runs of today that hold shares, or are about to.

    `begun`: how many trades of today are no longer waiting, however they have ended. `with_runs`: strategies that have
    a run of today, open or ended. `open_runs`: how many strategies of the user run, of whatever day.
    """

    waiting: tuple[PlannedTrade, ...]
    held: tuple[tuple[Run, Strategy], ...]
    begun: int
    with_runs: frozenset[int]
    open_runs: int


async def what_is_to_trade(
    session: AsyncSession, user_id: int, now: datetime, settings: Settings, calendar: TradingCalendar
) -> PlannedDay:
    """Today's trades of a user: of the strategies that were started, and of those that a schedule is still to start."""
    zone = settings.zone
    begins, ends = day_around(now, zone)
    rows = ReadinessRows(session)
    # Schedules first: one that is armed in between is seen twice and counted once, not overlooked.
    scheduled = await rows.scheduled(begins, ends, now.astimezone(zone).time(), user_id)
    runs = await rows.runs_of_day(user_id, begins, ends)
    waiting = [(run, strategy) for run, strategy in runs if _waits(run, now)]
    held = tuple((run, strategy) for run, strategy in runs if run.ended_at is None and run.position != "none")
    with_runs = frozenset(run.strategy_id for run, _ in runs)
    trades = [
        PlannedTrade(strategy, run.buy_at.astimezone(zone), run.sell_at.astimezone(zone)) for run, strategy in waiting
    ]
    coming = to_be_started(scheduled, calendar, settings, now)
    trades += (trade for trade in coming if trade.strategy.id not in with_runs)
    trades.sort(key=lambda trade: (trade.buy_at, trade.strategy.id))
    open_runs = await Runs(session).count_open(user_id)
    return PlannedDay(tuple(trades), held, len(runs) - len(waiting), with_runs, open_runs)


def to_be_started(
    rows: Iterable[Scheduled], calendar: TradingCalendar, settings: Settings, now: datetime
) -> list[PlannedTrade]:
    """The trades of today that schedules are still to start. Pure."""
    trades = []
    for row in rows:
        day = to_start_today(calendar, settings, row.schedule, row.strategy, now)
        if day is None:
            continue
        code, reason = (row.code, row.reason) if row.code in _REFUSED else ("", "")
        if row.open_buy_at is not None and (other := of_another_day(day, row.open_buy_at)):
            code, reason = other, SKIPPING[other]
        refusal = Said(code, f"{reason[:1].upper()}{reason[1:]}") if code else None
        trades.append(PlannedTrade(row.strategy, day.buy_at, day.sell_at, started=False, refusal=refusal))
    return trades


def all_waiting(of_runs: Iterable[Waiting], scheduled: Sequence[tuple[Waiting, PlannedTrade]]) -> list[Waiting]:
    """The users of both, each once, with all their BUYs of today. Pure."""
    users = {user.user_id: user for user in of_runs}
    buys = {user.user_id: set(user.buys) for user in users.values()}
    for user, trade in scheduled:
        users.setdefault(user.user_id, user)
        buys.setdefault(user.user_id, set()).add(trade.buy_at)
    return [replace(user, buys=tuple(sorted(buys[user_id]))) for user_id, user in users.items()]


def day_around(now: datetime, zone: tzinfo) -> tuple[datetime, datetime]:
    """Midnight before and after an instant, in the exchange's zone."""
    begins = datetime.combine(now.astimezone(zone).date(), datetime.min.time(), zone)
    return begins, begins + timedelta(days=1)


def _waits(run: Run, now: datetime) -> bool:
    return run.ended_at is None and run.position == "none" and run.buy_at > now
