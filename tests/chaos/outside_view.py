"""What can be seen of a life of the second table: its orders at the exchange, its run's row, and its alerts."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from tests.chaos.outside_catalogue import Happening, OutsideCase
from tests.kit.paper import eventually
from tests.kit.trader import Deployment, Running, Trader

FALLEN = 785.00


@dataclass(frozen=True)
class Slot:
    """Two shares that a life has to itself."""

    symbol: str
    healthy: str


@dataclass(frozen=True)
class Closing:
    """A minute in which the market is closed, announced at short notice in the operator's calendar file."""

    calendar: Path
    began: datetime
    closes: datetime
    opens: datetime
    ends: datetime

    def open_throughout(self) -> None:
        """No such minute yet."""
        self._write(f"{self.began:%H:%M}-{self.ends:%H:%M}")

    def announce(self) -> None:
        """From now on the calendar has it."""
        self._write(f"{self.began:%H:%M}-{self.closes:%H:%M}, {self.opens:%H:%M}-{self.ends:%H:%M}")

    def _write(self, hours: str) -> None:
        self.calendar.write_text(f'{self.began:%Y-%m-%d} = "{hours}"\n', encoding="utf-8")


@dataclass
class OutsideView:
    """A life as it is seen from outside."""

    case: OutsideCase
    deployment: Deployment
    slot: Slot
    trader: Trader = field(init=False)
    strategy: Running = field(init=False)

    @property
    def _is_delivery(self) -> bool:
        return self.case.happening is Happening.SOLD_OLDER

    @property
    def _user(self) -> str:
        return self.trader.account.user_id

    def _fall(self) -> None:
        self.deployment.exchange.set_price(f"NSE:{self.slot.symbol}", FALLEN)

    def _orders(self) -> list[dict[str, Any]]:
        ledger = self.deployment.exchange.ledger(user_id=self._user)
        orders: list[dict[str, Any]] = ledger["accounts"][self._user]["orders"]
        return [order for order in orders if order["tradingsymbol"] == self.slot.symbol]

    def _ours(self, side: str) -> list[dict[str, Any]]:
        return [order for order in self._orders() if order["tag"] and order["transaction_type"] == side]

    def _held(self) -> int:
        signs = {"BUY": 1, "SELL": -1}
        return sum(o["filled_quantity"] * signs[o["transaction_type"]] for o in self._orders() if o["tag"])

    def _requests(self, method: str) -> list[dict[str, Any]]:
        ledger = self.deployment.exchange.ledger(user_id=self._user)
        return [r for r in ledger["requests"] if r["method"] == method and r["source"] == "api"]

    def _moves(self) -> list[dict[str, Any]]:
        return self._requests("PUT") + self._requests("DELETE")

    def _alerts(self) -> list[str]:
        return self.deployment.alerts.codes(self.strategy.id)

    def _row(self) -> dict[str, Any]:
        sql = "select position, status, status_detail, message, ended_at from runs where strategy_id = %s"
        return self.deployment.query(sql, self.strategy.id)[0]

    def _position(self) -> str:
        return str(self._row()["position"])

    def _failed(self) -> bool:
        return "exit_failed" in self._alerts()

    def _said(self) -> str:
        row = self._row()
        return f"{row['status']} {row['status_detail']} {row['message']!r}"

    def _has_ended(self) -> bool:
        return self._row()["ended_at"] is not None

    def _reacted(self) -> bool:
        if self._has_ended() or any(request["transaction_type"] == "SELL" for request in self._requests("POST")):
            return True
        try:
            status = self.strategy.status()
        except (httpx.TransportError, AssertionError):
            return False
        return bool(status["feed"] != "live" or status["status_detail"] or self._alerts())

    def _pid(self, actor: str) -> int:
        """An actor that another life has just killed has no pid for a moment."""
        import ray

        def found() -> int | None:
            try:
                return self.deployment.actor_pid(actor)
            except (ValueError, ray.exceptions.RayError):
                return None

        return eventually(found, 60, f"a pid of {actor}") or 0

    def _await_order(self, side: str, wanted: Callable[[dict[str, Any]], bool]) -> None:
        def seen() -> bool:
            return any(wanted(order) for order in self._ours(side))

        eventually(seen, 60, f"our {side} order")
