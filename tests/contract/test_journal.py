"""What every `Journal` promises, on the fake of the unit tests and on the ledger over PostgreSQL and Valkey.

A strategy calls its ledger through Ray (`ray_ports.RayJournal`), which these tests leave out.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest
from sqlalchemy import select
from sqlmodel import col

from actors.domain.orders.log_events import LogWord
from actors.domain.strategy.decisions import LogEvent
from actors.domain.strategy.snapshot import load_state
from actors.domain.strategy.state import StrategyState
from actors.ports.common import StaleEpoch
from actors.ports.strategy import Journal, JournalEntry, LoadedRun, LoggedEvent
from persistence.database.engine import Sessions, open_database, sessions_of, transaction
from persistence.database.models.order_logs import OrderLog
from persistence.journal.ledger import RunLedger
from persistence.mirror.mirror import RuntimeMirror
from tests.integration.rows import new_run
from tests.kit.builders import NOW, a_run
from tests.kit.databases import PATIENT_S
from tests.kit.fakes.journal import FakeJournal
from tests.kit.ledgers import LedgerOfTest


@dataclass
class Book:
    """A journal that holds one open run."""

    journal: Journal
    run_id: int
    sessions: Sessions | None = None

    async def load(self) -> LoadedRun:
        """The run, which must be open."""
        loaded = await self.journal.load(self.run_id)
        assert loaded is not None
        return loaded

    async def logged(self) -> list[str]:
        """The words of `order_logs` about the run."""
        if self.sessions is None:
            assert isinstance(self.journal, FakeJournal)
            return self.journal.logged
        async with transaction(self.sessions) as session:
            lines = select(col(OrderLog.event)).where(col(OrderLog.run_id) == self.run_id).order_by(col(OrderLog.id))
            return list(await session.scalars(lines))


@pytest.fixture(params=["fake", "ledger"])
async def book(request: pytest.FixtureRequest) -> AsyncIterator[Book]:
    if request.param == "fake":
        run = a_run()
        yield Book(FakeJournal(runs={run.run_id: LoadedRun(run, 0, None)}), run.run_id)
        return
    engine = open_database(request.getfixturevalue("postgres_url"), pool_size=2)
    mirror = RuntimeMirror.connect(request.getfixturevalue("redis_url"), timeout_s=PATIENT_S)
    sessions = sessions_of(engine)
    run_id = (await new_run(sessions)).id
    yield Book(LedgerOfTest(RunLedger(sessions, mirror), mirror), run_id, sessions)
    await mirror.close()
    await engine.dispose()


def an_entry(loaded: LoadedRun, *logs: LogWord, message: str = "Bought", ended: bool = False) -> JournalEntry:
    state = replace(StrategyState.scheduled(loaded.run), message=message)
    lines = tuple(LoggedEvent(NOW, LogEvent(word)) for word in logs)
    return JournalEntry(state, loaded.epoch, NOW, lines, ended=ended)


async def test_each_load_has_an_epoch_of_its_own_higher_than_any_before(book: Book) -> None:
    first, second = await book.load(), await book.load()
    assert first.run == second.run
    assert (first.run.run_id, first.snapshot) == (book.run_id, None)
    assert first.epoch < second.epoch


async def test_a_run_that_is_not_there_is_not_loaded(book: Book) -> None:
    assert await book.journal.load(2**40) is None


async def test_the_state_that_was_recorded_last_is_loaded(book: Book) -> None:
    loaded = await book.load()
    for message in ("Buying", "Bought"):
        await book.journal.record(an_entry(loaded, message=message))
    again = await book.load()
    assert again.snapshot is not None
    assert load_state(again.run, again.snapshot) == an_entry(loaded, message="Bought").state


async def test_lines_are_kept_in_their_order(book: Book) -> None:
    loaded = await book.load()
    await book.journal.record(an_entry(loaded, LogWord.FEED_LOST))
    await book.journal.record(an_entry(loaded))
    await book.journal.record(an_entry(loaded, LogWord.FEED_RESTORED, LogWord.FEED_LOST))
    assert await book.logged() == ["FEED_LOST", "FEED_RESTORED", "FEED_LOST"]


async def test_an_older_incarnation_records_nothing(book: Book) -> None:
    older, newer = await book.load(), await book.load()
    with pytest.raises(StaleEpoch):
        await book.journal.record(an_entry(older, LogWord.FEED_LOST, ended=True))
    assert await book.logged() == []
    await book.journal.record(an_entry(newer))
    assert (await book.load()).epoch > newer.epoch


async def test_an_ended_run_is_not_loaded_and_its_end_may_be_recorded_again(book: Book) -> None:
    loaded = await book.load()
    for _ in range(2):  # the first answer was lost
        await book.journal.record(an_entry(loaded, ended=True))
    assert await book.journal.load(book.run_id) is None


async def test_an_alert_is_taken(book: Book) -> None:
    await book.journal.alert(1, 3, "exit_failed", "the exit failed")
    await book.journal.alert(1, 3, "position_short", "the account is short", "position:2:NSE:INFY:MIS")
    await book.journal.alert_over(1, 3, ("position_short",), "position:2:NSE:INFY:MIS")
