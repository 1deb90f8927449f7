"""The order locks of strategies in memory, and in place of their answers what a test says."""

from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from actors.domain.identifiers import IntentId
from actors.ports.execution import ClaimVerdict, EntryBans
from actors.ports.strategy import OrderCommand


@dataclass(frozen=True)
class _Lock:
    epoch: int
    intent_id: IntentId
    claim_id: str | None = None


@dataclass
class FakeClaims:
    """`OrderClaims`. `verdict` and `foreseen` are answered, or raised, in place of what the lock says.

    `ids` are those of the claims; `held` the intents that were claimed and not released. `forbidden`:
    users without entries, which both stores say if `bans_known`; they were asked `bans_read` times.
    """

    verdict: ClaimVerdict | Exception | None = None
    foreseen: ClaimVerdict | Exception | None = None
    leased: bool = True
    held: list[IntentId] = field(default_factory=list)
    claims: list[OrderCommand] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    renewals: int = 0
    releases: list[IntentId] = field(default_factory=list)
    forbidden: set[int] = field(default_factory=set)
    bans_known: bool = True
    bans_read: int = 0
    _locks: dict[int, _Lock] = field(default_factory=dict)

    async def claim(self, command: OrderCommand, claim_id: str) -> ClaimVerdict:
        return _said(self._claim(command, claim_id))

    def rehearse(self, command: OrderCommand) -> None:
        """There is nothing to keep warm."""

    def claim_now(self, command: OrderCommand, claim_id: str) -> Coroutine[Any, Any, ClaimVerdict] | None:
        if not self.leased:
            return None
        answer = self._claim(command, claim_id)

        async def verdict() -> ClaimVerdict:
            return _said(answer)

        return verdict()

    async def foresee(self, command: OrderCommand) -> ClaimVerdict:
        return _said(self._judged(command, None) if self.foreseen is None else self.foreseen)

    async def entry_bans(self) -> EntryBans:
        self.bans_read += 1
        return EntryBans(frozenset(self.forbidden), complete=self.bans_known)

    async def renew(self, command: OrderCommand) -> bool:
        self.renewals += 1
        lock = self._locks.get(command.strategy_id)
        if lock is not None and (lock.intent_id != command.intent.id or lock.epoch > command.epoch):
            return False
        self._lock(command, lock.claim_id if lock is not None else None)
        return True

    async def release(self, command: OrderCommand) -> None:
        self.releases.append(command.intent.id)
        if command.intent.id in self.held:
            self.held.remove(command.intent.id)
        lock = self._locks.get(command.strategy_id)
        if lock is not None and lock.intent_id == command.intent.id:
            del self._locks[command.strategy_id]

    def _claim(self, command: OrderCommand, claim_id: str) -> ClaimVerdict | Exception:
        self.claims.append(command)
        self.ids.append(claim_id)
        answer = self._judged(command, claim_id) if self.verdict is None else self.verdict
        if isinstance(answer, Exception) or answer is ClaimVerdict.REFUSED:
            return answer
        self.held.append(command.intent.id)
        self._lock(command, claim_id if answer is ClaimVerdict.GRANTED else None)
        return answer

    def _lock(self, command: OrderCommand, claim_id: str | None) -> None:
        self._locks[command.strategy_id] = _Lock(command.epoch, command.intent.id, claim_id)

    def _judged(self, command: OrderCommand, claim_id: str | None) -> ClaimVerdict:
        lock, mine = self._locks.get(command.strategy_id), command.intent.id
        if lock is None:
            return ClaimVerdict.GRANTED
        if lock.intent_id.run_id == mine.run_id and lock.epoch > command.epoch:
            return ClaimVerdict.REFUSED
        if lock.intent_id == mine:
            same = claim_id is not None and claim_id == lock.claim_id
            return ClaimVerdict.GRANTED if same else ClaimVerdict.HELD_BY_ME
        return ClaimVerdict.GRANTED if mine > lock.intent_id else ClaimVerdict.REFUSED


def _said(answer: ClaimVerdict | Exception) -> ClaimVerdict:
    if isinstance(answer, Exception):
        raise answer
    return answer
