"""Which days are sessions and their hours, and the operator's file that knows better."""

import os
from datetime import date, time, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from actors.domain.session import WHOLE_DAY, SessionHours
from broker.market.override_file import OverrideFile
from broker.market.overrides import InvalidOverrides, parse_overrides
from broker.market.trading_calendar import (
    REGULAR_HOURS,
    AlwaysOpen,
    NseCalendar,
    TradingCalendars,
)

DIWALI = date(2026, 11, 8)
GURU_NANAK = date(2026, 11, 24)
MONDAY = date(2026, 11, 23)
EVENING = (SessionHours(time(18, 0), time(19, 15)),)
ORDINARY = (REGULAR_HOURS,)
CLOSURES_2026 = "01-15 01-26 03-03 03-26 03-31 04-03 04-14 05-01 05-28 06-26 09-14 10-02 10-20 11-10 11-24 12-25"
"""The table of kite.md §7.8."""


def test_the_paper_exchange_never_closes() -> None:
    days = [date(2026, 11, 21) + timedelta(days=n) for n in range(7)]
    assert {AlwaysOpen().sessions(day) for day in days} == {(WHOLE_DAY,)}
    assert AlwaysOpen().regular is None


def test_nse_knows_every_closure_of_2026_and_the_hours_of_the_other_weekdays() -> None:
    closed = {date.fromisoformat(f"2026-{day}") for day in CLOSURES_2026.split()}
    nse = NseCalendar()
    for day in (date(2026, 1, 1) + timedelta(days=n) for n in range(365)):
        expected = () if day in closed or day.weekday() >= 5 else ORDINARY
        assert nse.sessions(day) == expected, day


def test_beyond_the_known_years_every_weekday_counts_and_that_is_said_once() -> None:
    nse = NseCalendar()
    with capture_logs() as logs:
        assert nse.sessions(date(2099, 1, 2)) == ORDINARY
        assert not nse.is_session(date(2099, 1, 3))
        assert nse.is_session(date(2099, 1, 5))
    assert [line["event"] for line in logs] == ["calendar_outdated"]


def test_overrides_are_bare_dates_with_hours_or_closed() -> None:
    text = '2026-11-08 = "18:00-19:15"  # Muhurat\n2026-11-24 = "closed"\n'
    assert parse_overrides(text) == {DIWALI: EVENING, GURU_NANAK: ()}
    assert parse_overrides("") == {}


def test_a_day_may_have_two_sessions() -> None:
    read = parse_overrides('2026-12-05 = "09:15-10:00, 11:45-12:40"\n')
    assert read == {date(2026, 12, 5): (SessionHours(time(9, 15), time(10)), SessionHours(time(11, 45), time(12, 40)))}


@pytest.mark.parametrize(
    "text",
    [
        '2026-12-05 = "09:15-10:00,"',
        '2026-12-05 = "09:15-10:00, closed"',
        '2026-12-05 = "11:45-12:40, 09:15-10:00"',
        '2026-12-05 = "09:15-10:00, 09:30-12:40"',
        "2026-11-08 = 18:00-19:15",
        '2026-13-08 = "closed"',
        '20261108x = "closed"',
        '2026-11-08 = "shut"',
        '2026-11-08 = "19:15-18:00"',
        '2026-11-08 = "18:00-18:00"',
        '2026-11-08 = "18:00-24:00"',
        '2026-11-08 = "6:00-7:00"',
        "2026-11-08 = true",
        '[2026-11-08]\nopens = "18:00"',
        '2026-11-08 = "closed"\n2026-11-08 = "closed"',
    ],
)
def test_overrides_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(InvalidOverrides):
        parse_overrides(text)


@given(st.text())
def test_any_text_is_overrides_or_refused(text: str) -> None:
    try:
        days = parse_overrides(text)
    except InvalidOverrides:
        return
    assert all(isinstance(day, date) for day in days)


