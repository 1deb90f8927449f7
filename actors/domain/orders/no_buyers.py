"""What a parked exit does next: wider protection while there are buyers, one place in the queue when there are none.

A share at its lower circuit has no buyers (kite.md §7.4). The one thing that sells there is the place in the queue of
sellers, which every modification gives up, so the order rests at the circuit price until the band or the price moves.
"""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from actors.domain.money import Paise
from actors.domain.orders.chase_protection import CHASE_PROTECTION_PERCENT, chase_protection
from actors.domain.orders.price_band import PriceBand

_PAUSES = tuple(timedelta(seconds=s) for s in (1, 2, 4, 8, 15, 30, 60, 120, 300))

LOOK_INTERVAL = timedelta(seconds=15)
"""Between the looks at the price of an order that rests at the circuit."""


@dataclass(frozen=True, slots=True)
class Widen:
    """Modify the order to a MARKET order of so much protection."""

    percent: Decimal


@dataclass(frozen=True, slots=True)
class RestAt:
    """Modify the order to a LIMIT at this price, and leave it in the queue."""

    price: Paise


@dataclass(frozen=True, slots=True)
class CancelForRest:
    """The order may not be modified again: cancel it, so that its rest goes out as another."""


@dataclass(frozen=True, slots=True)
class ParkedExit:
    """How far the chase of one order has come.

    `modifications`: requests to modify it, refused ones too, since the broker counts them. `setbacks`: refusals, each
    of which makes the next pause longer. `at_circuit`: the broker has refused a price for the circuit. `rests_at`:
    the price in paise at which it is in the queue. `overlooked`: looks in a row at which it was open though the share
    traded above that price.
    """

    modifications: int = 0
    setbacks: int = 0
    at_circuit: bool = False
    rests_at: Paise | None = None
    overlooked: int = 0

    @property
    def pause(self) -> timedelta:
        """How long the order is left alone before its next move."""
        if self.rests_at is not None:
            return max(LOOK_INTERVAL, _pause(self.modifications + self.setbacks - 1))
        return _pause(self.modifications + self.setbacks)


def _pause(moves: int) -> timedelta:
    return _PAUSES[min(max(moves, 0), len(_PAUSES) - 1)]


_OVERLOOKED = 2
"""Looks that show trades above our price before the modification counts as one that the broker never carried out
(Kite forum d/5998: an answer of 200 is no change)."""


def next_move(parked: ParkedExit, band: PriceBand | None) -> Widen | RestAt | CancelForRest | None:
    """What to do with an exit that is still open after its pause; None: leave it in the queue."""
    percent = chase_protection(parked.modifications)
    if band is None:
        if parked.rests_at is not None:
            return None
        return CancelForRest() if percent is None else Widen(percent)
    if parked.rests_at == band.lower and parked.overlooked < _OVERLOOKED:
        return None
    if percent is None:
        return CancelForRest()
    tried = parked.modifications >= len(CHASE_PROTECTION_PERCENT)
    if band.without_buyers or parked.at_circuit or tried or parked.rests_at is not None:
        return RestAt(band.lower)
    return Widen(percent)
