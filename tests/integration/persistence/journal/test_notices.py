"""Notices are written in the transaction of their fact, once (row N1)."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select, update
from sqlmodel import col
from structlog.testing import capture_logs

from actors.domain.notices.notice import Notice, NoticeKind
from actors.domain.orders.log_events import LogWord
from actors.ports.common import CALM
from persistence.database.engine import Sessions, tenant_transaction, transaction
from persistence.database.models.notifications import Notification
from persistence.database.models.order_logs import OrderLog
from persistence.database.models.runs import Run
from persistence.database.repositories.notifications import end_conditions, resolve, tell
from persistence.errors import StaleEpoch
from persistence.journal.alert_notices import AlertNotices, alert_notice
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


@pytest.fixture
def alerts(sessions: Sessions) -> AlertNotices:
    return AlertNotices(sessions, ZoneInfo("Asia/Kolkata"))


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
    last = bought(run)
    sold = replace(last, logs=(end,), ended=True, runtime=replace(last.runtime, position="exited_by_sl"))
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


def waiting_for_login(run: Run) -> RunUpdate:
    failed = LogRecord(event=LogWord.ORDER_FAILED, occurred_at=NOW, leg="ENTRY", seq=1, reason="Token expired")
    step = bought(run, logs=(failed,))
    paused: dict[str, Any] = {"status": "paused", "position": "buying", "status_detail": "broker_session_expired"}
    return replace(step, intents=(), runtime=replace(step.runtime, **paused))


async def test_runs_that_wait_for_the_login_ask_for_it_once(sessions: Sessions, ledger: RunLedger) -> None:
    first = await new_run(sessions)
    await ledger.load_run(first.id)
    await ledger.record(waiting_for_login(first))
    async with transaction(sessions) as session:  # its strategy runs again, though what was said is not over
        await session.execute(update(Run).where(col(Run.id) == first.id).values(ended_at=NOW))
    second = await new_run(sessions, like=first)
    await ledger.load_run(second.id)
    await ledger.record(waiting_for_login(second))
    assert [row.kind for row in await notices(sessions, first.user_id)] == ["login_needed"]


@pytest.mark.parametrize("condition", ["login:not_ready:2026-11-23:0", "login:will_not_trade:2026-11-23:1"])
async def test_a_run_does_not_ask_for_the_login_that_readiness_has_asked_for(
    sessions: Sessions, ledger: RunLedger, condition: str
) -> None:
    run = await new_run(sessions)
    await ledger.load_run(run.id)
    async with tenant_transaction(sessions, run.user_id) as session:
        assert await tell(session, run.user_id, replace(trouble("r", condition), kind=NoticeKind.WILL_NOT_TRADE))
    await ledger.record(waiting_for_login(run))
    assert len(await notices(sessions, run.user_id)) == 1
    async with tenant_transaction(sessions, run.user_id) as session:
        await end_conditions(session, run.user_id, [condition], AT)
    again = waiting_for_login(run)
    later = tuple(replace(line, occurred_at=NOW + timedelta(hours=1)) for line in again.logs)
    await ledger.record(replace(again, logs=later))
    assert [row.kind for row in await notices(sessions, run.user_id)] == ["will_not_trade", "login_needed"]


SHORT = "position:2:NSE:INFY:MIS"


async def raised(
    alerts: AlertNotices, user_id: int, strategy_id: int, at: datetime, text: str = "The account is short of 5 INFY",
    code: str = "position_short", about: str = SHORT,
) -> None:  # fmt: skip
    notice = alert_notice(strategy_id, code, text, at, about)
    assert notice is not None
    await alerts.raised(user_id, code, notice)


async def test_an_alert_without_a_step_is_a_notice_of_its_own(sessions: Sessions, alerts: AlertNotices) -> None:
    run, other = await new_run(sessions), await new_run(sessions)
    for _ in range(2):
        for owner in (run, other):
            await raised(alerts, owner.user_id, owner.strategy_id, AT, "3 shares too many", "late_fill", "run:1")
    assert [len(await notices(sessions, owner.user_id)) for owner in (run, other)] == [1, 1]


async def test_a_trouble_has_an_end_and_on_the_same_day_a_second_beginning(
    sessions: Sessions, alerts: AlertNotices
) -> None:
    run, other = await new_run(sessions), await new_run(sessions)
    mine = (run.user_id, run.strategy_id)
    await raised(alerts, other.user_id, other.strategy_id, AT)
    await alerts.over(run.user_id, ["position_short"], SHORT, AT)
    assert await notices(sessions, run.user_id) == [], "nothing was said that could be over"
    minute = timedelta(minutes=1)
    for begin in (AT, AT + 20 * minute):
        for again in range(3):  # a call that was lost, or a watcher that says it every ten minutes
            await raised(alerts, *mine, begin + again * minute)
        for _ in range(2):
            await alerts.over(run.user_id, ["shares_missing", "position_short"], SHORT, begin + 10 * minute)
    rows = await notices(sessions, run.user_id)
    assert [(row.key, row.resolves) for row in rows] == [
        (f"alert:position_short:{SHORT}:{begin.isoformat()}{end}", bool(end))
        for begin in (AT, AT + 20 * minute) for end in ("", ":over")
    ]  # fmt: skip
    assert rows[1].text == "INFY: your account is no longer short."
    assert [row.over_at for row in await notices(sessions, other.user_id)] == [None], "another tenant's goes on"


async def test_a_trouble_that_goes_on_is_told_again_when_its_shares_change_and_on_the_next_day(
    sessions: Sessions, alerts: AlertNotices
) -> None:
    run = await new_run(sessions)
    mine = (run.user_id, run.strategy_id)
    texts = ["The account is short of 5 INFY at about ₹9.00", "The account is short of 5 INFY at about ₹9.50"]
    for number, text in enumerate(texts):
        await raised(alerts, *mine, AT + number * CALM, text)
    assert len(await notices(sessions, run.user_id)) == 1, "another price is no news"
    await raised(alerts, *mine, AT + CALM / 2, "The account is short of 8 INFY")
    assert len(await notices(sessions, run.user_id)) == 1, "what comes and goes is not told each time"
    await raised(alerts, *mine, AT + CALM, "The account is short of 8 INFY")
    await raised(alerts, *mine, AT + timedelta(days=1), "The account is short of 8 INFY")
    await alerts.over(run.user_id, ["position_short"], SHORT, AT + timedelta(days=2))
    rows = await notices(sessions, run.user_id)
    assert [row.resolves for row in rows] == [False, False, False, True]
    assert all(row.over_at for row in rows if row.condition)


async def test_of_two_ledgers_that_tell_the_same_trouble_one_does(sessions: Sessions, alerts: AlertNotices) -> None:
    run = await new_run(sessions)
    instants = [AT + timedelta(milliseconds=number) for number in range(4)]
    await asyncio.gather(*(raised(alerts, run.user_id, run.strategy_id, at) for at in instants))
    await asyncio.gather(*(alerts.over(run.user_id, ["position_short"], SHORT, at) for at in instants))
    assert [row.resolves for row in await notices(sessions, run.user_id)] == [False, True]


async def test_the_end_of_a_run_ends_the_troubles_of_its_guard_in_silence(
    sessions: Sessions, ledger: RunLedger, alerts: AlertNotices
) -> None:
    run = await new_run(sessions)
    await ledger.load_run(run.id)
    for code, about in (("recovery_waits", f"run:{run.id}"), ("shares_missing", f"strategy:{run.strategy_id}")):
        await raised(alerts, run.user_id, run.strategy_id, AT, "Not guarded", code, about)
    await raised(alerts, run.user_id, run.strategy_id, AT)
    step = replace(bought(run), intents=())
    end = LogRecord(event=LogWord.RUN_ENDED, occurred_at=NOW, quantity=10, price=Decimal(1490))
    await ledger.record(replace(step, logs=(end,), ended=True, runtime=replace(step.runtime, position="sold")))
    rows = await notices(sessions, run.user_id)
    assert [(row.kind, row.over_at) for row in rows] == [
        ("guard_lost", NOW), ("guard_lost", NOW), ("exit_trouble", None), ("exit_time", None),
    ], "that the account is short goes on"  # fmt: skip


async def test_a_share_that_the_broker_lists_again_is_said_to_be(sessions: Sessions, ledger: RunLedger) -> None:
    run = await new_run(sessions)
    await ledger.load_run(run.id)
    for day in range(2):
        for word in (LogWord.SYMBOL_NOT_LISTED, LogWord.FEED_RESTORED):
            line = LogRecord(event=word, occurred_at=NOW + timedelta(hours=day))
            await ledger.record(replace(bought(run, logs=(line,)), intents=()))
    rows = await notices(sessions, run.user_id)
    assert [(row.kind, row.resolves) for row in rows] == [("guard_lost", False), ("guard_lost", True)] * 2
