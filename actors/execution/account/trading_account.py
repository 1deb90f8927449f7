"""Everything that execution does at one account: one budget, one shared reading of the order book, one set of news."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

from actors.domain.identifiers import IntentId
from actors.domain.orders.cover import PositionKey
from actors.domain.orders.order import OrderReport, precedence
from actors.domain.orders.partly_read import may_hide
from actors.execution.account.budget import OrderBudget
from actors.execution.account.price_bands import PriceBands
from actors.execution.account.request_counts import RequestCounts
from actors.ports.execution import BrokerUnavailable, OrderGateway
from actors.waiting import within

T = TypeVar("T")

_READ_SPACING_S = 0.15
"""Kite allows ten reads a second and account, all kinds together (kite.md §4.6)."""

_WARM_S = 5.0
"""How long a connection that was readied counts as ready."""

_NEWS_KEPT = 1000
"""Orders whose latest update is remembered: an update may come before the reply that tells the order's id."""


class TradingAccount:
    """One account: its gateway, its order budget, and the order book read once for all who ask at the same time."""

    def __init__(self, gateway: OrderGateway, budget: OrderBudget, requests: RequestCounts) -> None:
        self.gateway, self.budget, self.requests = gateway, budget, requests
        self.updates_live = False
        """Whether an update has been heard on the present stream: then polling may be slow."""
        self.bands = PriceBands(gateway)
        self.shares = ShareReservations()
        self._news: dict[str, OrderReport] = {}
        self._readers: dict[str, asyncio.Event] = {}
        self._book = SharedRead(self._read, _READ_SPACING_S)
        self._warm_until = 0.0

    async def read_book(self, since: float | None = None) -> Sequence[OrderReport]:
        """The whole order book, by a read that begins after this call, or has begun after `since` (the loop's time)
        and just now: two reads must be as far apart in any case.

        Raises:
            BrokerUnavailable: the read failed.
        """
        return await (self._book.next() if since is None else self._book.since(since))

    async def _read(self) -> Sequence[OrderReport]:
        return await self.gateway.orders()

    async def warm_up(self) -> None:
        """Ready a connection for the order that is about to leave; a failure shows itself when it matters."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._warm_until:
            return
        self._warm_until = loop.time() + _WARM_S
        with contextlib.suppress(BrokerUnavailable):
            await self.gateway.keep_warm()

    # --- order updates: hints that arrive twice, late and out of order (kite.md §3.5) -----------------------------

    def take_update(self, report: OrderReport) -> None:
        """Take in one update of the broker's stream, and wake the follower of that order."""
        self.updates_live = True
        known = self._news.pop(report.order_id, None)
        self._news[report.order_id] = known.merged(report) if known is not None else report
        while len(self._news) > _NEWS_KEPT:
            del self._news[next(iter(self._news))]
        if (reader := self._readers.get(report.order_id)) is not None:
            reader.set()

    def updates_broke(self) -> None:
        """The stream was connected again: what happened meanwhile is not replayed, so every follower looks."""
        self.updates_live = False
        for reader in self._readers.values():
            reader.set()

    def news(self, order_id: str) -> OrderReport | None:
        """The furthest that updates have said of an order."""
        return self._news.get(order_id)

    async def await_news(self, order_id: str, timeout_s: float) -> None:
        """Return at the next update of the order, or after this many seconds."""
        reader = self._readers.setdefault(order_id, asyncio.Event())
        reader.clear()
        await within(reader, timeout_s)

    def stop_following(self, order_id: str) -> None:
        """No follower waits for updates of this order any longer."""
        self._readers.pop(order_id, None)


class ShareReservations:
    """Shares that working exits are about to sell, so that two exits never count on the same ones (mechanism 9)."""

    def __init__(self) -> None:
        self._reserved: dict[PositionKey, dict[IntentId, int]] = {}

    def set(self, key: PositionKey, intent_id: IntentId, quantity: int) -> None:
        """The intent still has this many shares to sell; 0 frees them."""
        of_key = self._reserved.setdefault(key, {})
        of_key[intent_id] = quantity
        if quantity <= 0:
            del of_key[intent_id]
        if not of_key:
            del self._reserved[key]

    def of_others(self, key: PositionKey, intent_id: IntentId) -> int:
        """Shares that other intents are about to sell."""
        return sum(n for other, n in self._reserved.get(key, {}).items() if other != intent_id)

    def moving(self, key: PositionKey) -> bool:
        """Whether any exit of this position is working."""
        return key in self._reserved


class SharedRead(Generic[T]):
    """One read for all who ask before it begins. `next` gives one that begins after the call; `since` also one that
    began after an earlier instant, if no other may begin yet."""

    def __init__(self, read: Callable[[], Awaitable[T]], spacing_s: float) -> None:
        self._call, self._spacing_s = read, spacing_s
        self._next: asyncio.Task[T] | None = None
        self._reading = asyncio.Lock()
        self._last_read_at = 0.0
        self._latest: tuple[float, T] | None = None

    async def since(self, instant: float) -> T:
        """The latest read if it began after the instant (the loop's time). Raises what the read raises."""
        if self._latest is not None:
            began_at, value = self._latest
            if instant <= began_at and asyncio.get_running_loop().time() < began_at + self._spacing_s:
                return value
        return await self.next()

    async def next(self) -> T:
        """The next read. Raises what the read raises."""
        if self._next is None:
            self._next = asyncio.create_task(self._read())
            # each asker may have gone by the time a read fails: its error is theirs alone
            self._next.add_done_callback(lambda read: read.cancelled() or read.exception())
        return await asyncio.shield(self._next)

    async def _read(self) -> T:
        async with self._reading:
            loop = asyncio.get_running_loop()
            spacing = self._last_read_at + self._spacing_s - loop.time()
            if spacing > 0:
                await asyncio.sleep(spacing)
            self._next = None  # a caller that asks from now on needs a later read
            began_at = self._last_read_at = loop.time()
            value = await self._call()
            self._latest = began_at, value
            return value


def with_tag(reports: Iterable[OrderReport], tag: str) -> list[OrderReport]:
    """The orders that carry the tag. A row that makes no sense may hide one (`may_hide`)."""
    return [report for report in reports if report.tag == tag]


def newest_by_tag(reports: Sequence[OrderReport], tags: Iterable[str]) -> Mapping[str, OrderReport]:
    """For each tag its order; of several, the one to hold on to.

    Raises:
        BrokerUnavailable: a row of one of these orders makes no sense, so that nothing is known of it.
    """
    wanted = set(tags)
    found: dict[str, OrderReport] = {}
    for report in sorted(reports, key=precedence):
        if report.tag in wanted and report.tag is not None:
            found.setdefault(report.tag, report)
    if any(tag not in found and may_hide(reports, tag, anonymous=False) for tag in wanted):
        raise BrokerUnavailable("the broker's row of an order of this strategy made no sense")
    return found
