"""Prices as integers in paise, averages and sums as `Decimal` rupees; never a float."""

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

from actors.domain.errors import InvalidValue

Paise = int
"""A price in paise (1/100 rupee): ticks, stop-loss levels and limits are exact in it."""

_CENT = Decimal("0.01")


def to_paise(rupees: Decimal | int | str) -> Paise:
    """Rupees to paise.

    Raises:
        InvalidValue: if it is not a finite amount, or has a fraction of a paisa.
    """
    try:
        amount = Decimal(rupees)
    except InvalidOperation as error:
        raise InvalidValue(f"{rupees!r} is not an amount of rupees") from error
    if not amount.is_finite() or amount * 100 != (amount * 100).to_integral_value():
        raise InvalidValue(f"{rupees} rupees is not a whole number of paise")
    return int(amount * 100)


def round_to_paise(rupees: float | Decimal) -> Paise:
    """Rupees as a broker's JSON or tick carries them (a float) to the nearest paisa.

    Raises:
        InvalidValue: if the amount is not finite.
    """
    amount = Decimal(repr(rupees)) if isinstance(rupees, float) else Decimal(rupees)
    if not amount.is_finite():
        raise InvalidValue(f"{rupees} is not a price")
    return int((amount * 100).to_integral_value(rounding=ROUND_HALF_UP))


def to_rupees(paise: Paise) -> Decimal:
    """Paise to rupees with two decimals."""
    return (Decimal(paise) / 100).quantize(_CENT)


def round_rupees(rupees: Decimal) -> Decimal:
    """An average or a sum, rounded to the two decimals that people see."""
    return rupees.quantize(_CENT, rounding=ROUND_HALF_UP)
