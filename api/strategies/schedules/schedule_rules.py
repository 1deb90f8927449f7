"""Which days a schedule trades on, and when it does (row N4). Pure: the calendar and the instant are arguments."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Literal

from broker.market.allowed_times import SessionRules

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""The names of the bits of a schedule's days, the lowest first."""

ARMING_FROM = time(8, 40)
"""From when on a day's strategies are started: the broker's list of the day is there (kite.md §4)."""

ARMING_LEAD = timedelta(minutes=30)
"""How long before the buy that is at the latest, on an exchange that is open at night."""

LAST_TRY = timedelta(seconds=5)
"""How long before its buy a strategy is started for the last time; later the day is missed."""

LOOK_BACK_DAYS = 31
"""How many days that passed while no API process ran are reported."""

LOOK_AHEAD_DAYS = 120
"""How far the coming days of a schedule are looked for, which may trade on a few days a year only."""

STREAK = 3
"""How many days in a row may fail or be missed before a schedule pauses itself."""

SKIPPING = {
    "restored": "TradeActors was restored from a backup after the day had begun, and what happened before is not in it",
    "skipped_by_user": "you have asked to skip this day",
    "paused": "the schedule was paused before its buy time",
    "changed": "the schedule or its times were changed while the day waited",
    "special_session": "its session is not an ordinary one, and the schedule leaves such days out",
    "no_session": "the exchange does not open on this day",
    "hours": "no session of this day holds its buy time and its sell time",
    "still_running": "its run of an earlier day is still open",
    "schedule_needs_percent": "its stop-loss is an amount in rupees, which does not move with the price",
}
"""Reasons for which a day is left out on purpose. For any other one it is missed."""

_SATURDAY = 5
_EVERY_DAY = 127


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A schedule with the times of its strategy. `days`: the bits of `DAYS`; `rules`: the calendar and its hours.

    `active_since`: what was due before then is not this schedule's. `looked_at`: what was due by then was dealt with.
    `restored_at`: what was started before then may not be known any longer.
    """

    buy_time: time
    sell_time: time
    days: int
    special_sessions: bool
    from_date: date
    until_date: date | None
    skip: frozenset[date]
    in_percent: bool
    active_since: datetime
    looked_at: datetime
    restored_at: datetime | None = None
    rules: SessionRules
    zone: tzinfo


@dataclass(frozen=True, slots=True)
class Day:
    """A day that a schedule is for. `skipped`: the word of `SKIPPING` for which it does not trade then, or nothing."""

    day: date
    buy_at: datetime
    sell_at: datetime
    skipped: str = ""

    @property
    def arms_from(self) -> datetime:
        """From when on the strategy is started."""
        morning = datetime.combine(self.day, ARMING_FROM, self.buy_at.tzinfo)
        return min(morning, self.buy_at - ARMING_LEAD)

    @property
    def ends_at(self) -> datetime:
        """From when on it is too late to start it."""
        return self.buy_at - LAST_TRY


def day_of(plan: Plan, day: date) -> Day | None:
    """What the schedule has to do with a day: nothing on a holiday, or on a day that was not chosen.

    A day that was called off is left out: its trader counts on it, and has to hear of that.
    """
    if day < plan.from_date or (plan.until_date is not None and day > plan.until_date):
        return None
    if not plan.days >> day.weekday() & 1:
        return None
    if not plan.rules.calendar.is_session(day) and not plan.rules.calendar.is_called_off(day):
        return None
    buy_at, sell_at = (datetime.combine(day, at, plan.zone) for at in (plan.buy_time, plan.sell_time))
    found = Day(day, buy_at, sell_at, _skipped(plan, day))
    restored = plan.restored_at is not None and found.arms_from <= plan.restored_at
    return replace(found, skipped="restored") if restored and found.skipped != "skipped_by_user" else found


def _skipped(plan: Plan, day: date) -> str:
    if day in plan.skip:
        return "skipped_by_user"
    if not plan.rules.calendar.is_session(day):
        return "no_session"
    if not plan.special_sessions and is_special(plan, day):
        return "special_session"
    if not any(session.hold(plan.buy_time, plan.sell_time) for session in plan.rules.sessions(day)):
        return "hours"
    return "" if plan.in_percent else "schedule_needs_percent"


def of_another_day(day: Day, buy_at: datetime) -> str:
    """The word of `SKIPPING` for which an open run, which buys at `buy_at`, keeps the day from being started.

    Nothing if it is the day's own.
    """
    if buy_at.astimezone(day.buy_at.tzinfo).date() == day.day:
        return ""
    return "hours" if buy_at > day.buy_at else "still_running"


def is_special(plan: Plan, day: date) -> bool:
    """Whether the hours of a day with a session are not the ordinary ones: half a day, an evening, a Saturday."""
    regular = plan.rules.calendar.regular
    if regular is None:
        return False
    return day.weekday() >= _SATURDAY or tuple(plan.rules.calendar.sessions(day)) != (regular,)


def days_at_hand(plan: Plan, now: datetime) -> list[Day]:
    """The days that concern the schedule at this instant, the earliest first: those that have passed since it has been
    active and was looked at, and those whose strategy is to be started by now. One that was to buy before that concerns
    it not.
    """
    today = now.astimezone(plan.zone).date()
    since = max(plan.active_since, plan.looked_at)
    first = max(since.astimezone(plan.zone).date(), today - timedelta(days=LOOK_BACK_DAYS))
    dates = (first + timedelta(days=n) for n in range((today - first).days + 2))
    found = (day_of(plan, day) for day in dates)
    return [day for day in found if day and day.buy_at > since and day.arms_from <= now]


def coming_days(plan: Plan, now: datetime) -> Iterator[Day]:
    """The days on which the schedule will trade, as far as is known, if it can still be started for them."""
    today = now.astimezone(plan.zone).date()
    for n in range(LOOK_AHEAD_DAYS):
        day = day_of(plan, today + timedelta(days=n))
        if day is not None and not day.skipped and now < day.ends_at:
            yield day


def next_look(days: Sequence[Day], coming: Day | None, now: datetime) -> datetime:
    """When the schedule has to be looked at again: `days` wait to be started, `coming` is the first day ahead."""
    now = now.astimezone(UTC)  # where an hour is an hour also when clocks are put forward
    again = [now + LOOK_EVERY]
    if coming is not None:
        again += [coming.arms_from] if coming.arms_from > now else []
    for day in days:
        last = day.ends_at - LAST_TRY  # one more try, so that what has mended itself since is not missed
        again += [min(now + RETRY_EVERY, last if now < last else max(day.ends_at, now))]
    return max(min(again), now + _SHORTEST)


LOOK_EVERY = timedelta(minutes=5)
"""How often a schedule is looked at without need: the calendar may have changed, and so may the strategy."""

RETRY_EVERY = timedelta(seconds=30)
"""How often a strategy that could not be started is tried again."""

_SHORTEST = timedelta(seconds=1)


def is_streak(bad: Sequence[bool]) -> bool:
    """Whether these days, newest first, have all been missed or failed, and are enough of them."""
    return len(bad) >= STREAK and all(bad[:STREAK])


def to_bits(days: Sequence[str] | Literal["every_session"]) -> int:
    """The days of the week as bits."""
    return _EVERY_DAY if days == "every_session" else sum(1 << DAYS.index(day) for day in set(days))


def to_names(bits: int) -> list[str] | Literal["every_session"]:
    """The inverse of `to_bits`."""
    return "every_session" if bits == _EVERY_DAY else [name for n, name in enumerate(DAYS) if bits >> n & 1]
