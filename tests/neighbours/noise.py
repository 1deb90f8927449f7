"""The noisy tenant: a process of its own, at niceness 10, that does on every route at once what his limits allow.

python -m tests.neighbours.noise, with one JSON object a line on standard input, and an answer for each on output:
first what `Noise.of` takes, and `mail_port`, at which it is the mail server; then `{"do": "tour", "code": …}`,
`{"do": "go", "victim": email}`, `{"do": "rest"}` and `{"do": "end"}`. Rest ends every loop and stops what was
started; its answer has the counts of the spell.
"""

import asyncio
import contextlib
import itertools
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from tests.kit.mail_server import MailServer, mail_server
from tests.neighbours.noise_client import CONNECTIONS, PASSWORD, Account, NoiseClient, waits_s
from tests.neighbours.noise_tour import confirm_mail, tour_again, tour_once

NICENESS = 10
KEPT_SYMBOL = "INFY"
HELD_FOR_BUY_S = (8.0, 16.0, 32.0, 64.0)
"""From the making of a strategy to its buy time: as long as a START takes on a busy machine, at the fourth try."""

BOUGHT_WITHIN_S, LOOK_S = 30.0, 0.5
CREATED_AT_ONCE = 4
STREAMS, STREAM_AGAIN_S = 5, 5.0
MOVES, LOWEST_PAISE, STEP_PAISE = 4000, 50_000, 5
"""A stop-loss is dragged over this many levels, far below the price, and from the lowest again."""

CHURNED = 6
"""How many strategies are started and stopped in turn; the START limit lets through no others."""

EVERY_S = {
    "lists": 0.5, "timelines": 0.5, "moves": 0.03, "stops": 0.02, "refused connects": 1.0, "wrong passwords": 1.0,
    "logins": 0.15, "starts": 0.5, "tour": 1.0,
}  # fmt: skip
"""How often each loop asks. Together they ask for somewhat more than 100 units of work a second."""

Work = Callable[[], Awaitable[httpx.Response | None]]


