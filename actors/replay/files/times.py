"""Texts become instants of the exchange: ISO, day first, apart or together, and Unix seconds."""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from actors.replay.files.faults import NotARecording, shown
from broker.exchange_time import IST

_ISO = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:?[0-5]\d)?", re.ASCII)
_CLOCK = r"(?P<hour>\d{1,2}):?(?P<minute>\d{2})(:?(?P<second>\d{2})([.,]\d+)?)?\s*(?P<half>[AaPp][Mm])?"
_ZONE = r"\s*(?:(?:GMT|UTC)(?=[+-]))?(?P<zone>Z|UTC|GMT|IST|[+-]\d{2}:?[0-5]\d)?(?:\s*\([A-Za-z ]+\))?"
_WEEKDAY = r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,?\s+)?"
_AFTER = rf"([T\s,]+{_CLOCK}{_ZONE})?"
_MONTH = r"(?P<month>\d{1,2}|[A-Za-z]{3,9})"
_WRITTEN = (
    re.compile(rf"(?P<year>\d{{4}})[-/.](?P<month>\d{{1,2}})[-/.](?P<day>\d{{1,2}}){_AFTER}", re.ASCII),
    re.compile(rf"(?P<year>\d{{4}})(?P<month>\d{{2}})(?P<day>\d{{2}}){_AFTER}", re.ASCII),
    re.compile(rf"{_WEEKDAY}(?P<day>\d{{1,2}})[-/. ]{_MONTH}[-/. ](?P<year>\d{{4}}){_AFTER}", re.ASCII),
    re.compile(rf"{_WEEKDAY}(?P<month>[A-Za-z]{{3,9}})\.? (?P<day>\d{{1,2}}),? (?P<year>\d{{4}}){_AFTER}", re.ASCII),
)
_DIGITS = re.compile(
    r"(?P<year>(19|20)\d{2})(?P<month>\d{2})(?P<day>\d{2})(?P<hour>\d{2})(?P<minute>\d{2})(?P<second>\d{2})?", re.ASCII
)
"""`201907090915`, which as milliseconds would be a time of before 1977."""
_UNIX = re.compile(r"(\d{9,10})(\d{3})?(\.\d{1,9})?", re.ASCII)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_FIRST_YEAR, _LAST_YEAR = 1990, 2100
_GIVEN = re.compile(r", not -?\d+$")
_NO_SUCH_DAY = re.compile(r"day (\d+ )?(is out of|must be in) range")
_DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"))
"""What word processors and web pages make of a hyphen."""
_LONGEST = 64
_NOON = 12
_PARTS = ("year", "month", "day", "hour", "minute", "second")


