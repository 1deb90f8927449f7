"""Whether an account can afford an order: the margin and holding checks that come before the order book."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Protocol

from broker.paper.accounts.portfolio import required_margin
from broker.paper.base.errors import holding_error, margin_error, tpin_error
from broker.paper.orders import order_form

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broker.paper.accounts.accounts import Account
    from broker.paper.accounts.portfolio import Portfolio
    from broker.paper.base.config import PaperConfig
    from broker.paper.base.instruments import InstrumentList
    from broker.paper.orders.order import Order, OrderTerms


class PriceBoard(Protocol):
    """What the order book needs of the market; amounts in paise and shares."""

    def last_paise(self, token: int, /) -> int:
        """Last price."""

    def liquidity(self, token: int, /) -> int | None:
        """Shares that can still trade before the next tick; ``None`` is no limit."""

    def take_liquidity(self, token: int, quantity: int, /) -> None:
        """Use up some of it."""


class Funds:
    """Money and shares an account has free, with its live orders taken into account; paise."""

    def __init__(self, config: PaperConfig, instruments: InstrumentList, prices: PriceBoard) -> None:
        self._config = config
        self._instruments = instruments
        self._prices = prices

    def available(self, account: Account, portfolio: Portfolio, live: Sequence[Order]) -> int:
        """Cash and closed profits, less open positions and live orders."""
        blocked = portfolio.blocked_margin(self._config.intraday_margin_percent)
        blocked += sum(self._needed(order.terms, portfolio, order.remaining) for order in live)
        return account.cash_paise + portfolio.cash_change() - blocked

    def check(self, account: Account, terms: OrderTerms, portfolio: Portfolio, live: Sequence[Order]) -> None:
        """Raise Kite's margin or holding error when the order cannot be afforded."""
        if terms.product == "CNC" and not terms.is_buy:
            _check_holdings(account, terms, portfolio, live)
            return
        needed = self._needed(terms, portfolio, terms.quantity)
        # An order that only closes a position needs nothing, and passes even when the account is in debt.
        available = self.available(account, portfolio, live) if needed else 0
        if needed > available:
            raise margin_error(needed / 100, available / 100)

    def needed(self, terms: OrderTerms, portfolio: Portfolio) -> int:
        """Margin that an order would need; nothing for a sale of shares that the account has."""
        return self._needed(terms, portfolio, terms.quantity)

    def _needed(self, terms: OrderTerms, portfolio: Portfolio, quantity: int) -> int:
        net = portfolio.position_quantity(terms.exchange, terms.symbol, terms.product)
        instrument = order_form.tradable(terms.key, self._instruments)
        price = terms.price_paise or max(self._prices.last_paise(instrument.token), 0)
        remaining = dataclasses.replace(terms, quantity=quantity)
        return required_margin(remaining, price, net, self._config.intraday_margin_percent)


def _check_holdings(account: Account, terms: OrderTerms, portfolio: Portfolio, live: Sequence[Order]) -> None:
    selling = sum(
        order.remaining
        for order in live
        if (order.terms.key, order.terms.product, order.terms.is_buy) == (terms.key, "CNC", False)
    )
    available = portfolio.sellable_delivery(terms.exchange, terms.symbol) - selling
    if terms.quantity > available:
        raise holding_error(terms.quantity, max(available, 0))
    authorised = portfolio.authorised_delivery(terms.exchange, terms.symbol) - selling
    if account.tpin_required and terms.quantity > authorised:
        raise tpin_error(terms.quantity, max(authorised, 0))
