"""What is known of one account's shares: the stakes of our runs, and the latest judgement on each position.

Two readings make a judgement: the positions first, then the order book. A sale that falls between them is in the book
and still counted as held, so the judgement errs towards selling less. It is good for an exit only while it is younger
than a few seconds and younger than the last fill of ours.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from actors.domain.identifiers import Product, has_tag_form
from actors.domain.orders.cover import (
    NOTHING,
    AccountPosition,
    Cover,
    PositionKey,
    Stake,
    judge,
    name_of,
    outstanding,
)
from actors.domain.orders.order import OrderReport
from actors.domain.orders.partly_read import is_unread
from actors.execution.account.trading_account import SharedRead, TradingAccount
from actors.ports.common import Clock, PeerUnavailable
from actors.ports.execution import AccountRecords, BrokerUnavailable, KnownIntent
from actors.ports.strategy import Holding, OrderCommand

log = structlog.get_logger(__name__)

LASTS = timedelta(seconds=3)
"""How long a judgement of the watcher stands for a look at the account: one round of it, and some."""

INTENTS_LAST = timedelta(seconds=10)
"""How long what the journal said of the account's intents is taken to be all of them."""

_SLACK = timedelta(milliseconds=500)
"""How long after its instant an order may leave on a reading that was made for it."""

_AHEAD, _IN_TIME = LASTS - _SLACK, timedelta(seconds=1)
"""How long before an instant a look that shall stand at it is made at the earliest, and at the latest."""

_LOOK_S = 0.5
"""How long a BUY whose instant has come waits for a look at the account, if there was none in time."""

SETTLES_WITHIN = timedelta(seconds=4)
"""What a run has just bought may not be in the positions yet."""


def look_ahead_at(handed_over: datetime, instant: datetime) -> datetime:
    """When to look at the account so that it stands at the instant.

    Who was handed over first looks last: the looks of one instant are spread as the hand-overs are, since each takes
    threads, and with them the interpreter, from what leaves.
    """
    early = instant - handed_over - _AHEAD
    return instant - _AHEAD + min(early, _AHEAD - _IN_TIME) if early > timedelta(0) else handed_over


@dataclass(frozen=True, slots=True)
class Reading:
    """What one look at the account has shown. `read_at`: just before it began, by the monotonic clock."""

    positions: Mapping[PositionKey, AccountPosition]
    book: Sequence[OrderReport]
    known: Sequence[KnownIntent]
    read_at: float
    demat: bool
    """Whether shares of earlier days are among the positions."""

    def position(self, key: PositionKey) -> AccountPosition:
        """What is there under one key."""
        return self.positions.get(key, NOTHING)


