"""Which sessions lie between a backup and the order book of a later day."""

from datetime import date, datetime, timedelta

from broker.exchange_time import IST
from broker.market.trading_calendar import TradingCalendar

_LOOK_AHEAD = timedelta(days=30)


def last_provable_day(calendar: TradingCalendar, backed_up_at: datetime) -> date:
    """The last day whose order book shows everything that the broker has done since `backed_up_at`.

    A broker's order book is of one day. It is the day of the first session that had not ended at the backup: a backup
    of the evening is proven by the next session's book, one of the session by that session's own alone.
    """
    then = backed_up_at.astimezone(IST)
    day = then.date()
    while day <= then.date() + _LOOK_AHEAD:
        sessions = calendar.sessions(day)
        if any(day > then.date() or session.closes > then.time() for session in sessions):
            return day
        day += timedelta(days=1)
    return then.date()
