"""Whether the bars of a day are those of an intraday market: their spacing, the session, and what is missing."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import pairwise

from actors.domain.session import SessionHours
from actors.replay.bar import Bar
from actors.replay.files.faults import EXPORT_AGAIN, NotARecording
from actors.replay.files.options import Stamps

WIDEST_SPACING = timedelta(hours=2)
"""How long a bar may be. Indian charts know bars of 75 and of 125 minutes; a bar of a day is none of an intraday
market."""

PRE_OPEN = timedelta(minutes=15)
"""How long before the session prices may be stamped: those of the pre-open session, from 09:00."""

AFTER_CLOSE = timedelta(minutes=30)
"""How long after the session prices may be stamped: those of the closing session, until 16:00."""


_SECOND = timedelta(seconds=1)
_A_LITTLE_LATER = timedelta(minutes=5)
_LAST_SECOND = 59


@dataclass(frozen=True, slots=True)
class Gap:
    """A part of the session without bars."""

    begins: datetime
    ends: datetime


@dataclass(frozen=True, slots=True)
class Session:
    """The session of the recorded day, as instants. `left_out`: how many bars of the day are of other sessions."""

    opens: datetime
    closes: datetime
    bars: tuple[Bar, ...]
    left_out: int


def the_day(days: Counter[date], wanted: date | None) -> date:
    """The day to replay, of those that the file holds.

    Raises:
        NotARecording: it holds no bars, daily bars, or several days and none of them was chosen.
    """
    if not days:
        raise NotARecording(f"it holds no bars: {EXPORT_AGAIN}")
    if len(days) > 1 and max(days.values()) == 1:
        raise NotARecording(
            f"it has one bar a day ({len(days):,} days): a daily bar cannot time a BUY or a SELL; "
            "export one-minute bars"
        )
    if wanted is not None:
        if wanted not in days:
            raise NotARecording(f"it has no bars on {wanted:%d %b %Y}: choose another --date; {_held(days)}")
        return wanted
    if len(days) > 1:
        raise NotARecording(f"{_held(days)}: choose one with --date YYYY-MM-DD")
    return next(iter(days))


def spacing_of(bars: Sequence[Bar]) -> timedelta:
    """How long a bar is: the distance of most bars from the one before.

    Raises:
        NotARecording: there is one bar only, or the bars are too far from each other.
    """
    if len(bars) == 1:
        raise NotARecording(f"one bar of {bars[0].start:%d %b %Y} is no recorded day: {EXPORT_AGAIN}")
    distances = Counter(later.start - earlier.start for earlier, later in pairwise(bars))
    most = max(distances.values())
    spacing = min(distance for distance, count in distances.items() if count == most)
    if spacing > WIDEST_SPACING:
        raise NotARecording(
            f"its bars of {bars[0].start:%d %b %Y} are hours apart, as in no intraday market; export one-minute bars"
        )
    return spacing


def shorter_than(spacing: timedelta, bars: Sequence[Bar]) -> Sequence[datetime]:
    """The starts of the bars that end sooner, since the next one begins. A fifth of a bar may be a clock's."""
    return [bar.start for bar, following in pairwise(bars) if following.start - bar.start < spacing * 0.8]


def guessed_stamps(bars: Sequence[Bar], spacing: timedelta, hours: SessionHours) -> tuple[Stamps, str]:
    """Which end of a bar its time is, and what shows that it is the end: each is a second before a bar would begin, or
    the first is a bar after the open and one is at the close.
    """
    opens, closes = _instants(bars[0].start.date(), hours, bars[0])
    if spacing > _SECOND and all(timedelta(0) < (opens - bar.start) % spacing <= _SECOND for bar in bars):
        return Stamps.END, "each is the last second of a bar"
    in_session = [bar.start for bar in bars if opens <= bar.start <= closes]
    ends = bool(in_session) and in_session[0] == opens + spacing and in_session[-1] == closes
    if ends:
        return Stamps.END, "no bar is stamped with the open, and one with the close"
    return Stamps.START, ""


