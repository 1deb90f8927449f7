"""Which process is the execution actor of its name, as far as orders without a prior answer are concerned.

An order of an armed stop leaves in the same instant as its claim, whose answer comes too late to stop it. That is safe
while no other process can claim: all commands for an account come to one execution actor, which joins those of one
intent. Only a second process of the same name could claim beside it, after Ray took this one for dead: frozen, or cut
off. So each process keeps a lease in Redis for a second. A later process takes it over, and sends no exit before the
earlier one's has run out; without a lease, a claim is answered before anything leaves, as for every other order.
"""

import asyncio
import time
from secrets import token_hex

import structlog

from persistence.errors import MirrorUnavailable
from persistence.mirror.mirror import RuntimeMirror

log = structlog.get_logger(__name__)

LEASE_S, KEPT_EVERY_S = 1.0, 0.3
_MARGIN_S = 0.2
"""Clocks run at slightly different rates, and the request itself takes a moment."""


class ExecutionLease:
    """The lease of this process. `keep()` is to be run as a task."""

    def __init__(self, mirror: RuntimeMirror, name: str) -> None:
        self._mirror, self._key = mirror, f"execution_lease:{name}"
        self._holder = f"{time.time_ns():020d}-{token_hex(4)}"
        self._until = self._alone_from = 0.0
        self._asked = asyncio.Event()

    @property
    def held(self) -> bool:
        """Whether no other process of the name can have claimed anything, or will before the next look at this."""
        return self._alone_from <= time.monotonic() < self._until

    async def alone(self) -> None:
        """Wait until an earlier process of the name cannot act on its lease any more; at most a second."""
        await self._asked.wait()
        await asyncio.sleep(max(0.0, self._alone_from - time.monotonic()))

    async def keep(self) -> None:
        """Take it, and keep it until it is cancelled."""
        while True:
            await self._take()
            self._asked.set()
            await asyncio.sleep(KEPT_EVERY_S)

    async def _take(self) -> None:
        asked_at = time.monotonic()
        try:
            left_s = await self._mirror.take_lease(self._key, self._holder, LEASE_S)
        except MirrorUnavailable as error:
            log.info("execution_lease.not_kept", reason=str(error))
            return
        if left_s is None:
            log.warning("execution_lease.lost", key=self._key)
            self._until = 0.0
            return
        self._alone_from = max(self._alone_from, asked_at + left_s)
        self._until = asked_at + LEASE_S - _MARGIN_S