class TimeReader:
    """Reads the times of one file, which all carry an offset, or none does: those are of `zone`."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._fixed = zone.utcoffset(None) is not None or zone is IST
        self.carries_offset: bool | None = None
        """Whether the times say their zone; None before the first."""
        self.are_of_utc = False
        """Whether they say that it is UTC, as Unix seconds do; by the first."""

    def read(self, text: str) -> datetime:
        """The instant, in the exchange's time zone.

        Raises:
            NotARecording: it is no time, or a date alone; it is of another kind than the times before it; or it is
                none, or one of two, in `zone`, whose clocks were changed.
        """
        text = hyphens(text.strip())
        try:
            moment = self._parsed(text)
        except NotARecording:
            raise
        except ValueError as error:
            raise NotARecording(f"{shown(text)} is no time: {_reason(error)}; mend it, or cut it out") from error
        if not _FIRST_YEAR <= moment.year < _LAST_YEAR:
            raise NotARecording(f"{shown(text)} is of the year {moment.year}; mend its time, or cut the line out")
        carries_offset = moment.tzinfo is not None
        if self.carries_offset is None:
            self.carries_offset = carries_offset
            self.are_of_utc = moment.utcoffset() == timedelta(0)
        if carries_offset is not self.carries_offset:
            here, before = ("an", "none") if carries_offset else ("no", "one")
            raise NotARecording(f"{shown(text)} has {here} offset, and those before it have {before}: write all alike")
        return (moment if carries_offset else self._in_zone(moment, text)).astimezone(IST)

    def _parsed(self, text: str) -> datetime:
        if _ISO.fullmatch(text):
            if text[11:13] == "24":  # Python 3.14 takes it for the next midnight
                raise ValueError("hour must be in 0..23")
            return datetime.fromisoformat(text)
        if len(text) > _LONGEST:
            raise _no_time(text)
        if digits := _DIGITS.fullmatch(text):
            return datetime(*(int(digits[part] or 0) for part in _PARTS))  # type: ignore[arg-type] # noqa: DTZ001
        if unix := _UNIX.fullmatch(text):
            return datetime.fromtimestamp(int(unix[1]), UTC)
        for form in _WRITTEN:
            if written := form.fullmatch(text):
                return _moment(written, text)
        raise _no_time(text)

    def _in_zone(self, naive: datetime, text: str) -> datetime:
        moment = naive.replace(tzinfo=self._zone)
        if self._fixed:
            return moment
        if moment.astimezone(UTC).astimezone(self._zone).replace(tzinfo=None) != naive:
            raise NotARecording(
                f"{shown(text)} does not exist in {self._zone}, whose clocks were put forward: "
                "name the zone of the times with --tz"
            )
        if moment.utcoffset() != moment.replace(fold=1).utcoffset():
            raise NotARecording(
                f"{shown(text)} happened twice in {self._zone}, whose clocks were put back: "
                "write the times with their offset"
            )
        return moment


def hyphens(text: str) -> str:
    """The text, with a hyphen in the place of each dash."""
    return text.translate(_DASHES)


def _no_time(text: str) -> NotARecording:
    if any(letter in "0123456789" for letter in text):
        how = "times are read as 2019-07-09 09:15, as 09-07-2019 09:15, or in Unix seconds"
    else:
        how = "cut it out, if it is no bar"
    return NotARecording(f"{shown(text)} is no time; {how}")


def _reason(error: ValueError) -> str:
    # Python 3.14 adds the number that it was given, and words a day that is none in another way.
    reason = _GIVEN.sub("", str(error))
    return "that month has no such day" if _NO_SUCH_DAY.match(reason) else reason


def _moment(written: re.Match[str], text: str) -> datetime:
    if written["hour"] is None:
        raise NotARecording(
            f"{shown(text)} has no time of day: a daily bar cannot time a BUY or a SELL; export one-minute bars"
        )
    zone = _offset(written["zone"])
    hour = _hour(int(written["hour"]), written["half"])
    second = int(written["second"] or 0)
    day = int(written["year"]), _month(written["month"], text), int(written["day"])
    return datetime(*day, hour, int(written["minute"]), second, tzinfo=zone)


def _month(text: str, whole: str) -> int:
    if text.isdigit():
        if int(text) > len(_MONTHS):
            raise NotARecording(
                f"{shown(whole)} has the month {text}: dates are read day first, or year first; write them so"
            )
        return int(text)
    if text[:3].lower() not in _MONTHS:
        raise NotARecording(f"{shown(whole)} has no month that is known; write it as 2019-07-09 09:15")
    return _MONTHS.index(text[:3].lower()) + 1


def _hour(hour: int, half: str | None) -> int:
    if half is None:
        return hour
    if not 1 <= hour <= _NOON:
        raise ValueError("an hour before am or pm is 1 to 12")
    return hour % _NOON + (_NOON if half.lower() == "pm" else 0)


def _offset(text: str | None) -> tzinfo | None:
    if text is None:
        return None
    if text in {"Z", "UTC", "GMT"}:
        return UTC
    if text == "IST":
        return IST
    sign = -1 if text[0] == "-" else 1
    return timezone(sign * timedelta(hours=int(text[1:3]), minutes=int(text[-2:])))
