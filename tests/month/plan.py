"""The month, and what should come of it: which strategy trades on which day, and what is said if one does not. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Asia/Kolkata")
SUNDAY = 6
LAST_TRY = timedelta(seconds=5)
"""How long before its buy a schedule starts its strategy at the latest (docs/trading-day.md)."""


class Outcome(StrEnum):
    """What should come of a strategy's day."""

    TRADES = "trades"
    STOPPED = "its stop-loss was touched"
    PANIC = "its owner pressed panic"
    PAUSED = "its owner had pressed panic, and not yet resumed its schedule"
    HOLIDAY = "the exchange has a holiday that the calendar knows"
    ANNOUNCED = "the holiday was announced the evening before"
    SPECIAL = "the session is a special one, and the schedule leaves those out"
    NO_LOGIN = "its owner forgot to log in at the broker"
    AWAY = "the API was away"
    NOT_ITS_DAY = "its schedule is not for such a day"


UNSAID = frozenset({Outcome.TRADES, Outcome.NOT_ITS_DAY})
"""Nothing has to be said of these."""

BOUGHT = frozenset({Outcome.TRADES, Outcome.STOPPED, Outcome.PANIC})
"""Of these it buys at its time."""

LATE_BEFORE = timedelta(minutes=10)
"""How long before its buy a trade that will not happen is said aloud (docs/trading-day.md)."""


@dataclass(frozen=True)
class Planned:
    """A strategy with a schedule. `days`: of the week, Monday is 0; none: every session."""

    owner: str
    symbol: str
    buy: time
    sell: time
    quantity: int
    product: str = "MIS"
    days: tuple[int, ...] = ()
    special_sessions: bool = False

    def at(self, day: date) -> tuple[datetime, datetime]:
        """When it buys and sells on that day."""
        return datetime.combine(day, self.buy, ZONE), datetime.combine(day, self.sell, ZONE)


@dataclass(frozen=True)
class Panicked:
    """A trader presses panic `at` that instant, and allows entries and resumes his schedules `until` then."""

    owner: str
    at: datetime
    until: datetime


@dataclass(frozen=True)
class Month:
    """What happens. `special`: hours of sessions that are not ordinary; `announced`: closed days, and from when on that
    is known; `forgotten`: who does not log in; `away`: from when until when no API process runs. `falls`: when a share
    falls through the stop-loss. `summed_up`: days whose summaries are waited for, a minute each.
    """

    days: tuple[date, ...]
    strategies: tuple[Planned, ...]
    holidays: frozenset[date] = frozenset()
    special: Mapping[date, tuple[time, time]] = field(default_factory=dict)
    announced: Mapping[date, datetime] = field(default_factory=dict)
    forgotten: frozenset[tuple[str, date]] = frozenset()
    away: tuple[tuple[datetime, datetime], ...] = ()
    falls: Mapping[str, datetime] = field(default_factory=dict)
    panics: tuple[Panicked, ...] = ()
    summed_up: frozenset[date] = frozenset()

    @property
    def owners(self) -> list[str]:
        """The traders, in a fixed order."""
        return sorted({planned.owner for planned in self.strategies})

    def at(self, day: date, hour: int, minute: int) -> datetime:
        """A time of the exchange's."""
        return datetime.combine(day, time(hour, minute), ZONE)

    def is_away(self, now: datetime) -> bool:
        """Whether no API process runs then."""
        return any(begins <= now < ends for begins, ends in self.away)

    def is_closed(self, day: date) -> bool:
        """Whether the exchange has no session then."""
        return day in self.holidays or day in self.announced

    def outcome(self, planned: Planned, day: date) -> Outcome:
        """What should come of that strategy's day."""
        buy_at, sell_at = planned.at(day)
        if planned.days and day.weekday() not in planned.days:
            return Outcome.NOT_ITS_DAY
        if day in self.holidays:
            return Outcome.HOLIDAY
        if day in self.announced:
            return Outcome.ANNOUNCED
        if day in self.special and not planned.special_sessions:
            return Outcome.SPECIAL
        if (planned.owner, day) in self.forgotten:
            return Outcome.NO_LOGIN
        if any(begins <= buy_at - LAST_TRY < ends and self._was_armed_after(begins, day) for begins, ends in self.away):
            return Outcome.AWAY
        return self._interrupted(planned, buy_at, sell_at)

    def _interrupted(self, planned: Planned, buy_at: datetime, sell_at: datetime) -> Outcome:
        """Whether its owner, or the market, comes before its sale."""
        for panic in self.panics:
            if panic.owner == planned.owner and buy_at < panic.at < sell_at:
                return Outcome.PANIC
            if panic.owner == planned.owner and panic.at <= buy_at < panic.until:
                return Outcome.PAUSED
        fall = self.falls.get(planned.symbol)
        return Outcome.STOPPED if fall is not None and buy_at < fall < sell_at else Outcome.TRADES

    def panic_of(self, planned: Planned, day: date) -> Panicked:
        """The panic that has to do with that strategy's day."""
        _, sell_at = planned.at(day)
        return next(p for p in reversed(self.panics) if p.owner == planned.owner and p.at < sell_at)

    def due(self, planned: Planned, day: date) -> tuple[datetime, datetime]:
        """When it is to buy and to sell on a day on which it buys."""
        buy_at, sell_at = planned.at(day)
        outcome = self.outcome(planned, day)
        if outcome is Outcome.STOPPED:
            sell_at = self.falls[planned.symbol]
        elif outcome is Outcome.PANIC:
            sell_at = self.panic_of(planned, day).at
        return buy_at, sell_at

    def _was_armed_after(self, begins: datetime, day: date) -> bool:
        """What was started before the API went goes on without it."""
        return begins < datetime.combine(day, ARMING_FROM, ZONE)

    def each(self) -> Iterator[tuple[Planned, date, Outcome]]:
        """Every strategy on every day."""
        for day in self.days:
            for planned in self.strategies:
                yield planned, day, self.outcome(planned, day)


