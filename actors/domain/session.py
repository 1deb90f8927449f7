"""Session times: when a START trades, and what a late trigger means.

Wall-clock times are those of the strategy's exchange (Asia/Kolkata, ruling 5); instants are timezone-aware.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from enum import StrEnum

from actors.domain.errors import InvalidValue

MISSED_GRACE = timedelta(seconds=5)
"""A trigger later than this is missed (row E4: "delay < 5 s → execute at once")."""

LOOK_AHEAD_DAYS = 30
"""Days to look ahead for a session; the exchange has never been shut that long."""


class TriggerVerdict(StrEnum):
    """What to do with a timer that fires now."""

    EARLY = "early"
    EXECUTE = "execute"
    MISSED = "missed"


class LateExit(StrEnum):
    """What a timed SELL that was missed does (ruling 4)."""

    SELL = "sell"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class SessionHours:
    """The times of day between which orders are taken: from `opens` on, and before `closes`.

    `square_off`: when the broker squares MIS positions of this session off; None: by the rule of ordinary sessions.
    `last_entry`: from when on nothing may be bought; None: until the close.
    """

    opens: time
    closes: time
    square_off: time | None = None
    last_entry: time | None = None

    def __post_init__(self) -> None:
        if any(at.tzinfo is not None for at in (self.opens, self.closes, *self._cutoffs)):
            raise InvalidValue("session hours are wall-clock times")
        if self.opens >= self.closes:
            raise InvalidValue("a session must open before it closes")
        if not all(self.opens < at <= self.closes for at in self._cutoffs):
            raise InvalidValue("a session's cut-offs lie after it opens, and at its close at the latest")

    @property
    def entries_end(self) -> time:
        """Before which something may be bought."""
        return self.closes if self.last_entry is None else self.last_entry

    def mis_cutoff(self, ordinary: time | None) -> time | None:
        """When the broker squares MIS positions off, if it does so before the close.

        `ordinary` is the clock rule of ordinary sessions, which says nothing about one that lies elsewhere in the day.
        """
        cutoff = self.square_off or ordinary
        return cutoff if cutoff is not None and self.opens < cutoff < self.closes else None

    def hold(self, buy_time: time, sell_time: time) -> bool:
        """Whether a strategy can buy and sell at these times."""
        return self.opens <= buy_time < sell_time < self.closes and buy_time < self.entries_end

    @property
    def _cutoffs(self) -> list[time]:
        return [at for at in (self.square_off, self.last_entry) if at is not None]


WHOLE_DAY = SessionHours(time.min, time.max)


@dataclass(frozen=True, slots=True)
class SessionTimes:
    """The instants at which one run buys and sells."""

    buy_at: datetime
    sell_at: datetime


def trigger_verdict(due: datetime, now: datetime, grace: timedelta = MISSED_GRACE) -> TriggerVerdict:
    """Row E4: execute from the due instant until strictly less than `grace` after it."""
    if now < due:
        return TriggerVerdict.EARLY
    return TriggerVerdict.EXECUTE if now - due < grace else TriggerVerdict.MISSED


def next_session_times(
    buy_time: time,
    sell_time: time,
    now: datetime,
    tz: tzinfo,
    sessions: Callable[[date], Sequence[SessionHours]],
    grace: timedelta = MISSED_GRACE,
) -> SessionTimes:
    """The first session that holds both times and in which the BUY is not yet missed (ruling 5).

    `sessions` tells those of a day, if there are any; one of them must hold both times, since nothing can be sold in a
    break.

    Raises:
        InvalidValue: if buy_time is not before sell_time (row C1), `now` is naive, or no such session is near.
    """
    if buy_time >= sell_time:
        raise InvalidValue("buy_time must be before sell_time")
    if now.tzinfo is None:
        raise InvalidValue("now must be timezone-aware")
    today = now.astimezone(tz).date()
    for offset in range(LOOK_AHEAD_DAYS):
        day = today + timedelta(days=offset)
        buy_at = datetime.combine(day, buy_time, tz)
        if not any(session.hold(buy_time, sell_time) for session in sessions(day)):
            continue
        if trigger_verdict(buy_at, now, grace) is not TriggerVerdict.MISSED:
            return SessionTimes(buy_at, datetime.combine(day, sell_time, tz))
    raise InvalidValue(f"no trading session for these times within {LOOK_AHEAD_DAYS} days of {today}")
