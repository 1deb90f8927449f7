"""What the journal knows of an account."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from actors.ports.execution import KnownIntent


@dataclass
class FakeRecords:
    """`AccountRecords`; `failure` is raised instead."""

    intents: list[KnownIntent] = field(default_factory=list)
    failure: Exception | None = None

    async def known_intents(self, account_id: int) -> Sequence[KnownIntent]:
        """See `AccountRecords.known_intents`."""
        if self.failure is not None:
            raise self.failure
        return list(self.intents)

    async def accounts_in_use(self) -> Sequence[int]:
        """See `AccountRecords.accounts_in_use`."""
        if self.failure is not None:
            raise self.failure
        return [2] if self.intents else []
