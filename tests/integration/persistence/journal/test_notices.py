"""Notices are written in the transaction of their fact, once (row N1)."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select
from sqlmodel import col
from structlog.testing import capture_logs

from actors.domain.notices.notice import Notice, NoticeKind
from actors.domain.orders.log_events import LogWord
from persistence.database.engine import Sessions, tenant_transaction, transaction
from persistence.database.models.notifications import Notification
from persistence.database.models.order_logs import OrderLog
from persistence.database.models.runs import Run
from persistence.database.repositories.notifications import end_conditions, resolve, tell
from persistence.errors import StaleEpoch
from persistence.journal.ledger import RunLedger
from persistence.journal.records import LogRecord, RunUpdate
from persistence.mirror.mirror import RuntimeMirror
from tests.integration.persistence.journal.test_ledger import bought
from tests.integration.rows import NOW, new_run, new_user

pytest_plugins = ["tests.integration.fixtures"]

AT = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)


@pytest.fixture
def ledger(sessions: Sessions, mirror: RuntimeMirror) -> RunLedger:
    return RunLedger(sessions, mirror)


def filled(run: Run, *more: LogRecord, epoch: int = 1) -> RunUpdate:
    fill = LogRecord(
        event=LogWord.ORDER_COMPLETE, occurred_at=NOW, leg="ENTRY", seq=1, order_id="1", quantity=10,
        price=Decimal("1500.055"),
    )  # fmt: skip
    return bought(run, epoch, logs=(fill, *more))


async def notices(sessions: Sessions, user_id: int) -> list[Notification]:
    async with transaction(sessions) as session:
        mine = select(Notification).where(col(Notification.user_id) == user_id).order_by(col(Notification.id))
        return list((await session.scalars(mine)).all())


def trouble(key: str, condition: str = "run:1:exit", text: str = "OPEN and not sold: 10 INFY, worth ₹5.00.") -> Notice:
    return Notice(kind=NoticeKind.EXIT_TROUBLE, key=key, text=text, at=AT, condition=condition)


async def test_a_step_that_is_recorded_twice_makes_one_notice(sessions: Sessions, ledger: RunLedger) -> None:
    run = await new_run(sessions)
    await ledger.load_run(run.id)
    for _ in range(2):
        await ledger.record(filled(run))
    (row,) = await notices(sessions, run.user_id)
    assert row.text == "Bought 10 INFY at ₹1,500.06 (09:30). Stop-loss ₹1,490.50. Sells 14:30."
    assert row.brief == "Bought 10 INFY at ₹… (09:30). Stop-loss ₹…. Sells 14:30."
    assert (row.strategy_id, row.run_id, row.kind, row.read_at) == (run.strategy_id, run.id, "fill_entry", None)


async def test_a_step_that_is_refused_makes_none(sessions: Sessions, ledger: RunLedger) -> None:
    run = await new_run(sessions)
    await ledger.load_run(run.id)
    await ledger.load_run(run.id)
    with pytest.raises(StaleEpoch):
        await ledger.record(filled(run, epoch=1))
    assert await notices(sessions, run.user_id) == []


async def test_a_fault_in_a_text_keeps_no_step_from_being_recorded(
    sessions: Sessions, ledger: RunLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> str:
        raise ZeroDivisionError

    run = await new_run(sessions)
    await ledger.load_run(run.id)
    monkeypatch.setattr("actors.domain.notices.texts.bought", broken)
    with capture_logs() as log:
        await ledger.record(filled(run))
    assert [line["log_level"] for line in log if line["event"] == "notices_not_made"] == ["error"]
    async with transaction(sessions) as session:
        logged = await session.scalars(select(col(OrderLog.event)).where(col(OrderLog.run_id) == run.id))
        assert LogWord.ORDER_COMPLETE in logged.all()
    assert await notices(sessions, run.user_id) == []


async def test_a_reason_that_cannot_be_stored_is_left_out_of_the_notice(sessions: Sessions, ledger: RunLedger) -> None:
    run = await new_run(sessions)
    await ledger.load_run(run.id)
    failed = LogRecord(event=LogWord.ORDER_FAILED, occurred_at=NOW, leg="EXIT", seq=1, quantity=10, reason="no\0funds")
    await ledger.record(filled(run, failed))
    assert [row.kind for row in await notices(sessions, run.user_id)] == ["fill_entry", "exit_trouble"]


async def test_the_end_of_a_run_ends_its_troubles_and_says_so_once(sessions: Sessions, ledger: RunLedger) -> None:
    run = await new_run(sessions)
    await ledger.load_run(run.id)
    failed = LogRecord(event=LogWord.ORDER_FAILED, occurred_at=NOW, leg="EXIT", seq=1, quantity=10, reason="refused")
    again = replace(failed, occurred_at=NOW + timedelta(seconds=15))
    await ledger.record(filled(run, failed))
    await ledger.record(replace(bought(run), logs=(again,)))
    end = LogRecord(event=LogWord.RUN_ENDED, occurred_at=NOW + timedelta(seconds=30), quantity=10, price=Decimal(1490))
    update = bought(run)
    sold = replace(update, logs=(end,), ended=True, runtime=replace(update.runtime, position="exited_by_sl"))
    await ledger.record(sold)
    rows = await notices(sessions, run.user_id)
    assert [(row.kind, row.over_at) for row in rows] == [
        ("fill_entry", None), ("exit_trouble", end.occurred_at), ("exit_stop", None),
    ]  # fmt: skip


async def test_prices_that_come_back_are_a_notice_if_their_loss_was_one(sessions: Sessions, ledger: RunLedger) -> None:
    run = await new_run(sessions)
    await ledger.load_run(run.id)
    lost, back = (LogRecord(event=word, occurred_at=NOW) for word in (LogWord.FEED_LOST, LogWord.FEED_RESTORED))
    await ledger.record(filled(run, back))
    assert len(await notices(sessions, run.user_id)) == 1, "that of the fill"
    await ledger.record(bought(run, logs=(lost,)))
    for _ in range(2):
        await ledger.record(bought(run, logs=(back,)))
    _, *rows = await notices(sessions, run.user_id)
    assert [(row.kind, row.resolves) for row in rows] == [("feed_lost", False), ("feed_lost", True)]
    assert rows[1].text == "INFY: prices are back, the stop-loss ₹1,490.50 is watched."


async def test_any_transaction_may_tell_and_what_is_rolled_back_was_never_said(sessions: Sessions) -> None:
    user = await new_user(sessions)
    async with tenant_transaction(sessions, user.id) as session:
        assert await tell(session, user.id, trouble("a"))
    async with tenant_transaction(sessions, user.id) as session:
        assert await tell(session, user.id, trouble("b", "other"))
        await session.rollback()
    async with tenant_transaction(sessions, user.id) as session:
        assert not await tell(session, user.id, trouble("a", "other")), "the same fact"
        assert not await tell(session, user.id, trouble("c")), "the same condition"
        assert not await resolve(session, user.id, "other", "Nothing of it is open", AT)
        assert await resolve(session, user.id, "run:1:exit", "Sold for ₹9.00", AT)
        assert not await resolve(session, user.id, "run:1:exit", "Sold", AT)
        assert await tell(session, user.id, trouble("d")), "it has begun again"
        await end_conditions(session, user.id, ["run:1:exit"], AT)
    rows = await notices(sessions, user.id)
    assert [(row.key, row.brief, row.resolves) for row in rows] == [
        ("a", "OPEN and not sold: 10 INFY, worth ₹….", False), ("a:over", "Sold for ₹…", True),
        ("d", "OPEN and not sold: 10 INFY, worth ₹….", False),
    ]  # fmt: skip
    assert all(row.over_at == AT for row in rows if row.condition)


async def test_of_two_who_tell_the_same_at_once_one_does(sessions: Sessions) -> None:
    user = await new_user(sessions)

    async def say(key: str) -> bool:
        async with tenant_transaction(sessions, user.id) as session:
            return await tell(session, user.id, trouble(key))

    said = await asyncio.gather(*(say(key) for key in ("a", "a", "b", "b")))
    assert sum(said) == len(await notices(sessions, user.id)) == 1


async def test_an_alert_without_a_step_is_a_notice_of_its_own(sessions: Sessions, ledger: RunLedger) -> None:
    user, other = await new_user(sessions), await new_user(sessions)
    for _ in range(2):
        await ledger.notify_of(user.id, trouble("alert:late_fill:3"))
    await ledger.notify_of(other.id, trouble("alert:late_fill:3"))
    assert [len(await notices(sessions, owner.id)) for owner in (user, other)] == [1, 1]
