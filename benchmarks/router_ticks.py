"""Ticks a second through one router with fifty subscribers of which none is breached, beside Redis pub/sub.

The router's shell and both its ends of the socket plane in one process; sender and subscribers in another.
"""

import asyncio
import multiprocessing
import time
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from typing import Any

from actors.domain.identifiers import Instrument
from actors.domain.prices.tick import Tick
from actors.ports.prices import FeedStatus
from actors.prices.router_shell import RouterShell
from actors.runtime.clock import SystemClock
from actors.runtime.hosts.process_tuning import tune
from actors.runtime.plane.ticks import TickLink, TickSender
from benchmarks.figures import Figure, met

INFY, NODE, HOST = Instrument("NSE", "INFY", 408065), "bench", "127.0.0.1"
SUBSCRIBERS, TICKS, ROUNDS = 50, 60_000, 3
PRICE, STOP = 150000, 100


class _Source:
    async def subscribe(self, _instrument: Instrument, *, armed: bool) -> FeedStatus:
        return FeedStatus(live=armed)


class _Mirror:
    def show_price(self, symbol: str, tick: Tick, status: FeedStatus) -> None:
        """Nowhere."""

    def show_feed(self, symbol: str, status: FeedStatus) -> None:
        """Nowhere."""


class _Strategies:
    def __init__(self, sender: TickSender) -> None:
        self._sender = sender

    def deliver(self, receiver: int | str, tick: Tick) -> None:
        self._sender.send(str(receiver), tick)


def _ignore(_receiver: str) -> None: ...


async def _router(pipe: Connection) -> None:
    """The process of the router."""
    tune()
    seen, done = 0, asyncio.Event()
    sender = TickSender(NODE, HOST, on_joined=_ignore, on_left=_ignore)
    router = RouterShell(INFY, source=_Source(), strategies=_Strategies(sender), mirror=_Mirror(), clock=SystemClock())

    def on_tick(tick: Tick) -> None:
        nonlocal seen
        router.on_tick(tick)
        seen += 1
        if seen % TICKS == 0:
            done.set()

    for number in range(SUBSCRIBERS):
        router.watch(number, STOP)
    pipe.send([sender.invite(str(number), NODE) for number in range(SUBSCRIBERS)])
    loop = asyncio.get_running_loop()
    link = TickLink(on_tick, lambda: None)
    await link.open(await loop.run_in_executor(None, pipe.recv), FeedStatus(live=True))
    for _ in range(ROUNDS):
        await done.wait()
        done.clear()
        pipe.send(time.monotonic())
    await loop.run_in_executor(None, pipe.recv)


def _run_router(pipe: Connection) -> None:
    import uvloop

    uvloop.run(_router(pipe))


async def _drive(pipe: Any) -> list[float]:
    loop = asyncio.get_running_loop()
    heard: list[int] = []
    links = []
    for invitation in pipe.recv():
        link = TickLink(lambda tick: heard.append(tick.price), lambda: None)
        await link.open(invitation, FeedStatus(live=True))
        links.append(link)
    joined = asyncio.Event()
    feed = TickSender(NODE, HOST, on_joined=lambda _: joined.set(), on_left=_ignore)
    pipe.send(feed.invite("router", NODE))
    await joined.wait()
    rates = []
    for _ in range(ROUNDS):
        begun = time.monotonic()
        finished = loop.run_in_executor(None, pipe.recv)
        for number in range(TICKS):
            now = datetime.now(UTC)
            feed.send("router", Tick.single(INFY.token, PRICE + number % 7, now, now))
            link = feed._links["router"]
            while link._unsent:
                await asyncio.sleep(0)
            if number % 20 == 0:
                await asyncio.sleep(0)
        rates.append(TICKS / (await finished - begun))
    pipe.send(None)
    assert heard, "the subscribers heard nothing"
    return rates


async def _pubsub(url: str) -> float:
    from redis.asyncio import Redis

    publisher, done = Redis.from_url(url), asyncio.Event()
    count, wanted = 0, 4000

    async def listen(client: Redis) -> None:
        nonlocal count
        pubsub = client.pubsub(ignore_subscribe_messages=True)
        await pubsub.subscribe("bench:router")
        async for _ in pubsub.listen():
            count += 1
            if count == wanted * SUBSCRIBERS:
                done.set()

    clients = [Redis.from_url(url) for _ in range(SUBSCRIBERS)]
    listeners = [asyncio.create_task(listen(client)) for client in clients]
    await asyncio.sleep(1)
    begun = time.monotonic()
    for _ in range(wanted // 100):
        pipeline = publisher.pipeline(transaction=False)
        for _ in range(100):
            pipeline.publish("bench:router", "150000")
        await pipeline.execute()
    await done.wait()
    taken = time.monotonic() - begun
    for listener in listeners:
        listener.cancel()
    await asyncio.gather(*listeners, return_exceptions=True)
    for client in (publisher, *clients):
        await client.aclose()
    return wanted / taken


def router_ticks(redis_url: str) -> Figure:
    """The best of some rounds."""
    import uvloop

    mine, its = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_run_router, args=(its,), daemon=True)
    process.start()
    try:
        rates = uvloop.run(_drive(mine))
    finally:
        process.kill()
        process.join()
    pubsub = uvloop.run(_pubsub(redis_url))
    best = max(rates)
    return Figure(
        "Ticks through one router, 50 subscribers, none breached",
        "≥ 20 000/s",
        verdict=met(ok=best >= 20_000, said=f"{best:.0f}/s"),
        plain=[("ours, rounds", ", ".join(f"{rate:.0f}/s" for rate in rates)),
               ("Redis pub/sub, every tick to each of 50 redis-py subscribers", f"{pubsub:.0f}/s")],
        notes=["Subscribers whose stop-loss is not touched get one tick in 250 ms with the low and high between; "
               "pub/sub cannot do that."],
    )  # fmt: skip
