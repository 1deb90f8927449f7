"""A hundred strategies with positions on three Ray nodes, killed at random for ten minutes.

python -m benchmarks.scale [--strategies N] [--minutes M] [--report FILE]

Each stroke kills something with SIGKILL: mostly a strategy that holds a position, whose price then lies at its stop,
so that the exchange's stamp of the sale says how long it was unguarded; else a router, the feed, a ledger, execution,
or a whole node. A strategy that was sold out is replaced. At the end the exchange's ledger is the judge.
"""

import argparse
import random
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psutil

from benchmarks.figures import percentile
from tests.kit.cluster import Cluster, running_cluster
from tests.kit.paper import eventually
from tests.kit.trader import Running, Trader

NODES = ("gateway", "one", "two")
SYMBOLS = ("SBIN", "TCS", "INFY", "ITC", "RELIANCE")
PRICE, FIRST_STOP, STEP = 1000.00, 900.00, 0.50
PER_ACCOUNT = 10
PAUSE_S = 4.0
NODE_EVERY = 30
"""Strokes from one killed node to the next."""

SOLD_WITHIN_S = 60.0
_IST = ZoneInfo("Asia/Kolkata")
OTHERS = ("router", "router", "feed:0", "ledger:0", "ledger:1", "execution:0")


@dataclass
class Run:
    """What goes on, and what has been seen."""

    cluster: Cluster
    traders: list[Trader]
    holding: dict[str, list[Running]] = field(default_factory=lambda: {symbol: [] for symbol in SYMBOLS})
    ended: list[Running] = field(default_factory=list)
    stops: dict[str, float] = field(default_factory=lambda: dict.fromkeys(SYMBOLS, FIRST_STOP))
    killed: Counter[str] = field(default_factory=Counter)
    unguarded: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    restarts: int = 0
    wrong: list[str] = field(default_factory=list)
    """What went wrong, in words."""

    def start(self, symbol: str, buy_in: float) -> None:
        """One more strategy; each has a stop of its own, below those of all before it."""
        trader = min(self.traders, key=lambda t: sum(s.trader is t for s in self.all()))
        stop, self.stops[symbol] = self.stops[symbol], round(self.stops[symbol] - STEP, 2)
        self.holding[symbol].append(trader.strategy(symbol, buy_in=buy_in, stop_loss=stop, quantity=1, sell_in=7200))

    def all(self) -> Iterator[Running]:
        """Those that run."""
        for strategies in self.holding.values():
            yield from strategies

    def kill_strategy(self) -> None:
        """Kill the one whose stop is the highest of a symbol, let the price touch it, and see when it is sold."""
        symbol = random.choice([symbol for symbol, running in self.holding.items() if running])
        victim = self.holding[symbol].pop(0)
        victim.until_position("bought", 120)
        stop = victim.status()["stop_loss"]
        before = len(victim.orders())
        victim.kill_actor()
        killed_at = time.time()
        victim.set_price(stop)
        self.killed["strategy"] += 1
        try:
            eventually(lambda: len(victim.orders()) > before and victim.sides().count("SELL") > 0, SOLD_WITHIN_S)
            victim.until_stopped(60)
        except AssertionError as error:
            self.wrong.append(str(error)[:300])
        else:
            tag = next(line for line in victim.log() if line["event"] == "STOPLOSS" and line["order_id"])
            order = next(o for o in victim.orders() if o["order_id"] == tag["order_id"])
            sold_ns = next(r["received_ns"] for r in victim.requests() if r.get("tag") == order["tag"])
            self.unguarded.append(sold_ns / 1e9 - killed_at)
        victim.set_price(PRICE)
        self.ended.append(victim)
        self.start(symbol, 5)

    def kill_other(self) -> None:
        """Kill a part that all or many rely on."""
        name = random.choice(OTHERS)
        if name == "router":
            name = f"router:NSE:{random.choice(SYMBOLS)}"
        self.cluster.kill_actor(name)
        self.killed[name.partition(":")[0]] += 1

    def kill_node(self) -> None:
        """Kill a node of strategies, and start it again."""
        name = random.choice(NODES[1:])
        self.cluster.nodes[name].kill()
        self.killed["node"] += 1
        self.cluster.start_node(name)
        self.cluster.await_node(name)

    def weigh(self) -> None:
        """Memory of all processes of all nodes together, in MB; shared pages count once."""
        pids = [pid for node in self.cluster.nodes.values() for pid in node.pids()]
        total = 0
        for pid in pids:
            try:
                total += psutil.Process(pid).memory_full_info().pss
            except psutil.Error:
                continue
        self.memory.append(total / 2**20)


