"""One trading day with everything that happens outside, as a soak.

The session of the paper exchange goes from 09:00 to 16:00 in the given minutes, with the pre-open, the closing auction,
the square-off at the cut-off and the close. The engine keeps the machine's clock, as do the stamps of ticks and orders,
since nothing in it may believe in two times at once; so its calendar is 24x7, and its strategies buy and sell seconds
after they were started, all day long. At the end the exchange's ledger is the judge.
"""

import os
import random
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from datetime import time as time_of_day
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from rich.console import Console

from tests.chaos.outside_judge import broken_promises
from tests.chaos.soak_world import OLDER, SYMBOLS, Account, World
from tests.kit.paper import eventually
from tests.kit.session import running_session
from tests.kit.trader import Deployment, Running, Trader

ACCOUNTS, PER_DAY, SHARE = 10, 500, 0.60
"""A day of minutes has a budget of minutes: a tenth of Kite's 5000, of which no account may use more than the share."""

OPENS, LAST_START, STOPS_ALL, CLOSES = time_of_day(9, 0), time_of_day(14, 50), time_of_day(15, 5), time_of_day(16, 0)
KILL_EVERY_S, SILENT_S = 8.0, 25.0
"""`SILENT_S`: from a touch to an exit, or to a word about it, restarts of what was killed included."""

_IST, _console = ZoneInfo("Asia/Kolkata"), Console(width=160)

KINDS = ("strategy", "strategy", "execution", "feed", "ledger", "router")


@dataclass
class Held:
    """A strategy of the day."""

    running: Running
    account: Account
    stop_loss: float
    touched_at: float | None = None


