"""One case as one run of one strategy of a trader of its own: START, the entry, the exit, the end."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from actors import failpoints
from tests.chaos.catalogue import Action, Case
from tests.kit.paper import eventually
from tests.kit.trader import FAR_STOP, Deployment, Running, Trader

QUANTITY = 10
BUY_IN_S, BUY_IN_KILLS_S = 9.0, 16.0
"""From START to the entry: what START costs with others under way, and the time to arm faults."""

BOUGHT_WITHIN_S = 75.0
ENDS_WITHIN_S = 120.0
SELL_AFTER_S, SELL_AFTER_KILLS_S = 9.0, 25.0
"""A case that sells at its time does so this long after its buy time; others' kills may hold the buy up."""


class NotTried(Exception):
    """The case did not happen as it was meant to; nothing is proven by this case."""


@dataclass(frozen=True)
class Market:
    """Where a case trades: its price, its stop-loss, and the price that touches it, in rupees."""

    symbol: str
    price: float
    stop_loss: float
    fallen: float


QUIET = Market("TCS", 3120.00, FAR_STOP, FAR_STOP)
"""For cases that do not wait for a fall; no case moves its price."""

FALLING = (Market("SBIN", 800.00, 790.00, 789.00), Market("ITC", 400.00, 395.00, 394.00))
"""A case that is stopped out has one of these to itself."""


