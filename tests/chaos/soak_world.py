"""What goes on around the engine on the day of the soak: prices, locks, a lagging feed, and owners who trade by hand.

All of it is drawn from one seed; when it happens follows the session's clock, so a run is repeated only as far as the
machine is as fast. One thread does it all.
"""

import random
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

import httpx

from tests.kit.trader import Deployment, Trader

SYMBOLS = ("INFY", "TCS", "SBIN", "ITC", "HDFCBANK", "RELIANCE")
PRICE, OLDER, BAND = 1000.00, 200, 0.03
WIDE = {"lower_circuit_limit": 500.00, "upper_circuit_limit": 2000.00}
LOCKED_S, LAGS_S, LAG_S = 25.0, 25.0, 6.0
TICK = 0.05


@dataclass
class Account:
    """One owner and what he had as the day began."""

    trader: Trader
    holdings: dict[str, int]

    @property
    def user(self) -> str:
        """His id at the exchange."""
        return self.trader.account.user_id


@dataclass
class World:
    """Call `pass_time()` again and again."""

    deployment: Deployment
    accounts: list[Account]
    seed: int
    prices: dict[str, float] = field(default_factory=lambda: dict.fromkeys(SYMBOLS, PRICE))
    did: Counter[str] = field(default_factory=Counter)
    lagging: bool = False
    locked: dict[str, float] = field(default_factory=dict)
    """Until when a share has no buyers, by the monotonic clock."""
    _lags_until: float = 0.0
    _waiting: list[tuple[float, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for symbol in SYMBOLS:
            self.deployment.exchange.set_rules(f"NSE:{symbol}", **WIDE)
        self._random = random.Random(self.seed)  # noqa: S311 - a soak is no secret

    @property
    def session_now(self) -> datetime:
        """What time it is in the session."""
        return datetime.fromisoformat(self.deployment.exchange.session()["now"])

    def pass_time(self, *, trading: bool) -> None:
        """About a second of the market; with `trading`, owners and exceptions too."""
        now = time.monotonic()
        for symbol in SYMBOLS:
            if self.locked.get(symbol, 0.0) < now:
                self._move(symbol)
        self._unlock(now)
        if not trading:
            return
        draw = self._random.random()
        if draw < 0.30:
            self._trade_by_hand(self._random.choice(self.accounts), now)
        elif draw < 0.36 and len(self.locked) < 2:
            self._lock(self._random.choice(SYMBOLS), now)
        elif draw < 0.38 and not self.lagging:
            self._lag(now)

    def calm_down(self) -> None:
        """No locks, no lag, no orders of owners that wait."""
        self._unlock(float("inf"))

    # --- prices ---------------------------------------------------------------------------------------------------

    def _move(self, symbol: str) -> None:
        """A random walk that comes back, with a fall now and then that touches stops."""
        price = self.prices[symbol]
        pull = (PRICE - price) / PRICE * 0.05
        step = self._random.gauss(pull, 0.0012) - (0.012 if self._random.random() < 0.02 else 0.0)
        self._set(symbol, price * (1 + step))

    def _set(self, symbol: str, price: float) -> None:
        self.prices[symbol] = round(round(price / TICK) * TICK, 2)
        self.deployment.exchange.set_price(f"NSE:{symbol}", self.prices[symbol])

    def _lock(self, symbol: str, now: float) -> None:
        """The share falls to its lower circuit, where it has no buyer."""
        if symbol in self.locked:
            return
        lower = round(round(self.prices[symbol] * (1 - BAND) / TICK) * TICK, 2)
        limits = {"lower_circuit_limit": lower, "upper_circuit_limit": round(lower * 1.2, 0)}
        self.deployment.exchange.set_rules(f"NSE:{symbol}", **limits)
        self._set(symbol, lower)
        self.locked[symbol] = now + LOCKED_S
        self.did["shares locked at the lower circuit"] += 1

    def _lag(self, now: float) -> None:
        self.deployment.exchange.stamps(lag_seconds=LAG_S, quotes_too=True)
        self.lagging, self._lags_until = True, now + LAGS_S
        self.did["times the feed lagged"] += 1

    def _unlock(self, now: float) -> None:
        for symbol in [symbol for symbol, until in self.locked.items() if until < now]:
            del self.locked[symbol]
            self.deployment.exchange.set_rules(f"NSE:{symbol}", **WIDE)
            self._set(symbol, self.prices[symbol] * 1.002)
        if self.lagging and self._lags_until < now:
            self.lagging = False
            self.deployment.exchange.stamps(lag_seconds=0)
        for until, order_id in [waits for waits in self._waiting if waits[0] < now]:
            self._waiting.remove((until, order_id))
            self._by_hand("cancelled his own waiting order", partial(self._cancel, order_id))

    # --- owners ---------------------------------------------------------------------------------------------------

    def _trade_by_hand(self, account: Account, now: float) -> None:
        owned = self._owned(account)
        alive = self._alive(account)
        draw = self._random.random()
        if alive and draw < 0.35:
            self._edit(self._random.choice(alive))
        elif owned and draw < 0.75:
            (symbol, product), quantity = self._random.choice(owned)
            some = quantity if self._random.random() < 0.3 else self._random.randint(1, min(quantity, 10))
            self._order(account, "sold by hand", symbol, "SELL", some, product)
        elif owned and draw < 0.85:
            (symbol, product), quantity = self._random.choice(owned)
            price = round(self.prices[symbol] * 1.02, 1)
            some = self._random.randint(1, min(quantity, 5))
            waits = {"order_type": "LIMIT", "price": price}
            order_id = self._order(account, "let a sell order wait", symbol, "SELL", some, product, **waits)
            if order_id:
                self._waiting.append((now + 15, order_id))
        else:
            symbol, product = self._random.choice(SYMBOLS), self._random.choice(("MIS", "CNC"))
            self._order(account, "bought by hand", symbol, "BUY", self._random.randint(1, 10), product)

    def _owned(self, account: Account) -> list[tuple[tuple[str, str], int]]:
        rows = self.deployment.exchange.over_time(account.user)
        return [(key, row["net_quantity"]) for key, row in sorted(rows.items()) if row["net_quantity"] > 0]

    def _alive(self, account: Account) -> list[dict[str, Any]]:
        """Orders of ours that he can change in the app."""
        ledger = self.deployment.exchange.ledger(user_id=account.user)["accounts"][account.user]
        return [order for order in ledger["orders"] if order["tag"] and order["status"] == "OPEN"]

    def _edit(self, order: dict[str, Any]) -> None:
        exchange, order_id = self.deployment.exchange, order["order_id"]
        left = order["quantity"] - order["filled_quantity"]
        match self._random.choice(("cancel", "reduce", "price")):
            case "reduce" if left > 1:
                quantity = order["filled_quantity"] + left // 2
                self._by_hand("reduced an order of ours", lambda: exchange.edit_order(order_id, quantity=quantity))
            case "price":
                limit = {"order_type": "LIMIT", "price": round(self.prices[order["tradingsymbol"]] * 1.01, 1)}
                self._by_hand("re-priced an order of ours", lambda: exchange.edit_order(order_id, **limit))
            case _:
                self._by_hand("cancelled an order of ours", lambda: exchange.cancel_by_hand(order_id))

    def _order(
        self, account: Account, what: str, symbol: str, side: str, quantity: int, product: str, **more: Any
    ) -> str | None:
        terms = {"tradingsymbol": symbol, "transaction_type": side, "quantity": quantity, "product": product, **more}
        placed: str | None = self._by_hand(what, lambda: self.deployment.exchange.foreign_order(account.user, **terms))
        return placed

    def _cancel(self, order_id: str) -> None:
        self.deployment.exchange.cancel_by_hand(order_id)

    def _by_hand(self, what: str, work: Any) -> Any:
        """The exchange may refuse it, as it refuses anybody."""
        try:
            done = work()
        except (AssertionError, httpx.TimeoutException):
            self.did["refused to an owner"] += 1
            return None
        self.did[what] += 1
        return done
