"""The exchange's and the broker's rules for single instruments: price bands, buyers, freeze quantities, products.

Nothing is ruled until a rule is set. Quoted texts are Kite's where they are known; of the freeze quantity and of a
blocked product only the sense is known.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from broker.paper.base.amounts import rupees_of
from broker.paper.base.errors import input_error
from broker.paper.orders import order_form

if TYPE_CHECKING:
    from broker.paper.base.errors import KiteError
    from broker.paper.base.instruments import Instrument
    from broker.paper.orders.order import OrderTerms

OutsideBand = Literal["clip", "reject"]

# NSE/CM/57613: how far the limit of a stop order may lie from its trigger.
STOP_RANGE_PERCENT = 3
STOP_RANGE_FLAT_PAISE = 1_50
STOP_RANGE_FLAT_UP_TO_PAISE = 50_00
OUT_OF_BAND = "RMS:Rule: Check circuit limit including square off order exceeds"


@dataclass(kw_only=True)
class InstrumentRules:
    """What holds for one instrument; paise and shares.

    ``band`` is (lower, upper) circuit limit; ``band_percent`` says that it was given as a share of the previous close.
    ``buyers`` and ``sellers``: shares that others take or offer per tick; ``None`` is no limit, except that a price
    at its lower circuit has no buyers and one at its upper circuit no sellers. ``outside_band``: what happens to a
    protected market order whose protection price lies outside.
    """

    band: tuple[int, int] | None = None
    band_percent: float | None = None
    buyers: int | None = None
    sellers: int | None = None
    freeze_quantity: int | None = None
    mis_blocked: bool = False
    outside_band: OutsideBand = "clip"
    buyers_left: int | None = field(default=None)
    sellers_left: int | None = field(default=None)

    def percent_band(self, percent: float, close_paise: int, tick_paise: int) -> None:
        """Set the band as a share of the previous close, on the tick grid inside it."""
        offset = int(close_paise * percent / 100)
        lower, upper = close_paise - offset, close_paise + offset
        self.band_percent = percent
        self.band = (max(lower + -lower % tick_paise, tick_paise), upper - upper % tick_paise)

    def clip(self, price_paise: int) -> int:
        """The nearest price inside the band."""
        if self.band is None:
            return price_paise
        return min(max(price_paise, self.band[0]), self.band[1])

    def takers(self, last_paise: int, *, is_buy: bool) -> int | None:
        """Shares per tick on the other side of a buy or a sell at this price; ``None`` is no limit."""
        given = self.sellers if is_buy else self.buyers
        if given is not None or self.band is None:
            return given
        locked = last_paise >= self.band[1] if is_buy else last_paise <= self.band[0]
        return 0 if locked else None


class Rulebook:
    """The rules of all instruments."""

    def __init__(self) -> None:
        self._rules: dict[int, InstrumentRules] = {}

    def of(self, token: int) -> InstrumentRules:
        """The rules of an instrument, to read and to set."""
        return self._rules.setdefault(token, InstrumentRules())

    def freeze_quantities(self) -> dict[int, int]:
        """The freeze quantities that are ruled, by token."""
        return {token: rules.freeze_quantity for token, rules in self._rules.items() if rules.freeze_quantity}

    def refill(self, token: int, last_paise: int) -> None:
        """A new tick: others come to buy and to sell once more."""
        rules = self._rules.get(token)
        if rules is not None:
            rules.buyers_left = rules.takers(last_paise, is_buy=False)
            rules.sellers_left = rules.takers(last_paise, is_buy=True)

    def available(self, token: int, last_paise: int, *, is_buy: bool) -> int | None:
        """Shares that the other side still gives before the next tick; ``None`` is no limit."""
        rules = self._rules.get(token)
        if rules is None:
            return None
        takers = rules.takers(last_paise, is_buy=is_buy)
        left = rules.sellers_left if is_buy else rules.buyers_left
        return takers if takers is None or left is None else min(takers, left)

    def take(self, token: int, quantity: int, *, is_buy: bool) -> None:
        """Use up some of it."""
        rules = self._rules.get(token)
        if rules is None:
            return
        if is_buy and rules.sellers_left is not None:
            rules.sellers_left -= quantity
        if not is_buy and rules.buyers_left is not None:
            rules.buyers_left -= quantity

    def check_product(self, terms: OrderTerms, instrument: Instrument) -> None:
        """Refuse an order that opens or widens a position in a product that is blocked today."""
        if terms.product == "MIS" and self.of(instrument.token).mis_blocked:
            raise input_error(f"MIS orders are blocked for {instrument.symbol} today. Try another product.")

    def check(self, terms: OrderTerms, instrument: Instrument, last_paise: int) -> None:
        """Refuse what the broker does not pass on: circuit limits, freeze quantity, odd stops."""
        rules = self.of(instrument.token)
        if rules.freeze_quantity is not None and terms.quantity > rules.freeze_quantity:
            raise input_error(
                f"Quantity {terms.quantity} exceeds the freeze quantity of {rules.freeze_quantity} for "
                f"{instrument.symbol}. Place several smaller orders."
            )
        if terms.order_type in order_form.TRIGGERED:
            _check_stop(terms, instrument, last_paise)
        if rules.band is not None:
            for name, price in _asked_prices(terms):
                _check_band(name, price, rules.band)

    def check_protected(self, token: int, price_paise: int) -> int | None:
        """The limit that a protected order gets: its protection price, or the circuit limit when that lies nearer.

        ``None`` when the instrument's rule is to reject such an order.
        """
        rules = self._rules.get(token)
        if rules is None:
            return price_paise
        clipped = rules.clip(price_paise)
        return None if clipped != price_paise and rules.outside_band == "reject" else clipped


def _asked_prices(terms: OrderTerms) -> list[tuple[str, int]]:
    prices = [("price", terms.price_paise)] if terms.order_type in order_form.PRICED else []
    return [*prices, ("trigger price", terms.trigger_paise)] if terms.order_type in order_form.TRIGGERED else prices


def _check_band(name: str, paise: int, band: tuple[int, int]) -> None:
    if paise < band[0]:
        raise _circuit_error(name, "lower", band[0])
    if paise > band[1]:
        raise _circuit_error(name, "higher", band[1])


def _circuit_error(name: str, side: str, limit_paise: int) -> KiteError:
    circuit = "lower" if side == "lower" else "upper"
    return input_error(
        f"Your order {name} is {side} than the current {circuit} circuit limit of {rupees_of(limit_paise)}. "
        "Place an order within the daily range or use GTT for long standing orders."
    )


def _check_stop(terms: OrderTerms, instrument: Instrument, last_paise: int) -> None:
    if terms.order_type == "SL-M" and instrument.exchange == "BSE":
        raise input_error("SL-M orders are not allowed on BSE. Place an SL order with a price instead.")
    # Without a good print there is nothing to compare with.
    if last_paise > 0:
        if terms.is_buy and terms.trigger_paise <= last_paise:
            raise input_error("Trigger price for stoploss buy orders should be higher than the last traded price.")
        if not terms.is_buy and terms.trigger_paise >= last_paise:
            raise input_error("Trigger price for stoploss sell orders should be lower than the last traded price.")
    if terms.order_type != "SL":
        return
    gap = terms.price_paise - terms.trigger_paise if terms.is_buy else terms.trigger_paise - terms.price_paise
    if gap < 0:
        rule = "buy orders should be lower" if terms.is_buy else "sell orders should be higher"
        raise input_error(f"Trigger price for stoploss {rule} than the order price.")
    flat = terms.trigger_paise <= STOP_RANGE_FLAT_UP_TO_PAISE
    allowed = STOP_RANGE_FLAT_PAISE if flat else terms.trigger_paise * STOP_RANGE_PERCENT // 100
    if gap > allowed:
        raise input_error(
            f"The difference between the price and the trigger price is beyond the permissible range of "
            f"{rupees_of(allowed):.2f}."
        )
