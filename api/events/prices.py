"""Prices for streams that ask for them: those of the symbols that a user's strategies run on, at most once a second.

One stream of prices takes the place of a status poll for each strategy.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, tzinfo

import structlog
from cachetools import TTLCache

from api.events.schemas import PriceNow, Prices
from persistence.database.engine import Sessions, tenant_transaction
from persistence.database.repositories.runs import Runs
from persistence.errors import DatabaseUnavailable, MirrorUnavailable
from persistence.mirror.mirror import RuntimeMirror

log = structlog.stdlib.get_logger(__name__)

PRICES_S = 1.0
"""How often a stream sends prices at most."""

LOOKS_AT_ONCE = 4
"""How many streams of the process ask the database at once what runs: polls must find connections."""

_FRESH_S = 0.9
_MOST_SYMBOLS = 20_000

Traded = tuple[str, str]
"""Symbol and broker."""


class PriceReader:
    """Reads prices for all streams of the process: a symbol's once a second, however many streams want it."""

    def __init__(self, sessions: Sessions, mirror: RuntimeMirror, now: Callable[[], datetime], zone: tzinfo) -> None:
        self._sessions, self._mirror, self._now, self._zone = sessions, mirror, now, zone
        self._places = asyncio.Semaphore(LOOKS_AT_ONCE)
        self._read: TTLCache[Traded, Mapping[str, str]] = TTLCache(_MOST_SYMBOLS, _FRESH_S, timer=time.monotonic)

    async def traded(self, user_id: int) -> Sequence[Traded]:
        """What the user's strategies run on now (row K1). Raises DatabaseUnavailable."""
        async with self._places, tenant_transaction(self._sessions, user_id) as session:
            return await Runs(session).traded_now(user_id)

    async def latest(self, wanted: Sequence[Traded]) -> dict[Traded, Mapping[str, str]]:
        """`price:{symbol}` of each, not older than a second. Raises MirrorUnavailable."""
        found = {traded: fields for traded in wanted if (fields := self._read.get(traded)) is not None}
        missing = [traded for traded in wanted if traded not in found]
        if missing:
            read = dict(zip(missing, await self._mirror.get_prices(missing), strict=True))
            self._read.update(read)
            found |= read
        return found

    def shown(self, symbol: str, price: Mapping[str, str]) -> PriceNow:
        """A price, as the app gets it."""
        seen_at = datetime.fromisoformat(price["exchange_time"] or price["received_at"])
        age = self._now() - seen_at
        since = price.get("feed_since")
        return PriceNow.model_validate(
            {
                "symbol": symbol,
                "last_price": float(price["price"]),
                "last_price_age_ms": max(0, round(age.total_seconds() * 1000)),
                "feed": price.get("feed") or None,
                "feed_lag_ms": int(price["feed_lag_ms"]) if price.get("feed_lag_ms") else None,
                "feed_since": datetime.fromisoformat(since).astimezone(self._zone) if since else None,
            }
        )


class PricesOfUser:
    """The prices of one stream: what it has not sent yet."""

    def __init__(self, reader: PriceReader, user_id: int) -> None:
        self._reader, self._user_id = reader, user_id
        self._traded: Sequence[Traded] = ()
        self._is_known = False
        self._is_waiting = False
        self._sent: dict[Traded, tuple[str, ...]] = {}
        self._next_at = time.monotonic()

    @property
    def wait_s(self) -> float:
        """How long until the next prices may be sent."""
        return max(0.0, self._next_at - time.monotonic())

    def strategies_changed(self) -> None:
        """Look again what runs."""
        self._is_known = False

    async def news(self) -> Prices | None:
        """Those that have changed since they were sent; None if none has, if it is too soon, or while a store is away.

        The age of a price that stays as it is grows with the clock of the client, so it is not sent again.
        """
        if self.wait_s:
            return None
        self._next_at = time.monotonic() + PRICES_S
        try:
            if not self._is_known:
                self._traded, self._is_known = await self._reader.traded(self._user_id), True
            latest = await self._reader.latest(self._traded)
        except (DatabaseUnavailable, MirrorUnavailable) as error:
            if not self._is_waiting:  # once an outage, not once a second
                log.warning("prices_wait", user_id=self._user_id, reason=str(error))
            self._is_waiting = True
            return None
        self._is_waiting = False
        seen = {traded: _told(price) for traded, price in latest.items() if "price" in price}
        changed = [traded for traded, told in seen.items() if self._sent.get(traded) != told]
        self._sent = seen
        if not changed:
            return None
        return Prices(prices=[self._reader.shown(traded[0], latest[traded]) for traded in sorted(changed)])


def _told(price: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(price.get(name, "") for name in ("price", "exchange_time", "received_at", "feed", "feed_since"))
