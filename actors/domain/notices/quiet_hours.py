"""The hours in which a trader wants no notice to make a sound, on the clock of the exchange (Asia/Kolkata)."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo

from actors.domain.errors import InvalidValue
from actors.domain.notices.notice import AT_RISK, NoticeKind


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From `begins` until `ends`, which may be on the next day. `begins` belongs to them, `ends` does not.

    Raises:
        InvalidValue: both are the same time of day, or one has a time zone.
    """

    begins: time
    ends: time

    def __post_init__(self) -> None:
        if self.begins.tzinfo is not None or self.ends.tzinfo is not None:
            raise InvalidValue("quiet hours are wall-clock times")
        if self.begins == self.ends:
            raise InvalidValue("quiet hours begin and end at different times")

    def over_at(self, now: datetime, zone: tzinfo) -> datetime | None:
        """When the quiet hours around this instant end; None if it is in none."""
        local = now.astimezone(zone)
        clock = local.time()
        overnight = self.begins > self.ends
        inside = clock >= self.begins or clock < self.ends if overnight else self.begins <= clock < self.ends
        if not inside:
            return None
        day = local.date() + timedelta(days=1) if overnight and clock >= self.begins else local.date()
        return datetime.combine(day, self.ends, zone)


USUAL_QUIET_HOURS = QuietHours(time(20, 0), time(7, 30))
"""Those of a trader who has chosen none: no session of the exchange is in them."""


def send_at(kind: NoticeKind, now: datetime, quiet: QuietHours | None, zone: tzinfo) -> datetime:
    """When a notice may be sent: now, or at the end of the quiet hours unless money may be at risk."""
    if quiet is None or kind in AT_RISK:
        return now
    return quiet.over_at(now, zone) or now
