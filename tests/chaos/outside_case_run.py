"""One case of the second table: a strategy of a trader of its own, up to a step, where something happens outside."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.chaos.case_run import NotTried
from tests.chaos.case_view import ENDS_WITHIN_S, WIDE, kill
from tests.chaos.outside_catalogue import Happening, Kill, Step
from tests.chaos.outside_judge import LEAVES_WITHIN_NS, broken_promises
from tests.chaos.outside_view import FALLEN, Closing, OutsideView, Slot
from tests.kit.paper import eventually
from tests.kit.trader import Running, Trader

PRICE, STOP, ABOVE = 800.00, 790.00, 900.00
QUANTITY, PART, OLDER, OLDER_SOLD = 10, 4, 100, 60

BUY_IN_S, BUY_IN_KILLS_S = 9.0, 16.0
"""From START to the entry: what START costs with others under way, and what comes back after a kill."""

RESTS_S, RESTS_KILLS_S = 6.0, 14.0
"""How long an exit that was sent rests before it fills: time for the watcher to look, after a restart too."""

REFUSED_MODIFICATIONS, REFUSED_MODIFICATIONS_KILLS = 2, 3
"""How long a parked exit stays so: the pauses between the moves of a chase grow with each refusal."""

REACTS_WITHIN_S, REACTS_WITHIN_KILLS_S = 25.0, 45.0
"""From the touch of the stop to an exit, or to a word about why there is none."""

PROMPT_S, PROMPT_KILLS_S = 8.0, 13.0
"""How long after the touch the tick itself may sell; a quote is asked for after 15 s without one."""

SOLD_WITHIN_S, SOLD_WITHIN_KILLS_S = 4.0, 20.0
"""How late a healthy position of an account may leave while another of its shares is locked."""

LOCKED_S, FEED_AWAY_S, OPENS_WITHIN_S = 12.0, 7.0, 10.0
MOVES_WHILE_LOCKED = 6
"""Modifications and cancels of one locked exit within `LOCKED_S`: each gives up the place in the queue."""

LONGEST = 400
"""Characters of a reason: a sentence of the broker, cut, and what we say about it."""

ODD = "RMS: refused \x00\x1b[31m\ufffe " + "x" * 600
ANNOUNCED_S = 40.0
"""A change of the operator's calendar is noticed after half a minute."""

LAGS = {Happening.LAGS: 6.0, Happening.CLOCK: -4.0}

SLOTS = tuple(
    Slot(*pair)
    for pair in (("SBIN", "PNB"), ("ITC", "SAIL"), ("HDFCBANK", "VEDL"), ("ICICIBANK", "NTPC"), ("AXISBANK", "ONGC"))
)

SLOTS_WITHOUT_AUCTION = tuple(
    Slot(*pair) for pair in (("MRF", "PNB"), ("M&MFIN", "SAIL"), ("J&KBANK", "VEDL"), ("MCDOWELL-N", "NTPC"))
)
"""Where hours hold: nothing is written on the first of each pair, so it trades on after 15:15 (kite.md §7.2)."""


