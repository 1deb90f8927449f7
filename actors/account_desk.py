"""Everything that execution does at one account: one budget, one shared reading of the order book."""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping, Sequence

from actors.domain.order import OrderReport, precedence
from actors.order_budget import OrderBudget
from actors.ports import Clock, OrderGateway

_READ_SPACING_S = 0.15
"""Kite allows ten reads a second and account, all kinds together (kite.md §4)."""


class AccountDesk:
    """One account: its gateway, its order budget, and the order book read once for all who ask at the same time."""

    def __init__(self, gateway: OrderGateway, orders_per_second: int, clock: Clock) -> None:
        self.gateway = gateway
        self.budget = OrderBudget(orders_per_second, clock)
        self._next_read: asyncio.Task[Sequence[OrderReport]] | None = None
        self._reading = asyncio.Lock()
        self._last_read_at = 0.0

    async def read_book(self) -> Sequence[OrderReport]:
        """The whole order book, by a read that begins after this call.

        Raises:
            BrokerUnavailable: the read failed.
        """
        if self._next_read is None:
            self._next_read = asyncio.create_task(self._read())
            self._next_read.add_done_callback(_retrieve)
        return await asyncio.shield(self._next_read)

    async def _read(self) -> Sequence[OrderReport]:
        async with self._reading:
            loop = asyncio.get_running_loop()
            spacing = self._last_read_at + _READ_SPACING_S - loop.time()
            if spacing > 0:
                await asyncio.sleep(spacing)
            self._next_read = None  # whoever asks from now on needs a later read
            self._last_read_at = loop.time()
            return await self.gateway.orders()


def _retrieve(read: asyncio.Task[Sequence[OrderReport]]) -> None:
    """Every asker may have gone by the time a read fails; its error is theirs alone."""
    with contextlib.suppress(asyncio.CancelledError):
        read.exception()


def with_tag(reports: Iterable[OrderReport], tag: str) -> list[OrderReport]:
    """The orders that carry the tag."""
    return [report for report in reports if report.tag == tag]


def newest_by_tag(reports: Iterable[OrderReport], tags: Iterable[str]) -> Mapping[str, OrderReport]:
    """For each tag its order; of several, the one to hold on to."""
    wanted = set(tags)
    found: dict[str, OrderReport] = {}
    for report in sorted(reports, key=precedence):
        if report.tag in wanted and report.tag is not None:
            found.setdefault(report.tag, report)
    return found
