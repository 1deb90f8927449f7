"""What stands beside our chain: the same stations with plain Ray calls between them, and with Redis pub/sub.

Each does less than ours: no state machine, no journal, no claim, no order book, no budget; a tick comes in over the
same KiteTicker, and an order goes out over the same warm connection.
"""

import asyncio
import os
from collections.abc import Callable
from typing import Any

from actors.domain.identifiers import Instrument, Product
from actors.domain.strategy.spec import StrategyRun
from actors.ports.strategy import OrderCommand
from actors.runtime.hosts.process_tuning import tune
from benchmarks.baselines import FAR_STOP, STOP, TOKEN
from benchmarks.exchange_control import Control

INSTRUMENT = Instrument("NSE", "TCS", TOKEN)
TICKS, ORDERS = "bench:ticks", "bench:orders"


def open_redis() -> Any:
    """A client of the stack's Redis, as one gets it."""
    from redis.asyncio import Redis

    from config.settings import load_settings

    return Redis.from_url(load_settings(secrets="optional").redis_url)


class Feed:
    """Ticks from the exchange to `on_tick` of a router, or to a channel."""

    def __init__(self, ws_root: str, api_key: str, access_token: str, router: Any) -> None:
        from broker.kite.credentials import KiteCredentials
        from broker.kite.streams.market_feed import MarketFeed, RawTick, run_reactor

        tune()
        self._loop = asyncio.get_event_loop()
        self._router, self._redis = router, None if router is not None else open_redis()
        self._waiting: set[asyncio.Task[Any]] = set()

        def heard(ticks: list[RawTick]) -> None:
            self._loop.call_soon_threadsafe(self._hand_on, [tick.price for tick in ticks])

        self._feed = MarketFeed(
            ws_root, on_ticks=heard, on_heard=lambda _: None, on_lost=lambda *_: None, on_refused=lambda: None
        )
        run_reactor()
        self._feed.subscribe(INSTRUMENT.token)
        self._feed.start(KiteCredentials(api_key, access_token))

    async def ready(self) -> int:
        """The pid."""
        return os.getpid()

    def _hand_on(self, prices: list[int]) -> None:
        for price in prices:
            if self._redis is None:
                self._router.on_tick.options(num_returns=0).remote(price)
            else:
                task = asyncio.ensure_future(self._redis.publish(TICKS, str(price)))
                self._waiting.add(task)
                task.add_done_callback(self._waiting.discard)


class Router:
    """Every tick to every strategy."""

    def __init__(self) -> None:
        tune()
        self._strategies: list[Any] = []

    async def follow(self, strategies: list[Any]) -> None:
        """From now on to these."""
        self._strategies = strategies

    async def on_tick(self, price: int) -> None:
        """Fan out."""
        for strategy in self._strategies:
            strategy.on_tick.options(num_returns=0).remote(price)


class Strategy:
    """One order when the price is at or below the stop, and ready again when it is above."""

    def __init__(self, number: int, stop: int, execution: Any) -> None:
        tune()
        self._number, self._stop, self._execution = number, stop, execution
        self._armed, self._shots = False, 0
        if execution is None:
            self._redis = open_redis()
            self._listening = asyncio.ensure_future(self._listen())

    async def ready(self) -> int:
        """The pid."""
        return os.getpid()

    async def move(self, stop: int) -> None:
        """Another stop."""
        self._stop = stop

    async def on_tick(self, price: int) -> None:
        """The decision."""
        if (order := self._decide(price)) is not None:
            self._execution.execute.options(num_returns=0).remote(self._number, order)

    def _decide(self, price: int) -> int | None:
        if price > self._stop:
            self._armed = True
        elif self._armed:
            self._armed, self._shots = False, self._shots + 1
            return self._shots
        return None

    async def _listen(self) -> None:
        async for price in subscribed(self._redis, TICKS):
            if (order := self._decide(int(price))) is not None:
                await self._redis.publish(ORDERS, f"{self._number} {order}")