@dataclass
class OutsideCaseRun(OutsideView):
    """`run()` it in a thread of its own; it raises `NotTried` or AssertionError. Then ask for the `verdict()`."""

    starting: AbstractContextManager[Any] = field(default_factory=nullcontext)
    closing: Closing | None = None
    healthy: Running | None = None
    ended: bool = False
    problems: list[str] = field(default_factory=list)
    _waiting: str = ""

    def run(self) -> None:
        """Run it to its end."""
        try:
            self._start()
            self._reach()
            self._kill()
            self._happen()
            self._touch()
            self._end()
        finally:
            self._calm_down()

    def verdict(self) -> list[str]:
        """Every way in which a promise was broken, as a sentence."""
        if not hasattr(self, "strategy"):
            return self.problems
        holdings = {self.slot.symbol: OLDER} if self._is_delivery else {}
        if self.case.happening is Happening.ODD_TEXT:
            self._look_for_the_refusal()
        return self.problems + broken_promises(self.deployment, self._user, holdings, ended=self.ended)

    def _look_for_the_refusal(self) -> None:
        """It is in the log, as a sentence that can be read."""
        rows = self.deployment.query("select reason from order_logs where strategy_id = %s", self.strategy.id)
        said = [row["reason"] for row in rows if "RMS: refused" in (row["reason"] or "")]
        if not said:
            self.problems.append("unsaid: the refusal is not in order_logs")
        if any(not reason.isprintable() or len(reason) > LONGEST for reason in said):
            self.problems.append(f"unclean: order_logs say {said}")

    # --- up to the step -------------------------------------------------------------------------------------------

    def _start(self) -> None:
        exchange = self.deployment.exchange
        for symbol in (self.slot.symbol, self.slot.healthy):
            exchange.set_rules(f"NSE:{symbol}", **WIDE)
            exchange.set_price(f"NSE:{symbol}", PRICE)
        self.trader = Trader(self.deployment)
        if self._is_delivery:
            self.trader.account = exchange.new_account(holdings={f"NSE:{self.slot.symbol}": OLDER})
        self.trader.register()
        self.trader.connect()
        if self.case.happening in LAGS and self.case.step is Step.BEFORE:
            self._happen()
        buy_in = BUY_IN_KILLS_S if self.case.shakes else BUY_IN_S
        product = "CNC" if self._is_delivery or self.closing is not None else "MIS"
        with self.starting:
            if self.case.happening is Happening.LOCKED:
                self.healthy = self.trader.strategy(
                    self.slot.healthy, buy_in=buy_in + 3, sell_in=1800, stop_loss=STOP, quantity=QUANTITY
                )
            self.strategy = self.trader.strategy(
                self.slot.symbol, buy_in=buy_in, sell_in=1800, stop_loss=STOP, quantity=QUANTITY, product=product
            )
        if self.deployment.now() >= self.strategy.buy_at:
            raise NotTried("START came back after the buy time")

    def _reach(self) -> None:
        step, odd = self.case.step, self.case.happening is Happening.ODD_TEXT
        if step is Step.BEFORE:
            return
        if step is Step.ENTERING:
            if odd:
                self._arm("async-reject", "BUY", message=ODD)
                return
            partly = self.case.happening is Happening.SOLD
            self._arm(*("partial-fill", "BUY") if partly else ("park", "BUY"), quantity=PART if partly else 0)
            filled = PART if partly else 0
            self._await_order("BUY", lambda order: order["status"] == "OPEN" and order["filled_quantity"] == filled)
            return
        self._await_bought()
        if self.healthy is not None:
            self.healthy.until_position("bought", 60)
        refused = REFUSED_MODIFICATIONS_KILLS if self.case.shakes else REFUSED_MODIFICATIONS
        match step:
            case Step.TOUCHED:
                if odd:
                    self._arm("async-reject", "SELL", message=ODD)
                    return
                self._arm("slow-fill", "SELL", seconds=RESTS_KILLS_S if self.case.shakes else RESTS_S)
                self._refuse_modifications(refused)
                self._fall()
                self._await_order("SELL", lambda order: order["status"] == "OPEN")
            case Step.PARKED:
                self._arm("park", "SELL")
                self._refuse_modifications(refused)
                self._fall()
                self._await_order("SELL", lambda order: order["status"] == "OPEN")
                eventually(lambda: self._requests("PUT"), 20, "the parked exit is chased")
            case Step.FAILED:
                self._arm("sync-reject", "SELL", **({"message": ODD} if odd else {}))
                self._fall()
                eventually(lambda: self._failed() or self._has_ended(), 30, "the exit is said to have failed")

    def _await_bought(self) -> None:
        eventually(lambda: self._position() == "bought" or self._has_ended(), 75, "the entry")
        if self._has_ended():
            raise NotTried(f"nothing was bought: {self.strategy.logged()}")

    def _refuse_modifications(self, times: int) -> None:
        match = {"user_id": self._user, "transaction_type": "SELL", "method": "PUT"}
        self.deployment.exchange.fault("sync-reject", match, times=times)

    # --- what happens ---------------------------------------------------------------------------------------------

    def _kill(self) -> None:
        if self.case.happening in LAGS and self.case.step is Step.BEFORE:
            time.sleep(2.0)  # the feed has been heard with its lag before its process dies
        kill(self._pids(self._victims()).values())

    def _victims(self) -> tuple[str, ...]:
        match self.case.kill:
            case Kill.NOBODY:
                return ()
            case Kill.ALL:
                return ("strategy", "router", "execution", "feed", "ledger")
        return (str(self.case.kill),)

    def _happen(self) -> None:
        exchange = self.deployment.exchange
        match self.case.happening:
            case Happening.SOLD | Happening.SOLD_PART | Happening.SOLD_OLDER | Happening.SHORT_BEFORE as sold:
                self._sell_by_hand({Happening.SOLD: self._held(), Happening.SOLD_OLDER: OLDER_SOLD}.get(sold, PART))
            case Happening.REDUCED:
                self._edit(lambda order_id: exchange.edit_order(order_id, quantity=PART))
            case Happening.REPRICED:
                away = FALLEN if self.case.step is Step.ENTERING else ABOVE
                self._edit(lambda order_id: exchange.edit_order(order_id, order_type="LIMIT", price=away))
            case Happening.CANCELLED:
                self._edit(exchange.cancel_by_hand)
            case Happening.SALE_WAITS:
                self._waiting = exchange.foreign_order(self._user, **self._sale(QUANTITY, price=ABOVE))
                if self.case.step is Step.GUARDING:
                    self._expect_alert("sale_by_hand_waits")
            case Happening.SECOND_USER:
                self._connect_as_another()
            case Happening.CLOSES:
                self._await_the_close()
            case _:
                self._happen_to_all()

    def _await_the_close(self) -> None:
        assert self.closing is not None
        left = (self.closing.closes - self.deployment.now()).total_seconds()
        if left < ANNOUNCED_S:
            raise NotTried("it was bought too late to announce that the market closes")
        self.closing.announce()
        time.sleep(left + 1)

    def _happen_to_all(self) -> None:
        """What the broker, the exchange or the feed does."""
        exchange = self.deployment.exchange
        match self.case.happening:
            case Happening.SQUARED_OFF:
                placed = exchange.square_off(self._user)["order_ids"]
                self._await_trades(placed)
            case Happening.LOCKED:
                limits = {"lower_circuit_limit": FALLEN, "upper_circuit_limit": ABOVE}
                exchange.set_rules(f"NSE:{self.slot.symbol}", **limits)
            case Happening.LAGS | Happening.CLOCK as stamped:
                exchange.stamps(lag_seconds=LAGS[stamped], quotes_too=True)
            case Happening.AWAY:
                exchange.fault("ws-refuse", {}, times=0)
                exchange.fault("ws-abort", {})

    def _sale(self, quantity: int, **fields: Any) -> dict[str, Any]:
        product = "CNC" if self._is_delivery else "MIS"
        kind = {"order_type": "LIMIT", **fields} if fields else {"order_type": "MARKET"}
        return {
            "tradingsymbol": self.slot.symbol,
            "transaction_type": "SELL",
            "quantity": quantity,
            "product": product,
            **kind,
        }

    def _sell_by_hand(self, quantity: int) -> None:
        self._await_trades([self.deployment.exchange.foreign_order(self._user, **self._sale(quantity))])

    def _await_trades(self, order_ids: list[str]) -> None:
        """Until others have sold, and an update of it can have been heard: an exit of that moment may cross it."""

        def sold() -> bool:
            done = {order["order_id"] for order in self._orders() if order["status"] == "COMPLETE"}
            return done.issuperset(order_ids)

        eventually(sold, 10, "the sale of others")
        time.sleep(LEAVES_WITHIN_NS / 1e9)

    def _edit(self, work: Callable[[str], None]) -> None:
        side = "BUY" if self.case.step is Step.ENTERING else "SELL"
        alive = [order["order_id"] for order in self._ours(side) if order["status"] == "OPEN"]
        if not alive:
            raise NotTried("the order was final before the trader changed it")
        work(alive[-1])

    def _connect_as_another(self) -> None:
        other = Trader(self.deployment)
        other.account = self.trader.account
        other.register()
        keys = {name: getattr(other.account, name) for name in ("api_key", "api_secret", "access_token")}
        answer = other.call("POST", "/broker/connect", {"broker": "paper", **keys})
        if answer.status_code != 409:
            self.problems.append(f"shared: another user connected the account, {answer.status_code}")

    # --- the stop, and the end ------------------------------------------------------------------------------------

    def _touch(self) -> None:
        if self.case.step in {Step.BEFORE, Step.ENTERING}:
            eventually(lambda: self._position() == "bought" or self._has_ended(), 75, "the entry")
        if self.case.happening is Happening.ODD_TEXT and not self._ours("BUY"):
            raise NotTried(f"there was no BUY to be refused: {self.strategy.logged()}")
        fell_at = time.monotonic()
        if not self._has_ended():
            self._fall()
        if self.case.happening is Happening.AWAY:
            self.deployment.exchange.set_source(f"NSE:{self.slot.symbol}", "hold", silent=True)
            time.sleep(FEED_AWAY_S)
            self.deployment.exchange.clear_faults()
        patience = REACTS_WITHIN_KILLS_S if self.case.shakes else REACTS_WITHIN_S
        try:
            eventually(self._reacted, patience, "an exit, or a word about it")
        except AssertionError:
            self.problems.append(
                f"silent: {time.monotonic() - fell_at:.0f} s after the touch no exit was sent and nothing was said"
            )
        if self.case.happening is Happening.CLOCK:
            self._await_a_prompt_exit(fell_at)
        if self.case.happening is Happening.LOCKED:
            self._see_the_lock()

    def _await_a_prompt_exit(self, fell_at: float) -> None:
        """A clock that is wrong costs nothing: the tick itself must sell, not the quote that is asked for later."""
        within = PROMPT_KILLS_S if self.case.shakes else PROMPT_S
        with suppress(AssertionError):
            eventually(lambda: self._ours("SELL") or self._has_ended(), REACTS_WITHIN_S, "the exit")
        if (took := time.monotonic() - fell_at) > within:
            self.problems.append(f"late: the exit came {took:.0f} s after the touch")

    def _see_the_lock(self) -> None:
        """No buyer takes the locked share for a while; meanwhile another of the account falls; then buyers come."""
        assert self.healthy is not None
        eventually(lambda: self._ours("SELL"), 30, "the exit at the circuit")
        moves, until = len(self._moves()), time.monotonic() + LOCKED_S
        time.sleep(LOCKED_S / 2)
        self.healthy.set_price(FALLEN)
        within = SOLD_WITHIN_KILLS_S if self.case.shakes else SOLD_WITHIN_S
        try:
            self.healthy.until_stopped(within)
        except AssertionError:
            self.problems.append(f"starved: a healthy position was not sold within {within:g} s")
        time.sleep(max(0.0, until - time.monotonic()))
        moved = len(self._moves()) - moves
        if moved > MOVES_WHILE_LOCKED:
            self.problems.append(f"restless: the exit at the circuit was moved {moved} times in {LOCKED_S:g} s")
        self.deployment.exchange.set_rules(f"NSE:{self.slot.symbol}", **WIDE)
        self._fall()

    def _end(self) -> None:
        self.problems += self._await_the_end()
        if self.closing is not None:
            self._look_into_the_gap(self.closing.closes, self.closing.opens)
        if self.healthy is not None:
            self.healthy.until_stopped(60)
        if self._waiting:
            self._fill_the_waiting_sale()
        self.ended = True

    def _look_into_the_gap(self, closes: datetime, opens: datetime) -> None:
        """Nothing was sent while the market was closed, and the exit left as soon as it was open."""
        at = [
            request["received_ns"] / 1e9 for method in ("POST", "PUT", "DELETE") for request in self._requests(method)
        ]
        inside = sum(closes.timestamp() <= received < opens.timestamp() for received in at)
        if inside:
            self.problems.append(f"closed: {inside} requests were sent while the market was closed")
        late = max(at, default=0.0) - opens.timestamp()
        if late > OPENS_WITHIN_S:
            self.problems.append(f"late: the exit left {late:.1f} s after the market had opened")

    def _fill_the_waiting_sale(self) -> None:
        """The run is over and its shares are sold: now his own order opens a short of his; the engine must say so."""
        self.deployment.exchange.set_price(f"NSE:{self.slot.symbol}", ABOVE)
        self._expect_alert("position_short")

    def abandon(self) -> None:
        """It did not come about: end the run all the same."""
        if hasattr(self, "strategy"):
            self._stop()
            eventually(self._has_ended, ENDS_WITHIN_S, "the end of an abandoned run")
            self.ended = True

    def _calm_down(self) -> None:
        if self.case.alone:
            self.deployment.exchange.clear_faults()
            self.deployment.exchange.stamps(lag_seconds=0)

    def _expect_alert(self, code: str) -> None:
        within = REACTS_WITHIN_KILLS_S if self.case.shakes else REACTS_WITHIN_S
        try:
            eventually(lambda: code in self._alerts(), within, code)
        except AssertionError:
            self.problems.append(f"untold: no {code} in {within:g} s")
