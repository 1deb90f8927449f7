"""The sentences of notices: what happened to the money, the number first, then what comes next.

What is unknown is said to be. No advice about prices, no secret, no number of an account.
"""

from datetime import datetime, tzinfo
from decimal import Decimal

from actors.domain.money import Paise, round_rupees, to_rupees

_MINUS = "−"


def rupees(amount: Decimal) -> str:
    """An amount as it is written in India: ₹12,34,567.00."""
    rounded = round_rupees(abs(amount))
    whole, _, fraction = f"{rounded:f}".partition(".")
    head, tail = whole[:-3], whole[-3:]
    groups = [tail]
    while head:
        groups.insert(0, head[-2:])
        head = head[:-2]
    sign = _MINUS if amount < 0 and rounded else ""
    return f"{sign}₹{','.join(groups)}.{fraction}"


def signed(amount: Decimal) -> str:
    """A gain or a loss with its sign; none for neither."""
    return f"+{rupees(amount)}" if round_rupees(amount) > 0 else rupees(amount)


def price(paise: Paise) -> str:
    """A price in paise as an amount of rupees."""
    return rupees(to_rupees(paise))


def clock(at: datetime, zone: tzinfo) -> str:
    """A time of day; seconds only where there are any."""
    local = at.astimezone(zone)
    return f"{local:%H:%M:%S}" if local.second else f"{local:%H:%M}"


def sentence(reason: str) -> str:
    """A reason that a broker or a rule gave, as a sentence; nothing for none."""
    stripped = " ".join(reason.split()).rstrip(".;, ")
    return f"{stripped[:1].upper()}{stripped[1:]}." if stripped else ""


def bought(shares: str, wanted: int, filled: int, average: Decimal | None, at: str) -> str:
    """The entry has come to its end, and shares were bought."""
    part = f" of {wanted}" if filled < wanted else ""
    paid = f" at {rupees(average)}" if average is not None else ""
    return f"Bought {filled}{part} {shares}{paid} ({at})."


def sold(how: str, shares: str, quantity: int | None, average: Decimal | None, result: Decimal | None) -> str:
    """The run is over and flat. The result is before charges."""
    what = f"{quantity} {shares}" if quantity else shares
    got = f" at {rupees(average)}" if average is not None else ""
    gain = f" {signed(result)} before charges." if result is not None else ""
    return f"{how}: sold {what}{got}.{gain}" if how else f"Sold {what}{got}.{gain}"


def not_bought(shares: str, reason: str) -> str:
    """The run has ended, and nothing was bought."""
    return " ".join(filter(None, (f"NOT bought: {shares}.", sentence(reason), "Nothing is open.")))


def not_sold(shares: str, quantity: int | None, reason: str, what_next: str) -> str:
    """The position is open and its exit does not go through."""
    what = f"{quantity} {shares}" if quantity else shares
    return " ".join(filter(None, (f"OPEN and not sold: {what}.", sentence(reason), what_next)))
