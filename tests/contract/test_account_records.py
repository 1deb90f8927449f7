"""What every `AccountRecords` promises, on the fake of the unit tests and on the real one over PostgreSQL."""

import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from sqlalchemy import func, select, update
from sqlmodel import col

from actors.domain.identifiers import Leg
from actors.ports.common import PeerUnavailable
from actors.ports.execution import AccountRecords, KnownIntent
from actors.runtime.clients.account_records import JournalRecords
from persistence.database.engine import open_database, sessions_of, transaction
from persistence.database.models.runs import Intent, Run
from persistence.journal.ledger import RunLedger
from persistence.mirror.mirror import RuntimeMirror
from tests.integration.rows import new_run
from tests.kit.execution import ENTRY
from tests.kit.fakes.account_records import ACCOUNT, FakeRecords


@dataclass
class Account:
    """An account with the intents that the journal knows of; and the records when PostgreSQL does not answer."""

    records: AccountRecords
    silent: AccountRecords
    account_id: int
    intents: list[KnownIntent]


@pytest.fixture(params=["fake", "postgresql"])
async def account(request: pytest.FixtureRequest) -> AsyncIterator[Account]:
    if request.param == "fake":
        silent = FakeRecords(failure=PeerUnavailable("PostgreSQL does not answer"))
        yield Account(FakeRecords([ENTRY]), silent, ACCOUNT, [ENTRY])
        return
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nowhere = f"127.0.0.1:{unused.getsockname()[1]}"
    engine = open_database(request.getfixturevalue("postgres_url"), pool_size=1)
    absent = open_database(f"postgresql+psycopg://nobody@{nowhere}/none", pool_size=1)
    mirror, sessions = RuntimeMirror.connect(f"redis://{nowhere}"), sessions_of(engine)
    run = await new_run(sessions)
    async with transaction(sessions) as session:
        tag = await session.scalar(select(col(Intent.tag)).where(col(Intent.run_id) == run.id))
        await session.execute(update(Run).where(col(Run.id) == run.id).values(ended_at=func.now()))
    assert tag is not None
    assert run.broker_account_id is not None
    known = KnownIntent(run.id, run.strategy_id, run.user_id, Leg.ENTRY, tag, ("NSE", "INFY", "MIS"), ended=True)
    ledger, without_database = RunLedger(sessions, mirror), RunLedger(sessions_of(absent), mirror)
    yield Account(JournalRecords(ledger), JournalRecords(without_database), run.broker_account_id, [known])
    await mirror.close()
    for opened in (engine, absent):
        await opened.dispose()


async def test_the_intents_of_the_account_are_known_and_of_no_other(account: Account) -> None:
    assert list(await account.records.known_intents(account.account_id)) == account.intents
    assert list(await account.records.known_intents(2**40)) == []


async def test_an_account_with_intents_is_in_use(account: Account) -> None:
    in_use = await account.records.accounts_in_use()
    assert account.account_id in in_use
    assert 2**40 not in in_use


async def test_a_journal_that_does_not_answer_says_so(account: Account) -> None:
    with pytest.raises(PeerUnavailable):
        await account.silent.known_intents(account.account_id)
    with pytest.raises(PeerUnavailable):
        await account.silent.accounts_in_use()