def from_start(bars: Sequence[Bar], spacing: timedelta, stamps: Stamps) -> Sequence[Bar]:
    """The bars, each with the time of its start. An end may be the last second of the bar, such as 09:15:59.

    A bar begins no sooner than the one before it has ended, since its prices were not known then.
    """
    if stamps is Stamps.START:
        return bars
    last_second = spacing > _SECOND and all(bar.start.second == _LAST_SECOND for bar in bars)
    ends = [_following_minute(bar.start) if last_second else bar.start for bar in bars]
    first = replace(bars[0], start=ends[0] - spacing)
    later = zip(ends[1:], pairwise(bars), strict=True)
    return [first, *(replace(bar, start=max(end - spacing, before.start)) for end, (before, bar) in later)]


def _following_minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0) + timedelta(minutes=1)


def hint_about_times(first: datetime, *, zone: tzinfo | None, opens_in_utc: bool) -> str:
    """What may be the cause where bars are outside of the session, and what to do. `zone`: what times without an
    offset were taken for; None where they carry one.
    """
    if zone is not None:
        return (
            f"its times carry no offset and are taken for {zone}: name their zone with --tz, such as --tz UTC, or a "
            "special session with --session"
        )
    special = "name a special session with --session, such as --session 18:00-19:15"
    if not opens_in_utc:
        return special
    return (
        f"its first time is {first.astimezone(UTC):%H:%M} in UTC, and if that is meant as Indian time, write the times "
        f"without an offset, such as {first.astimezone(UTC):%Y-%m-%d %H:%M}, not in Unix seconds; else {special}"
    )


def opens_in_utc(first: datetime, hours: SessionHours) -> bool:
    """Whether the first bar has the time of the open in UTC, as where Indian time was written down as that of UTC."""
    opens = datetime.combine(first.astimezone(UTC).date(), hours.opens, UTC)
    return opens - PRE_OPEN <= first.astimezone(UTC) <= opens + _A_LITTLE_LATER


def in_session(bars: Sequence[Bar], hours: SessionHours, *, regular: bool, hint: str) -> Session:
    """The bars of the session. Those of the pre-open and the closing session are left out beside the regular one, and
    all others beside one that the user has named.

    Raises:
        NotARecording: bars are outside of that; `hint` says what may be the cause.
    """
    opens, closes = _instants(bars[0].start.date(), hours, bars[0])
    kept = tuple(bar for bar in bars if opens <= bar.start < closes)
    strange = [bar for bar in bars if not opens - PRE_OPEN <= bar.start <= closes + AFTER_CLOSE]
    if not kept or (regular and strange):
        first, last = bars[0].start, bars[-1].start
        raise NotARecording(
            f"its bars of {first:%d %b %Y} are of {first:%H:%M} to {last:%H:%M} IST, and the session is "
            f"{opens:%H:%M} to {closes:%H:%M}; {hint}"
        )
    return Session(opens, closes, kept, len(bars) - len(kept))


def gaps_of(session: Session, spacing: timedelta) -> tuple[Gap, ...]:
    """Where the session has no bars, from its open to its close."""
    ends = [session.opens, *(bar.start + spacing for bar in session.bars)]
    starts = [*(bar.start for bar in session.bars), session.closes]
    return tuple(Gap(end, start) for end, start in zip(ends, starts, strict=True) if start - end >= spacing / 2)


def _instants(day: date, hours: SessionHours, bar: Bar) -> tuple[datetime, datetime]:
    zone = bar.start.tzinfo
    return datetime.combine(day, hours.opens, zone), datetime.combine(day, hours.closes, zone)


def _held(days: Counter[date]) -> str:
    first, last = min(days), max(days)
    if len(days) == 1:
        return f"it holds {first:%d %b %Y}"
    return f"it holds {len(days):,} days, {first:%d %b %Y} to {last:%d %b %Y}"