@dataclass
class Noise:
    """The tenant, what he has, and what he does. `decoy`: a second account of his, which the tour deletes."""

    client: NoiseClient
    decoy: NoiseClient
    held_symbols: list[str]
    mails: MailServer
    kept: list[int] = field(default_factory=list)
    held: list[int] = field(default_factory=list)
    churned: list[int] = field(default_factory=list)
    long: int = 0
    victim: str = ""

    @classmethod
    def of(cls, told: dict[str, Any], mails: MailServer) -> "Noise":
        """`url`, `zone`, `accounts` (two of the exchange) and `held_symbols`; `mails`: the stack's mail server."""
        answers: dict[str, Counter[int]] = {}
        own, other = (
            NoiseClient(told["url"], ZoneInfo(told["zone"]), Account(**account), answers)
            for account in told["accounts"]
        )
        return cls(own, other, told["held_symbols"], mails)

    async def prepare(self, strategies: int) -> dict[str, Any]:
        """Register, hold a position on each symbol, keep `strategies`, and end one run; what the measurement needs."""
        client = self.client
        await client.sign_up()
        await confirm_mail(client, self.mails)
        await self.decoy.sign_up()
        for symbol in self.held_symbols:
            self.held.append(await self._hold(symbol))
        numbers = iter(range(strategies - len(self.held)))
        await asyncio.gather(*(self._create(numbers) for _ in range(CREATED_AT_ONCE)))
        self.long, *self.churned = self.kept[: CHURNED + 1]
        await client.ok("start_strategy", {"strategy_id": self.long}, once=True)
        await client.ok("stop_strategy", {"strategy_id": self.long})
        return {"email": client.email, "decoy": self.decoy.email, "long": self.long, "held": self.held}

    async def _hold(self, symbol: str) -> int:
        """A strategy that holds a position: on a busy machine a START, or the BUY itself, may come too late."""
        for buy_in_s in HELD_FOR_BUY_S:
            strategy_id = await self.client.create(symbol, buy_in_s)
            started = await self.client.ok("start_strategy", {"strategy_id": strategy_id}, once=True)
            due_in = datetime.fromisoformat(started["buy_at"]) - datetime.now(UTC)
            if due_in < timedelta(seconds=buy_in_s) and await self._bought(strategy_id, due_in):
                return strategy_id
            await self.client.ok("stop_strategy", {"strategy_id": strategy_id})
        raise RuntimeError(f"no strategy of {symbol} has bought at its time")

    async def _bought(self, strategy_id: int, due_in: timedelta) -> bool:
        """Whether it has, some time after its buy time at the latest."""
        until = datetime.now(UTC) + due_in + timedelta(seconds=BOUGHT_WITHIN_S)
        while datetime.now(UTC) < until:
            status = await self.client.ok("strategy_status", strategy_id=strategy_id)
            if status["position"] == "bought" or status["strategy_status"] != "running":
                return bool(status["position"] == "bought")
            await asyncio.sleep(LOOK_S)
        return False

    async def _create(self, numbers: Iterator[int]) -> None:
        for _ in numbers:
            self.kept.append(await self.client.create(KEPT_SYMBOL))

    async def tour(self, code: str) -> None:
        """Everything that can be done once, and every repeatable operation that is beside the loops."""
        await tour_once(self.decoy, code, self.mails)
        await tour_again(self.client, self.held[0], self.kept[-1])

    # --- the loops ------------------------------------------------------------------------------------------------

    def loops(self) -> list[Awaitable[None]]:
        """All of what he does at once."""
        lists, timelines, moves, churn = (
            self._lists(), self._timelines(), self._moves(), itertools.cycle(self.churned)
        )  # fmt: skip
        works: dict[str, Work] = {
            "lists": lambda: next(lists),
            "timelines": lambda: next(timelines),
            "moves": lambda: next(moves),
            "stops": lambda: self.client.call("stop_strategy", {"strategy_id": self.kept[-1]}),
            "refused connects": lambda: self.client.call("connect_broker", self.client.keys("not-the-token")),
            "wrong passwords": lambda: self._log_in(self.victim, "not the password of this user"),
            "logins": lambda: self._log_in(self.client.email, PASSWORD),
            "tour": self._tour,
        }
        starting = [self._again(EVERY_S["starts"], lambda: self._start_and_stop(next(churn))) for _ in range(2)]
        streams = [self._stream(number) for number in range(STREAMS)]
        return [*(self._again(EVERY_S[name], work) for name, work in works.items()), *starting, *streams]

    async def _again(self, every_s: float, work: Work) -> None:
        """At a steady rate, however long each takes: answers that are late are waited for beside the next call.

        At its end it waits for those that are under way: a START whose client has left would run on without its STOP.
        """
        clock, open_calls = asyncio.get_running_loop().time, set[asyncio.Task[httpx.Response | None]]()
        due = clock()
        try:
            while True:
                call = asyncio.ensure_future(_answered(work))
                open_calls.add(call)
                await asyncio.wait(open_calls, timeout=every_s)
                ended = [one.result() for one in open_calls if one.done()]
                wait_s = max((waits_s(answer) for answer in ended if answer is not None), default=0.0)
                open_calls = {one for one in open_calls if not one.done()}
                if len(open_calls) >= CONNECTIONS // 20:
                    await asyncio.wait(open_calls, return_when=asyncio.FIRST_COMPLETED)
                due = max(due + every_s, clock() + wait_s)
                await asyncio.sleep(due - clock())
        finally:
            await asyncio.gather(*open_calls, return_exceptions=True)

    def _lists(self) -> Iterator[Awaitable[httpx.Response]]:
        most = {"limit": 200}
        for turn in itertools.count():
            offset = 200 * (turn % 5)
            yield self.client.call("list_strategies", query=most | {"offset": offset})
            yield self.client.call("account_activity", query=most | {"offset": offset})
            yield self.client.call("list_logins", query=most | {"offset": offset})
            yield self.client.call("strategy_orders", query=most | {"offset": offset}, strategy_id=self.held[turn % 2])

    def _timelines(self) -> Iterator[Awaitable[httpx.Response]]:
        while True:
            yield self.client.call("strategy_timeline", query={"limit": 50}, strategy_id=self.long)
            yield self.client.call("strategy_timeline", query={"limit": 50}, strategy_id=self.held[0])

    def _moves(self) -> Iterator[Awaitable[httpx.Response]]:
        for turn in itertools.count():
            level = (LOWEST_PAISE + STEP_PAISE * (turn // 2 % MOVES)) / 100
            yield self.client.call("patch_strategy", {"stop_loss": level}, strategy_id=self.held[turn % len(self.held)])

    async def _log_in(self, email: str, password: str) -> httpx.Response:
        return await self.client.call("login", {"email": email, "password": password})

    async def _tour(self) -> None:
        await tour_again(self.client, self.held[0], self.kept[-1])

    async def _start_and_stop(self, strategy_id: int) -> httpx.Response:
        started = await self.client.call("start_strategy", {"strategy_id": strategy_id}, once=True)
        await self.client.call("stop_strategy", {"strategy_id": strategy_id})
        return started

    async def _stream(self, number: int) -> None:
        """Open a stream with its snapshot, read it for some seconds, and again."""
        while True:
            with contextlib.suppress(TimeoutError, httpx.TransportError):
                async with asyncio.timeout(STREAM_AGAIN_S):
                    await self._read_stream()
            await asyncio.sleep(STREAM_AGAIN_S / STREAMS if number else 0.5)

    async def _read_stream(self) -> None:
        client = self.client
        path = client.operations["strategy_events"].path
        async with client.http.stream("GET", path, headers=client.headers()) as answer:
            client.count("strategy_events", answer.status_code)
            if answer.is_success:
                async for _ in answer.aiter_bytes():
                    pass

    async def stop_churned(self) -> None:
        """STOP whatever a loop may have left running, until each is heard."""
        for strategy_id in self.churned:
            await self.client.ok("stop_strategy", {"strategy_id": strategy_id})


async def _answered(work: Work) -> httpx.Response | None:
    """None if the connection was lost, which is counted."""
    with contextlib.suppress(httpx.TransportError):
        return await work()
    return None


@dataclass
class Spell:
    """The loops, from "go" to "rest"."""

    noise: Noise
    tasks: list[asyncio.Future[None]] = field(default_factory=list)
    begun: tuple[float, float] = (0.0, 0.0)

    def go(self, victim: str) -> dict[str, Any]:
        """Begin every loop."""
        self.noise.victim = victim
        self.noise.client.answers.clear()
        self.begun = time.monotonic(), time.process_time()
        self.tasks = [asyncio.ensure_future(loop) for loop in self.noise.loops()]
        return {"going": len(self.tasks)}

    async def rest(self) -> dict[str, Any]:
        """End them; what was answered, and what it took of this process.

        Raises:
            Exception: that of a loop which ended by itself: the noise would be less than it is said to be.
        """
        wall_s, cpu_s = time.monotonic() - self.begun[0], time.process_time() - self.begun[1]
        failed = [task for task in self.tasks if task.done()]
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for task in failed:
            task.result()
        await self.noise.stop_churned()
        return {"answers": _plain(self.noise.client.answers), "wall_s": wall_s, "cpu_s": cpu_s}


def _plain(answers: dict[str, Counter[int]]) -> dict[str, dict[int, int]]:
    return {name: dict(counts) for name, counts in answers.items()}


async def serve() -> None:
    """Do what standard input says, until its end."""
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    told = json.loads(await lines.readline())
    with mail_server(told["mail_port"]) as mails:
        noise = Noise.of(told, mails)
        _say(await noise.prepare(told["strategies"]))
        await _obey(noise, lines)


async def _obey(noise: Noise, lines: asyncio.StreamReader) -> None:
    spell = Spell(noise)
    while line := await lines.readline():
        match json.loads(line):
            case {"do": "tour", "code": code}:
                await noise.tour(code)
                _say({"answers": _plain(noise.client.answers)})
            case {"do": "go", "victim": victim}:
                _say(spell.go(victim))
            case {"do": "rest"}:
                _say(await spell.rest())
            case _:
                return


def _give_way() -> None:
    """In life the noisy tenant has a machine of his own. Linux may weigh whole autogroups, whose niceness is apart."""
    os.nice(NICENESS)
    group = Path("/proc/self/autogroup")
    if group.exists():
        group.write_text(str(NICENESS))


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _give_way()
    asyncio.run(serve())
