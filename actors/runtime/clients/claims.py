"""The order lock of a strategy, and whether entries may go at all (rows G1, J3; ruling 6)."""

import asyncio
import json
from collections.abc import Awaitable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import structlog

from actors.domain.identifiers import Leg
from actors.ports.execution import ClaimsUnavailable, ClaimVerdict, EntryBans
from actors.ports.strategy import OrderCommand
from actors.runtime.clients.entry_bans import stored_bans
from actors.runtime.clients.execution_lease import ExecutionLease
from config import metric_names
from persistence.errors import DatabaseUnavailable, MirrorUnavailable
from persistence.journal.ledger import RunLedger
from persistence.mirror.claims import CLAIM_TTL_S
from persistence.mirror.figures import Figures
from persistence.mirror.mirror import RuntimeMirror

log = structlog.get_logger(__name__)

CHECK_EVERY_S = 1.0

CLAIM_PATIENCE_S = 1.0
"""How long an exit that Redis gives no claim waits for PostgreSQL: a server that hangs must not hold it back."""

_BOTH_DOWN = "neither Redis nor PostgreSQL answers"


class DatabaseHealth:
    """Whether PostgreSQL answered lately: without it an entry would leave a position whose exit is not written down.

    Asked beside the order path, because an entry must not wait for it.
    """

    def __init__(self, ledger: RunLedger) -> None:
        self._ledger = ledger
        self._is_up = True

    async def keep_checking(self) -> None:
        """Ask until it is cancelled."""
        while True:
            await self._ask()
            await asyncio.sleep(CHECK_EVERY_S)

    async def is_up(self) -> bool:
        """Whether it answered a moment ago, or does now."""
        return self._is_up or await self._ask()

    async def _ask(self) -> bool:
        before = self._is_up
        try:
            async with asyncio.timeout(2 * CHECK_EVERY_S):
                await self._ledger.ping()
        except (DatabaseUnavailable, TimeoutError) as error:
            self._is_up = False
            if before:
                log.warning("journal.silent", reason=str(error) or "no answer in time")
        else:
            self._is_up = True
        return self._is_up


@dataclass(frozen=True, slots=True)
class MirrorClaims:
    """`OrderClaims` in Redis; with Redis down an exit claims its row in PostgreSQL instead (ruling 6, mechanism 5).

    Each claim and its answer are counted in `figures`.
    """

    mirror: RuntimeMirror
    ledger: RunLedger
    database: DatabaseHealth
    lease: ExecutionLease
    figures: Figures = field(default_factory=Figures)

    async def claim(self, command: OrderCommand, claim_id: str) -> ClaimVerdict:
        return await self._counted(self._claim(command, claim_id))

    async def _counted(self, answer: Awaitable[ClaimVerdict]) -> ClaimVerdict:
        said = "not_answered"
        try:
            verdict = await answer
            said = str(verdict)
        finally:
            self.figures.count(metric_names.CLAIMS, said)
        return verdict

    async def _claim(self, command: OrderCommand, claim_id: str) -> ClaimVerdict:
        intent = command.intent
        if intent.id.leg is Leg.ENTRY and not await self.database.is_up():
            raise ClaimsUnavailable("PostgreSQL is down: new entries are halted")
        if intent.id.leg is Leg.EXIT:
            await self.lease.alone()
        try:
            verdict = await self.mirror.claim(*_words(command), claim_id=claim_id)
        except MirrorUnavailable as error:
            if intent.id.leg is Leg.ENTRY:
                raise ClaimsUnavailable("Redis is down: new entries are halted") from error
            return await self._claim_in_postgresql(command)
        return ClaimVerdict(verdict)

    async def _claim_in_postgresql(self, command: OrderCommand) -> ClaimVerdict:
        """The run's epoch is the fence here: its present incarnation may send, and knows when it must look first."""
        intent_id = command.intent.id
        await _in_time(self.ledger.claim_intent(intent_id.run_id, intent_id.leg, intent_id.seq, command.epoch))
        return await self._owner_in_postgresql(command)

    async def _owner_in_postgresql(self, command: OrderCommand) -> ClaimVerdict:
        mine = await _in_time(self.ledger.owns_run(command.run_id, command.epoch))
        return ClaimVerdict.OWNED if mine else ClaimVerdict.REFUSED

    def claim_now(self, command: OrderCommand, claim_id: str) -> Coroutine[Any, Any, ClaimVerdict] | None:
        if not self.lease.held:
            return None
        answer = self.mirror.claim_now(*_words(command), claim_id=claim_id)
        if answer is None:
            return None

        async def verdict() -> ClaimVerdict:
            try:
                return ClaimVerdict(await answer)
            except MirrorUnavailable:
                return await self._claim_in_postgresql(command)

        return self._counted(verdict())

    def rehearse(self, command: OrderCommand) -> None:
        if self.lease.held:
            self.mirror.rehearse_claim(*_words(command), claim_id="0" * 16)

    async def foresee(self, command: OrderCommand) -> ClaimVerdict:
        try:
            verdict = await self.mirror.foresee(command.strategy_id, command.epoch, str(command.intent.id))
        except MirrorUnavailable:
            return await self._owner_in_postgresql(command)
        return ClaimVerdict(verdict)

    async def entry_bans(self) -> EntryBans:
        return await stored_bans(self.ledger, self.mirror)

    async def renew(self, command: OrderCommand) -> bool:
        try:
            return await self.mirror.renew(command.strategy_id, command.epoch, str(command.intent.id), CLAIM_TTL_S)
        except MirrorUnavailable:
            return True  # no other can have taken it; it is renewed when Redis is back

    async def release(self, command: OrderCommand) -> None:
        try:
            await self.mirror.release(command.strategy_id, str(command.intent.id))
        except MirrorUnavailable:
            return  # the lock lapses by itself


async def _in_time(question: Awaitable[bool]) -> bool:
    """What PostgreSQL says. To cancel a query of a server that hangs takes long, so its end is not waited for.

    Raises:
        ClaimsUnavailable: it says nothing in `CLAIM_PATIENCE_S`, or is not there.
    """
    asked = asyncio.ensure_future(question)
    await asyncio.wait({asked}, timeout=CLAIM_PATIENCE_S)
    if not asked.done():
        asked.cancel()
        raise ClaimsUnavailable(_BOTH_DOWN)
    try:
        return asked.result()
    except DatabaseUnavailable as error:
        raise ClaimsUnavailable(_BOTH_DOWN) from error


def _words(command: OrderCommand) -> tuple[int, int, str, str, float]:
    """A claim as the mirror takes it."""
    intent = command.intent
    event = {
        "event": intent.event,
        "strategy_id": command.strategy_id,
        "intent_id": str(intent.id),
        "at": command.triggered_at.isoformat(),
    }
    return command.strategy_id, command.epoch, str(intent.id), json.dumps(event), CLAIM_TTL_S
