"""Money: integer paise inside, rupees on the wire."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

PAISE = Decimal(100)


def paise_of(rupees: Decimal | float | str) -> int:
    """Exact paise of a rupee amount, half a paisa rounded up; ``ValueError`` when it is not a finite number."""
    try:
        amount = Decimal(str(rupees))
    except InvalidOperation:
        raise ValueError(f"not an amount in rupees: {rupees!r}") from None
    if not amount.is_finite():
        raise ValueError(f"not an amount in rupees: {rupees!r}")
    return int((amount * PAISE).quantize(Decimal(1), rounding=ROUND_HALF_UP))


def rupees_of(paise: int) -> float:
    """Rupees for JSON."""
    return paise / 100


def average_rupees(value_paise: int, quantity: int) -> float:
    """Average price in rupees of ``quantity`` shares worth ``value_paise``; 0 before the first fill, as Kite has it."""
    return round(value_paise / quantity / 100, 4) if quantity else 0