class AccountEvidence:
    """The stakes and judgements of one account. Everything that sells asks here."""

    def __init__(self, account_id: int, account: TradingAccount, records: AccountRecords, clock: Clock) -> None:
        self._account_id, self._account, self._records, self._clock = account_id, account, records, clock
        self._stakes: dict[int, tuple[PositionKey, Stake]] = {}
        self._covers: dict[PositionKey, Cover] = {}
        self._filled_at: dict[PositionKey, float] = {}
        self._own_tags: set[str] = set()
        self._known: tuple[KnownIntent, ...] = ()
        self._known_at: float | None = None
        self._seen: Reading | None = None
        self._demat = False
        self._reads = SharedRead(self._read, 0.0)

    @property
    def known(self) -> Sequence[KnownIntent]:
        """What the journal has last said of the account's intents."""
        return self._known

    def says_ended(self, run_id: int) -> bool | None:
        """Whether the journal calls the run ended; None: it has just said that there is no such run of late."""
        own = [intent for intent in self._known if intent.run_id == run_id]
        if own:
            return any(intent.ended for intent in own)
        return None if self._known_at is not None and self._since(self._known_at) <= INTENTS_LAST else False

    # --- stakes ---------------------------------------------------------------------------------------------------

    def take_stake(self, key: PositionKey, stake: Stake) -> None:
        """What a run says that it has; nothing takes it back."""
        self._own_tags.update(stake.tags)
        if stake.quantity > 0:
            self._stakes[stake.run_id] = key, stake
        else:
            self._stakes.pop(stake.run_id, None)

    def stakes(self, key: PositionKey) -> list[Stake]:
        """The stakes of all open runs under one key."""
        return [stake for own_key, stake in self._stakes.values() if own_key == key]

    def is_own(self, tag: str) -> bool:
        """Whether an order under this tag is ours. Before the journal has spoken, what looks like ours counts."""
        return tag in self._own_tags or (self._known_at is None and has_tag_form(tag))

    def own_fill(self, key: PositionKey) -> None:
        """An order of ours has filled: earlier readings no longer count."""
        self._filled_at[key] = self._clock.monotonic()

    def settled(self, key: PositionKey) -> bool:
        """Whether the positions must show our last fill by now."""
        filled_at = self._filled_at.get(key)
        return filled_at is None or self._since(filled_at) > SETTLES_WITHIN

    # --- judgements -----------------------------------------------------------------------------------------------

    async def read(self, *, demat: bool) -> Reading:
        """Look at the account; one look for all who ask before it begins. Raises BrokerUnavailable."""
        self._demat = self._demat or demat
        return await self._reads.next()

    async def _read(self) -> Reading:
        known = await self._known_intents()
        read_at = self._clock.monotonic()
        demat = self._demat
        positions = await self._account.gateway.positions(demat=demat)
        reading = Reading(positions, await self._account.read_book(), known, read_at, demat)
        self._seen = reading
        return reading

    def judge(self, key: PositionKey, reading: Reading, stakes: Sequence[Stake] | None = None) -> Cover:
        """The judgement on one key; it is remembered as the latest.

        Raises:
            BrokerUnavailable: an odd row may be about this key, so that nothing is known of it.
        """
        judged = self.stakes(key) if stakes is None else stakes
        if is_unread(reading.positions, key):
            self._covers.pop(key, None)
            raise BrokerUnavailable(f"the broker's row of {name_of(key)} makes no sense")
        intents = [intent.own for intent in reading.known]
        cover = judge(key, judged, reading.position(key), reading.book, intents, self.is_own, reading.read_at)
        self._covers[key] = cover
        return cover

    async def ask(self, holding: Holding) -> Cover:
        """Look now, and judge what is the run's. Raises BrokerUnavailable."""
        key, own = holding.key, holding.stake
        self._own_tags.update(own.tags)
        reading = await self.read(demat=holding.product is Product.CNC)
        others = [stake for stake in self.stakes(key) if stake.run_id != own.run_id]
        return self.judge(key, reading, [own, *others])

    async def ask_for(self, command: OrderCommand) -> Cover:
        """The same for an exit that is about to leave. Raises BrokerUnavailable."""
        key = command.key
        reading = await self.read(demat=command.product is Product.CNC)
        return self.judge(key, reading, self._with_stake_of(command, key))

    async def uncovered(self, command: OrderCommand) -> str | None:
        """Why working orders may sell more than is left of our runs' shares, by a look that begins now, or None.

        Raises:
            BrokerUnavailable: the account could not be read.
        """
        key = command.key
        cover = await self.ask_for(command)
        book = self._seen.book if self._seen is not None else ()
        asked_for = sum(outstanding(stake, book) for stake in self.stakes(key))
        return cover.reason() if asked_for > cover.covered and self.settled(key) else None

    def proves(self, command: OrderCommand) -> bool:
        """Whether the watcher itself has just seen that the account holds all that our runs have bought there."""
        key = command.key
        cover = self._covers.get(key)
        if cover is None or command.run_id not in cover.runs or cover.lacking:
            return False
        filled_at = self._filled_at.get(key)
        unfilled_since = filled_at is None or cover.read_at > filled_at
        free = cover.covered - self._account.shares.of_others(key, command.intent.id)
        return unfilled_since and self._since(cover.read_at) <= LASTS and free >= command.intent.quantity

    def lacks(self, key: PositionKey) -> bool:
        """Whether the latest look has shown less than our runs have bought there."""
        cover = self._covers.get(key)
        return cover is not None and cover.lacking > 0

    def doubt(self, report: OrderReport) -> None:
        """An order that is not ours has traded: earlier readings of those shares no longer count."""
        terms = report.terms
        for key in list(self._covers):
            if terms is None or key[1:] == (terms.tradingsymbol, terms.product):
                del self._covers[key]

    async def look_ahead(self, product: Product, instant: datetime | None = None) -> None:
        """Look, unless an earlier reading still stands at the instant; a failure shows itself when it matters.

        Without an instant it is about now, and no caller waits for long. Delivery is judged with the holdings: shares
        that were sold from them show as a negative position, and are not owed.
        """
        ahead = timedelta(0) if instant is None else instant + _SLACK - self._clock.now()
        seen, demat = self._seen, product is Product.CNC
        stands = seen is not None and self._since(seen.read_at) + ahead <= LASTS and (seen.demat or not demat)
        if not stands:
            with contextlib.suppress(BrokerUnavailable, TimeoutError):
                async with asyncio.timeout(None if instant else _LOOK_S):
                    await self.read(demat=demat)

    def short_before_buying(self, command: OrderCommand) -> int | None:
        """Shares that the account owes of what is about to be bought, by the last look; None: not known to owe any."""
        seen = self._seen
        if seen is None or self._since(seen.read_at) > LASTS:
            return None
        if command.product is Product.CNC and not seen.demat:
            return None
        key = command.key
        held = 0 if is_unread(seen.positions, key) else seen.position(key).held
        return -held if held < 0 else None

    def _since(self, at: float) -> timedelta:
        """How long ago it was. A wall clock that is set back would let an old look stand for as long."""
        return timedelta(seconds=self._clock.monotonic() - at)

    def _with_stake_of(self, command: OrderCommand, key: PositionKey) -> list[Stake]:
        """All stakes, the command's own as the strategy knows it now."""
        own = command.stake or Stake(command.run_id, command.intent.quantity, "", (command.intent.tag,))
        if command.intent.tag not in own.exit_tags:
            own = replace(own, exit_tags=(*own.exit_tags, command.intent.tag))
        self.take_stake(key, own)
        return [own, *(stake for stake in self.stakes(key) if stake.run_id != command.run_id)]

    async def _known_intents(self) -> tuple[KnownIntent, ...]:
        """What the journal knows; with the journal down, what it knew."""
        asked_at = self._clock.monotonic()
        if self._known_at is None or self._since(self._known_at) >= INTENTS_LAST:
            try:
                self._known = tuple(await self._records.known_intents(self._account_id))
                self._known_at = asked_at
                self._own_tags.update(intent.tag for intent in self._known)
            except PeerUnavailable as error:
                log.warning("evidence.journal_silent", account_id=self._account_id, reason=str(error))
        return self._known
