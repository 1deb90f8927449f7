"""The order lock of a strategy in Redis (rows G1, G2), and the lease of those who claim it ahead of an answer."""

import asyncio
from collections.abc import Coroutine
from enum import StrEnum
from secrets import token_hex
from typing import Any

import structlog
from redis.asyncio import Redis

from persistence.errors import MirrorUnavailable
from persistence.mirror.keys import ORDER_QUEUE, claim_key, lock_key, runtime_key
from persistence.mirror.prices import outages
from persistence.mirror.script_connection import ScriptConnection, ScriptUnavailable
from persistence.mirror.scripts import CLAIM, FORESEE, LEASE, RELEASE, RENEW

log = structlog.get_logger(__name__)

CLAIM_TTL_S = 20.0
"""The lock outlives several renewals, and lapses soon after its holder died."""


class Claim(StrEnum):
    """The answer to a claim of a strategy's order lock."""

    GRANTED = "granted"
    """The lock is now the caller's; it was free or held by something the caller outranks."""
    HELD_BY_ME = "held_by_me"
    """Another claim of the intent held the lock: an earlier attempt may have left us, so look before sending."""
    REFUSED = "refused"
    """Another intent, or a later incarnation, holds it: do not send."""


class MirroredClaims:
    """Claims of order locks. Every method raises `MirrorUnavailable` when Redis does not answer."""

    def __init__(self, redis: Redis, claims: ScriptConnection | None) -> None:
        """`claims` runs `CLAIM` and `LEASE` for those in a hurry."""
        self._claims = claims
        self._claim = redis.register_script(CLAIM)
        self._foresee = redis.register_script(FORESEE)
        self._renew = redis.register_script(RENEW)
        self._release = redis.register_script(RELEASE)

    async def claim(
        self,
        strategy_id: int,
        epoch: int,
        intent_id: str,
        event_json: str,
        ttl_seconds: float,
        *,
        claim_id: str | None = None,
    ) -> Claim:
        """Take the strategy's order lock for an intent and show its event on `queue:orders`, in one round trip.

        Within one run the lock goes up only: to a higher (leg, seq), ENTRY below EXIT, and never to a lower epoch. A
        later run outranks an earlier one, whose lock can only be a leftover. The event is queued once per intent,
        however often the claim is repeated. `claim_id` says that it is the same claim, whose answer was lost: what was
        granted is granted again. Without one, each call is a claim of its own.
        """
        keys, arguments = _claim_words(strategy_id, epoch, intent_id, event_json, ttl_seconds, claim_id or token_hex(8))
        with outages():
            if self._claims is not None:
                try:
                    return Claim(await self._claims.run(CLAIM, keys, arguments))
                except ScriptUnavailable as reason:  # it may have been made nevertheless: it is the same claim still
                    log.info("claim_by_the_slow_way", reason=str(reason))
            return Claim(await self._claim(keys=keys, args=arguments))

    def claim_now(
        self, strategy_id: int, epoch: int, intent_id: str, event_json: str, ttl_seconds: float, *, claim_id: str
    ) -> Coroutine[Any, Any, Claim] | None:
        """As `claim`, and it leaves in this very call; what is returned gives the answer. None: it cannot."""
        keys, arguments = _claim_words(strategy_id, epoch, intent_id, event_json, ttl_seconds, claim_id)
        connection, asked_at = self._claims, asyncio.get_running_loop().time()
        answer = connection.begin(CLAIM, keys, arguments) if connection is not None else None
        if connection is None or answer is None:
            return None

        async def settled(begun: "asyncio.Future[bytes]", connection: ScriptConnection) -> Claim:
            with outages():
                try:
                    return Claim(await connection.settled(begun, asked_at))
                except ScriptUnavailable as reason:
                    log.info("claim_by_the_slow_way", reason=str(reason))
                return Claim(await self._claim(keys=keys, args=arguments))

        return settled(answer, connection)

    def rehearse_claim(
        self, strategy_id: int, epoch: int, intent_id: str, event_json: str, ttl_seconds: float, *, claim_id: str
    ) -> None:
        """Everything that `claim_now` does before the claim leaves."""
        if self._claims is not None:
            self._claims.rehearse(
                CLAIM, *_claim_words(strategy_id, epoch, intent_id, event_json, ttl_seconds, claim_id)
            )

    async def take_lease(self, key: str, holder: str, ttl_seconds: float) -> float | None:
        """Take a lease, or keep it: for how many seconds its earlier holder may still act. None: a later one has it.

        It goes over the connection of claims. Raises MirrorUnavailable.
        """
        with outages():
            if self._claims is None:
                raise MirrorUnavailable("this mirror keeps no connection for claims")
            try:
                said = await self._claims.run(LEASE, [key], [holder, str(round(ttl_seconds * 1000))])
            except ScriptUnavailable as error:
                raise MirrorUnavailable(str(error)) from error
        return None if said == "lost" else int(said) / 1000

    async def foresee(self, strategy_id: int, epoch: int, intent_id: str) -> Claim:
        """What a claim of its own would be answered now; none is made."""
        with outages():
            return Claim(await self._foresee(keys=[lock_key(strategy_id)], args=[str(epoch), intent_id]))

    async def renew(self, strategy_id: int, epoch: int, intent_id: str, ttl_seconds: float) -> bool:
        """Keep the lock while the intent is live or its outcome unknown; take it again if it was lost meanwhile.

        False: another process holds it now, and the caller must not send.
        """
        with outages():
            renewed = await self._renew(
                keys=[lock_key(strategy_id)], args=[epoch, intent_id, round(ttl_seconds * 1000)]
            )
        return bool(renewed)

    async def release(self, strategy_id: int, intent_id: str) -> None:
        """Nothing more is sent for the intent: the lock goes if the intent holds it. Its event stays until `settle`."""
        with outages():
            await self._release(
                keys=[lock_key(strategy_id), runtime_key(strategy_id), claim_key(strategy_id)], args=[intent_id]
            )


def _claim_words(
    strategy_id: int, epoch: int, intent_id: str, event_json: str, ttl_seconds: float, claim_id: str
) -> tuple[list[str], list[str]]:
    keys = [lock_key(strategy_id), ORDER_QUEUE, runtime_key(strategy_id), claim_key(strategy_id)]
    return keys, [str(epoch), intent_id, event_json, str(round(ttl_seconds * 1000)), claim_id]