@dataclass
class CaseRun:
    """One run of a case. `run` is for a thread of its own; it raises `NotTried` or AssertionError."""

    case: Case
    deployment: Deployment
    failpoints_dir: Path
    market: Market = QUIET
    starting: AbstractContextManager[Any] = field(default_factory=nullcontext)
    trader: Trader = field(init=False)
    strategy: Running = field(init=False)
    ended: bool = False
    _armed: list[tuple[int, bool]] = field(default_factory=list)
    _failpoint: Path | None = None

    def run(self) -> None:
        """Run it to its end."""
        self._start()
        if self.case.action is Action.BUY:
            self._prepare()
            self._await_entry()
            if not self._has_ended():
                self._ask_to_stop()
        else:
            self._await_entry()
            if self._has_ended():
                raise NotTried(f"nothing was bought: {self.strategy.logged()}")
            self._exit()
        eventually(self._has_ended, ENDS_WITHIN_S, "the end of the run")
        self.ended = True
        self._check_that_it_was_tried()

    def abandon(self) -> None:
        """The case did not come about: end its run all the same."""
        if hasattr(self, "strategy"):
            self._ask_to_stop()
            eventually(self._has_ended, ENDS_WITHIN_S, "the end of an abandoned run")
            self.ended = True

    def _start(self) -> None:
        self.deployment.exchange.set_price(f"NSE:{self.market.symbol}", self.market.price)
        self.trader = self.deployment.trader()
        calm = self.case.failpoint is None
        buy_in, sell_after = (BUY_IN_S, SELL_AFTER_S) if calm else (BUY_IN_KILLS_S, SELL_AFTER_KILLS_S)
        with self.starting:
            self.strategy = self.trader.strategy(
                self.market.symbol,
                buy_in=buy_in,
                sell_in=buy_in + sell_after if self.case.action is Action.SELL else 1800,
                stop_loss=self.market.stop_loss if self.case.action is Action.STOPLOSS else FAR_STOP,
                quantity=QUANTITY,
            )
        buy_at = datetime.fromisoformat(self.strategy.started["buy_at"])
        if self.deployment.now() >= buy_at:
            raise NotTried("START came back after the buy time")

    def _await_entry(self) -> None:
        """Until the position is there, or the run is over without one."""
        eventually(lambda: self._position() == "bought" or self._has_ended(), BOUGHT_WITHIN_S, "the entry")

    def _exit(self) -> None:
        action, setting = self.case.action, self.case.fault.setting if self.case.fault else ""
        late = action is Action.SELL and self.deployment.now() >= self.strategy.sell_at
        if late:
            raise NotTried("bought after the sell time")
        self._prepare()
        if setting in {"hand", "square-off"}:
            return  # it must end by itself
        match action:
            case Action.STOPLOSS:
                self.strategy.set_price(self.market.fallen)
            case Action.STOP:
                self._ask_to_stop()
        if setting == "expire":
            self._reconnect()

    def _prepare(self) -> None:
        """Arm the faults and the failpoint, and do what the broker or the trader does."""
        for kind, fields in self.case.fault.parts if self.case.fault else ():
            self._arm(kind, dict(fields))
        self._happen(self.case.fault.setting if self.case.fault else "")
        if self.case.failpoint is not None:
            self._failpoint = failpoints.arm(self.failpoints_dir, self.case.failpoint, self.strategy.id)

    def _arm(self, kind: str, fields: dict[str, Any]) -> None:
        match: dict[str, Any] = {"user_id": self.trader.account.user_id}
        if "method" in fields:
            match["method"] = fields.pop("method")
        if kind not in _OF_THE_ACCOUNT:
            match["transaction_type"] = self.case.action.side
        armed = self.deployment.exchange.fault(kind, match, **fields)
        self._armed.append((int(armed["fault_id"]), int(fields.get("times", 1)) == 1))

    def _happen(self, setting: str) -> None:
        exchange, user = self.deployment.exchange, self.trader.account.user_id
        match setting:
            case "outage":
                self._just_before_the_order(lambda: exchange.outage(4.0))
            case "expire":
                exchange.expire_token(user)
            case "hand":
                exchange.foreign_order(user, quantity=QUANTITY, **self._by_hand())
            case "hand-partly":
                exchange.foreign_order(user, quantity=4, **self._by_hand())
                said = self.deployment.alerts
                eventually(lambda: "shares_missing" in said.codes(self.strategy.id), 15, "missing shares are noticed")
            case "square-off":
                exchange.square_off(user)

    def _just_before_the_order(self, work: Callable[[], Any]) -> None:
        due = {Action.BUY: self.strategy.buy_at, Action.SELL: self.strategy.sell_at}.get(self.case.action)
        if due is not None:
            time.sleep(max(0.0, (due - self.deployment.now()).total_seconds() - 0.3))
        work()

    def _reconnect(self) -> None:
        """The trader notices, after a while, and logs in at the broker again."""
        eventually(lambda: self._detail() == "broker_session_expired", 40, "the expired session is said")
        token = f"renewed{self.strategy.id:025d}"
        self.deployment.exchange.set_token(self.trader.account.user_id, token)
        self.trader.ok("POST", "/broker/connect", {"broker": "paper", "access_token": token, **self._keys()})

    def _by_hand(self) -> dict[str, str]:
        order = {"exchange": "NSE", "product": "MIS", "order_type": "MARKET", "transaction_type": "SELL"}
        return {"tradingsymbol": self.market.symbol, **order}

    def _keys(self) -> dict[str, str]:
        return {name: getattr(self.trader.account, name) for name in ("api_key", "api_secret")}

    def _ask_to_stop(self) -> None:
        """STOP, pressed again until it is heard: an actor may be starting again."""

        def heard() -> bool:
            try:
                return self.strategy.stop().status_code in {200, 202}
            except httpx.TransportError:
                return False

        eventually(heard, ENDS_WITHIN_S, "STOP is heard")

    def _run_row(self) -> dict[str, Any]:
        rows = self.deployment.query(
            "select id, position, status, status_detail, ended_at, filled_quantity from runs where strategy_id = %s",
            self.strategy.id,
        )
        return rows[0]

    def _position(self) -> str:
        return str(self._run_row()["position"])

    def _detail(self) -> str:
        return str(self._run_row()["status_detail"])

    def _has_ended(self) -> bool:
        return self._run_row()["ended_at"] is not None

    def _check_that_it_was_tried(self) -> None:
        waiting = {int(fault["fault_id"]) for fault in self.deployment.exchange.faults()}
        if any(once and fault_id in waiting for fault_id, once in self._armed):
            raise NotTried("the fault was never met")
        if self._failpoint is not None and self._failpoint.exists():
            raise NotTried("the failpoint was never reached")


_OF_THE_ACCOUNT = {
    "truncated-book", "stale-book", "book-error", "positions-error",
    "drop-updates", "duplicate-updates", "delay-updates", "reorder-updates",
}  # fmt: skip
