"""An order lock whose verdicts a test writes, and which otherwise keeps to its port."""

from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from actors.domain.identifiers import IntentId
from actors.ports.execution import ClaimVerdict
from actors.ports.strategy import OrderCommand


@dataclass
class FakeClaims:
    """`OrderClaims`. `verdict` and `foreseen` are the answers, or what to raise; `ids` are those of the claims."""

    verdict: ClaimVerdict | Exception = ClaimVerdict.GRANTED
    foreseen: ClaimVerdict | Exception = ClaimVerdict.GRANTED
    leased: bool = True
    held: list[IntentId] = field(default_factory=list)
    claims: list[OrderCommand] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    renewals: int = 0
    releases: list[IntentId] = field(default_factory=list)

    async def claim(self, command: OrderCommand, claim_id: str) -> ClaimVerdict:
        """See `OrderClaims.claim`."""
        self.claims.append(command)
        self.ids.append(claim_id)
        if isinstance(self.verdict, Exception):
            raise self.verdict
        if self.verdict is not ClaimVerdict.REFUSED:
            self.held.append(command.intent.id)
        return self.verdict

    def rehearse(self, command: OrderCommand) -> None:
        """See `OrderClaims.rehearse`."""

    def claim_now(self, command: OrderCommand, claim_id: str) -> Coroutine[Any, Any, ClaimVerdict] | None:
        """See `OrderClaims.claim_now`."""
        return self.claim(command, claim_id) if self.leased else None

    async def foresee(self, command: OrderCommand) -> ClaimVerdict:
        """See `OrderClaims.foresee`."""
        if isinstance(self.foreseen, Exception):
            raise self.foreseen
        return self.foreseen

    async def renew(self, command: OrderCommand) -> bool:
        """See `OrderClaims.renew`."""
        self.renewals += 1
        return True

    async def release(self, command: OrderCommand) -> None:
        """See `OrderClaims.release`."""
        self.releases.append(command.intent.id)
        if command.intent.id in self.held:
            self.held.remove(command.intent.id)