class Execution:
    """Orders over one warm connection for each strategy."""

    def __init__(self, root: str, credentials: list[tuple[str, str]], listen: bool) -> None:
        from broker.kite.credentials import KiteCredentials
        from broker.kite.gateway import KiteEndpoint, KiteGateway

        tune()

        def of(pair: tuple[str, str]) -> Callable[[], Any]:
            async def load() -> KiteCredentials:
                return KiteCredentials(*pair)

            return load

        self._gateways = [KiteGateway(KiteEndpoint(root), of(pair)) for pair in credentials]
        self._waiting: set[asyncio.Task[Any]] = set()
        if listen:
            self._redis = open_redis()
            self._listening = asyncio.ensure_future(self._listen())

    async def ready(self) -> None:
        """Open the sessions."""
        for gateway in self._gateways:
            await gateway.keep_warm()

    async def execute(self, number: int, order: int) -> None:
        """Place it."""
        await self._gateways[number].place(a_command(number, order))

    async def _listen(self) -> None:
        async for order in subscribed(self._redis, ORDERS):
            number, shot = map(int, order.split())
            task = asyncio.ensure_future(self.execute(number, shot))
            self._waiting.add(task)
            task.add_done_callback(self._waiting.discard)


async def subscribed(redis: Any, channel: str) -> Any:
    """The messages of a channel."""
    pubsub = redis.pubsub(ignore_subscribe_messages=True)
    await pubsub.subscribe(channel)
    async for message in pubsub.listen():
        yield message["data"]


def a_command(number: int, order: int) -> OrderCommand:
    """A stop-loss order of the strategy of that number."""
    from datetime import UTC, datetime, timedelta

    now = datetime.now(UTC)
    run = StrategyRun(
        run_id=order, strategy_id=number, user_id=1, account_id=1, instrument=INSTRUMENT, product=Product.MIS,
        quantity=1, stop_loss=1, buy_at=now, sell_at=now + timedelta(hours=1), tag_key=number.to_bytes(16, "big"),
    )  # fmt: skip
    intent = run.exit_intent(1, 1)
    return OrderCommand(number, order, 1, 1, 1, INSTRUMENT, Product.MIS, intent, now)


class Chain:
    """The stations of one kind, `ray` or `redis`, with `strategies` strategies, each of an account of its own."""

    def __init__(self, kind: str, exchange: Control, strategies: int) -> None:
        import ray

        remote, self.breached = ray.remote, 0
        options: dict[str, Any] = {"num_cpus": 0}
        credentials = [(f"bench{number:011d}", "t" * 32) for number in range(strategies)]
        over_redis = kind == "redis"
        self._execution = remote(**options)(Execution).remote(exchange.root, credentials, over_redis)
        hand = None if over_redis else self._execution
        strategy = remote(**options)(Strategy)
        self._strategies = [strategy.remote(number, FAR_STOP, hand) for number in range(strategies)]
        self._router = None if over_redis else remote(**options)(Router).remote()
        ray.get([self._execution.ready.remote(), *(s.ready.remote() for s in self._strategies)], timeout=300)
        if self._router is not None:
            ray.get(self._router.follow.remote(self._strategies))
        self._feed = remote(**options)(Feed).remote(exchange.ws_root, "benchfeed0000000", "t" * 32, self._router)
        ray.get(self._feed.ready.remote())
        self.breach(1)

    def breach(self, count: int) -> None:
        """From now on `count` of them sell when the price falls."""
        import ray

        stops = [STOP if number < count else FAR_STOP for number in range(len(self._strategies))]
        ray.get([s.move.remote(stop) for s, stop in zip(self._strategies, stops, strict=True)])
        self.breached = count

    def close(self) -> None:
        """End its processes."""
        import ray

        for actor in (self._feed, self._router, self._execution, *self._strategies):
            if actor is not None:
                ray.kill(actor)
