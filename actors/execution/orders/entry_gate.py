"""The gate of entries: a BUY of a user who has forbidden entries is not sent (row N8). Exits never ask here.

It is asked twice: when the order lock is claimed, by a reading of the stores, and in the iteration of the loop in which
the request would leave, from memory. Between the two, a reading every tenth of a second keeps the memory fresh.
"""

import asyncio
from collections import Counter

import structlog

from actors.domain.identifiers import Leg
from actors.ports.execution import ClaimsUnavailable, OrderClaims
from actors.ports.strategy import OrderCommand

log = structlog.get_logger(__name__)

FORBIDDEN = "entries are forbidden until you allow them again (POST /risk/unlock)"
"""Why a BUY was not sent, as the trader reads it."""

READ_EVERY_S = 0.1
"""Between two readings while a BUY is working. None is made otherwise."""

TOLD_STANDS_S = 10.0
"""How long a ban that execution has heard of stands at least: the marks in the stores may come after it."""

_UNKNOWN = "it cannot be read whether entries are forbidden: new entries are halted"


class EntryGate:
    """Which users' entries are barred. `forbid` is the quick way in; the stores are the lasting one."""

    def __init__(self, claims: OrderClaims, read_every_s: float = READ_EVERY_S) -> None:
        """`read_every_s`: seconds between two readings while a BUY is working."""
        self._claims, self._read_every_s = claims, read_every_s
        self._stored: frozenset[int] = frozenset()
        self._told: dict[int, float] = {}
        self._readings = self._newest = 0
        self._in_work: Counter[int] = Counter()
        self._watching: asyncio.Task[None] | None = None

    def forbid(self, user_id: int) -> None:
        """Bar a user's entries at once. It stands until, ten seconds later, a reading of both stores shows no ban."""
        self._told[user_id] = asyncio.get_running_loop().time()

    def bars(self, command: OrderCommand) -> bool:
        """Whether the command is a BUY that may not leave, by what is known in this moment."""
        if command.intent.id.leg is not Leg.ENTRY:
            return False
        return command.user_id in self._stored or command.user_id in self._told

    async def asked(self, command: OrderCommand) -> bool:
        """As `bars`, by a reading that begins now.

        Raises:
            ClaimsUnavailable: a store does not answer, and what is known bars nothing. An entry is halted then.
        """
        if command.intent.id.leg is not Leg.ENTRY:
            return False
        complete = await self._read()
        barred = self.bars(command)
        if not complete and not barred:
            raise ClaimsUnavailable(_UNKNOWN)
        return barred

    def began(self, command: OrderCommand) -> None:
        """A command is working: keep the memory fresh while it is a BUY."""
        if command.intent.id.leg is Leg.ENTRY:
            self._in_work[command.user_id] += 1
            if self._watching is None or self._watching.done():
                self._watching = asyncio.create_task(self._watch(), name="bans of entries")

    def ended(self, command: OrderCommand) -> None:
        """The work that `began` is over."""
        if command.intent.id.leg is Leg.ENTRY:
            self._in_work -= Counter({command.user_id: 1})

    async def _watch(self) -> None:
        while self._in_work:
            await asyncio.sleep(self._read_every_s)
            await self._read()

    async def _read(self) -> bool:
        """Take the stores' word in; whether both have given it. What one of them does not say is kept as it was."""
        self._readings += 1
        began = self._readings
        old = asyncio.get_running_loop().time() - TOLD_STANDS_S
        bans = await self._claims.entry_bans()
        if began < self._newest:  # a later reading has answered before this one
            return bans.complete
        self._newest = began
        if bans.complete:
            self._stored = bans.users
            self._told = {user_id: at for user_id, at in self._told.items() if user_id in bans.users or at > old}
        else:
            self._stored |= bans.users
        return bans.complete
