"""Sessions with cut-offs of their own; and that a day without them is traded exactly as before there were any."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.domain.errors import InvalidValue
from actors.domain.identifiers import Product, Side
from actors.domain.market_hours import (
    AUCTION_FROM,
    AUCTION_MARKET_ENDS,
    AUCTION_OPENS,
    MarketHours,
    NotBefore,
    Request,
    Window,
)
from actors.domain.session import LOOK_AHEAD_DAYS, SessionHours

IST = ZoneInfo("Asia/Kolkata")
SATURDAY = date(2026, 12, 5)
CUTOFF = time(15, 20)
FIRST = SessionHours(time(9, 15), time(10), square_off=time(9, 50), last_entry=time(9, 40))
SECOND = SessionHours(time(11, 45), time(12, 40), last_entry=time(12, 30))
CNC, MIS = Product.CNC, Product.MIS
MINUTES = st.integers(0, 1439).map(lambda minute: time(minute // 60, minute % 60))


def at(hour: int, minute: int, second: int = 0) -> datetime:
    return datetime.combine(SATURDAY, time(hour, minute, second), IST)


MONDAY = at(9, 15) + timedelta(days=2)


def special(day: date) -> Sequence[SessionHours]:
    return {SATURDAY: (FIRST, SECOND), MONDAY.date(): (SessionHours(time(9, 15), time(15, 30)),)}.get(day, ())


@pytest.mark.parametrize(
    ("now", "product", "entry", "exit_"),
    [
        (at(9, 39, 59), MIS, None, None),
        (at(9, 40), MIS, at(11, 45), None),
        (at(9, 49, 59), MIS, at(11, 45), None),
        (at(9, 50), MIS, at(11, 45), at(11, 45)),
        (at(9, 50), CNC, at(11, 45), None),
        (at(10, 0), CNC, at(11, 45), at(11, 45)),
        (at(12, 29, 59), MIS, None, None),
        (at(12, 30), CNC, MONDAY, None),
        (at(12, 39, 59), MIS, MONDAY, None),
        (at(12, 40), MIS, MONDAY, MONDAY),
    ],
)
def test_each_session_keeps_to_its_own_cutoffs(
    now: datetime, product: Product, entry: datetime | None, exit_: datetime | None
) -> None:
    hours = MarketHours(special, IST, CUTOFF)
    begun = hours.refusal(now, Side.BUY, product, Request.ORDER, has_derivatives=False)
    ended = hours.refusal(now, Side.SELL, product, Request.ORDER, has_derivatives=False)
    assert (begun.at if begun else None) == entry
    assert (ended.at if ended else None) == exit_


def test_the_reason_after_a_cutoff_names_the_cutoff_of_that_session() -> None:
    refused = MarketHours(special, IST, CUTOFF).refusal(at(9, 55), Side.SELL, MIS, Request.ORDER, has_derivatives=False)
    assert refused is not None
    assert refused.reason == "the broker squares MIS positions off from 09:50 on"


def test_what_is_bought_before_the_last_entry_can_still_be_changed_after_it() -> None:
    hours = MarketHours(special, IST, CUTOFF)
    assert hours.refusal(at(9, 45), Side.BUY, CNC, Request.CHANGE, has_derivatives=False) is None


@pytest.mark.parametrize("name", ["square_off", "last_entry"])
@pytest.mark.parametrize("cutoff", [time(9), time(9, 15), time(10, 0, 1)])
def test_a_cutoff_outside_its_session_is_refused(name: str, cutoff: time) -> None:
    with pytest.raises(InvalidValue, match="cut-offs lie after it opens"):
        SessionHours(time(9, 15), time(10), **{name: cutoff})


def test_a_cutoff_at_the_close_changes_nothing() -> None:
    bare = SessionHours(time(9, 15), time(10))
    closing = SessionHours(time(9, 15), time(10), square_off=time(10), last_entry=time(10))
    for minute in range(24 * 60):
        now = at(0, 0) + timedelta(minutes=minute)
        for product in Product:
            answers = {
                MarketHours(alike, IST, CUTOFF).refusal(now, Side.BUY, product, Request.ORDER, has_derivatives=False)
                for alike in (lambda _day: (bare,), lambda _day: (closing,))
            }
            assert len(answers) == 1


# --- days without cut-offs: the rules as they were before there were any ---------------------------------------------


def windows_before(session: SessionHours, product: Product, cutoff: time | None, *, derivatives: bool) -> list[Window]:
    """The parts of a session by the clock rules alone."""
    if derivatives and session.opens < AUCTION_FROM < session.closes:
        parts = [
            Window(session.opens, AUCTION_FROM),
            Window(AUCTION_OPENS, min(AUCTION_MARKET_ENDS, session.closes), auction=True),
        ]
    else:
        parts = [Window(session.opens, session.closes)]
    if product is MIS and cutoff is not None and session.opens < cutoff < session.closes:
        parts = [Window(part.opens, min(part.closes, cutoff), part.auction) for part in parts if part.opens < cutoff]
    return parts


def refusal_before(
    session: SessionHours, now: datetime, side: Side, product: Product, request: Request, *, derivatives: bool
) -> NotBefore | None:
    """The answer of a market with this one session every day, by the clock rules alone."""
    local = now.astimezone(IST)
    begins = side is Side.BUY and request is Request.ORDER
    for ahead in range(LOOK_AHEAD_DAYS):
        day = local.date() + timedelta(days=ahead)
        for part in windows_before(session, product, CUTOFF, derivatives=derivatives):
            if begins and part.auction:
                continue
            opens, closes = (datetime.combine(day, moment, IST) for moment in (part.opens, part.closes))
            if opens <= now < closes:
                return None
            if now < opens:
                return NotBefore(opens, reason_before(session, local, product, begins=begins))
    raise AssertionError("one session a day is always near")


def reason_before(session: SessionHours, local: datetime, product: Product, *, begins: bool) -> str:
    """Why nothing leaves, by the clock rules alone."""
    if begins:
        return "the exchange takes no such order now"
    if product is MIS and session.opens < CUTOFF < session.closes and local.time() >= CUTOFF:
        return "the broker squares MIS positions off from 15:20 on"
    if session.opens <= local.time() < session.closes:
        return "the closing auction takes no such order now"
    return "the exchange takes no order now"


@given(
    st.tuples(MINUTES, MINUTES).filter(lambda pair: pair[0] < pair[1]),
    st.datetimes(datetime(2026, 11, 1), datetime(2026, 12, 31)),  # noqa: DTZ001
    st.sampled_from(list(Side)),
    st.sampled_from(list(Product)),
    st.sampled_from(list(Request)),
    st.booleans(),
)
def test_a_day_with_one_session_and_no_cutoffs_is_traded_as_it_always_was(
    pair: tuple[time, time], now: datetime, side: Side, product: Product, request: Request, derivatives: bool
) -> None:
    session, instant = SessionHours(*pair), now.replace(tzinfo=UTC)
    hours = MarketHours(lambda _day: (session,), IST, CUTOFF)
    given_now = hours.refusal(instant, side, product, request, has_derivatives=derivatives)
    assert given_now == refusal_before(session, instant, side, product, request, derivatives=derivatives)


@given(st.tuples(MINUTES, MINUTES).filter(lambda pair: pair[0] < pair[1]), MINUTES, MINUTES)
def test_a_session_without_cutoffs_holds_the_times_that_it_always_held(
    pair: tuple[time, time], buy: time, sell: time
) -> None:
    assert SessionHours(*pair).hold(buy, sell) is (pair[0] <= buy < sell < pair[1])
