"""Reading a deployment: PostgreSQL and Redis at once, Ray's head by a connection alone. A part that is away costs
seconds, and is said."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from datetime import time as time_of_day

import structlog
from sqlalchemy.exc import ProgrammingError

from actors.runtime.names import Pools, feed_names, pool_names
from api.overview.facts import Facts, MirrorView, Stream
from api.readiness.operator import feed_is_due
from api.strategies.guard_view import guard_of
from api.strategies.schemas import Guard
from config.settings import Settings
from persistence.database.engine import Sessions, newest_revision, open_database, sessions_of, transaction
from persistence.database.operator_view import OperatorRows, OperatorView, RunSeen
from persistence.errors import MirrorUnavailable, PersistenceError
from persistence.mirror.mirror import RuntimeMirror

log = structlog.stdlib.get_logger(__name__)

PART_TIMEOUT_S = 5.0
"""How long PostgreSQL, Redis and Ray's head have, each, before they count as away."""

FRESH_S = 2.0
"""How long what was seen is shown again."""

_STATUSES_AT_ONCE = 100


@dataclass(slots=True)
class Looking:
    """Connections for many looks at one deployment. Make it with `open_looking`."""

    settings: Settings
    sessions: Sessions
    mirror: RuntimeMirror
    newest: str | None = None

    async def look(self, *, ask_head: bool = True) -> Facts:
        """Everything as it is now; never fails for a part that is away. `ask_head`: whether Ray's head is asked."""
        now = datetime.now(self.settings.zone)
        (view, other_schema), head = await asyncio.gather(self._database(now), self._head(ask=ask_head))
        runs = view.runs if view is not None else None
        mirror, shown = await self._redis(now, runs)
        brokers = self.settings.brokers
        pools = Pools(self.settings.execution_actors, self.settings.ledger_actors, brokers)
        execution, ledgers = pool_names(pools)
        return Facts(
            at=now,
            database=view,
            mirror=mirror,
            other_schema=other_schema,
            runs=runs if runs is not None else shown,
            brokers=brokers,
            feeds_due=frozenset(broker for broker in brokers if feed_is_due(broker, now)),
            expected=[*feed_names(pools), *execution, *ledgers],
            head_answers=head,
            newest_revision=self.newest,
        )

    async def _database(self, now: datetime) -> tuple[OperatorView | None, bool]:
        begins = datetime.combine(now.date(), time_of_day(), self.settings.zone)
        try:
            async with asyncio.timeout(PART_TIMEOUT_S), transaction(self.sessions) as session:
                return await OperatorRows(session).look(now.date(), begins), False
        except (PersistenceError, TimeoutError) as error:
            log.debug("database_not_seen", error=type(error).__name__)
            return None, False
        except ProgrammingError:  # a table or a column that is not there
            return None, True

    async def _redis(self, now: datetime, runs: Sequence[RunSeen] | None) -> tuple[MirrorView | None, list[RunSeen]]:
        """What Redis shows and, if the runs are not known from PostgreSQL, those that it shows."""
        try:
            async with asyncio.timeout(PART_TIMEOUT_S):
                return await self._read_mirror(now, runs)
        except (MirrorUnavailable, TimeoutError) as error:
            log.debug("mirror_not_seen", error=type(error).__name__)
            return None, []

    async def _read_mirror(self, now: datetime, runs: Sequence[RunSeen] | None) -> tuple[MirrorView, list[RunSeen]]:
        brokers, mirror = self.settings.brokers, self.mirror
        wanted = await mirror.mirrored_strategies() if runs is None else [r.strategy_id for r in runs if r.holds]
        hashes = await self._hashes(wanted)
        guards = {
            strategy_id: guard for strategy_id, runtime in hashes.items()
            if (guard := self._guard(runtime, now)) is not None
        }  # fmt: skip
        view = MirrorView(
            guards=guards,
            feeds={
                broker: _streams(fields)
                for broker, fields in zip(brokers, await mirror.get_streams(brokers), strict=True)
            },
            presences=await mirror.get_presences(),
            queued=len(await mirror.raw_orders()),
            buried=await mirror.buried_orders(),
            emptied=await mirror.emptied_nodes(),
        )
        seen = [_run_shown(strategy_id, runtime) for strategy_id, runtime in hashes.items()] if runs is None else []
        return view, [run for run in seen if run is not None]

    async def _hashes(self, strategy_ids: Sequence[int]) -> Mapping[int, Mapping[str, str]]:
        found: dict[int, Mapping[str, str]] = {}
        for start in range(0, len(strategy_ids), _STATUSES_AT_ONCE):
            some = strategy_ids[start : start + _STATUSES_AT_ONCE]
            answers = await self.mirror.get_statuses(some)
            found |= {strategy_id: runtime for strategy_id, (runtime, _) in zip(some, answers, strict=True) if runtime}
        return found

    def _guard(self, runtime: Mapping[str, str], now: datetime) -> Guard | None:
        with contextlib.suppress(KeyError, ValueError):  # written by another version
            return guard_of(runtime, now, self.settings.zone)
        return None

    async def _head(self, *, ask: bool) -> bool | None:
        host, _, port = self.settings.ray_address.rpartition(":")
        if not ask or not port.isdigit():
            return None
        try:
            async with asyncio.timeout(PART_TIMEOUT_S):
                _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True


