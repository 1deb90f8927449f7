"""What those outside use of the exchange."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from broker.paper.accounts.accounts import Accounts
    from broker.paper.accounts.ledger import RequestLog
    from broker.paper.base.clock import ExchangeClock
    from broker.paper.base.instruments import InstrumentList
    from broker.paper.book.book import OrderBook
    from broker.paper.market.market import Market
    from broker.paper.orders.instrument_rules import Rulebook
    from broker.paper.orders.trading_session import TradingSession
    from broker.paper.ticker.socket import TickerHub


class Venue(Protocol):
    """`broker.paper.exchange.PaperExchange`, as far as it is used here."""

    accounts: Accounts
    book: OrderBook
    clock: ExchangeClock
    hub: TickerHub
    instruments: InstrumentList
    market: Market
    requests: RequestLog
    rules: Rulebook
    session: TradingSession
