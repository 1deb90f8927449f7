"""Between which times of day a strategy may trade: the session's hours, narrowed by the exchange and by the broker.

Sources: NSE's closing auction session (SEBI circular of 16 January 2026, in force since 2026-08-03), and Zerodha's
square-off of intraday positions: kite.md §7.2 and §7.3.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo

from actors.domain.errors import InvalidValue
from actors.domain.market_hours import AUCTION_FROM
from actors.domain.session import MISSED_GRACE, SessionHours, SessionTimes, next_session_times
from broker.market.trading_calendar import TradingCalendar


class TimesRefused(Exception):
    """No session takes these times; `field` is the one at fault."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


@dataclass(frozen=True, slots=True)
class SessionRules:
    """When one strategy may trade. `mis_cutoff`: when the broker squares its product off, or None if it does not."""

    calendar: TradingCalendar
    has_derivatives: bool
    mis_cutoff: time | None

    def sessions(self, day: date) -> tuple[SessionHours, ...]:
        """The parts of a day's sessions that the strategy may use."""
        found = self.calendar.sessions(day)
        if self.calendar.regular is None:
            return found
        return tuple(self._narrowed(session) for session in found)

    def session_times(
        self, buy_time: time, sell_time: time, now: datetime, zone: tzinfo, grace: timedelta = MISSED_GRACE
    ) -> SessionTimes:
        """The first session that takes these times and whose BUY is not yet missed.

        Raises:
            TimesRefused: with the rule that keeps an ordinary session from taking them, if none of the coming days
                has a session that does.
        """
        if buy_time >= sell_time:
            raise TimesRefused("sell_time", "must be after buy_time")
        try:
            return next_session_times(buy_time, sell_time, now, zone, self.sessions, grace)
        except InvalidValue as error:
            raise self._refusal(buy_time, sell_time) from error

    def _refusal(self, buy_time: time, sell_time: time) -> TimesRefused:
        regular = self.calendar.regular
        if regular is not None and buy_time < regular.opens:
            return TimesRefused("buy_time", f"must be {regular.opens:%H:%M} or later, when the session opens")
        if regular is not None:
            last, why = self._end(regular)
            if sell_time >= last:
                return TimesRefused("sell_time", f"must be before {_text(last)}, when {why}")
        return TimesRefused("buy_time", "is in no trading session of the coming 30 days")

    def _narrowed(self, session: SessionHours) -> SessionHours:
        end, last_entry = self._end(session)[0], session.last_entry
        return SessionHours(session.opens, end, last_entry=min(end, last_entry) if last_entry is not None else None)

    def _end(self, session: SessionHours) -> tuple[time, str]:
        """The time before which everything must be sold, and what happens then."""
        ends = [(session.closes, "the session closes")]
        if self.has_derivatives:
            ends.append((AUCTION_FROM, "continuous trading in shares with derivatives ends"))
        if self.mis_cutoff is not None:
            ends.append((session.square_off or self.mis_cutoff, "the broker squares MIS positions off"))
        # A clock rule of the ordinary session says nothing about one that opens later, such as an evening session.
        return min(end for end in ends if end[0] > session.opens)


def _text(moment: time) -> str:
    return f"{moment:%H:%M:%S}" if moment.second else f"{moment:%H:%M}"