ARMING_FROM = time(8, 40)
"""From when on schedules start their strategies (docs/trading-day.md)."""

MUHURAT, BALIPRATIPADA, GURU_NANAK = date(2026, 11, 8), date(2026, 11, 10), date(2026, 11, 24)
_FORGOTTEN, _AWAY, _ANNOUNCED = date(2026, 11, 12), date(2026, 11, 18), date(2026, 11, 19)
_FALL, _PANIC, _RESUMED, _LAST = date(2026, 11, 16), date(2026, 11, 25), date(2026, 11, 26), date(2026, 11, 30)
_WEEKDAYS = tuple(day for n in range(1, 31) if (day := date(2026, 11, n)).weekday() < 5)


def _ist(day: date, hour: int, minute: int) -> datetime:
    return datetime.combine(day, time(hour, minute), ZONE)


STRATEGIES = (
    Planned("asha", "INFY", time(9, 20), time(15, 10), 4),
    Planned("asha", "SBIN", time(18, 10), time(18, 50), 3, "CNC", (SUNDAY,), special_sessions=True),
    Planned("bela", "TCS", time(10, 30), time(14, 30), 2, days=(0, 1, 2, 3, 4)),
    Planned("chetan", "ITC", time(9, 20), time(15, 10), 5, "CNC"),
)

NOVEMBER = Month(
    days=tuple(sorted((*_WEEKDAYS, MUHURAT))),
    strategies=STRATEGIES,
    holidays=frozenset({BALIPRATIPADA, GURU_NANAK}),
    special={MUHURAT: (time(18), time(19, 15))},
    announced={_ANNOUNCED: _ist(_AWAY, 20, 0)},
    forgotten=frozenset({("bela", _FORGOTTEN)}),
    away=((_ist(_AWAY, 8, 35), _ist(_AWAY, 9, 40)),),
    falls={"TCS": _ist(_FALL, 12, 0)},
    panics=(Panicked("chetan", _ist(_PANIC, 11, 0), _ist(_RESUMED, 20, 0)),),
    summed_up=frozenset({_FALL, _PANIC, _LAST}),
)
"""The 21 weekdays of November 2026, two of them holidays, and Diwali's evening session on a Sunday."""

TWO_DAYS = Month(
    days=(date(2026, 11, 5), date(2026, 11, 6)),
    strategies=(STRATEGIES[0], STRATEGIES[2]),
    forgotten=frozenset({("bela", date(2026, 11, 6))}),
    falls={"INFY": _ist(date(2026, 11, 5), 12, 0)},
    panics=(Panicked("bela", _ist(date(2026, 11, 5), 12, 30), _ist(date(2026, 11, 5), 18, 0)),),
    summed_up=frozenset({date(2026, 11, 5)}),
)
"""What the suite runs of it."""
