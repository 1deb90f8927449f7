"""How far a parked exit is chased: the protection of its next modification, and how many the broker takes."""

from decimal import Decimal

CHASE_PROTECTION_PERCENT = (Decimal(3), Decimal(5), Decimal(10), Decimal(20))
"""Ever wider `market_protection` for an exit parked as an open LIMIT (Kite forum c/52991: modify the same order)."""

MODIFICATION_LIMIT = 25
"""Kite refuses more modifications of one order (Kite forum c/34659)."""


def chase_protection(modifications: int) -> Decimal | None:
    """Percent of protection for the next chase of a parked exit, or None when the order may not be modified again."""
    if modifications >= MODIFICATION_LIMIT:
        return None
    return CHASE_PROTECTION_PERCENT[min(modifications, len(CHASE_PROTECTION_PERCENT) - 1)]
