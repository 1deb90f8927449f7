"""Positions, holdings and money of the accounts: a fold over their trades. Pure; all money in paise."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from broker.paper.base.clock import ist_date

if TYPE_CHECKING:
    from broker.paper.orders.order import OrderTerms, Trade

PositionKey = tuple[str, str, str]  # exchange, symbol, product


@dataclass
class Position:
    """The net position in one (exchange, symbol, product); quantity is signed.

    What was carried over from earlier days stands beside today's buys and sells, as Kite shows it.
    """

    exchange: str
    symbol: str
    product: str
    instrument_token: int
    overnight_quantity: int = 0
    overnight_value: int = 0  # cost of the carried shares, signed like the quantity
    day_buy_quantity: int = 0
    day_buy_value: int = 0
    day_sell_quantity: int = 0
    day_sell_value: int = 0

    def apply(self, trade: Trade) -> None:
        """Add one fill."""
        value = trade.quantity * trade.price_paise
        if trade.transaction_type == "BUY":
            self.day_buy_quantity += trade.quantity
            self.day_buy_value += value
        else:
            self.day_sell_quantity += trade.quantity
            self.day_sell_value += value

    @property
    def quantity(self) -> int:
        """Shares held (positive) or owed (negative)."""
        return self.overnight_quantity + self.day_buy_quantity - self.day_sell_quantity

    @property
    def buy_quantity(self) -> int:
        """Shares bought, carried ones included."""
        return self.day_buy_quantity + max(self.overnight_quantity, 0)

    @property
    def buy_value(self) -> int:
        """Paid for them."""
        return self.day_buy_value + max(self.overnight_value, 0)

    @property
    def sell_quantity(self) -> int:
        """Shares sold, a carried short included."""
        return self.day_sell_quantity + max(-self.overnight_quantity, 0)

    @property
    def sell_value(self) -> int:
        """Received for them."""
        return self.day_sell_value + max(-self.overnight_value, 0)

    @property
    def open_value(self) -> int:
        """Cost of what is open, signed: quantity times the average price of the open side."""
        if self.quantity > 0:
            return round(self.quantity * self.buy_value / self.buy_quantity)
        if self.quantity < 0:
            return round(self.quantity * self.sell_value / self.sell_quantity)
        return 0

    @property
    def realised(self) -> int:
        """Profit of the closed part."""
        return self.sell_value - self.buy_value + self.open_value

    def pnl(self, last_paise: int) -> int:
        """Profit in all, the open part at the last price."""
        return self.sell_value - self.buy_value + self.quantity * last_paise

    def day_part(self) -> Position:
        """Today's buys and sells alone."""
        return replace(self, overnight_quantity=0, overnight_value=0)

    def carry_over(self) -> None:
        """Begin a new day: what is open becomes the overnight part."""
        quantity, value = self.quantity, self.open_value
        self.day_buy_quantity = self.day_buy_value = self.day_sell_quantity = self.day_sell_value = 0
        self.overnight_quantity, self.overnight_value = quantity, value


@dataclass
class Holding:
    """Shares in the demat account, from CNC buys of earlier days; ``value`` is what they cost.

    ``quantity`` is what the day began with: it does not move before the day ends. Of it, ``t1_quantity`` is not
    delivered yet and can be sold, ``collateral_quantity`` is pledged and cannot; ``authorised_quantity`` is what an
    account that needs authorisations may sell today.
    """

    exchange: str
    symbol: str
    instrument_token: int
    quantity: int = 0
    value: int = 0
    t1_quantity: int = 0
    collateral_quantity: int = 0
    authorised_quantity: int = 0


