"""The coming days as the app shows them: holidays, weekends, special hours and cut-offs."""

from datetime import date, time
from pathlib import Path

from api.reference.calendar_days import calendar_days
from broker.market.trading_calendar import AlwaysOpen, TradingCalendars

CUTOFF = time(15, 20)
ORDINARY = ("09:15:00", "15:30:00", None, "15:20:00", "15:15:00")


def hours(day: object) -> list[tuple[str | None, ...]]:
    shown = day.model_dump(mode="json")["sessions"]  # type: ignore[attr-defined]
    return [tuple(session[name] for name in ("opens", "closes", "last_entry", "mis_cutoff", "auction_from"))
            for session in shown]  # fmt: skip


def test_a_week_with_a_holiday_an_evening_session_and_a_short_saturday(tmp_path: Path) -> None:
    overrides = tmp_path / "overrides.toml"
    overrides.write_text(
        '2026-11-29 = "18:00-19:15"\n'
        '2026-11-27 = "closed"\n'
        '2026-11-28 = {hours = "09:15-10:00", square_off = "09:50", last_entry = "09:45"}\n'
    )
    calendar = TradingCalendars(overrides).load("XNSE")
    monday, tuesday, _, thursday, friday, saturday, sunday = calendar_days(calendar, date(2026, 11, 23), 7, CUTOFF)
    for ordinary in (monday, thursday):
        assert (hours(ordinary), ordinary.special, ordinary.closed) == ([ORDINARY], False, None)
    assert (tuesday.date, hours(tuesday), tuesday.closed) == (date(2026, 11, 24), [], "holiday")
    assert (friday.special, friday.closed) == (False, "holiday")
    assert hours(saturday) == [("09:15:00", "10:00:00", "09:45:00", "09:50:00", None)]
    assert hours(sunday) == [("18:00:00", "19:15:00", None, None, None)]
    assert [(day.special, day.closed) for day in (saturday, sunday)] == [(True, None), (True, None)]


def test_a_weekend_is_no_holiday() -> None:
    saturday, sunday = calendar_days(TradingCalendars().load("XNSE"), date(2026, 11, 28), 2, CUTOFF)
    assert [day.closed for day in (saturday, sunday)] == ["weekend", "weekend"]


def test_an_exchange_that_never_closes_has_no_cut_offs() -> None:
    days = calendar_days(AlwaysOpen(), date(2026, 11, 28), 2, CUTOFF)
    assert [hours(day) for day in days] == 2 * [[("00:00:00", "23:59:59", None, None, None)]]
    assert not any(day.special or day.closed for day in days)
