"""Is there money enough for today's purchases? Pure: they are gone through in the order of time (row N3)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from actors.domain.money import round_rupees
from api.readiness.findings import Held

RESERVE = Decimal("1.02")
"""How many times the margin of today's price must be free: until it is bought, the price may rise by two per cent."""


@dataclass(frozen=True, slots=True)
class Buying:
    """A purchase of today, which has its margin from `buy_at` until `sell_at`; rupees."""

    strategy_id: int
    buy_at: datetime
    sell_at: datetime
    needed: Decimal


@dataclass(frozen=True, slots=True)
class Shortfall:
    """What a purchase wants with its reserve, and what will be free at its time; rupees."""

    wanted: Decimal
    free: Decimal


def shortfalls(free: Decimal, buyings: Iterable[Buying], held: Sequence[Held] = ()) -> Mapping[int, Shortfall]:
    """The purchases that do not fit, by strategy. One that does not fit takes no money from those after it.

    `free` is what the account has free now, beside what `held` has taken. What is sold at the very instant of a BUY
    is not counted for it: the money comes a moment later.
    """
    ends = [(holding.sell_at, holding.needed) for holding in held]
    short: dict[int, Shortfall] = {}
    for buying in sorted(buyings, key=lambda one: (one.buy_at, one.strategy_id)):
        free += sum((amount for sell_at, amount in ends if sell_at < buying.buy_at), Decimal(0))
        ends = [end for end in ends if end[0] >= buying.buy_at]
        wanted = round_rupees(buying.needed * RESERVE)
        if wanted > free:
            short[buying.strategy_id] = Shortfall(wanted, max(free, Decimal(0)))
            continue
        free -= wanted
        ends.append((buying.sell_at, wanted))
    return short
