"""A journal that keeps what it records, fails as it is told, and can stop answering."""

import asyncio
from dataclasses import dataclass, field

from actors.ports.strategy import JournalEntry, LoadedRun


@dataclass
class FakeJournal:
    """`Journal`. `failures` are raised by the next records; while `open` is cleared it does not answer."""

    trace: list[str] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    alert_failures: list[Exception] = field(default_factory=list)
    tried: list[JournalEntry] = field(default_factory=list)
    records: list[JournalEntry] = field(default_factory=list)
    alerts: list[tuple[str, str]] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.open.set()

    @property
    def logged(self) -> list[str]:
        """The names of all events in `order_logs`."""
        return [line.event.event for entry in self.records for line in entry.logs]

    async def load(self, run_id: int) -> LoadedRun | None:
        """See `Journal.load`."""
        return None

    async def record(self, entry: JournalEntry) -> None:
        """See `Journal.record`."""
        self.tried.append(entry)
        self.trace.append(f"record {entry.state.phase}")
        await asyncio.sleep(0.001)  # a commit takes time, in which other tasks run
        await self.open.wait()
        if self.failures:
            raise self.failures.pop(0)
        self.records.append(entry)

    async def alert(self, user_id: int, strategy_id: int, code: str, message: str) -> None:
        """See `Journal.alert`."""
        if self.alert_failures:
            raise self.alert_failures.pop(0)
        self.alerts.append((code, message))
