"""Every Redis key, and the order claim. Redis is a mirror for reads; PostgreSQL is the record.

Prices are rupee strings with two decimals, instants ISO 8601 with offset, absent values empty strings. No secret
is ever written here. `keys` lists the keys.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Self

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.client import NEVER_DECODE
from redis.exceptions import ConnectionError as RedisConnectionError

from persistence.mirror.claims import MirroredClaims
from persistence.mirror.event_writing import ACCOUNT, CHANGED, tell
from persistence.mirror.keys import (
    BUILT_KEY,
    DEAD_ORDERS,
    ENTRY_BANS,
    ORDER_QUEUE,
    claim_key,
    events_key,
    lock_key,
    runtime_key,
    strategy_key,
    strategy_key_pattern,
    symbol_key,
    user_key,
)
from persistence.mirror.presence import MirroredPresence
from persistence.mirror.prices import MirroredPrices, outages
from persistence.mirror.script_connection import ScriptConnection
from persistence.mirror.scripts import (
    ALLOW_ENTRIES,
    BURY,
    CLAIM,
    DELETE_STRATEGY,
    END_RUN,
    LEASE,
    PUT_RUN,
    READ_STATUS,
    SETTLE,
    SETTLE_RUN,
    SHOW_GUARDS,
)

log = structlog.get_logger(__name__)

KEEP_ENDED_SECONDS = 86_400

Fields = Mapping[str, str]
"""The fields of a hash, in the text forms described above."""


@dataclass(frozen=True, slots=True)
class RunOrders:
    """What happens to a run's events on `queue:orders` when its keys are written; intents in text form.

    `settled`: taken off. `failed`: taken off unless the intent holds the order lock, for then it is tried again
    already. `pending`: the event (JSON) of each intent, put on if the queue does not show the intent.
    """

    settled: Sequence[str] = ()
    failed: Sequence[str] = ()
    pending: Mapping[str, str] = field(default_factory=dict)


def open_redis(redis_url: str, *, timeout_s: float = 0.5, max_connections: int = 50) -> Redis:
    """A client for `redis://…` that answers in text; nothing connects before the first use.

    When all connections are busy, a call waits up to `timeout_s` seconds for one: a burst is served in turn. A lost
    connection is tried once more and at once (everything here is idempotent); after that the caller decides. No call
    takes much longer than three times `timeout_s` seconds.
    """
    pool = BlockingConnectionPool.from_url(
        redis_url,
        timeout=timeout_s,
        decode_responses=True,
        max_connections=max_connections,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
    )
    return Redis.from_pool(pool)


class RuntimeMirror(MirroredPrices, MirroredClaims, MirroredPresence):
    """Reads and writes of the mirror. Every method raises `MirrorUnavailable` when Redis does not answer."""

    def __init__(self, redis: Redis, claims: ScriptConnection | None = None, *, default_broker: str = "paper") -> None:
        """`redis` must answer in text; `open_redis` makes one that does. `claims` runs `CLAIM` for those in a hurry.

        `default_broker`: the first of BROKERS, whose price keys bear no broker's name.
        """
        MirroredPrices.__init__(self, redis, default_broker)
        MirroredClaims.__init__(self, redis, claims)
        MirroredPresence.__init__(self, redis)
        self._show_guards = redis.register_script(SHOW_GUARDS)
        self._settle = redis.register_script(SETTLE)
        self._settle_run = redis.register_script(SETTLE_RUN)
        self._bury = redis.register_script(BURY)
        self._put_run = redis.register_script(PUT_RUN)
        self._end_run = redis.register_script(END_RUN)
        self._delete_strategy = redis.register_script(DELETE_STRATEGY)
        self._allow_entries = redis.register_script(ALLOW_ENTRIES)
        self._read_status = redis.register_script(READ_STATUS)

    @classmethod
    def connect(
        cls, redis_url: str, *, timeout_s: float = 0.5, quick_claims: bool = False, default_broker: str = "paper"
    ) -> Self:
        """A mirror with connections of its own; nothing connects before the first use. Close it with `close()`.

        `quick_claims`: keep a connection for `claim` alone.
        """
        claims = ScriptConnection(redis_url, (CLAIM, LEASE), timeout_s) if quick_claims else None
        return cls(open_redis(redis_url, timeout_s=timeout_s), claims, default_broker=default_broker)

    async def close(self) -> None:
        """Give the connections back."""
        if self._claims is not None:
            await self._claims.close()
        await self._redis.aclose()

    async def ping(self) -> None:
        """Ask whether Redis answers."""
        with outages():
            await self._redis.ping()

    async def put_run(self, strategy_id: int, symbol: str, strategy: Fields, runtime: Fields) -> None:
        """Row D1: every key of a running strategy at once. Writing them again repairs whatever was lost.

        The user `runtime["user_id"]` hears what changed, in the same step.
        """
        await self.put_run_with_orders(strategy_id, symbol, strategy, runtime, RunOrders())

    async def put_run_with_orders(
        self, strategy_id: int, symbol: str, strategy: Fields, runtime: Fields, orders: RunOrders
    ) -> None:
        """As `put_run`, and in the same step the queue shows what is recorded of the run's intents."""
        with outages():
            await self._put_run(
                keys=[*_all_keys(strategy_id, symbol), ORDER_QUEUE],
                args=[
                    strategy_id,
                    runtime["user_id"],
                    _as_json(strategy),
                    _as_json(runtime),
                    json.dumps(asdict(orders)),
                ],
            )

    async def end_run(
        self, strategy_id: int, symbol: str, runtime: Fields, *, keep_seconds: int = KEEP_ENDED_SECONDS
    ) -> None:
        """Ruling 7: the id leaves the symbol's set, `strategy:{id}` goes, the final state stays for `keep_seconds`.

        0 (row I1, STOP): nothing of the strategy stays. Either way the events of the run `runtime["run_id"]` leave
        `queue:orders`. The user `runtime["user_id"]` hears what changed.
        """
        with outages():
            await self._end_run(
                keys=[*_all_keys(strategy_id, symbol), ORDER_QUEUE, claim_key(strategy_id)],
                args=[strategy_id, runtime["user_id"], _as_json(runtime), keep_seconds],
            )

    async def delete_strategy(self, strategy_id: int, symbol: str, *, tell: int | None = None) -> None:
        """Nothing of the strategy stays in Redis. `tell`: the user whose strategy it was, unless that one is gone."""
        with outages():
            await self._delete_strategy(
                keys=[*_all_keys(strategy_id, symbol), claim_key(strategy_id)],
                args=[strategy_id, "" if tell is None else tell],
            )

    async def get_status(self, strategy_id: int) -> tuple[dict[str, str], dict[str, str]]:
        """`runtime:{id}` and the `price:{symbol}` of its symbol, in one round trip."""
        return (await self.get_statuses([strategy_id]))[0]

    async def get_statuses(self, strategy_ids: Sequence[int]) -> list[tuple[dict[str, str], dict[str, str]]]:
        """As `get_status`, of one or more strategies and in their order. Redis does nothing else meanwhile: few."""
        with outages():
            answer = await self._read_status(
                keys=[runtime_key(strategy_id) for strategy_id in strategy_ids], args=[self._default_broker]
            )
        return [(_pairs(runtime), _pairs(price)) for runtime, price in json.loads(answer)]

    async def set_broker_connected(self, user_id: int, connected: bool) -> None:
        """Row B1: `user:{id}.broker_connected`. The user hears that the account has changed."""
        with outages():
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.hset(user_key(user_id), "broker_connected", "true" if connected else "false")
                tell(pipeline, user_id, ACCOUNT)
                await pipeline.execute()

    async def tell_changed(self, user_id: int, strategy_id: int) -> None:
        """The user hears that a strategy that need not run is there, or is another: what it is, the database knows."""
        with outages():
            async with self._redis.pipeline(transaction=True) as pipeline:
                tell(pipeline, user_id, CHANGED, strategy_id)
                await pipeline.execute()

    async def forbid_entries(self, user_id: int, panic_id: str) -> str:
        """Row N8: mark that the user has forbidden entries; the panic that the mark names, an earlier one if any.

        The user hears that the account has changed.
        """
        with outages():
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.hsetnx(ENTRY_BANS, str(user_id), panic_id)
                pipeline.hget(ENTRY_BANS, str(user_id))
                tell(pipeline, user_id, ACCOUNT)
                return str((await pipeline.execute())[1] or panic_id)

    async def forbids_entries(self, user_id: int) -> bool:
        """Whether the user's mark is set here."""
        with outages():
            return bool(await self._redis.hexists(ENTRY_BANS, str(user_id)))

    async def put_entry_ban(self, user_id: int, panic_id: str) -> None:
        """The mark names this panic, whatever it named before."""
        with outages():
            await self._redis.hset(ENTRY_BANS, str(user_id), panic_id)

    async def allow_entries(self, user_id: int, panic_id: str) -> None:
        """Take the mark of this panic off; that of a later one stays. The user hears that the account has changed."""
        with outages():
            await self._allow_entries(keys=[ENTRY_BANS], args=[str(user_id), panic_id])
            async with self._redis.pipeline(transaction=True) as pipeline:
                tell(pipeline, user_id, ACCOUNT)
                await pipeline.execute()

    async def entry_bans(self) -> dict[int, str]:
        """The users who have forbidden entries, with the panics that did it."""
        with outages():
            marks = await self._redis.hgetall(ENTRY_BANS)
        return {int(user_id): str(panic_id) for user_id, panic_id in marks.items()}

    async def users_without_entries(self) -> frozenset[int]:
        """The users who have forbidden entries."""
        return frozenset(await self.entry_bans())

    async def forget_user(self, user_id: int) -> None:
        """The account is deleted: no broker is connected, and no one hears what happened before."""
        with outages():
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.hset(user_key(user_id), "broker_connected", "false")
                pipeline.delete(events_key(user_id))
                await pipeline.execute()

    async def show_guards(self, guards: Sequence[tuple[int, int, str, str]]) -> None:
        """Who guards the position of each run: strategy id, run id, the guards with commas between them, the instant.

        The user hears what changed.
        """
        if not guards:
            return
        with outages():
            await self._show_guards(
                keys=[runtime_key(strategy_id) for strategy_id, *_ in guards],
                args=[json.dumps([str(word) for word in guard]) for guard in guards],
            )

    async def settle(self, strategy_id: int, intent_ids: Sequence[str], *, unless_held: bool = False) -> None:
        """The results of the intents are recorded: their events leave `queue:orders` (row G2).

        `unless_held`: an intent that holds the strategy's order lock keeps its event, since it is working again.
        """
        with outages():
            await self._settle(
                keys=[lock_key(strategy_id), ORDER_QUEUE], args=[json.dumps(list(intent_ids)), int(unless_held)]
            )

    async def settle_run(self, run_id: int) -> None:
        """The run has ended: every event of it leaves `queue:orders`."""
        with outages():
            await self._settle_run(keys=[ORDER_QUEUE], args=[run_id])

    async def bury(self, events: Sequence[bytes]) -> None:
        """Move events that cannot be acted on from `queue:orders` to `queue:orders:dead`, which keeps a thousand."""
        with outages():
            await self._bury(keys=[ORDER_QUEUE, DEAD_ORDERS], args=list(events))

    async def is_built(self) -> bool:
        """Whether the keys written since the last rebuild are still there (row J3)."""
        with outages():
            return bool(await self._redis.exists(BUILT_KEY))

    async def mark_built(self) -> None:
        """Every open run has its keys."""
        with outages():
            await self._redis.set(BUILT_KEY, "1")

    async def pending_orders(self) -> list[str]:
        """The events on `queue:orders`, newest first."""
        with outages():
            return [str(event) for event in await self._redis.lrange(ORDER_QUEUE, 0, -1)]

    async def buried_orders(self) -> int:
        """How many events are on `queue:orders:dead`."""
        with outages():
            return int(await self._redis.llen(DEAD_ORDERS))

    async def mirrored_strategies(self) -> list[int]:
        """The ids of all strategies that Redis shows as running, for when PostgreSQL is away. Walks the keys."""
        with outages():
            keys = [key async for key in self._redis.scan_iter(match=strategy_key_pattern(), count=1000)]
        return sorted({int(digits) for key in keys if (digits := str(key).partition(":")[2]).isdigit()})

    async def raw_orders(self) -> list[bytes]:
        """As `pending_orders`, but as Redis holds them: what another program has put there need not even be text."""
        with outages():
            found = await self._redis.execute_command(  # type: ignore[no-untyped-call]
                "LRANGE", ORDER_QUEUE, 0, -1, **{NEVER_DECODE: True}
            )
        return list(found)


def _all_keys(strategy_id: int, symbol: str) -> list[str]:
    return [strategy_key(strategy_id), runtime_key(strategy_id), symbol_key(symbol), lock_key(strategy_id)]


def _as_json(fields: Fields) -> str:
    return json.dumps(dict(fields))


def _pairs(flat: list[str]) -> dict[str, str]:
    if not flat:  # Lua's empty table arrives as {}
        return {}
    return dict(zip(flat[::2], flat[1::2], strict=True))
