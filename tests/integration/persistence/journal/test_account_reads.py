"""What the journal knows of an account's orders, on the real PostgreSQL (mechanism 11, rows G2 and H4)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import event, select, text, update
from sqlmodel import col

from actors.domain.orders.log_events import LogWord
from actors.domain.orders.order import Order, OrderReport, OrderStage
from actors.domain.orders.placement_policy import AttemptOutcome
from actors.domain.session import LateExit
from actors.domain.strategy.reconciliation import adopt
from actors.domain.strategy.spec import StrategyRun
from actors.domain.strategy.state import Phase, StrategyState
from actors.ports.execution import Attempt, OrderNote, PlaceResult
from actors.ports.strategy import JournalEntry
from actors.runtime.clients.journal_mapping import attempt_line, loaded_run, note_line, run_update
from persistence.database.engine import Sessions, transaction
from persistence.database.models.order_logs import OrderLog
from persistence.database.models.runs import Intent, Run
from persistence.database.models.strategies import Strategy
from persistence.journal.ledger import RunLedger
from persistence.journal.records import KnownIntent
from persistence.mirror.mirror import RuntimeMirror
from tests.integration.rows import NOW, new_run
from tests.kit.builders import a_report
from tests.kit.execution import a_command

pytest_plugins = ["tests.integration.fixtures"]


MANY_ENDED_RUNS = """
WITH ended AS (
    INSERT INTO runs (strategy_id, user_id, broker_account_id, tag_key, buy_at, sell_at, stop_loss_paise, quantity,
                      product, ended_at)
    SELECT strategy_id, user_id, broker_account_id, tag_key, buy_at, sell_at, stop_loss_paise, quantity, product,
           now() - make_interval(days => n)
    FROM runs, generate_series(2, 5000) AS n WHERE id = :id
    RETURNING id
)
INSERT INTO intents (run_id, leg, seq, side, quantity, cause, tag)
SELECT id, 'ENTRY', 1, 'BUY', 10, 'BUY', 'H' || id FROM ended
"""


@pytest.fixture
def ledger(sessions: Sessions, mirror: RuntimeMirror) -> RunLedger:
    return RunLedger(sessions, mirror)


async def end(sessions: Sessions, run: Run, age: timedelta) -> None:
    async with transaction(sessions) as session:
        ended = update(Run).where(col(Run.id) == run.id).values(ended_at=datetime.now(UTC) - age)
        await session.execute(ended)


async def tags(sessions: Sessions, run: Run) -> list[str]:
    async with transaction(sessions) as session:
        return list(await session.scalars(select(col(Intent.tag)).where(col(Intent.run_id) == run.id)))


# --- the intents of an account ----------------------------------------------------------------------------------------


async def test_the_intents_of_open_and_of_recent_runs_are_known(sessions: Sessions, ledger: RunLedger) -> None:
    oldest = await new_run(sessions)
    await end(sessions, oldest, timedelta(days=1, minutes=1))
    recent = await new_run(sessions, like=oldest)
    await end(sessions, recent, timedelta(hours=23))
    present, stranger = await new_run(sessions, like=oldest), await new_run(sessions)
    async with transaction(sessions) as session:
        session.add(Intent(run_id=present.id, leg="EXIT", seq=1, side="SELL", quantity=10, tag=f"X{present.id}"))
    assert present.broker_account_id is not None
    known = await ledger.known_intents(present.broker_account_id)
    (recent_tag,), present_tags = await tags(sessions, recent), await tags(sessions, present)
    assert known[0] == KnownIntent(
        run_id=recent.id,
        strategy_id=recent.strategy_id,
        user_id=recent.user_id,
        leg="ENTRY",
        tag=recent_tag,
        exchange="NSE",
        tradingsymbol="INFY",
        product="MIS",
        ended=True,
    )
    assert [(intent.run_id, intent.leg, intent.tag, intent.ended) for intent in known[1:]] == [
        (present.id, "ENTRY", present_tags[0], False),
        (present.id, "EXIT", f"X{present.id}", False),
    ]
    assert stranger.broker_account_id is not None
    assert {intent.run_id for intent in await ledger.known_intents(stranger.broker_account_id)} == {stranger.id}
    assert await ledger.known_intents(2**40) == []


async def test_a_symbol_off_the_default_exchange_carries_its_exchange(sessions: Sessions, ledger: RunLedger) -> None:
    run = await new_run(sessions, symbol="SBIN")
    async with transaction(sessions) as session:
        await session.execute(update(Strategy).where(col(Strategy.id) == run.strategy_id).values(exchange="BSE"))
    assert run.broker_account_id is not None
    assert [intent.exchange for intent in await ledger.known_intents(run.broker_account_id)] == ["BSE"]


async def test_the_known_intents_are_found_without_reading_an_accounts_history(
    sessions: Sessions, ledger: RunLedger
) -> None:
    run = await new_run(sessions)
    assert run.broker_account_id is not None
    asked: list[tuple[str, Any]] = []
    event.listen(
        sessions.kw["bind"].sync_engine, "before_cursor_execute", lambda *call: asked.append((call[2], call[3]))
    )
    await ledger.known_intents(run.broker_account_id)
    statement, parameters = asked[-1]
    await end(sessions, run, timedelta(days=400))
    async with sessions() as session:
        await session.execute(text(MANY_ENDED_RUNS), {"id": run.id})
        await session.execute(text("ANALYZE runs, intents"))
        # the other tests' few intents make it cheaper to read them all; the question is how the runs are found
        await session.execute(text("SET LOCAL enable_mergejoin = off"))
        await session.execute(text("SET LOCAL enable_hashjoin = off"))
        connection = await session.connection()
        plan = "\n".join((await connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)).scalars())
        await session.rollback()
    assert "runs_broker_account_id_ended_at_idx" in plan
    assert "Seq Scan on runs" not in plan


# --- every accepted order is in order_logs ----------------------------------------------------------------------------


async def a_run_of(sessions: Sessions, ledger: RunLedger) -> StrategyRun:
    row = await new_run(sessions)
    record = await ledger.load_run(row.id)
    return loaded_run(record, ZoneInfo("Asia/Kolkata"), LateExit.SELL, timedelta(seconds=5)).run


async def lines_of(sessions: Sessions, order_id: str) -> list[OrderLog]:
    async with transaction(sessions) as session:
        found = select(OrderLog).where(col(OrderLog.order_id) == order_id).order_by(col(OrderLog.id))
        return list(await session.scalars(found))


def buying(run: StrategyRun) -> StrategyState:
    entry = Order(run.entry_intent(), sent=True)
    return replace(StrategyState.scheduled(run), phase=Phase.ENTERING, entry=entry)


def recovered(run: StrategyRun, report: OrderReport) -> JournalEntry:
    """The record of a new incarnation that has found the order in the book and logs nothing about it."""
    return JournalEntry(adopt(buying(run), {run.entry_intent().tag: report}), epoch=1, at=NOW)


async def test_an_accepted_attempt_is_found_by_its_order_id(sessions: Sessions, ledger: RunLedger) -> None:
    run = await a_run_of(sessions, ledger)
    command = a_command(run.entry_intent(), strategy_id=run.strategy_id, run_id=run.run_id, user_id=run.user_id)
    accepted = PlaceResult(AttemptOutcome.ACCEPTED, NOW, f"A{run.run_id}")
    await ledger.append_log(run.user_id, run.strategy_id, run.run_id, attempt_line(Attempt(command, 1, accepted, NOW)))
    chased = OrderNote(command, LogWord.EXIT_CHASED, f"A{run.run_id}", "parked", NOW)
    await ledger.append_log(run.user_id, run.strategy_id, run.run_id, note_line(chased))
    lines = await lines_of(sessions, f"A{run.run_id}")
    assert [(line.event, line.status, line.run_id) for line in lines] == [
        ("BUY", "accepted", run.run_id),
        ("EXIT_CHASED", None, run.run_id),
    ]


@pytest.mark.parametrize(
    ("stage", "filled", "word"),
    [
        (OrderStage.PENDING, 0, "ORDER_PENDING"),
        (OrderStage.OPEN, 4, "ORDER_PARTIALLY_FILLED"),
        (OrderStage.COMPLETE, 10, "ORDER_COMPLETE"),
        (OrderStage.CANCELLED, 4, "ORDER_CANCELLED"),
        (OrderStage.REJECTED, 0, "ORDER_REJECTED"),
    ],
)
async def test_an_order_that_a_new_incarnation_finds_by_its_tag_is_logged_once(
    sessions: Sessions, ledger: RunLedger, stage: OrderStage, filled: int, word: str
) -> None:
    run = await a_run_of(sessions, ledger)
    await ledger.record(run_update(JournalEntry(buying(run), epoch=1, at=NOW)))
    entry = recovered(run, a_report(f"F{run.run_id}", stage, filled=filled))
    for _ in range(2):
        await ledger.record(run_update(entry))
    (line,) = await lines_of(sessions, f"F{run.run_id}")
    assert (line.event, line.leg, line.seq, line.quantity) == (word, "ENTRY", 1, filled)
    assert (line.detail["adopted"], line.detail["tag"]) == (True, run.entry_intent().tag)
    assert (line.user_id, line.strategy_id, line.run_id) == (run.user_id, run.strategy_id, run.run_id)


async def test_an_exit_that_no_journal_knew_is_logged_when_it_is_found(sessions: Sessions, ledger: RunLedger) -> None:
    run = await a_run_of(sessions, ledger)
    sold = {run.exit_intent(1, 10).tag: a_report(f"S{run.run_id}")}
    bought = buying(run).entry.merged(a_report(f"B{run.run_id}"))
    state = adopt(replace(buying(run), phase=Phase.GUARDING, entry=bought), sold)
    await ledger.record(run_update(JournalEntry(state, epoch=1, at=NOW)))
    (line,) = await lines_of(sessions, f"S{run.run_id}")
    assert (line.event, line.leg, line.seq, line.quantity) == ("ORDER_COMPLETE", "EXIT", 1, 10)
    assert len(await lines_of(sessions, f"B{run.run_id}")) == 1


async def test_another_order_in_the_place_of_a_known_one_is_logged_too(sessions: Sessions, ledger: RunLedger) -> None:
    run = await a_run_of(sessions, ledger)
    for order_id in (f"C{run.run_id}", f"D{run.run_id}"):
        await ledger.record(run_update(recovered(run, a_report(order_id))))
    assert len(await lines_of(sessions, f"C{run.run_id}")) == 1
    assert len(await lines_of(sessions, f"D{run.run_id}")) == 1
