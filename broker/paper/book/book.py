"""The order book: what clients ask of it, and what they may see of it."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from broker.paper.accounts import judge
from broker.paper.accounts.funds import Funds
from broker.paper.accounts.portfolio import Holding
from broker.paper.accounts.records import Records
from broker.paper.base.clock import ist_date
from broker.paper.base.errors import input_error, order_error, too_many_requests, unknown_order
from broker.paper.book.matcher import Matcher
from broker.paper.book.order_statuses import Walk
from broker.paper.orders import order_form
from broker.paper.orders.instrument_rules import Rulebook
from broker.paper.orders.order import API, NO_EFFECTS, RESTING, Order, OrderEffects, OrderStatus, OrderTerms, Trade
from broker.paper.orders.trading_session import TradingSession

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from broker.paper.accounts.accounts import Account
    from broker.paper.accounts.funds import PriceBoard
    from broker.paper.accounts.ledger import Journal
    from broker.paper.accounts.portfolio import Portfolio, Position
    from broker.paper.base.clock import Clock
    from broker.paper.base.config import PaperConfig
    from broker.paper.base.instruments import InstrumentList

IN_TRANSIT = "Order cannot be {} as it is being processed. Try later."


class OrderBook:
    """Orders, trades and portfolios of all accounts. Single-threaded: call it from one event loop only.

    Guarantee: an order id is returned only after the order is in the journal, so an acknowledged order is never
    lost by a restart; ``resume`` takes up every order where the journal left it.
    """

    def __init__(
        self,
        config: PaperConfig,
        clock: Clock,
        journal: Journal,
        instruments: InstrumentList,
        prices: PriceBoard,
        on_update: Callable[[str, dict[str, Any]], None],
        rules: Rulebook | None = None,
        session: TradingSession | None = None,
    ) -> None:
        self._config = config
        self._clock = clock
        self._instruments = instruments
        self._prices = prices
        self._rules = rules or Rulebook()
        self._session = session or TradingSession(clock, instruments)
        self._funds = Funds(config, instruments, prices)
        self._records = Records(clock, journal, on_update)
        self._matcher = Matcher(self._records, clock, instruments, prices, self._rules, self._session.may_trade)
        self._walk = Walk(config, clock, self._records, self._matcher, self._session.closed_reason)

    # -- reading -------------------------------------------------------------------------------------------

    def orders(self, user_id: str, *, hidden_too: bool = False) -> list[Order]:
        """Today's orders of an account and those still live, oldest first.

        The book resets every trading day. Orders under a late-visibility fault appear when their time has come;
        the control API asks for ``hidden_too``, and gets those of all days.
        """
        now = self._clock.now_ns()
        today = ist_date(now)
        return [
            order
            for order in self._records.by_user[user_id]
            if hidden_too
            or (order.visible_from_ns <= now and (not order.is_terminal or ist_date(order.placed_ns) == today))
        ]

    def order(self, user_id: str, order_id: str) -> Order:
        """One visible order of the account; 404 otherwise."""
        order = self._records.orders.get(order_id)
        if order is None or order.user_id != user_id or order.visible_from_ns > self._clock.now_ns():
            raise unknown_order()
        return order

    def find(self, order_id: str) -> Order | None:
        """Any order, hidden or not."""
        return self._records.orders.get(order_id)

    def trades(self, user_id: str, *, earlier_too: bool = False) -> list[Trade]:
        """Today's fills of an account, oldest first."""
        today = ist_date(self._clock.now_ns())
        return [t for t in self._records.trades[user_id] if earlier_too or ist_date(t.filled_ns) == today]

    def portfolio(self, user_id: str) -> Portfolio:
        """The account's positions and holdings as of today."""
        return self._records.portfolio(user_id)

    def positions_over_time(self, user_id: str) -> list[dict[str, Any]]:
        """The judge's rows of everything the account ever traded or held."""
        return judge.positions_over_time(self._records.events[user_id], self._records.orders)

    def available_margin(self, account: Account) -> int:
        """Money free for new orders, in paise."""
        live = self._records.working(account.user_id)
        return self._funds.available(account, self.portfolio(account.user_id), live)

    def margin_of(self, account: Account, terms: OrderTerms) -> int:
        """Margin that an order would need now, in paise; nothing is placed."""
        return self._funds.needed(terms, self.portfolio(account.user_id))

    def working(self, user_id: str) -> list[Order]:
        """Orders of an account to which something can still happen, oldest first."""
        return self._records.working(user_id)

    def resting(self, token: int) -> list[Order]:
        """Orders of an instrument that wait for the market, in the order of the queue."""
        return self._matcher.resting(token)

    # -- requests ------------------------------------------------------------------------------------------

    def place(
        self, account: Account, terms: OrderTerms, effects: OrderEffects = NO_EFFECTS, source: str = API
    ) -> Order:
        """Accept an order that passed the form checks, or refuse it by a rule or for lack of money or shares."""
        instrument = order_form.tradable(terms.key, self._instruments)
        portfolio = self.portfolio(account.user_id)
        self._rules.check(terms, instrument, self._prices.last_paise(instrument.token))
        self._session.check_variety(terms)
        # What only closes a position is no fresh order, and passes.
        if portfolio.widens(terms):
            self._rules.check_product(terms, instrument)
            self._session.check_cutoff(terms, instrument)
        self._funds.check(account, terms, portfolio, self._records.working(account.user_id))
        now = self._clock.now_ns()
        order = Order(
            order_id=str(self._records.next_id()),
            user_id=account.user_id,
            instrument_token=instrument.token,
            placed_ns=now,
            updated_ns=now,
            guid=secrets.token_hex(9),
            terms=terms,
            effects=effects,
            source=source,
            fill_cap=effects.fill_cap,
        )
        order.remember()
        self._records.admit(order)
        self._walk.go_on(order, effects.stalled_seconds)
        return order

    def modify(self, account: Account, order_id: str, form: Mapping[str, str]) -> Order:
        """Begin to change a resting order; the new terms hold once it is MODIFIED.

        A quantity reduced to exactly what has filled completes the order with that quantity.
        """
        order = self._resting_order(account, order_id, "modified")
        if order.modifications >= self._config.max_modifications:
            raise too_many_requests("Maximum allowed order modifications exceeded.")
        instrument = order_form.tradable(order.terms.key, self._instruments)
        changed = order_form.read_changes(order.terms, form, instrument)
        if changed.quantity < order.filled_quantity:
            raise input_error("Invalid `quantity`. It should not be less than the filled quantity.")
        self._rules.check(
            order_form.as_resting(changed, triggered=order.triggered),
            instrument,
            self._prices.last_paise(instrument.token),
        )
        order.pending_terms = changed
        order.modifications += 1
        self._matcher.unrest(order)
        self._records.advance(order, OrderStatus.MODIFY_VALIDATION_PENDING)
        self._walk.go_on(order)
        return order

    def cancel(self, account: Account, order_id: str) -> Order:
        """Begin to cancel a resting order; what it filled so far stays filled."""
        order = self._resting_order(account, order_id, "cancelled")
        self._matcher.unrest(order)
        self._records.advance(order, OrderStatus.CANCEL_PENDING)
        self._walk.go_on(order)
        return order

    def cancel_by_exchange(self, order: Order, message: str | None = None) -> None:
        """End a live order from the other side, as exchanges do for price bands and square-offs."""
        if message is None:
            self._matcher.cancel_by_exchange(order)
        else:
            self._matcher.cancel_by_exchange(order, message)

    def on_tick(self, token: int) -> None:
        """A new price: wake and fill what it reaches, first come first served."""
        self._matcher.on_tick(token)

    def auction(self, token: int, price_paise: int) -> None:
        """Match an instrument's collected orders at one price, first come first served."""
        self._matcher.auction(token, price_paise)

    # -- set from outside, and replay ----------------------------------------------------------------------

    def open_account(self, account: Account) -> None:
        """Put the shares an account starts with into its demat account, at their reference price."""
        for key, quantity in account.holdings.items():
            instrument = order_form.tradable(key, self._instruments)
            value = quantity * instrument.reference_paise
            holding = Holding(instrument.exchange, instrument.symbol, instrument.token, quantity, value)
            self._records.add_holding(account.user_id, holding)

    def set_holdings(self, user_id: str, holdings: Iterable[Holding]) -> None:
        """Let an account hold exactly these shares, as if it had held them when the day began."""
        self._records.set_holdings(user_id, holdings)

    def set_positions(self, user_id: str, positions: Iterable[Position]) -> None:
        """Let an account have exactly these positions."""
        self._records.set_positions(user_id, positions)

    def restore(self, kind: str, record: dict[str, Any]) -> None:
        """Take one fact of the kinds order, trade and portfolio back from the journal."""
        match kind:
            case "order":
                self.restore_order(record["order"], record["row"])
            case "trade":
                self.restore_trade(record)
            case _:
                self._records.restore_portfolio(record)

    def restore_order(self, record: dict[str, Any], row: dict[str, Any]) -> None:
        """Take one state of an order, and the snapshot it added, back from the journal."""
        self._records.restore_order(record, row)

    def restore_trade(self, record: dict[str, Any]) -> None:
        """Take one fill back from the journal."""
        self._records.restore_trade(record)

    def resume(self) -> None:
        """After a replay: let every live order go on from where it stood."""
        for order in list(self._records.orders.values()):
            self._walk.resume(order)

    def _resting_order(self, account: Account, order_id: str, verb: str) -> Order:
        order = self.order(account.user_id, order_id)
        if order.status not in RESTING:
            # One generic text, also for an order that has executed already.
            raise order_error(IN_TRANSIT.format(verb))
        return order
