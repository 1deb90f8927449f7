"""The keys of prices and feeds in Redis: `price:{symbol}` of each broker, and how late each broker's stream is."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from actors.domain.money import Paise, to_rupees
from persistence.errors import MirrorUnavailable
from persistence.mirror.keys import bars_key, feed_account_key, feed_key, price_key
from persistence.mirror.scripts import PUT_PRICE

BARS_KEEP_SECONDS = 2 * 86_400
"""How long the bars of a day are kept after the first of them."""

FEED_KEPT_S = 30
"""A feed that has said nothing for this long is none."""


@contextmanager
def outages() -> Iterator[None]:
    """Turn what redis-py raises when Redis does not answer into `MirrorUnavailable`."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise MirrorUnavailable("Redis does not answer") from error


@dataclass(frozen=True, slots=True)
class FeedState:
    """How prices arrive: `lag_ms` behind our clock, if that is known; since when not as they should, if they do not."""

    live: bool
    lag_ms: int | None = None
    since: datetime | None = None

    def fields(self) -> dict[str, str]:
        """As a hash of Redis shows it."""
        word = "down" if not self.live else "live" if self.since is None else "late"
        return {
            "feed": word,
            "feed_lag_ms": "" if self.lag_ms is None else str(self.lag_ms),
            "feed_since": self.since.isoformat() if self.since else "",
        }


@dataclass(frozen=True, slots=True)
class Bar:
    """The prices of one minute, which begins `at`, as far as they were heard."""

    at: datetime
    open: Paise
    high: Paise
    low: Paise
    close: Paise


class MirroredPrices:
    """Prices are kept per broker: what one broker's exchange trades at says nothing of another's."""

    def __init__(self, redis: Redis, default_broker: str) -> None:
        self._redis, self._default_broker = redis, default_broker

        self._put_price = redis.register_script(PUT_PRICE)

    def _price_key(self, symbol: str, broker: str) -> str:
        return price_key(symbol, self._other(broker))

    def _other(self, broker: str) -> str:
        return "" if broker in {"", self._default_broker} else broker

    async def put_price(
        self,
        symbol: str,
        price: Paise,
        exchange_time: datetime | None,
        received_at: datetime,
        *,
        broker: str = "",
        feed: FeedState = FeedState(live=True),
        extremes: tuple[Paise, Paise] | None = None,
    ) -> None:
        """Row F4: the latest price of a symbol at a broker.

        `extremes`: the lowest and the highest price of the same minute since the one before was put. With them, and
        with a stamp of the exchange, the minute's bar is kept as well.
        """
        fields = {
            "price": str(to_rupees(price)),
            "exchange_time": exchange_time.isoformat() if exchange_time else "",
            "received_at": received_at.isoformat(),
        }
        fields |= feed.fields()
        if extremes is None or exchange_time is None:
            await self._put(self._price_key(symbol, broker), fields)
            return
        stamp = exchange_time.astimezone(UTC)
        low, high = extremes
        with outages():
            await self._put_price(
                keys=[self._price_key(symbol, broker), bars_key(symbol, f"{stamp:%Y%m%d}", self._other(broker))],
                args=[json.dumps(fields), f"{stamp:%H%M}", price, low, high, BARS_KEEP_SECONDS],
            )

    async def get_bars(self, symbol: str, days: Sequence[date], broker: str = "") -> list[Bar]:
        """The minute bars of a symbol at a broker on these days of UTC, oldest first; those that are still kept."""
        found = await self._read([bars_key(symbol, f"{day:%Y%m%d}", self._other(broker)) for day in days])
        return [
            _bar(day, minute, text)
            for day, bars in zip(days, found, strict=True)
            for minute, text in sorted(bars.items())
        ]

    async def put_feed(self, symbol: str, feed: FeedState, *, broker: str = "") -> None:
        """Row J2: whether prices of the symbol arrive at all, and how late."""
        await self._put(self._price_key(symbol, broker), feed.fields())

    async def get_price(self, symbol: str, broker: str = "") -> dict[str, str]:
        """`price:{symbol}`, empty if there was no tick yet."""
        return (await self.get_prices([(symbol, broker)]))[0]

    async def get_prices(self, wanted: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
        """As `get_price`, of several (symbol, broker) and in their order."""
        return await self._read([self._price_key(*symbol_and_broker) for symbol_and_broker in wanted])

    async def put_stream(self, broker: str, connections: Mapping[int, FeedState]) -> None:
        """How the connections of a broker's feed are; forgotten if it is not said again."""
        fields = {
            f"{number}.{name}": text for number, feed in connections.items() for name, text in feed.fields().items()
        }
        with outages():
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.delete(feed_key(broker))
                if fields:
                    pipeline.hset(feed_key(broker), mapping=_writable(fields))
                    pipeline.expire(feed_key(broker), FEED_KEPT_S)
                await pipeline.execute()

    async def get_streams(self, brokers: Sequence[str]) -> list[dict[str, str]]:
        """What `put_stream` has last said of each broker: `{connection}.feed`, `.feed_lag_ms`, `.feed_since`."""
        return await self._read([feed_key(broker) for broker in brokers])

    async def put_feed_account(self, broker: str, account_id: int) -> None:
        """Remember the account whose credentials carry a broker's market data."""
        with outages():
            await self._redis.set(feed_account_key(broker), account_id)

    async def get_feed_account(self, broker: str) -> int | None:
        """The account whose credentials carry a broker's market data; None if no account's do."""
        with outages():
            found = await self._redis.get(feed_account_key(broker))
        return int(found) if found else None

    async def _put(self, key: str, fields: Mapping[str, str]) -> None:
        with outages():
            await self._redis.hset(key, mapping=_writable(fields))

    async def _read(self, keys: Sequence[str]) -> list[dict[str, str]]:
        with outages():
            async with self._redis.pipeline(transaction=False) as pipeline:
                for key in keys:
                    pipeline.hgetall(key)
                return [dict(answer) for answer in await pipeline.execute()]


def _bar(day: date, minute: str, text: str) -> Bar:
    at = datetime(day.year, day.month, day.day, int(minute[:2]), int(minute[2:]), tzinfo=UTC)
    return Bar(at, *(Paise(int(price)) for price in text.split(",")))


def _writable(fields: Mapping[str, str]) -> dict[Any, Any]:
    return dict(fields)  # redis-py's parameter type is invariant in its keys
