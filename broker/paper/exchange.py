"""The exchange as a whole: builds its parts, replays the ledger, and starts and stops them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from broker.paper.accounts.accounts import DEFAULT_USER_ID, Accounts, default_account
from broker.paper.accounts.ledger import Journal, RequestLog
from broker.paper.accounts.rate_limit import OrderRequestCaps
from broker.paper.base.clock import NANOSECONDS, ExchangeClock
from broker.paper.base.instruments import InstrumentList
from broker.paper.book.book import OrderBook
from broker.paper.faults.faults import FaultRegistry
from broker.paper.market.market import Market, Tick
from broker.paper.orders.instrument_rules import Rulebook
from broker.paper.orders.trading_session import TradingSession
from broker.paper.outside.session_boundaries import SessionBoundaries
from broker.paper.ticker.socket import TickerHub

if TYPE_CHECKING:
    from broker.paper.accounts.accounts import Account
    from broker.paper.base.clock import Cancellable
    from broker.paper.base.config import PaperConfig


class PaperExchange:
    """One paper exchange. Construct it, ``start`` it inside a running event loop, and ``stop`` it at the end."""

    def __init__(self, config: PaperConfig) -> None:
        self.config = config
        self.clock = ExchangeClock()
        self.journal = Journal(config.ledger_path)
        self.requests = RequestLog(self.journal)
        self.instruments = InstrumentList.load(config.instruments_path)
        self.accounts = Accounts(self.journal, self.clock, config.request_token_seconds)
        self.faults = FaultRegistry()
        self.rules = Rulebook()
        self.session = TradingSession(self.clock, self.instruments)
        self.session.settings.on = config.session
        self.session_boundaries = SessionBoundaries(self)
        self.started_ns = self.clock.now_ns()
        self.hub = TickerHub(config, self.clock, self.accounts, self.instruments, self.faults, tick_of=self._tick_of)
        may_trade = self.session.may_trade
        self.market = Market(
            config, self.clock, self.instruments, self.hub.publish, self._matched, self.rules, may_trade
        )
        self.book = OrderBook(
            config,
            self.clock,
            self.journal,
            self.instruments,
            self.market,
            self.hub.order_update,
            self.rules,
            self.session,
        )
        self._caps: dict[str, OrderRequestCaps] = {}
        self._out_until: float | None = None  # monotonic seconds
        self._heartbeat: Cancellable | None = None

    def start(self) -> list[tuple[str, dict[str, Any]]]:
        """Replay the ledger and begin to tick; the market settings found in the ledger are for the caller.

        A clock that was set in the ledger's time goes on from there, as if the process had never ended.
        """
        if self.config.clock_at is not None:
            self.clock.set(int(datetime.fromisoformat(self.config.clock_at).timestamp() * NANOSECONDS))
        if self.config.clock_factor != 1:
            self.clock.run_at(self.config.clock_factor)
        market_records = self._replay()
        if self.clock.is_set:
            self.journal.append_sooner_or_later("clock", self.clock.to_record())
        if self.accounts.get(DEFAULT_USER_ID) is None:
            self.open_account(default_account(self.config.starting_cash_paise))
        self.book.resume()
        self.market.start()
        self._beat()
        self.session_boundaries.sync()
        return market_records

    def set_clock(self, now_ns: int | None, factor: float | None) -> None:
        """Set the wall clock and its pace; what is ``None`` stays as it is."""
        if now_ns is not None:
            self.clock.set(now_ns)
        if factor is not None:
            self.clock.run_at(factor)
        self._clock_changed()

    def release_clock(self) -> None:
        """Go with the machine's clock again."""
        self.clock.release()
        self._clock_changed()

    def jump(self, seconds: float) -> None:
        """Let time pass at once: orders and the session go on through it, prices and heartbeats skip it."""
        self.market.stop()
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        self.clock.jump(seconds)
        self.market.skip(seconds)
        self._beat()
        self._clock_changed()

    def _clock_changed(self) -> None:
        self.session_boundaries.sync()
        self.journal.append_sooner_or_later("clock", self.clock.to_record())

    def stop(self) -> None:
        """Stop ticking and close the ledger."""
        self.market.stop()
        self.session_boundaries.stop()
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        self.journal.close()

    def open_account(self, account: Account) -> None:
        """Add an account and the shares it starts with."""
        self.accounts.add(account)
        self.book.open_account(account)

    def caps(self, user_id: str) -> OrderRequestCaps:
        """The order request caps of an account."""
        config = self.config
        return self._caps.setdefault(
            user_id,
            OrderRequestCaps(config.orders_per_second, config.orders_per_minute, config.orders_per_day),
        )

    @property
    def is_out(self) -> bool:
        """Whether the REST side is down at the moment."""
        return self._out_until is not None and self.clock.monotonic() < self._out_until

    def set_outage(self, seconds: float | None) -> None:
        """Take the REST side down for a while (``inf`` for good), or up again with ``None``."""
        self._out_until = None if seconds is None else self.clock.monotonic() + seconds

    def _replay(self) -> list[tuple[str, dict[str, Any]]]:
        market_records: list[tuple[str, dict[str, Any]]] = []
        for kind, record in self.journal.replay():
            match kind:
                case "account":
                    is_new = self.accounts.get(record["user_id"]) is None
                    account = self.accounts.restore(record)
                    if is_new:
                        self.book.open_account(account)
                case "order" | "trade" | "portfolio":
                    self.book.restore(kind, record)
                case "clock":
                    self.clock.restore(record)
                case "request":
                    self.requests.restore(record)
                case _:
                    market_records.append((kind, record))
        return market_records

    def _beat(self) -> None:
        self.hub.heartbeat()
        self._heartbeat = self.clock.call_later(self.config.heartbeat_seconds, self._beat)

    def _tick_of(self, token: int) -> Tick:
        return self.market.tick(token)

    def _matched(self, token: int) -> None:
        self.book.on_tick(token)
