"""What a stream of events has to say next: what came after the last one it gave, or a snapshot to begin with."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo

import structlog

from api.events.prices import PriceReader, PricesOfUser
from api.events.schemas import AccountChange, EventData, SnapshotEnd, StrategyDeleted
from api.strategies.schemas import StrategyStatus
from api.strategies.status import status_before_start, status_of_run
from broker.kite.login import token_expiry
from persistence.database.engine import Sessions, tenant_transaction
from persistence.database.models.runs import Run
from persistence.database.models.strategies import Strategy
from persistence.database.repositories.brokers import BrokerAccounts
from persistence.database.repositories.panics import Panics
from persistence.database.repositories.runs import Runs
from persistence.database.repositories.strategies import Strategies
from persistence.errors import DatabaseUnavailable
from persistence.mirror.event_stream import EventPage, EventStream, MirrorEvent
from persistence.mirror.event_writing import ACCOUNT, CHANGED
from persistence.mirror.fields import instrument_of, runtime_fields
from persistence.mirror.mirror import RuntimeMirror

log = structlog.stdlib.get_logger(__name__)

READS_AT_ONCE = 8
"""Of all streams of the process: a crowd that wakes up at once must leave connections to the polls."""

PAGE = 100
"""Events read at a time."""

NEWEST = 50
"""How many of the user's newest strategies a snapshot holds, besides every one that runs."""

STATUSES_AT_ONCE = 50
"""How many statuses of a snapshot are put together at a time: the event loop serves others in between."""


@dataclass(frozen=True, slots=True)
class PushedEvent:
    """One event as the client gets it. `event_id`: where to go on from after it, if that is possible. `retry_s`: how
    long a client that connects again by itself is to wait before it does."""

    name: str
    data: EventData
    event_id: str | None = None
    retry_s: int | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """The next events, and the id to go on from. `more`: others are waiting already. `owed`: what PostgreSQL was needed
    for and did not answer; the next read gets it."""

    events: tuple[PushedEvent, ...]
    last_id: str
    more: bool = False
    owed: tuple[MirrorEvent, ...] = ()


