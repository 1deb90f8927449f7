"""What the neighbour does, and how long it takes: alone, or beside the noise."""

import contextlib
import os
import select
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

import httpx

from tests.chaos.outside_judge import broken_promises
from tests.chaos.soak_world import WIDE
from tests.kit.paper import eventually
from tests.kit.trader import Deployment, Running, Trader
from tests.neighbours.cpu import CpuByGroup
from tests.neighbours.stamps import StopStamps

STOPPED_SYMBOL, FALLING = "RELIANCE", ("SBIN", "TCS", "ITC")
PRICE, STOP_AT, FALLEN = 1000.00, 950.00, 940.00
STOPS, STARTS, LOGINS = 20, 3, 5
BUY_IN_S, START_TRIES = 5.0, 5
STARTED_FOR_S = 300.0
"""How far the buy time of a START is that is measured: it ends before."""

HEALTH_EVERY_S, WITHIN_S, LOGGED_WITHIN_S = 0.1, 60.0, 5.0

_STAMPS = """
select r.id as run_id,
  (select min(a.at) from audit_log a where a.action = 'strategy_stop' and a.detail->>'run_id' = r.id::text) as judged,
  (select min(l.occurred_at) from order_logs l where l.run_id = r.id and l.event = 'SELL_TRIGGERED') as called,
  (select min(l.recorded_at) from order_logs l where l.run_id = r.id and l.event = 'SELL_TRIGGERED') as logged,
  (select min(l.detail->>'sent_at') from order_logs l where l.run_id = r.id and l.leg = 'EXIT') as sent,
  (select min(l.occurred_at) from order_logs l where l.run_id = r.id and l.leg = 'EXIT'
     and l.event = 'ORDER_COMPLETE') as known,
  (select min(l.recorded_at) from order_logs l where l.run_id = r.id and l.event = 'RUN_ENDED') as recorded,
  (select i.tag from intents i where i.run_id = r.id and i.leg = 'EXIT' order by i.seq limit 1) as tag
from runs r where r.strategy_id = %s order by r.id desc limit 1
"""


@dataclass
class Phase:
    """What was measured of one neighbour. `late`: strategies that were begun again before."""

    beside: bool
    stops: list[StopStamps] = field(default_factory=list)
    stop_answers: dict[int, int] = field(default_factory=dict)
    falls_ms: list[float] = field(default_factory=list)
    logins_s: list[float] = field(default_factory=list)
    starts_s: list[float] = field(default_factory=list)
    health_s: list[float] = field(default_factory=list)
    cpu: dict[str, float] = field(default_factory=dict)
    wall_s: float = 0.0
    late: int = 0
    wrong: list[str] = field(default_factory=list)


class HealthPoll:
    """Asks GET /healthz, which asks no other part, while the block runs: the API's loop lag, seen from outside."""

    def __init__(self, url: str) -> None:
        self._url, self._ended = url, threading.Event()
        self.took_s: list[float] = []
        self._thread = threading.Thread(target=self._run, daemon=True, name="health poll")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        with httpx.Client(base_url=self._url, trust_env=False, timeout=30) as http:
            while not self._ended.wait(HEALTH_EVERY_S):
                begun = time.perf_counter()
                http.get("/healthz")
                self.took_s.append(time.perf_counter() - begun)


class ProcessEnd:
    """The instant in which a process ends, in nanoseconds since the epoch; `at_ns` is None while it runs."""

    def __init__(self, pid: int) -> None:
        self.at_ns: int | None = None
        self._descriptor = os.pidfd_open(pid)
        self._thread = threading.Thread(target=self._wait, daemon=True, name=f"end of {pid}")
        self._thread.start()

    def _wait(self) -> None:
        ready, _, _ = select.select([self._descriptor], [], [], WITHIN_S)
        if ready:
            self.at_ns = time.time_ns()
        os.close(self._descriptor)


@dataclass(frozen=True)
class _Pressed:
    running: Running
    asked: int
    answered: int
    end: ProcessEnd