def run(strategies: int, minutes: float) -> Run:
    """Start, kill, stop, and come back with what was seen."""
    random.seed(20261128)
    unlimited = {
        "api_rate_per_minute": 0,
        "api_requests_at_once": 0,
        "auth_rate_per_minute": 0,
        "execution_actors": 1,
        "ledger_actors": 2,
    }
    with running_cluster(**unlimited) as cluster:
        for name in NODES:
            cluster.start_node(name, gateway=name == "gateway")
            cluster.await_node(name)
        cluster.join("gateway")
        cluster.start_api("gateway")
        for symbol in SYMBOLS:
            cluster.deployment.exchange.set_price(f"NSE:{symbol}", PRICE)
        seen = Run(cluster, [cluster.deployment.trader() for _ in range(strategies // PER_ACCOUNT)])
        _say(f"starting {strategies} strategies")
        for number in range(strategies):
            seen.start(SYMBOLS[number % len(SYMBOLS)], 20)
        for strategy in seen.all():
            strategy.until_position("bought", 120)
        seen.weigh()
        _say(f"all hold a position, {seen.memory[-1]:.0f} MB")
        _strike(seen, minutes)
        _end(seen)
        return _judged(seen)


def _strike(seen: Run, minutes: float) -> None:
    until, stroke = time.monotonic() + minutes * 60, 0
    while time.monotonic() < until:
        stroke += 1
        if stroke % NODE_EVERY == 0:
            seen.kill_node()
        elif stroke % 4 == 0:
            seen.kill_other()
        else:
            seen.kill_strategy()
        if stroke % 15 == 0:
            seen.weigh()
            _say(
                f"{sum(seen.killed.values())} kills {dict(seen.killed)}, unguarded at most {max(seen.unguarded):.2f} s"
            )
        time.sleep(PAUSE_S)


def _end(seen: Run) -> None:
    left = list(seen.all())
    for strategy in left:
        strategy.until_position("bought", 120)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda strategy: strategy.stop(), left))
    assert {answer.status_code for answer in answers} <= {200, 202}, [answer.text for answer in answers]
    for strategy in left:
        strategy.until_stopped(120)
    seen.ended += left


def _judged(seen: Run) -> Run:
    """The exchange's ledger: every tag one order, every strategy bought and sold once, no account is short or long."""
    for trader in seen.traders:
        account = seen.cluster.deployment.exchange.ledger(user_id=trader.account.user_id)
        orders = account["accounts"][trader.account.user_id]["orders"]
        tags = Counter(order["tag"] for order in orders)
        seen.wrong += [f"tag {tag} has {count} orders" for tag, count in tags.items() if count > 1]
        seen.wrong += [f"{quantity} of {symbol} left" for symbol, quantity in _net(orders).items() if quantity]
    for strategy in seen.ended:
        lines = [line for line in strategy.log() if line["order_id"] and line["event"] in {"BUY", "STOPLOSS", "SELL"}]
        if len({line["order_id"] for line in lines}) != 2:
            seen.wrong.append(f"strategy {strategy.id}: {[line['event'] for line in lines]}")
    rows = seen.cluster.deployment.query("select sum(epoch - 1) as restarts from runs")
    seen.restarts = int(rows[0]["restarts"])
    return seen


def _net(orders: list[dict[str, Any]]) -> Counter[str]:
    net: Counter[str] = Counter()
    for order in orders:
        net[order["tradingsymbol"]] += order["filled_quantity"] * (1 if order["transaction_type"] == "BUY" else -1)
    return net


def report(seen: Run, strategies: int, minutes: float) -> str:
    """The report, as Markdown."""
    killed = ", ".join(f"{count} × {what}" for what, count in sorted(seen.killed.items()))
    worst = percentile(seen.unguarded, 0.99)
    lines = [
        "# Scale run",
        "",
        f"`make scale`, {datetime.now(_IST):%d %B %Y}: {strategies} strategies of {len(seen.traders)} "
        f"accounts, all holding a position, on four Ray nodes (one of them the head) of one machine with "
        f"{psutil.cpu_count()} cores, for {minutes:g} minutes.",
        "",
        "| | |",
        "|---|---|",
        f"| killed with SIGKILL | {killed} |",
        f"| strategies that came back and took their runs over | {seen.restarts} |",
        f"| killed strategy whose price lies at its stop, until it was sold: median | "
        f"{statistics.median(seen.unguarded):.2f} s |",
        f"| the same, 99th percentile; worst | {worst:.2f} s; {max(seen.unguarded):.2f} s |",
        f"| memory of all nodes together, most | {max(seen.memory):.0f} MB |",
        f"| duplicates, wrong orders, shares left, strategies not sold in {SOLD_WITHIN_S:.0f} s | {len(seen.wrong)} |",
    ]
    return "\n".join([*lines, *(f"- {problem}" for problem in seen.wrong)]) + "\n"


def main() -> int:
    """Exit code 1 if anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--strategies", type=int, default=100)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    seen = run(options.strategies, options.minutes)
    text = report(seen, options.strategies, options.minutes)
    print(text)
    if options.report:
        options.report.write_text(text, encoding="utf-8")
    return int(bool(seen.wrong))


def _say(what: str) -> None:
    print(f"{datetime.now(_IST):%H:%M:%S} {what}", flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
