"""One case of the third table: a strategy that both guards watch, until its stop-loss is touched in a bad moment."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from actors import failpoints
from tests.chaos.case_run import NotTried
from tests.chaos.case_view import WIDE, CaseView, frozen, kill
from tests.chaos.guards_catalogue import GUARDING, POINTS, RESTING, WITHIN_S, Event, GuardsCase, Victim
from tests.chaos.outside_judge import broken_promises
from tests.kit.paper import eventually

PRICE, STOP, FALLEN = 800.00, 790.00, 785.00
RAISED, BETWEEN = 795.00, 793.00
"""A stop-loss that is moved up, and a price that touches it alone."""

LOWERED, DEEPER = 780.00, 775.00
"""A stop-loss that is moved below the fallen price, and a price that touches that one."""

QUANTITY = 10
BUY_IN_S, SELL_IN_S = 10.0, 32.0
"""From START to the entry, and to a timed SELL that falls due in the instant of the touch."""

ARMED_WITHIN_S = 45.0
"""Both guards are back within this time after whatever happened in the case before."""

RESTS_S = 8.0
"""How long an exit rests at the exchange: who was killed is back before it fills."""

SEEN_WITHIN_S = 30.0
LOST_FOR_S, NOTICED_WITHIN_S = 6.0, 9.0
"""A connection stays open without a byte, until it is reset: longer than anybody believes in it. Then it comes back."""

QUIET_FOR_S, QUIET_NOTICED_WITHIN_S = 30.0, 18.0
"""A stream brings heartbeats and no tick for `QUIET_FOR_S`; within `QUIET_NOTICED_WITHIN_S` the feed is asked
instead (`QUIET_LIMIT_S`)."""

FROZEN_S = 3 * WITHIN_S
"""A strategy that is frozen thaws so late that its own exit would be seen as late."""

FEED_NOTICED_WITHIN_S = 2.0
"""Within this time a strategy notices that its feed, or its router, has died."""

STANDS_STILL_S = 2.5
"""For this time a stop-loss that was moved below the price is seen not to sell: two ticks."""

LEAVES_WITHIN_NS = 300_000_000
"""An exit that had left before the lower level was confirmed arrives within this time after it, on a busy machine."""


@dataclass
class GuardsCaseRun(CaseView):
    """`prepare()`, `strike()`, `finish()`: each raises `NotTried` or AssertionError. Then ask for the `verdict()`."""

    case: GuardsCase
    symbol: str
    starting: AbstractContextManager[Any] = field(default_factory=nullcontext)
    problems: list[str] = field(default_factory=list)
    unguarded_s: float | None = None
    """From the touch to the arrival of our first SELL."""

    noticed_at: datetime | None = None
    """From when on no process takes for alive what the case has killed or cut off."""

    _ended: bool = False
    _struck: bool = False

    @property
    def _symbol(self) -> str:
        return self.symbol

    def prepare(self) -> None:
        """Until the position is there."""
        self.deployment.exchange.set_rules(f"NSE:{self.symbol}", **WIDE)
        self._set_price(PRICE)
        self.trader = self.deployment.trader()
        sell_in = SELL_IN_S if self.case.event is Event.SOLD_ON_TIME else 1800
        with self.starting:
            self.strategy = self.trader.strategy(
                self.symbol, buy_in=BUY_IN_S, sell_in=sell_in, stop_loss=STOP, quantity=QUANTITY
            )
        eventually(lambda: self._position() == "bought" or self._has_ended(), 60, "the entry")
        if self._has_ended():
            raise NotTried(f"nothing was bought, {self._said()}")

    # --- the instant ----------------------------------------------------------------------------------------------

    def strike(self, before: "GuardsCaseRun | None") -> None:
        """Once both guards stand, and what the case `before` has done is noticed: kill, or let it happen, in the touch.

        Returns when the exit has come, and who died is back.
        """
        now = self.deployment.now()
        self._await_both_guards(max(now, before.noticed_at or now) if before is not None else now)
        touched_ns = self._kill() if self.case.killed else self._happen()
        self._struck = True
        if self.case.within_s is not None:
            self._time_the_exit(touched_ns)

    def _await_both_guards(self, since: datetime) -> None:
        last: dict[str, Any] = {}

        def both() -> bool:
            with suppress(httpx.TransportError):
                last.update(self.strategy.status())
                at, by = last["guard"]["confirmed_at"], last["guard"]["by"]
                fresh = at is not None and datetime.fromisoformat(at) >= since
                return fresh and last["feed"] == "live" and by == ["strategy", "execution"]
            return False

        try:
            eventually(both, ARMED_WITHIN_S, "both guards")
        except AssertionError:
            raise AssertionError(f"not guarded by both within {ARMED_WITHIN_S:g} s, but {last}") from None

    def _kill(self) -> int:
        """Kill who is to die; when the stop was touched."""
        step, others = self.case.step, [v for v in self.case.killed if v is not POINTS.get(self.case.step)]
        pids, fatal = self._pids(others), self._pids(v for v in self.case.killed if v not in others)
        if step == RESTING:
            self._arm("slow-fill", "SELL", seconds=RESTS_S)
        point = self._arm_failpoint(step) if step in POINTS else None
        if step == GUARDING:
            kill(pids.values())
            touched_ns = self._set_price(FALLEN)
        else:
            touched_ns = self._set_price(FALLEN)
            if step == RESTING:
                self._await_order("SELL", lambda order: order["status"] == "OPEN")
            kill(pids.values())
        if point is not None:
            self._await_the_death(point)
        self._await_return(pids | fatal)
        if {Victim.FEED, Victim.ROUTER} & set(self.case.killed):
            self._is_noticed(FEED_NOTICED_WITHIN_S)
        return touched_ns

    def _is_noticed(self, within_s: float) -> None:
        self.noticed_at = self.deployment.now() + timedelta(seconds=within_s)

    def _arm_failpoint(self, name: str) -> Path:
        return failpoints.arm(self.deployment.settings.failpoints or Path(), name, self.strategy.id)

    def _await_the_death(self, point: Path) -> None:
        try:
            eventually(lambda: not point.exists(), SEEN_WITHIN_S, "the death at the failpoint")
        except AssertionError:
            point.unlink(missing_ok=True)
            raise NotTried("the failpoint was never reached") from None

    def _await_return(self, killed: dict[str, int]) -> None:
        """What other cases rely on too is there again; the strategy itself may have ended its run."""
        shared = {name: pid for name, pid in killed.items() if name != self.strategy.actor}
        eventually(lambda: all(self._pid(name) != pid for name, pid in shared.items()), 60, f"{list(shared)} are back")

    def _happen(self) -> int:
        """Let it happen; when the stop was touched."""
        match self.case.event:
            case Event.RAISED:
                return self._beside(self._move_stop, RAISED, price=BETWEEN)
            case Event.LOWERED:
                return self._lower()
            case Event.STOPPED:
                return self._beside(self.strategy.stop)
            case Event.SOLD_BY_HAND:
                return self._beside(self._sell_by_hand)
            case Event.SOLD_ON_TIME:
                if (left := (self.strategy.sell_at - self.deployment.now()).total_seconds()) < 0:
                    raise NotTried("the sell time had passed before both guards stood")
                time.sleep(left)
            case Event.NO_MARKET_DATA:
                return self._touch_without_market_data()
            case event if event is not Event.NOTHING:
                self._lose_streams()
        return self._set_price(FALLEN)

    def _lose_streams(self) -> None:
        exchange, feed = self.deployment.exchange, {"user_id": self._feed_user()}
        self._is_noticed(NOTICED_WITHIN_S)
        match self.case.event:
            case Event.FEED_LOST:
                exchange.fault("ws-freeze", feed, seconds=LOST_FOR_S)
            case Event.ACCOUNTS_LOST:
                for user in self._users_but(feed["user_id"]):
                    exchange.fault("ws-freeze", {"user_id": user}, seconds=LOST_FOR_S)
            case Event.ACCOUNT_RESET:
                exchange.fault("ws-abort", {"user_id": self._user})
            case Event.ALL_LOST:
                exchange.fault("ws-abort")

    def _touch_without_market_data(self) -> int:
        """The accounts' streams bring no tick, as on a plan without market data: the feed's link is all that is left.

        The strategy is frozen as the price falls, not dead: it would be back too soon to see who sold.
        """
        for user in self._users_but(self._feed_user()):
            self.deployment.exchange.fault("ws-drop-ticks", {"user_id": user}, seconds=QUIET_FOR_S)
        self._await_both_guards(self.deployment.now() + timedelta(seconds=QUIET_NOTICED_WITHIN_S))
        with frozen(self._pids([Victim.STRATEGY]).values()):
            touched_ns = self._set_price(FALLEN)
            until = time.monotonic() + FROZEN_S
            eventually(lambda: self._sales() or time.monotonic() > until, SEEN_WITHIN_S, "an exit of the second guard")
        return touched_ns

    def _beside(self, work: Any, *arguments: Any, price: float = FALLEN) -> int:
        """Let the price fall while it is done, neither before nor after; when the price had fallen."""
        with ThreadPoolExecutor(1) as beside:
            done = beside.submit(work, *arguments)
            touched_ns = self._set_price(price)
            with suppress(httpx.TransportError):
                done.result()
        return touched_ns

    def _feed_user(self) -> str:
        """Whose credentials the feed uses; they must not be the case's own, or one loss would be two."""
        sql = "select broker_user_id from broker_accounts where id = %s"
        (row,) = self.deployment.query(sql, int(str(self.deployment.redis.get("feed_account:paper"))))
        if row["broker_user_id"] == self._user:
            raise NotTried("the feed uses the account of the case")
        return str(row["broker_user_id"])

    def _users_but(self, user: str) -> list[str]:
        """A price comes over the stream of any account that has armed a stop of the symbol."""
        rows = self.deployment.query("select broker_user_id from broker_accounts where broker_user_id <> %s", user)
        return [str(row["broker_user_id"]) for row in rows]

    def _sell_by_hand(self) -> None:
        order = {"tradingsymbol": self.symbol, "exchange": "NSE", "product": "MIS", "order_type": "MARKET"}
        self.deployment.exchange.foreign_order(self._user, transaction_type="SELL", quantity=QUANTITY, **order)

    def _move_stop(self, stop_loss: float) -> int:
        """The trader moves the stop-loss; when he had the answer (ns)."""
        body = {"stop_loss": stop_loss, "confirm": True}
        answer = self.trader.call("PATCH", f"/strategy/{self.strategy.id}", body)
        if answer.status_code not in {200, 409}:  # the run may have ended in the same instant
            self.problems.append(f"moved: PATCH answered {answer.status_code} {answer.text}")
        return time.time_ns()

    def _lower(self) -> int:
        """Either the old level was touched first, or it no longer holds and the new one must."""
        with ThreadPoolExecutor(1) as beside:
            moved = beside.submit(self._move_stop, LOWERED)
            touched_ns = self._set_price(FALLEN)
            moved_ns = moved.result()
        until = time.monotonic() + STANDS_STILL_S
        eventually(lambda: self._sales() or time.monotonic() > until, SEEN_WITHIN_S, "what the fall did")
        if not (sales := self._sales()):
            return self._set_price(DEEPER)
        if (late_ns := sales[0]["received_ns"] - moved_ns) > LEAVES_WITHIN_NS:
            self.problems.append(f"moved: an exit came {late_ns / 1e9:.1f} s after the stop-loss had been lowered")
        return touched_ns

    def _sales(self) -> list[dict[str, Any]]:
        return [request for request in self._requests("POST") if request["transaction_type"] == "SELL"]

    def _time_the_exit(self, touched_ns: int) -> None:
        try:
            sales = eventually(self._sales, SEEN_WITHIN_S, "an exit")
        except AssertionError:
            self.problems.append(f"unguarded: no exit came within {SEEN_WITHIN_S:g} s of the touch")
            return
        self.unguarded_s = max(0.0, (sales[0]["received_ns"] - touched_ns) / 1e9)
        if self.case.within_s is not None and self.unguarded_s > self.case.within_s:
            self.problems.append(f"unguarded: {self.unguarded_s:.1f} s from the touch to the exit")
        self._trade_on()

    def _trade_on(self) -> None:
        """One more trade below the stop, while the exit rests or just after it has filled: it must sell nothing."""
        if self.case.step != RESTING:
            self._await_order("SELL", lambda order: order["status"] == "COMPLETE")
        self._set_price(FALLEN)

    # --- the end --------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Until the run is over; one that has not had its instant is stopped."""
        if not self._struck:
            self._stop()
        self.problems += self._await_the_end()
        self._ended = True

    def verdict(self) -> list[str]:
        """Every way in which a promise was broken, as a sentence; no process can prevent what crosses in one moment."""
        if not hasattr(self, "strategy"):
            return self.problems
        said = broken_promises(self.deployment, self._user, ended=self._ended)
        return self.problems + [sentence for sentence in said if not sentence.startswith("window")]