class Neighbour:
    """One trader, who holds positions, and then starts, is stopped out, logs in and presses STOP."""

    def __init__(self, deployment: Deployment, *, beside: bool, stops: int = STOPS) -> None:
        self.deployment, self.phase, self._stops = deployment, Phase(beside), stops
        self._held: list[Running] = []
        self.trader = Trader(deployment)
        self.trader.register()
        self.trader.connect()

    def prepare(self) -> None:
        """Hold everything that is to be sold, with both guards: what a busy machine lets pass by is begun again.

        Raises:
            AssertionError: a buy time passed again and again before its strategy was ready.
        """
        for symbol in (STOPPED_SYMBOL, *FALLING):
            self.deployment.exchange.set_price(f"NSE:{symbol}", PRICE)
        wanted, buy_in = [*FALLING, *[STOPPED_SYMBOL] * self._stops], BUY_IN_S
        for _ in range(START_TRIES):
            begun = [self.trader.strategy(symbol, buy_in=buy_in, stop_loss=STOP_AT, quantity=1) for symbol in wanted]
            held = [one for one in begun if self._holds(one)]
            self._held += held
            wanted = [one.symbol for one in begun if one not in held]
            if not wanted:
                break
            self.phase.late += len(wanted)
            buy_in *= 2
        assert not wanted, f"the buy time of {len(wanted)} strategies passed too early, {START_TRIES} times"
        for one in self._held:
            one.until(_guarded_twice, WITHIN_S, "both guards watch")

    def run(self) -> Phase:
        """Everything once; what did not come about in time stands in `wrong`."""
        phase = self.phase
        mark = str(self.deployment.settings.data_dir)
        with CpuByGroup(mark) as cpu, HealthPoll(self.deployment.api_url) as health:
            try:
                self._trade()
            except AssertionError as error:
                phase.wrong.append(f"stuck: {error}")
        phase.cpu, phase.wall_s, phase.health_s = cpu.used, cpu.wall_s, health.took_s
        phase.wrong += broken_promises(self.deployment, self.trader.account.user_id)
        return phase

    def _trade(self) -> None:
        stopped = [one for one in self._held if one.symbol == STOPPED_SYMBOL]
        falling = [one for one in self._held if one.symbol != STOPPED_SYMBOL]
        for _ in range(STARTS):
            self._start()
        for one in falling:
            self.phase.falls_ms.append(self._fall(one))
            self._log_in()
        pressed = [self._press_stop(one) for one in stopped]
        for _ in range(max(0, LOGINS - len(falling))):
            self._log_in()
        self.phase.stops += [self._stamps(one) for one in pressed if one is not None]

    def _holds(self, one: Running) -> bool:
        """Whether it was started in time, and has bought."""
        if datetime.fromisoformat(one.started["buy_at"]) != one.buy_at:
            one.stop()  # it is armed for tomorrow
            return False
        status = one.until(lambda now: now["position"] == "bought" or now["strategy_status"] != "running", WITHIN_S)
        return bool(status["position"] == "bought")

    def _start(self) -> None:
        begun = time.perf_counter()
        one = self.trader.strategy(STOPPED_SYMBOL, buy_in=STARTED_FOR_S, stop_loss=STOP_AT, quantity=1)
        self.phase.starts_s.append(time.perf_counter() - begun)
        self._count(one.stop())

    def _count(self, answer: httpx.Response) -> None:
        counts = self.phase.stop_answers
        counts[answer.status_code] = counts.get(answer.status_code, 0) + 1

    def _fall(self, one: Running) -> float:
        """From the exchange's touch to the arrival of the order, by its clock; milliseconds."""
        key = f"NSE:{one.symbol}"
        touched = int(self.deployment.exchange.set_price(key, FALLEN)["published_ns"])
        arrived = eventually(lambda: self._sells(lambda r: r["form"].get("tradingsymbol") == one.symbol), WITHIN_S)
        one.until_position("exited_by_sl", WITHIN_S)
        self.deployment.exchange.set_price(key, PRICE)
        return (min(arrived) - touched) / 1e6

    def _sells(self, wanted: Callable[[dict[str, Any]], bool]) -> list[int]:
        """When SELL requests of this account arrived, in nanoseconds."""
        requests = self.deployment.exchange.ledger(user_id=self.trader.account.user_id)["requests"]
        sells = [r for r in requests if r["method"] == "POST" and r["transaction_type"] == "SELL"]
        return [int(r["received_ns"]) for r in sells if wanted(r)]

    def _press_stop(self, one: Running) -> "_Pressed | None":
        """None if STOP was refused."""
        end = ProcessEnd(self.deployment.actor_pid(one.actor))
        asked = time.time_ns()
        answer = one.stop()
        answered = time.time_ns()
        self._count(answer)
        one.until_stopped(WITHIN_S)
        return _Pressed(one, asked, answered, end) if answer.is_success else None

    def _stamps(self, pressed: "_Pressed") -> StopStamps:
        def logged() -> dict[str, Any] | None:
            row = self.deployment.query(_STAMPS, pressed.running.id)[0]
            return row if row["sent"] and row["recorded"] else None

        with contextlib.suppress(AssertionError):  # what has left no trace is counted as such
            eventually(logged, LOGGED_WITHIN_S, "the exit is logged")
        row = self.deployment.query(_STAMPS, pressed.running.id)[0]
        arrived = self._sells(lambda r: r["form"].get("tag") == row["tag"])
        account = self.deployment.exchange.ledger(user_id=self.trader.account.user_id)["accounts"]
        mine = account[self.trader.account.user_id]
        ids = {order["order_id"] for order in mine["orders"] if order["tag"] == row["tag"]}
        fills = [int(trade["filled_ns"]) for trade in mine["trades"] if trade["order_id"] in ids]
        instants = {
            name: _nanoseconds(row[name]) for name in ("judged", "called", "logged", "sent", "known", "recorded")
        }
        return StopStamps(
            asked=pressed.asked,
            answered=pressed.answered,
            arrived=min(arrived, default=None),
            filled=max(fills, default=None),
            gone=pressed.end.at_ns,
            **instants,
        )

    def _log_in(self) -> None:
        body = {"email": self.trader.email, "password": self.trader.password}
        with httpx.Client(base_url=self.deployment.api_url, trust_env=False, timeout=45) as http:
            begun = time.perf_counter()
            answer = http.post("/auth/login", json=body)
            self.phase.logins_s.append(time.perf_counter() - begun)
        if answer.status_code != 200:
            self.phase.wrong.append(f"login: {answer.status_code} {answer.text}")


def open_market(deployment: Deployment) -> None:
    """Wide bands and one price for every share that is traded here."""
    for symbol in (STOPPED_SYMBOL, *FALLING):
        deployment.exchange.set_rules(f"NSE:{symbol}", **WIDE)
        deployment.exchange.set_price(f"NSE:{symbol}", PRICE)


def _guarded_twice(status: dict[str, Any]) -> bool:
    return status["position"] == "bought" and len(status["guard"]["by"]) == 2


def _nanoseconds(at: datetime | str | None) -> int | None:
    if at is None:
        return None
    instant = datetime.fromisoformat(at) if isinstance(at, str) else at
    return int(instant.timestamp()) * 1_000_000_000 + instant.microsecond * 1000
