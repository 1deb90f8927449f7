"""Cases beside the matrix: those that only one mechanism of the order protocol saves."""

import os
import signal
from typing import Any

from actors import failpoints
from tests.chaos.case_run import ENDS_WITHIN_S, CaseRun
from tests.chaos.catalogue import Action, Case, Fault
from tests.kit.paper import eventually

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
    """Strategy, execution and ledger die with a stop-loss order on its way that no process has recorded.

    The first readings of the order book do not show it either, and positions cannot be read: what is left is the
    claim, which says that an order may have been sent.
    """

    CASE = Case(Action.STOPLOSS, Fault("lost, all dead, book stale", (_LOST,)), "send.after")

    def _exit(self) -> None:
        pid = self.deployment.actor_pid(self.strategy.actor)
        exchange, user = self.deployment.exchange, {"user_id": self.trader.account.user_id}
        epoch = self._epoch()
        self._prepare()
        unrecorded = failpoints.arm(self.failpoints_dir, "record.before", self.strategy.id)
        self.strategy.set_price(self.market.fallen)
        eventually(lambda: self._failpoint is not None and not self._failpoint.exists(), 15, "the death of execution")
        os.kill(pid, signal.SIGKILL)
        exchange.fault("stale-book", user, times=2, seconds=60)
        exchange.fault("positions-error", user, times=20)
        eventually(lambda: not unrecorded.exists(), 15, "the death of the ledger")
        eventually(lambda: self._epoch() > epoch, ENDS_WITHIN_S, "the next incarnation")
        eventually(lambda: self._has_ended() or self._falls_again(), ENDS_WITHIN_S, "the stop-loss is touched again")

    def _falls_again(self) -> bool:
        """Ticks until the new incarnation has seen one."""
        self.strategy.set_price(self.market.fallen)
        return self._sales() > 1

    def _epoch(self) -> int:
        rows = self.deployment.query("select epoch from runs where strategy_id = %s", self.strategy.id)
        return int(rows[0]["epoch"])


SPECIAL: dict[str, type[StoppedMeanwhile]] = {kind.CASE.name: kind for kind in (StoppedMeanwhile, AllDeadAtOnce)}
"""By the names of their cases."""
