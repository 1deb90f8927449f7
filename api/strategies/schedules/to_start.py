"""What a schedule has still to start today, as far as its own rules say (row N4): for those that look ahead. Pure.

Whether a START of it would be refused is asked of `strategy_rules`, as for any other strategy.
"""

from dataclasses import replace
from datetime import date, datetime

from actors.domain.identifiers import Product
from api.strategies.schedules.schedule_rules import Day, Plan, day_of
from broker.market.allowed_times import SessionRules
from broker.market.trading_calendar import TradingCalendar
from config.settings import Settings
from persistence.database.models.strategies import Strategy
from persistence.database.models.trading_day.schedules import Schedule


def plan_with(calendar: TradingCalendar, settings: Settings, schedule: Schedule, strategy: Strategy) -> Plan:
    """What the rules look at. `calendar`: that of the user's broker."""
    cutoff = settings.mis_cutoff if strategy.product == Product.MIS else None
    return Plan(
        buy_time=strategy.buy_time,
        sell_time=strategy.sell_time,
        days=schedule.days,
        special_sessions=schedule.special_sessions,
        from_date=schedule.from_date,
        until_date=schedule.until_date,
        skip=frozenset(schedule.skip_dates),
        in_percent=strategy.stop_share is not None,
        active_since=schedule.active_since,
        looked_at=schedule.looked_at,
        restored_at=schedule.restored_at,
        rules=SessionRules(calendar, has_derivatives=False, mis_cutoff=cutoff),
        zone=settings.zone,
    )


def is_paused(schedule: Schedule, day: date) -> bool:
    """Whether the schedule is paused on that day; one whose pause ends by itself goes on from `paused_until`."""
    return schedule.state == "paused" and (schedule.paused_until is None or day < schedule.paused_until)


def to_start_today(
    calendar: TradingCalendar, settings: Settings, schedule: Schedule, strategy: Strategy, now: datetime
) -> Day | None:
    """Today's day, if the schedule will start its strategy for it; None if it is left out, paused, past, or no day.

    What happened to the day already (`schedule_days`, and a START by hand) is not looked at here.
    """
    plan = plan_with(calendar, settings, schedule, strategy)
    today = now.astimezone(plan.zone).date()
    if schedule.state == "ended" or is_paused(schedule, today):
        return None
    if schedule.state == "paused" and schedule.paused_until is not None:  # its pause is over; the next look resumes it
        plan = replace(plan, active_since=datetime.combine(schedule.paused_until, datetime.min.time(), plan.zone))
    day = day_of(plan, today)
    if day is None or day.skipped or now >= day.ends_at or day.buy_at <= plan.active_since:
        return None
    return day
