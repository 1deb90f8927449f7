"""Cases beside the matrix: those that only one mechanism of the order protocol saves."""

import os
import signal
import time
from datetime import datetime
from typing import Any

from actors.domain.orders.log_events import LogWord
from tests.chaos.case_run import ENDS_WITHIN_S, CaseRun
from tests.chaos.catalogue import Action, Case, Fault
from tests.kit.paper import eventually

LAGS_S = 1.0
"""Half of the time for which an exit in doubt is looked for before it is sent again."""

_LOST: tuple[str, dict[str, Any]] = ("accepted-drop", {})


class StoppedMeanwhile(CaseRun):
    """STOP is pressed while no process knows what happened to the stop-loss order: it must not sell a second time."""

    CASE = Case(
        Action.STOPLOSS, Fault("lost, listed late, STOP pressed", (_LOST, ("late-visibility", {"seconds": 0.9})))
    )

    def _exit(self) -> None:
        self._prepare()
        self.strategy.set_price(self.market.fallen)
        eventually(self._sales, 15, "the stop-loss order")
        self._ask_to_stop()

    def _sales(self) -> int:
        return sum(request["transaction_type"] == "SELL" for request in self.strategy.requests())


class AllDeadAtOnce(StoppedMeanwhile):
    """The strategy dies, execution sells for it and dies as well: no process has recorded the order, or knows of it.

    What the broker shows of the account lags: neither the order book nor the positions know of the sale, until a
    second after the next incarnation has seen the stop-loss touched. What is left till then is the claim, which says
    that an order may have been sent.
    """

    CASE = Case(Action.STOPLOSS, Fault("lost, all dead, account stale", (_LOST,)), "send.after")

    def _exit(self) -> None:
        exchange, account = self.deployment.exchange, self.trader.account.user_id
        eventually(lambda: self.strategy.status()["guard"]["by"] == ["strategy", "execution"], 15, "both guards")
        pid, epoch = self.deployment.actor_pid(self.strategy.actor), self._epoch()
        self._prepare()
        os.kill(pid, signal.SIGKILL)
        self.strategy.set_price(self.market.fallen)
        eventually(lambda: self._failpoint is not None and not self._failpoint.exists(), 15, "the death of execution")
        for kind in ("stale-book", "stale-positions"):
            exchange.fault(kind, {"user_id": account, "transaction_type": "SELL"}, times=0, seconds=60)
        eventually(lambda: self._epoch() > epoch, ENDS_WITHIN_S, "the next incarnation")
        back_at = self.deployment.now()
        eventually(lambda: self._falls_again(back_at), ENDS_WITHIN_S, "the stop-loss is touched again")
        until = time.monotonic() + LAGS_S
        eventually(lambda: self._sales() > 1 or time.monotonic() >= until, 15, "the end of the lag")
        exchange.clear_faults()

    def _falls_again(self, since: datetime) -> bool:
        """Ticks until the new incarnation has seen one."""
        self.strategy.set_price(self.market.fallen)
        sql = "select 1 from order_logs where strategy_id = %s and event = %s and occurred_at > %s"
        seen = self.deployment.query(sql, self.strategy.id, LogWord.STOPLOSS_TRIGGERED, since)
        return bool(seen) or self._sales() > 1

    def _epoch(self) -> int:
        rows = self.deployment.query("select epoch from runs where strategy_id = %s", self.strategy.id)
        return int(rows[0]["epoch"])


SPECIAL: dict[str, type[StoppedMeanwhile]] = {kind.CASE.name: kind for kind in (StoppedMeanwhile, AllDeadAtOnce)}
"""By the names of their cases."""