@dataclass
class Portfolio:
    """One account's positions and holdings, folded from its trades in order."""

    positions: dict[PositionKey, Position] = field(default_factory=dict)
    holdings: dict[tuple[str, str], Holding] = field(default_factory=dict)
    settled: int = 0  # money from earlier days: closed profits and paid deliveries
    day: str = ""

    def apply(self, trade: Trade) -> None:
        """Add one fill to its position."""
        self.roll(ist_date(trade.filled_ns))
        key = (trade.exchange, trade.symbol, trade.product)
        position = self.positions.get(key)
        if position is None:
            position = Position(*key, instrument_token=trade.instrument_token)
            self.positions[key] = position
        position.apply(trade)

    def roll(self, day: str) -> None:
        """Begin the trading day ``day`` unless it already began: deliveries settle, the rest is carried over."""
        if day <= self.day:
            return
        self.day = day
        for holding in self.holdings.values():
            # Yesterday's deliveries have arrived, and an authorisation is good for one day.
            holding.t1_quantity = holding.authorised_quantity = 0
        for key, position in list(self.positions.items()):
            if position.product == "CNC":
                self._deliver(position)
                del self.positions[key]
                continue
            self.settled += position.realised
            position.carry_over()
            if not position.quantity:
                del self.positions[key]

    def _deliver(self, position: Position) -> None:
        holding = self.add_holding(position.exchange, position.symbol, position.instrument_token, 0, 0)
        self.settled += position.sell_value - position.buy_value
        average = holding.value / holding.quantity if holding.quantity else 0
        holding.quantity += position.quantity
        holding.value += position.open_value if position.quantity > 0 else round(position.quantity * average)

    def add_holding(self, exchange: str, symbol: str, token: int, quantity: int, value: int) -> Holding:
        """Put shares into the demat account, as an account that is opened with some needs it."""
        holding = self.holdings.setdefault((exchange, symbol), Holding(exchange, symbol, token))
        holding.quantity += quantity
        holding.value += value
        return holding

    def position_quantity(self, exchange: str, symbol: str, product: str) -> int:
        """Signed quantity of one position; 0 when there is none."""
        position = self.positions.get((exchange, symbol, product))
        return position.quantity if position else 0

    def widens(self, terms: OrderTerms) -> bool:
        """Whether an order would open or widen a position, and not only close one."""
        net = self.position_quantity(*terms.position_key)
        signed = terms.quantity if terms.is_buy else -terms.quantity
        return abs(net + signed) > abs(net)

    def sellable_delivery(self, exchange: str, symbol: str) -> int:
        """Shares a CNC sell may sell: holdings that are not pledged, and what was bought today."""
        holding = self.holdings.get((exchange, symbol))
        held = holding.quantity - holding.collateral_quantity if holding else 0
        return held + self.position_quantity(exchange, symbol, "CNC")

    def authorised_delivery(self, exchange: str, symbol: str) -> int:
        """Shares that a CNC sell may sell without a further authorisation: today's, and the authorised ones."""
        holding = self.holdings.get((exchange, symbol))
        authorised = holding.authorised_quantity if holding else 0
        return authorised + self.position_quantity(exchange, symbol, "CNC")

    def used_quantity(self, exchange: str, symbol: str) -> int:
        """Shares sold out of the holdings today: what was sold beyond what was bought."""
        return max(-self.position_quantity(exchange, symbol, "CNC"), 0)

    def blocked_margin(self, intraday_percent: int) -> int:
        """Margin that the open intraday and derivative positions need."""
        exposed = sum(abs(p.open_value) for p in self.positions.values() if p.product != "CNC")
        return exposed * intraday_percent // 100

    def cash_change(self) -> int:
        """Money gained or spent so far: closed profits, and today's deliveries in full."""
        today = sum(p.sell_value - p.buy_value if p.product == "CNC" else p.realised for p in self.positions.values())
        return self.settled + today


def required_margin(terms: OrderTerms, price_paise: int, net_quantity: int, intraday_percent: int) -> int:
    """Margin an order needs: for the shares by which it widens the position, nothing where it closes one."""
    signed = terms.quantity if terms.is_buy else -terms.quantity
    widened = max(abs(net_quantity + signed) - abs(net_quantity), 0)
    if terms.product == "CNC":
        return terms.quantity * price_paise if terms.is_buy else 0
    return widened * price_paise * intraday_percent // 100
