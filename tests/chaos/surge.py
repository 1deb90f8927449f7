"""Many orders of one account in one second: stop-losses fall due while buys wait for the account's order budget.

What must hold (rows G2, ruling 8): the broker never has to say 429, and no buy that waits leaves before a stop-loss
that waits too. Judged by the exchange's ledger.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from tests.kit.paper import eventually
from tests.kit.trader import FAR_STOP, Deployment, Running, Trader

T = TypeVar("T")
R = TypeVar("R")

FALLING, PRICE, STOP_AT, FALLEN = "SBIN", 800.00, 790.00, 789.00
BOUGHT = "INFY"
STOPS, BUYS = 10, 16
"""Together more than two seconds of the budget: of 10 a second, 2 are kept for exits."""

SIXTY = 60
"""Stop-losses of one account in one instant: six seconds of its budget."""

PER_SECOND = 10
"""Order requests that Kite takes of one account in a calendar second (kite.md §4.5)."""

START_S = 2.5
"""What the START of one strategy costs on two cores."""

FALL_AFTER_S = 0.4
"""After the second of the buys began: all of them wait or are sent, and the stops still fall due in that second."""

_NANOSECONDS = 1_000_000_000


class NotCrowded(Exception):
    """The orders did not fall due in the same second, so nothing is proven about who goes first."""


@dataclass
class Surge:
    """`run()` it, then ask for the `verdict()`."""

    deployment: Deployment
    stops: int = STOPS
    buys: int = BUYS
    trader: Trader = field(init=False)
    buy_at: datetime = field(init=False)
    fell_ns: int = 0

    def run(self) -> None:
        """Hold some, let buys fall due, and let the price fall in the same second.

        Raises:
            NotCrowded: START or the first buys took too long.
            AssertionError: something did not come about in time.
        """
        self.deployment.exchange.set_price(f"NSE:{FALLING}", PRICE)
        self.trader = self.deployment.trader()
        hold_at = _whole_second(self.deployment.now() + timedelta(seconds=10 + START_S * (self.stops + self.buys)))
        self.buy_at = hold_at + timedelta(seconds=10 + self.stops // 8)  # entries have eight places in a second
        # a BUY that the second has no place for within its grace is missed (row E4)
        held_from = [hold_at + timedelta(seconds=4 * (number // 24)) for number in range(self.stops)]
        stops = _all(lambda number: self._started(FALLING, held_from[number], STOP_AT), range(self.stops))
        buys = _all(lambda _: self._started(BOUGHT, self.buy_at, FAR_STOP), range(self.buys))
        self._must_be_before(hold_at, "START took too long")
        until_held = (hold_at - self.deployment.now()).total_seconds() + 30
        eventually(lambda: self._count("bought", stops) == self.stops, until_held, "every stop guards a position")
        self._must_be_before(self.buy_at, "the buys of the stops took too long")
        until_fall = self.buy_at + timedelta(seconds=FALL_AFTER_S) - self.deployment.now()
        time.sleep(until_fall.total_seconds())
        self.fell_ns = int(self.deployment.exchange.set_price(f"NSE:{FALLING}", FALLEN)["published_ns"])
        eventually(lambda: self._count("exited_by_sl", stops) == self.stops, 60, "every stop is out")
        eventually(lambda: self._count("bought", buys) == self.buys, 60, "every buy is in")
        _all(Running.stop, buys)
        eventually(lambda: self._count("sold", buys) == self.buys, 60, "every buy is sold")

    def verdict(self) -> list[str]:
        """Every way in which the promise was broken, as a sentence.

        Raises:
            NotCrowded: see there.
        """
        user = self.trader.account.user_id
        ledger = self.deployment.exchange.ledger(user_id=user)
        requests = [request for request in ledger["requests"] if request["source"] == "api"]
        wanted = {FALLING: self.stops, BOUGHT: self.buys}
        broken = [*_over_budget(requests), *_not_flat(ledger["accounts"][user]["orders"], wanted)]
        if broken or not self.buys:  # whose turn it was means nothing beyond the budget
            return broken or self._late(requests)
        return self._out_of_turn(requests)

    def _late(self, requests: list[dict[str, Any]]) -> list[str]:
        """Stop-losses that left later than the budget asks for, or than the log had said to their trader."""
        left = {r["form"]["tag"]: _second(r) for r in requests if _is(r, FALLING, "SELL")}
        late = max(left.values()) - self.fell_ns // _NANOSECONDS
        slow = f"slow: the last of {len(left)} left {late} s after the fall"
        found = [slow] if late > self.stops // PER_SECOND else []
        told = self.deployment.query(
            "select i.tag, l.reason, l.occurred_at from order_logs l join intents i using (run_id, leg, seq) "
            "where l.event = 'ORDER_QUEUED' and l.leg = 'EXIT' and l.user_id = "
            "(select id from users where email = %s)",
            self.trader.email,
        )
        waited = sum(second > self.fell_ns // _NANOSECONDS + 1 for second in left.values())
        if len(told) < waited:
            found.append(f"untold: {waited} waited, {len(told)} were told until when")
        for row in told:
            seconds = datetime.fromtimestamp(left[row["tag"]], self.deployment.settings.zone)
            if f"{seconds:%H:%M:%S}" > row["reason"].removeprefix("expected at "):
                found.append(f"untold: {row['reason']}, left at {seconds:%H:%M:%S}")
        return found

    def _out_of_turn(self, requests: list[dict[str, Any]]) -> list[str]:
        """Buys that left in a later second than the fall, while a stop-loss had to wait for a still later one."""
        stops = [_second(r) for r in requests if _is(r, FALLING, "SELL") and r["received_ns"] >= self.fell_ns]
        fell = self.fell_ns // _NANOSECONDS
        waited = [_second(r) for r in requests if _is(r, BOUGHT, "BUY") and _second(r) > fell]
        if not waited or max(stops, default=0) <= fell:
            raise NotCrowded(f"{len(waited)} buys and stop-losses until second {max(stops, default=0) - fell}")
        early = [second - fell for second in waited if second < max(stops)]
        if not early:
            return []
        last = max(stops) - fell
        return [
            f"priority: {len(early)} buys left in seconds {sorted(set(early))}, the last stop-loss in second {last}"
        ]

    def _must_be_before(self, at: datetime, otherwise: str) -> None:
        if self.deployment.now() >= at:
            raise NotCrowded(otherwise)

    def _started(self, symbol: str, at: datetime, stop_loss: float) -> Running:
        buy_in = (at - self.deployment.now()).total_seconds() + 0.5  # the kit cuts off fractions of the second
        running = self.trader.strategy(symbol, buy_in=buy_in, sell_in=buy_in + 1800, stop_loss=stop_loss, quantity=1)
        assert running.buy_at == at, f"buys at {running.buy_at}, not at {at}"
        return running

    def _count(self, position: str, of: Sequence[Running]) -> int:
        rows = self.deployment.query(
            "select count(*) as found from runs where position = %s and strategy_id = any(%s)",
            position,
            [running.id for running in of],
        )
        return int(rows[0]["found"])


def _over_budget(requests: list[dict[str, Any]]) -> list[str]:
    refused = sum(request["status"] == 429 for request in requests)
    found = [f"budget: the broker refused {refused} requests with 429"] if refused else []
    busiest = max(Counter(_second(request) for request in requests).values(), default=0)
    if busiest > PER_SECOND:
        found.append(f"budget: {busiest} requests in one second")
    return found


def _not_flat(orders: list[dict[str, Any]], wanted: dict[str, int]) -> list[str]:
    held: Counter[str] = Counter()
    bought: Counter[str] = Counter()
    for order in orders:
        is_buy = order["transaction_type"] == "BUY"
        held[order["tradingsymbol"]] += order["filled_quantity"] * (1 if is_buy else -1)
        bought[order["tradingsymbol"]] += order["filled_quantity"] if is_buy else 0
    found = [f"not flat: {number} {symbol} are held" for symbol, number in held.items() if number]
    return found + [f"duplicate: {bought[s]} {s} bought, {n} wanted" for s, n in wanted.items() if bought[s] != n]


def _is(request: dict[str, Any], symbol: str, side: str) -> bool:
    form = request["form"]
    return bool(form.get("tradingsymbol") == symbol and request["transaction_type"] == side)


def _second(request: dict[str, Any]) -> int:
    return int(request["received_ns"]) // _NANOSECONDS


def _whole_second(at: datetime) -> datetime:
    return at.replace(microsecond=0)


def _all(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(work, items))