@dataclass
class Soak:
    """The day, and what was seen of it."""

    deployment: Deployment
    world: World
    strategies: int
    live: list[Held] = field(default_factory=list)
    started: int = 0
    ended: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    killed: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    shares: dict[str, float] = field(default_factory=dict)
    details: Counter[str] = field(default_factory=Counter)
    alerts: Counter[str] = field(default_factory=Counter)
    crossed: int = 0
    minutes: float = 0.0

    def __post_init__(self) -> None:
        self._random, self._lock = random.Random(self.world.seed + 1), threading.Lock()  # noqa: S311
        self._killed_at = 0.0

    # --- the day --------------------------------------------------------------------------------------------------

    def run_the_day(self) -> None:
        """From the pre-open to the end of the day."""
        stopped, told_at = False, 0.0
        with ThreadPoolExecutor(2) as starters:
            while (now := self.world.session_now.time()) < CLOSES and now >= OPENS:
                begun = time.monotonic()
                self.world.pass_time(trading=now < STOPS_ALL)
                self._see()
                if now < LAST_START:
                    self._start_more(starters)
                if now < STOPS_ALL and begun - self._killed_at > KILL_EVERY_S:
                    self._kill()
                if now >= STOPS_ALL and not stopped:
                    stopped = True
                    self.world.calm_down()
                    self._stop_some()
                if begun - told_at > 20:
                    told_at = begun
                    say(f"session {now:%H:%M}, {len(self.live)} live, {self.ended} ended, killed {dict(self.killed)}")
                time.sleep(max(0.0, 1.0 - (time.monotonic() - begun)))

    def end_the_day(self) -> None:
        """The next session is open: what is left is stopped, and everything must be flat."""
        self.world.calm_down()
        self.deployment.exchange.session(on=False, pace=None)
        for held in list(self.live):
            self._stop(held.running)
        try:
            eventually(self._all_have_ended, 150, "the end of every run")
        except AssertionError:
            for held in self.live:
                self.wrong.append(f"stuck: strategy {held.running.id} has not ended: {self._row(held)}")

    def _all_have_ended(self) -> bool:
        self._see()
        return not self.live

    def judge(self) -> None:
        """By the ledger, account by account."""
        exchange = self.deployment.exchange
        for account in self.world.accounts:
            ended = not any(held.account is account for held in self.live)
            found = broken_promises(self.deployment, account.user, account.holdings, ended=ended)
            self.crossed += sum(sentence.startswith("window") for sentence in found)
            self.wrong += [sentence for sentence in found if not sentence.startswith("window")]
            days = exchange.ledger(user_id=account.user)["accounts"][account.user]["requests_by_day"]
            share = max((day["all"] for day in days.values()), default=0) / PER_DAY
            self.shares[account.user] = share
            if share > SHARE:
                self.wrong.append(f"budget: {account.user} used {share:.0%} of its day's orders")

    # --- strategies -----------------------------------------------------------------------------------------------

    def _start_more(self, starters: ThreadPoolExecutor) -> None:
        with self._lock:
            missing = self.strategies - len(self.live) - self._starting
            begin = min(missing, 2 - self._starting)
            self._starting += max(begin, 0)
        for _ in range(begin):
            self.started += 1
            starters.submit(self._start, self.started, self._random.random(), self._random.random())

    _starting: int = 0

    def _start(self, number: int, first: float, second: float) -> None:
        account = self.world.accounts[number % len(self.world.accounts)]
        symbol = SYMBOLS[(number // 2) % len(SYMBOLS)]
        stop = round(self.world.prices[symbol] * (0.965 + 0.025 * first), 1)
        try:
            running = account.trader.strategy(
                symbol,
                buy_in=6 + 6 * second,
                sell_in=60 + 180 * first,
                stop_loss=stop,
                quantity=1 + int(12 * second),
                product="MIS" if number % 3 else "CNC",
            )
        except (AssertionError, httpx.HTTPError) as error:
            with self._lock:
                self.refused[_code(error)] += 1
        else:
            with self._lock:
                self.live.append(Held(running, account, stop))
        finally:
            with self._lock:
                self._starting -= 1

    def _stop_some(self) -> None:
        """Of the deliveries most are stopped before the close; the broker squares the intraday positions off."""
        for number, held in enumerate([held for held in self.live if self._row(held)["product"] == "CNC"]):
            if number % 4:
                self._stop(held.running)

    def _stop(self, running: Running) -> None:
        def heard() -> bool:
            try:
                return running.stop().status_code in {200, 202, 409}
            except httpx.TransportError:
                return False

        with suppress(AssertionError):  # who never hears it is found among those that do not end
            eventually(heard, 30, "STOP is heard")

    # --- what is seen ---------------------------------------------------------------------------------------------

    def _see(self) -> None:
        """Take leave of those that have ended, and look for stops that were touched while nothing was done or said."""
        rows = {row["strategy_id"]: row for row in self._rows()}
        for held in list(self.live):
            row = rows.get(held.running.id)
            if row is None:
                continue
            if row["ended_at"] is not None:
                with self._lock:
                    self.live.remove(held)
                self.ended += 1
                self.details[f"{row['position']} {row['status_detail']}".strip()] += 1
            else:
                self._look_for_silence(held, row)

    def _look_for_silence(self, held: Held, row: dict[str, Any]) -> None:
        untouched = self.world.prices[held.running.symbol] > held.stop_loss
        if row["position"] != "bought" or untouched or row["message"].startswith(("STOP-LOSS", "Selling")):
            held.touched_at = None
            return
        if row["status_detail"] or row["status"] != "running":
            return
        held.touched_at = held.touched_at or time.monotonic()
        if time.monotonic() - held.touched_at < SILENT_S:
            return
        held.touched_at = float("inf")
        with suppress(httpx.HTTPError, AssertionError):
            if held.running.status()["feed"] == "live" and not self.deployment.alerts.codes(held.running.id):
                self.wrong.append(f"silent: strategy {held.running.id} was touched {SILENT_S:g} s ago: {row}")

    def _rows(self) -> list[dict[str, Any]]:
        ids = [held.running.id for held in self.live]
        sql = "select strategy_id, product, position, status, status_detail, message, ended_at from runs "
        return self.deployment.query(sql + "where strategy_id = any(%s)", ids)

    def _row(self, held: Held) -> dict[str, Any]:
        return next(row for row in self._rows() if row["strategy_id"] == held.running.id)

    # --- kills ----------------------------------------------------------------------------------------------------

    def _kill(self) -> None:
        import ray

        self._killed_at = time.monotonic()
        kind = self._random.choice(KINDS)
        victims = sorted(name for name in self.deployment.actors() if name.partition(":")[0] == kind)
        if not victims:
            return
        with suppress(ValueError, ray.exceptions.RayError, ProcessLookupError):  # it is being started already
            os.kill(self.deployment.actor_pid(self._random.choice(victims)), signal.SIGKILL)
            self.killed[kind] += 1


def soak(minutes: float, strategies: int, seed: int) -> Soak:
    """Run a day, and come back with what was seen."""
    begun = time.monotonic()
    unlimited = {"api_rate_per_minute": 0, "api_requests_at_once": 0, "auth_rate_per_minute": 0}
    with running_session(calendar="24x7", orders_per_day=PER_DAY, **unlimited) as (_, deployment):
        accounts = []
        for number in range(ACCOUNTS):
            holdings = dict.fromkeys(SYMBOLS, OLDER) if number % 2 else {}
            trader = Trader(deployment)
            trader.account = deployment.exchange.new_account(
                cash=50_000_000, holdings={f"NSE:{symbol}": quantity for symbol, quantity in holdings.items()}
            )
            trader.register()
            trader.connect()
            accounts.append(Account(trader, holdings))
        world = World(deployment, accounts, seed)
        world.pass_time(trading=False)
        for symbol in SYMBOLS:
            accounts[0].trader.strategy(symbol, buy_in=600, sell_in=1200).stop()
        pace = {"now": "2026-11-30T09:00:00+05:30", "factor": 7 * 60 / minutes}
        deployment.exchange.session(on=True, token_flush=None, pace=pace)
        seen = Soak(deployment, world, strategies)
        seen.run_the_day()
        say("the day is over")
        seen.end_the_day()
        seen.judge()
        seen.minutes = (time.monotonic() - begun) / 60
        seen.alerts = Counter(deployment.alerts.all_codes)
        return seen


def _code(error: Exception) -> str:
    text = str(error)
    _, found, rest = text.partition('"code":"')
    return rest.partition('"')[0] if found else type(error).__name__


def say(what: str) -> None:
    """Progress."""
    _console.print(f"{datetime.now(_IST):%H:%M:%S} {what}", highlight=False, markup=False)
