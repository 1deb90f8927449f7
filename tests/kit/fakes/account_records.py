"""What the journal knows of an account."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from actors.ports.execution import KnownIntent

ACCOUNT = 2


@dataclass
class FakeRecords:
    """`AccountRecords`: `intents` are those of account 2; `failure` is raised instead."""

    intents: list[KnownIntent] = field(default_factory=list)
    failure: Exception | None = None

    async def known_intents(self, account_id: int) -> Sequence[KnownIntent]:
        if self.failure is not None:
            raise self.failure
        return list(self.intents) if account_id == ACCOUNT else []

    async def accounts_in_use(self) -> Sequence[int]:
        if self.failure is not None:
            raise self.failure
        return [ACCOUNT] if self.intents else []
