"""What can be seen, and done, of one strategy: its orders at the exchange, its run's row, its alerts."""

import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.kit.paper import eventually
from tests.kit.trader import Deployment, Running, Trader

ENDS_WITHIN_S = 75.0

WIDE = {"lower_circuit_limit": 400.00, "upper_circuit_limit": 1600.00}
"""A band around the prices of the cases, whatever the share closed at."""


@dataclass
class CaseView(ABC):
    """One strategy of a trader of its own."""

    deployment: Deployment
    trader: Trader = field(init=False)
    strategy: Running = field(init=False)

    @property
    @abstractmethod
    def _symbol(self) -> str:
        """The share that it trades."""

    @property
    def _user(self) -> str:
        return self.trader.account.user_id

    # --- the exchange ---------------------------------------------------------------------------------------------

    def _set_price(self, price: float) -> int:
        """Move the market; when it was published (ns, the exchange's clock)."""
        return int(self.deployment.exchange.set_price(f"NSE:{self._symbol}", price)["published_ns"])

    def _arm(self, kind: str, side: str, **fields: Any) -> None:
        self.deployment.exchange.fault(kind, {"user_id": self._user, "transaction_type": side}, **fields)

    def _orders(self) -> list[dict[str, Any]]:
        ledger = self.deployment.exchange.ledger(user_id=self._user)
        orders: list[dict[str, Any]] = ledger["accounts"][self._user]["orders"]
        return [order for order in orders if order["tradingsymbol"] == self._symbol]

    def _ours(self, side: str) -> list[dict[str, Any]]:
        return [order for order in self._orders() if order["tag"] and order["transaction_type"] == side]

    def _held(self) -> int:
        signs = {"BUY": 1, "SELL": -1}
        return sum(o["filled_quantity"] * signs[o["transaction_type"]] for o in self._orders() if o["tag"])

    def _requests(self, method: str) -> list[dict[str, Any]]:
        ledger = self.deployment.exchange.ledger(user_id=self._user)
        return [r for r in ledger["requests"] if r["method"] == method and r["source"] == "api"]

    def _await_order(self, side: str, wanted: Callable[[dict[str, Any]], bool]) -> None:
        def seen() -> bool:
            return any(wanted(order) for order in self._ours(side))

        eventually(seen, 60, f"our {side} order")

    # --- the run --------------------------------------------------------------------------------------------------

    def _alerts(self) -> list[str]:
        return self.deployment.alerts.codes(self.strategy.id)

    def _row(self) -> dict[str, Any]:
        sql = "select position, status, status_detail, message, ended_at from runs where strategy_id = %s"
        return self.deployment.query(sql, self.strategy.id)[0]

    def _position(self) -> str:
        return str(self._row()["position"])

    def _said(self) -> str:
        row = self._row()
        return f"{row['status']} {row['status_detail']} {row['message']!r}"

    def _has_ended(self) -> bool:
        return self._row()["ended_at"] is not None

    def _await_the_end(self) -> list[str]:
        """Until the run is over, after STOP if need be; that it was needed, as a sentence."""
        try:
            eventually(self._has_ended, ENDS_WITHIN_S, "the end of the run")
        except AssertionError:
            stuck = f"stuck: the run did not end by itself, it says {self._said()}"
            self._stop()
            eventually(self._has_ended, ENDS_WITHIN_S, "the end of the run after STOP")
            return [stuck]
        return []

    def _stop(self) -> None:
        def heard() -> bool:
            try:
                return self.strategy.stop().status_code in {200, 202, 409}
            except httpx.TransportError:
                return False

        eventually(heard, ENDS_WITHIN_S, "STOP is heard")

    # --- actors ---------------------------------------------------------------------------------------------------

    def _actors_of(self, kind: str) -> list[str]:
        """Names of the running actors of a kind; of strategies and routers, only the case's own."""
        own = {"strategy": self.strategy.actor, "router": f"router:NSE:{self._symbol}"}
        actors = self.deployment.actors()
        return [name for name in sorted(actors) if name.partition(":")[0] == kind and own.get(kind, name) == name]

    def _pids(self, kinds: Iterable[str]) -> dict[str, int]:
        return {name: self._pid(name) for kind in kinds for name in self._actors_of(kind)}

    def _pid(self, actor: str) -> int:
        """An actor that another case has just killed has no pid for a moment."""
        import ray

        def found() -> int | None:
            try:
                return self.deployment.actor_pid(actor)
            except (ValueError, ray.exceptions.RayError):
                return None

        try:
            return eventually(found, 60, f"a pid of {actor}") or 0
        except AssertionError:
            listed = "listed" if actor in self.deployment.actors() else "not listed"
            raise AssertionError(f"{actor} is {listed} and gives no pid; the run says {self._said()}") from None


def kill(pids: Iterable[int]) -> None:
    """SIGKILL for each that still runs."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@contextmanager
def frozen(pids: Iterable[int]) -> Iterator[None]:
    """SIGSTOP for each, and SIGCONT after the block, however it ends."""
    stopped = list(pids)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in stopped:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
