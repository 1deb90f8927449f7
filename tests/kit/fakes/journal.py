"""A journal that keeps what it records, fails as the test asks, and can stop answering."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from actors.domain.strategy.snapshot import dump_state
from actors.ports.common import StaleEpoch
from actors.ports.strategy import JournalEntry, LoadedRun


@dataclass
class FakeJournal:
    """`Journal`. `failures` are raised by the next records; while `open` is cleared it does not answer.

    Of `runs`, those that it has to load, it knows the epoch and the state; it takes the records of any other run too.
    """

    trace: list[str] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    alert_failures: list[Exception] = field(default_factory=list)
    tried: list[JournalEntry] = field(default_factory=list)
    records: list[JournalEntry] = field(default_factory=list)
    alerts: list[tuple[str, str]] = field(default_factory=list)
    over: list[tuple[str, str]] = field(default_factory=list)
    """Code and subject of each trouble that was called over."""
    open: asyncio.Event = field(default_factory=asyncio.Event)
    runs: dict[int, LoadedRun] = field(default_factory=dict)
    _ended: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.open.set()

    @property
    def logged(self) -> list[str]:
        """The names of all events in `order_logs`."""
        return [line.event.event for entry in self.records for line in entry.logs]

    async def load(self, run_id: int) -> LoadedRun | None:
        if run_id not in self.runs or run_id in self._ended:
            return None
        known = self.runs[run_id]
        self.runs[run_id] = replace(known, epoch=known.epoch + 1)
        return self.runs[run_id]

    async def record(self, entry: JournalEntry) -> None:
        self.tried.append(entry)
        self.trace.append(f"record {entry.state.phase}")
        await asyncio.sleep(0.001)  # a commit takes time, in which other tasks run
        await self.open.wait()
        if self.failures:
            raise self.failures.pop(0)
        self._keep(entry)
        self.records.append(entry)

    async def alert(self, user_id: int, strategy_id: int, code: str, message: str, about: str = "") -> None:
        if self.alert_failures:
            raise self.alert_failures.pop(0)
        self.alerts.append((code, message))

    async def alert_over(self, user_id: int, strategy_id: int, codes: Sequence[str], about: str = "") -> None:
        self.over += [(code, about) for code in codes]

    def _keep(self, entry: JournalEntry) -> None:
        run_id = entry.state.run.run_id
        if (known := self.runs.get(run_id)) is None:
            return
        if entry.epoch < known.epoch:
            raise StaleEpoch(f"epoch {known.epoch} is at work")
        self.runs[run_id] = replace(known, epoch=entry.epoch, snapshot=dump_state(entry.state))
        if entry.ended:
            self._ended.add(run_id)
