"""What was understood of a file, in sentences for the trader and as values for programs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from actors.replay.files.judgement import Gap
from actors.replay.files.options import Stamps

_SATURDAY = 5
_GAPS_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Understanding:
    """What a file was taken for. `zone` is None where the times say theirs; `dropped` counts rows by the reason.

    `first` and `last` are the starts of the first and the last bar, in the exchange's zone. `stamps_because` tells what
    shows that stamps are ends, unless the user did. `rounded` counts bars whose prices had the noise of floats; `days`
    those of the whole file; `left_out` the bars outside of the session; `shorter` has the starts of
    those that last less than `spacing`. `doubts`: what makes the day look misread, in sentences without a full stop.
    """

    form: str
    symbol: str | None
    bars: int
    days: int
    first: datetime
    last: datetime
    spacing: timedelta
    zone: str | None
    stamps: Stamps
    stamps_because: str
    gaps: tuple[Gap, ...]
    shorter: tuple[datetime, ...]
    left_out: int
    dropped: Mapping[str, int]
    rounded: int
    doubts: tuple[str, ...]

    def sentences(self) -> Sequence[str]:
        """One for each thing that is worth to be known."""
        times = "carry their offset" if self.zone is None else f"carry no offset and are taken for {self.zone} (--tz)"
        said = [
            f"{self.form}: {self.bars} bars of {spacing_text(self.spacing)} on {self.first:%a %d %b %Y}, "
            f"{self.first:%H:%M} to {self.last:%H:%M} IST"
            + (f"; the day is one of {self.days:,} in the file" if self.days > 1 else ""),
            f"The times {times}, and are the {self.stamps} of their bars",
            self._gaps(),
        ]
        if self.stamps_because:
            said[1] += f": {self.stamps_because} (--stamps start, if it is not so)"
        if self.shorter:
            said.append(
                f"Shorter than {spacing_text(self.spacing)}, as the next one begins sooner: "
                f"{counted(len(self.shorter), 'bar')}, the first at {self.shorter[0]:%H:%M}"
            )
        if self.left_out:
            said.append(f"Left out, as before or after the session: {counted(self.left_out, 'bar')}")
        said += [f"{counted(count, 'row')} dropped: {reason}" for reason, count in self.dropped.items() if count]
        if self.rounded:
            said.append(f"The prices of {counted(self.rounded, 'bar')} were rounded to the paisa")
        return [*said, *self.doubts]

    def as_json(self) -> dict[str, object]:
        """The same for programs."""
        return {
            "format": self.form,
            "symbol": self.symbol,
            "date": self.first.date().isoformat(),
            "days": self.days,
            "bars": self.bars,
            "spacing_s": self.spacing.total_seconds(),
            "first": self.first.isoformat(),
            "last": self.last.isoformat(),
            "assumed_zone": self.zone,
            "stamps": self.stamps.value,
            "gaps": [{"from": gap.begins.isoformat(), "to": gap.ends.isoformat()} for gap in self.gaps],
            "shorter": len(self.shorter),
            "left_out": self.left_out,
            "dropped": {reason: count for reason, count in self.dropped.items() if count},
            "rounded": self.rounded,
            "doubts": list(self.doubts),
        }

    def _gaps(self) -> str:
        if not self.gaps:
            return "There are no gaps"
        named = ", ".join(f"{gap.begins:%H:%M} to {gap.ends:%H:%M}" for gap in self.gaps[:_GAPS_SHOWN])
        more = len(self.gaps) - _GAPS_SHOWN
        return f"{counted(len(self.gaps), 'gap')} without bars: {named}" + (f" and {more} more" if more > 0 else "")


def doubts_about(first: datetime, today: date | None, *, opens_in_utc: bool) -> tuple[str, ...]:
    """What makes a day look misread: no exchange trades on it, it is yet to come by the clock of this machine, or its
    first bar has the time of the open in UTC.
    """
    day = first.date()
    look = "look whether day and month were read as they are meant"
    said = [f"{day:%d %b %Y} is a {day:%A}: {look}"] if day.weekday() >= _SATURDAY else []
    if today is not None and day > today:
        said.append(f"{day:%d %b %Y} is yet to come by the clock of this machine: {look}")
    if opens_in_utc:
        said.append(
            f"Its first bar, of {first:%H:%M} IST, is of {first.astimezone(UTC):%H:%M} in UTC: if that is meant as "
            "Indian time, write the times without an offset, not in Unix seconds"
        )
    return tuple(said)


def counted(count: int, noun: str) -> str:
    """`1 bar`, `2 bars`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def spacing_text(spacing: timedelta) -> str:
    """`1 minute`, `90 seconds`."""
    seconds = spacing.total_seconds()
    if seconds % 60:
        return counted(int(seconds), "second") if seconds == int(seconds) else f"{seconds} seconds"
    return counted(int(seconds // 60), "minute")
