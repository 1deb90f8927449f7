"""What execution asks the journal of an account, and who it says guards a stop-loss."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from actors.domain.identifiers import Leg
from actors.ports.common import PeerUnavailable
from actors.ports.execution import GuardShown, KnownIntent
from persistence.errors import DatabaseUnavailable, MirrorUnavailable
from persistence.journal.ledger import RunLedger
from persistence.mirror.mirror import RuntimeMirror

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class JournalRecords:
    """`AccountRecords` in PostgreSQL."""

    ledger: RunLedger

    async def known_intents(self, account_id: int) -> Sequence[KnownIntent]:
        try:
            found = await self.ledger.known_intents(account_id)
        except DatabaseUnavailable as error:
            raise PeerUnavailable(str(error)) from error
        return [
            KnownIntent(
                i.run_id, i.strategy_id, i.user_id, Leg(i.leg), i.tag, (i.exchange, i.tradingsymbol, i.product), i.ended
            )
            for i in found
        ]

    async def accounts_in_use(self) -> Sequence[int]:
        try:
            return await self.ledger.accounts_in_use()
        except DatabaseUnavailable as error:
            raise PeerUnavailable(str(error)) from error


@dataclass(frozen=True, slots=True)
class GuardsInMirror:
    """`GuardDisplay` in Redis."""

    mirror: RuntimeMirror

    async def show_guards(self, guards: Sequence[GuardShown]) -> None:
        try:
            await self.mirror.show_guards([(g.strategy_id, g.run_id, ",".join(g.by), g.at.isoformat()) for g in guards])
        except MirrorUnavailable as error:
            log.info("guards_not_shown", reason=str(error))
