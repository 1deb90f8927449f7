"""A stop-loss that is a share of the price: hundredths of a percent below the average fill (row N5)."""

from decimal import ROUND_CEILING, Decimal

from actors.domain.errors import InvalidValue
from actors.domain.money import Paise

WHOLE = 10_000
"""A hundred percent, in hundredths of a percent."""

MAX_PERCENT = Decimal(90)
"""How many percent below the fill a stop-loss may stand."""


def to_hundredths(percent: Decimal) -> int:
    """Percent to whole hundredths of a percent.

    Raises:
        InvalidValue: if it is not above 0 and at most `MAX_PERCENT`, or has more than two decimals.
    """
    if not percent.is_finite() or not 0 < percent <= MAX_PERCENT:
        raise InvalidValue(f"must be greater than 0 and at most {MAX_PERCENT}")
    if percent * 100 != (percent * 100).to_integral_value():
        raise InvalidValue("must have at most two decimals")
    return int(percent * 100)


def to_percent(hundredths: int) -> Decimal:
    """Hundredths of a percent to percent, without zeros that say nothing."""
    percent = (Decimal(hundredths) / 100).normalize()
    return percent if percent.as_tuple().exponent <= 0 else percent.quantize(Decimal(1))  # type: ignore[operator]


def stop_below(price: Decimal, hundredths: int, tick: Paise) -> Paise:
    """The level that is `hundredths` below `price` (rupees, an average of fills), rounded up to the tick.

    Rounding up loses less than the trader allows, never more. Where it would reach the price itself, which sells at
    once, the level is the highest tick below the price. `tick` 0: it is not known, and a paisa will do.
    """
    level = _rounded_up(price, hundredths, tick)
    if level >= price * 100:
        level = _ticks(price * 100, tick) - max(tick, 1)
    return max(level, 1)


def is_too_near(price: Decimal, hundredths: int, tick: Paise) -> bool:
    """Whether the share is less than the tick at this price, so that its level would be the price itself."""
    return _rounded_up(price, hundredths, tick) >= price * 100


def _rounded_up(price: Decimal, hundredths: int, tick: Paise) -> Paise:
    return _ticks(price * 100 * (WHOLE - hundredths) / WHOLE, tick)


def _ticks(paise: Decimal, tick: Paise) -> Paise:
    """The lowest level of the grid at or above an amount of paise."""
    grid = max(tick, 1)
    return int((paise / grid).to_integral_value(rounding=ROUND_CEILING)) * grid