class RecentFacts:
    """Facts that are at most `FRESH_S` old: however many ask at once, and how often, the stores are asked once."""

    def __init__(self, looking: Looking) -> None:
        self._looking, self._turn = looking, asyncio.Lock()
        self._seen: tuple[float, Facts] | None = None

    async def facts(self) -> Facts:
        """As `Looking.look`, without Ray's head."""
        async with self._turn:
            now = time.monotonic()
            if self._seen is None or now - self._seen[0] > FRESH_S:
                self._seen = (now, await self._looking.look(ask_head=False))
            return self._seen[1]


@asynccontextmanager
async def open_looking(settings: Settings) -> AsyncIterator[Looking]:
    """Nothing connects before the first look."""
    engine = open_database(settings.database_url, pool_size=1, max_overflow=0, statement_timeout_s=PART_TIMEOUT_S)
    mirror = RuntimeMirror.connect(settings.redis_url, timeout_s=1, default_broker=settings.brokers[0])
    newest = await asyncio.to_thread(newest_revision)
    try:
        yield Looking(settings, sessions_of(engine), mirror, newest)
    finally:
        with contextlib.suppress(MirrorUnavailable):
            await mirror.close()
        await engine.dispose()


def _streams(fields: Mapping[str, str]) -> list[Stream]:
    names = sorted({name.partition(".")[0] for name in fields})
    return [
        Stream(
            name,
            fields.get(f"{name}.feed", "down"),
            int(lag) if (lag := fields.get(f"{name}.feed_lag_ms", "")).lstrip("-").isdigit() else None,
        )
        for name in names
    ]


def _run_shown(strategy_id: int, runtime: Mapping[str, str]) -> RunSeen | None:
    """A run as its hash shows it; None for one that has ended, or that another version wrote."""
    try:
        return (
            RunSeen(
                strategy_id=strategy_id,
                run_id=int(runtime["run_id"]),
                user_id=int(runtime["user_id"]),
                symbol=runtime["symbol"],
                broker=runtime["broker"],
                position=runtime["position"],
                status=runtime["status"],
                detail=runtime["status_detail"],
                message=runtime["message"],
                quantity=int(runtime["quantity"]),
                filled=int(runtime["filled_quantity"]),
                buy_at=datetime.fromisoformat(runtime["buy_at"]),
                sell_at=datetime.fromisoformat(runtime["sell_at"]),
                updated_at=datetime.fromisoformat(runtime["updated_at"]),
            )
            if not runtime["terminated_at"]
            else None
        )
    except (KeyError, ValueError):
        return None