@given(
    st.dictionaries(
        st.dates(date(2020, 1, 1), date(2099, 12, 31)),
        st.none() | st.tuples(st.integers(0, 1438), st.integers(1, 1439)).filter(lambda pair: pair[0] < pair[1]),
    )
)
def test_overrides_say_what_was_written(written: dict[date, tuple[int, int] | None]) -> None:
    def text(minutes: int) -> str:
        return f"{minutes // 60:02}:{minutes % 60:02}"

    lines = [
        f'{day.isoformat()} = "{"closed" if hours is None else text(hours[0]) + "-" + text(hours[1])}"'
        for day, hours in written.items()
    ]
    read = parse_overrides("\n".join(lines))
    assert set(read) == set(written)
    for day, hours in written.items():
        expected = () if hours is None else (SessionHours(*(time(m // 60, m % 60) for m in hours)),)
        assert read[day] == expected


def test_an_override_opens_and_closes_days_of_nse(tmp_path: Path) -> None:
    file = tmp_path / "overrides.toml"
    file.write_text('2026-11-08 = "18:00-19:15"\n2026-11-23 = "closed"\n')
    nse = NseCalendar(OverrideFile(file))
    assert nse.sessions(DIWALI) == EVENING
    assert not nse.is_session(MONDAY)
    assert nse.sessions(date(2026, 11, 25)) == ORDINARY


def test_a_day_is_called_off_if_the_file_closes_what_would_be_a_session(tmp_path: Path) -> None:
    file = tmp_path / "overrides.toml"
    holiday, sunday = date(2026, 11, 24), date(2026, 11, 22)
    file.write_text("".join(f'{day} = "closed"\n' for day in (MONDAY, holiday, sunday)) + f'{DIWALI} = "18:00-19:15"\n')
    nse = NseCalendar(OverrideFile(file))
    days = (MONDAY, holiday, sunday, DIWALI, date(2026, 11, 25))
    assert [day for day in days if nse.is_called_off(day)] == [MONDAY]
    assert not NseCalendar().is_called_off(MONDAY)
    assert not AlwaysOpen().is_called_off(MONDAY)


def test_the_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "overrides.toml"
    file.write_text("")
    nse = NseCalendar(OverrideFile(file))
    assert nse.is_session(MONDAY)
    file.write_text('2026-11-23 = "closed"\n')
    assert not nse.is_session(MONDAY)
    replacement = tmp_path / "new"
    replacement.write_text('2026-11-08 = "closed"\n')  # as long as the one before
    os.utime(replacement, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    replacement.replace(file)
    assert nse.is_session(MONDAY)


def test_a_file_that_breaks_later_keeps_what_it_said_and_is_reported_once(tmp_path: Path) -> None:
    file = tmp_path / "overrides.toml"
    file.write_text('2026-11-23 = "closed"\n')
    nse = NseCalendar(OverrideFile(file))
    for breakage in (lambda: file.write_text("nonsense"), lambda: file.write_bytes(b"\xff\xfe"), file.unlink):
        breakage()
        with capture_logs() as logs:
            assert not nse.is_session(MONDAY)
            assert not nse.is_session(MONDAY)
        assert [(line["log_level"], line["event"]) for line in logs] == [("error", "calendar_overrides_broken")]
    file.write_text("")
    assert nse.is_session(MONDAY)


@pytest.mark.parametrize("content", [None, b"nonsense", b"\xff"])
def test_a_file_that_is_broken_at_the_start_is_refused(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "overrides.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InvalidOverrides):
        TradingCalendars(file)


def test_a_file_that_cannot_be_read_again_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, why in (
        (tmp_path, "it is a directory"),
        (tmp_path / "pipe", "it is no file that can be read again"),
        (Path("/dev/zero"), "it is no file that can be read again"),
    ):
        with pytest.raises(InvalidOverrides, match=why):
            OverrideFile(path)


def test_a_file_as_large_as_no_list_of_days_is_refused(tmp_path: Path) -> None:
    (tmp_path / "overrides.toml").write_bytes(b"#" * 1_000_001)
    with pytest.raises(InvalidOverrides, match="larger than 1 MB"):
        OverrideFile(tmp_path / "overrides.toml")


async def test_overrides_are_for_xnse_only(tmp_path: Path) -> None:
    file = tmp_path / "overrides.toml"
    file.write_text('2026-11-23 = "closed"\n')
    calendars = TradingCalendars(file)
    assert not (await calendars.get("XNSE")).is_session(MONDAY)
    assert (await calendars.get("24x7")).is_session(MONDAY)
    assert await calendars.get("XNSE") is await calendars.get("XNSE")