class EventReader:
    """Reads for any number of streams. Everything is found by the user's id (row K1)."""

    def __init__(
        self,
        sessions: Sessions,
        mirror: RuntimeMirror,
        stream: EventStream,
        now: Callable[[], datetime],
        zone: tzinfo,
    ) -> None:
        self._sessions, self._mirror, self._stream = sessions, mirror, stream
        self._now, self._zone = now, zone
        self._places = asyncio.Semaphore(READS_AT_ONCE)
        self._prices = PriceReader(sessions, mirror, now, zone)

    async def read(self, user_id: int, last_id: str | None, owed: tuple[MirrorEvent, ...] = ()) -> Batch:
        """What came after `last_id`; a snapshot if that is None, or too old to go on from. First what is `owed` to a
        stream from before.

        Raises:
            MirrorUnavailable, DatabaseUnavailable: try again, with the same `last_id`.
        """
        async with self._places:
            page = None if last_id is None else await self._stream.after(user_id, last_id, PAGE)
            return await (self._snapshot(user_id, owed) if page is None else self._news(user_id, page, owed))

    def prices_of(self, user_id: int) -> PricesOfUser:
        """The prices of a stream of the user."""
        return PricesOfUser(self._prices, user_id)

    async def _news(self, user_id: int, page: EventPage, owed: tuple[MirrorEvent, ...]) -> Batch:
        wanted = sorted({_priced_by(event.runtime) for event in page.events if event.runtime})
        prices = await self._mirror.get_prices(wanted) if wanted else []
        latest = dict(zip(wanted, prices, strict=True))
        events = (*owed, *page.events)
        still_owed: dict[tuple[str, int], MirrorEvent] = {}
        try:
            stored, account = await self._asked_of_database(user_id, events)
        except DatabaseUnavailable as error:  # news of positions does not need it
            log.warning("events_owed", user_id=user_id, reason=str(error))
            stored, account = {}, None
            # It is sent later without its id: a client would go on from there, and hear again what it has heard.
            asked = [replace(event, event_id=None) for event in events if event.event in {CHANGED, ACCOUNT}]
            still_owed = {(event.event, event.strategy_id): event for event in asked}
        pushed = (self._pushed(event, latest, stored, account) for event in events)
        told = tuple(event for event in pushed if event is not None)
        return Batch(told, page.last_id, page.more, tuple(still_owed.values()))

    async def _asked_of_database(
        self, user_id: int, events: Sequence[MirrorEvent]
    ) -> tuple[dict[int, StrategyStatus], AccountChange | None]:
        changed = sorted({event.strategy_id for event in events if event.event == CHANGED})
        stored = await self._stored(user_id, changed) if changed else {}
        is_account = any(event.event == ACCOUNT for event in events)
        return stored, await self._account(user_id) if is_account else None

    def _pushed(
        self,
        event: MirrorEvent,
        prices: Mapping[tuple[str, str], Mapping[str, str]],
        stored: Mapping[int, StrategyStatus],
        account: AccountChange | None,
    ) -> PushedEvent | None:
        """None: the strategy was deleted meanwhile, which is an event of its own; or the event is owed."""
        if event.event == ACCOUNT:
            return None if account is None else PushedEvent(ACCOUNT, account, event.event_id)
        if event.event == CHANGED:
            status = stored.get(event.strategy_id)
            return None if status is None else PushedEvent("strategy", status, event.event_id)
        if not event.runtime:
            return PushedEvent(event.event, StrategyDeleted(strategy_id=event.strategy_id), event.event_id)
        status = self._status(event.strategy_id, event.runtime, prices[_priced_by(event.runtime)])
        return PushedEvent(event.event, status, event.event_id)

    async def _snapshot(self, user_id: int, owed: tuple[MirrorEvent, ...]) -> Batch:
        # The position first: what changes while the snapshot is taken comes twice rather than not at all.
        position = await self._stream.position(user_id)
        async with tenant_transaction(self._sessions, user_id) as session:
            strategies = await Strategies(session).watched(user_id, NEWEST)
            runs: dict[int, Run] = {}
            for some in _parts(strategies):
                runs |= await Runs(session).latest_of_each(user_id, [strategy.id for strategy in some])
        statuses = await self._statuses(strategies, runs)
        events = [PushedEvent("snapshot", status) for status in statuses]
        # Only the end carries an id: a client that saw half a snapshot must get all of it again.
        end = PushedEvent("snapshot_end", SnapshotEnd(strategies=len(events)), position)
        return Batch((*events, end), position, more=bool(owed), owed=owed)

    async def _stored(self, user_id: int, strategy_ids: Sequence[int]) -> dict[int, StrategyStatus]:
        """The statuses of those that are not deleted."""
        async with tenant_transaction(self._sessions, user_id) as session:
            strategies = await Strategies(session).of_ids(user_id, strategy_ids)
            runs = await Runs(session).latest_of_each(user_id, [strategy.id for strategy in strategies])
        return {status.strategy_id: status for status in await self._statuses(strategies, runs)}

    async def _statuses(self, strategies: Sequence[Strategy], runs: Mapping[int, Run]) -> list[StrategyStatus]:
        statuses: list[StrategyStatus] = []
        for some in _parts(strategies):
            mirrored = await self._mirror.get_statuses([strategy.id for strategy in some])
            statuses += [
                self._present(strategy, runs.get(strategy.id), runtime, price)
                for strategy, (runtime, price) in zip(some, mirrored, strict=True)
            ]
        return statuses

    async def _account(self, user_id: int) -> AccountChange:
        async with tenant_transaction(self._sessions, user_id) as session:
            account = await BrokerAccounts(session).of_user(user_id)
            locking = await Panics(session).locking(user_id)
        forbidden = locking is not None or await self._mirror.forbids_entries(user_id)
        expires_at = token_expiry(account.token_obtained_at) if account else None
        return AccountChange(
            broker_connected=account is not None,
            broker=account.broker if account else None,
            broker_user_id=account.broker_user_id if account else None,
            token_expires_at=expires_at.astimezone(self._zone) if expires_at else None,
            token_expired=self._now() >= expires_at if expires_at else None,
            entries_forbidden=forbidden,
        )

    def _present(
        self, strategy: Strategy, run: Run | None, runtime: Mapping[str, str], price: Mapping[str, str]
    ) -> StrategyStatus:
        if runtime.get("user_id") == str(strategy.user_id) and runtime.get("updated_at"):
            return self._status(strategy.id, runtime, price)
        if run is None:
            return status_before_start(strategy, self._zone)
        return self._status(strategy.id, runtime_fields(run, instrument_of(strategy).symbol), {})

    def _status(self, strategy_id: int, runtime: Mapping[str, str], price: Mapping[str, str]) -> StrategyStatus:
        return status_of_run(strategy_id, runtime, price, self._now(), self._zone)


def _parts(strategies: Sequence[Strategy]) -> Iterator[Sequence[Strategy]]:
    for start in range(0, len(strategies), STATUSES_AT_ONCE):
        yield strategies[start : start + STATUSES_AT_ONCE]


def _priced_by(runtime: Mapping[str, str]) -> tuple[str, str]:
    """Symbol and broker: a run from the time of one broker has none."""
    return runtime["symbol"], runtime.get("broker", "")
