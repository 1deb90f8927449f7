"""The engine's journal on the real PostgreSQL and Valkey (rows G1, J1, J3, I1)."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import event, select
from sqlmodel import col

from actors.domain.orders.log_events import LogWord
from actors.domain.strategy.spec import run_label
from persistence.database.engine import Sessions, transaction
from persistence.database.models.order_logs import OrderLog
from persistence.database.models.runs import Intent, Run
from persistence.database.models.strategies import Strategy
from persistence.errors import MirrorUnavailable, RecordRefused, RunNotOpen, StaleEpoch
from persistence.journal.ledger import RunLedger
from persistence.journal.records import IntentRecord, LogRecord, RunRuntime, RunUpdate
from persistence.journal.storable import STAND_IN
from persistence.mirror.mirror import RuntimeMirror
from tests.integration.rows import NOW, new_run
from tests.kit.mirrored import running_of, runtime_of, strategy_of

pytest_plugins = ["tests.integration.fixtures"]

BUY_ORDER = "1"


@pytest.fixture
def ledger(sessions: Sessions, mirror: RuntimeMirror) -> RunLedger:
    return RunLedger(sessions, mirror)


def bought(run: Run, epoch: int = 1, **changes: object) -> RunUpdate:
    runtime = RunRuntime(
        status="running",
        position="bought",
        status_detail="",
        last_action="BUY",
        message="Bought 10 INFY",
        stop_loss_paise=149_050,
        filled_quantity=10,
        updated_at=NOW + timedelta(seconds=1),
        buy_price=Decimal("1500.055"),
        last_price_paise=150_010,
        last_buy_order=BUY_ORDER,
    )
    entry = IntentRecord(
        run_id=run.id,
        leg="ENTRY",
        seq=1,
        side="BUY",
        quantity=10,
        tag="UNUSED",
        cause="BUY",
        state="filled",
        order_id=BUY_ORDER,
        filled_quantity=10,
        average_price=Decimal("1500.055"),
    )
    line = LogRecord(
        event="BUY",
        occurred_at=NOW,
        leg="ENTRY",
        seq=1,
        order_id=BUY_ORDER,
        quantity=10,
        price=Decimal("1500.055"),
    )
    update = RunUpdate(
        run_id=run.id,
        strategy_id=run.strategy_id,
        user_id=run.user_id,
        epoch=epoch,
        symbol="INFY",
        runtime=runtime,
        state={"phase": "guarding"},
        intents=(entry,),
        logs=(line,),
    )
    return replace(update, **changes)  # type: ignore[arg-type]


def exit_intent(run: Run) -> IntentRecord:
    return IntentRecord(run_id=run.id, leg="EXIT", seq=1, side="SELL", quantity=10, tag=f"X{run.id}")


async def test_loading_takes_the_run_over(sessions: Sessions, ledger: RunLedger) -> None:
    run = await new_run(sessions)
    first, second = await ledger.load_run(run.id), await ledger.load_run(run.id)
    assert (first.epoch, second.epoch) == (1, 2)
    assert (second.broker, second.exchange, second.tradingsymbol, second.state) == ("paper", "NSE", "INFY", None)
    assert [(intent.leg, intent.seq, intent.state) for intent in second.intents] == [("ENTRY", 1, "armed")]
    assert second.buy_at == NOW
    assert run.tag_key.hex() not in repr(second)


async def test_the_end_of_a_run_takes_no_more_statements_than_it_writes_tables(
    sessions: Sessions, ledger: RunLedger
) -> None:
    run = await new_run(sessions)
    await ledger.load_run(run.id)
    ended = LogRecord(event=LogWord.RUN_ENDED, occurred_at=NOW, quantity=10)
    runtime = replace(bought(run).runtime, position="sold", status="stopped")
    update = bought(
        run,
        runtime=runtime,
        ended=True,
        intents=(*bought(run).intents, exit_intent(run)),
        logs=(*bought(run).logs, ended),
    )
    statements = list[str]()

    def hear(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(" ".join(statement.split()[: 3 if statement.startswith("INSERT") else 2]))

    engine = sessions.kw["bind"].sync_engine
    event.listen(engine, "before_cursor_execute", hear)
    await ledger.record(update)
    event.remove(engine, "before_cursor_execute", hear)
    assert statements == [
        "UPDATE runs",
        "INSERT INTO intents",
        "INSERT INTO order_logs",
        "UPDATE notifications",
        "INSERT INTO notifications",
        "UPDATE strategies",
    ]


async def test_a_recorded_step_is_in_the_database_and_in_redis(
    sessions: Sessions, ledger: RunLedger, mirror: RuntimeMirror
) -> None:
    run = await new_run(sessions)
    await ledger.load_run(run.id)
    assert await ledger.record(bought(run)) is True
    loaded = await ledger.load_run(run.id)
    assert loaded.state == {"phase": "guarding"}
    assert loaded.intents[0].average_price == Decimal("1500.055")
    async with transaction(sessions) as session:
        lines = (await session.scalars(select(OrderLog).where(col(OrderLog.run_id) == run.id))).all()
        tag = await session.scalar(select(col(Intent.tag)).where(col(Intent.run_id) == run.id))
    facts = [(line.event, line.price, line.user_id) for line in lines]
    assert facts == [("BUY", Decimal("1500.055"), run.user_id)]
    assert tag != "UNUSED"
    runtime = await runtime_of(mirror, run.strategy_id)
    assert runtime["position"] == "bought"
    assert runtime["buy_price"] == "1500.06"
    assert runtime["last_price"] == "1500.10"
    assert runtime["last_buy_order"] == BUY_ORDER
    assert (await strategy_of(mirror, run.strategy_id))["stop_loss"] == "1490.50"
    assert run.strategy_id in await running_of(mirror, "INFY")


async def test_a_stale_incarnation_records_nothing(sessions: Sessions, ledger: RunLedger) -> None:
    run = await new_run(sessions)
    await ledger.load_run(run.id)
    await ledger.load_run(run.id)
    with pytest.raises(StaleEpoch):
        await ledger.record(bought(run, epoch=1))
    async with transaction(sessions) as session:
        position = await session.scalar(select(col(Run.position)).where(col(Run.id) == run.id))
        lines = (await session.scalars(select(OrderLog).where(col(OrderLog.run_id) == run.id))).all()
    assert (position, lines) == ("none", [])


async def test_another_tenant_cannot_be_written_to(sessions: Sessions, ledger: RunLedger) -> None:
    run, other = await new_run(sessions), await new_run(sessions)
    with pytest.raises(StaleEpoch):
        await ledger.record(bought(run, user_id=other.user_id))


async def test_the_end_of_a_run_stops_the_strategy_and_keeps_the_final_state_a_day(
    sessions: Sessions, ledger: RunLedger, mirror: RuntimeMirror, redis_url: str
) -> None:
    run = await new_run(sessions)
    await ledger.load_run(run.id)
    await ledger.record(bought(run))
    sold = replace(bought(run).runtime, position="exited_by_sl", status="stopped", message="STOP-LOSS Triggered")
    await ledger.record(bought(run, runtime=sold, ended=True))
    runtime = await runtime_of(mirror, run.strategy_id)
    assert runtime["position"] == "exited_by_sl"
    assert runtime["terminated_at"] == sold.updated_at.isoformat()
    assert await strategy_of(mirror, run.strategy_id) == {}
    assert run.strategy_id not in await running_of(mirror, "INFY")
    assert 86_000 < await mirror._redis.ttl(f"runtime:{run.strategy_id}") <= 86_400
    async with transaction(sessions) as session:
        strategy = await session.get(Strategy, run.strategy_id)
    assert strategy is not None
    assert strategy.status == "stopped"
    assert (run.id, run.strategy_id) not in await ledger.running_runs()
    with pytest.raises(RunNotOpen):
        await ledger.load_run(run.id)


async def test_a_manual_stop_leaves_nothing_in_redis(
    sessions: Sessions, ledger: RunLedger, mirror: RuntimeMirror
) -> None:
    run = await new_run(sessions)
    await ledger.load_run(run.id)
    await ledger.record(bought(run))
    await ledger.record(bought(run, ended=True, delete_mirror=True))
    assert await runtime_of(mirror, run.strategy_id) == {}
    assert await strategy_of(mirror, run.strategy_id) == {}
    assert run.strategy_id not in await running_of(mirror, "INFY")


async def test_a_late_line_of_an_earlier_run_leaves_the_present_one_alone(
    sessions: Sessions, ledger: RunLedger, mirror: RuntimeMirror
) -> None:
    earlier = await new_run(sessions)
    await ledger.record(bought(earlier, ended=True))
    present = await new_run(sessions, like=earlier)
    await ledger.load_run(present.id)
    await ledger.record(bought(present))
    await ledger.record(bought(earlier, runtime=replace(bought(earlier).runtime, position="sold")))
    assert (await runtime_of(mirror, present.strategy_id))["run_id"] == str(present.id)
    async with transaction(sessions) as session:
        strategy = await session.get(Strategy, present.strategy_id)
    assert strategy is not None
    assert strategy.status == "running"


async def test_intent_recorded_twice_stays_one_row_with_the_latest_facts(sessions: Sessions, ledger: RunLedger) -> None:
    run = await new_run(sessions)
    await ledger.load_run(run.id)
    for quantity in (4, 10):
        await ledger.record(bought(run, intents=(replace(exit_intent(run), quantity=quantity),)))
    intents = (await ledger.load_run(run.id)).intents
    assert [(intent.leg, intent.quantity, intent.cause) for intent in intents] == [
        ("ENTRY", 10, "BUY"),
        ("EXIT", 10, None),
    ]


async def test_only_the_latest_incarnation_of_an_open_run_owns_it(sessions: Sessions, ledger: RunLedger) -> None:
    run = await new_run(sessions)
    await ledger.load_run(run.id)
    assert await ledger.owns_run(run.id, 1)
    await ledger.load_run(run.id)
    assert not await ledger.owns_run(run.id, 1)
    assert await ledger.owns_run(run.id, 2)
    await ledger.record(bought(run, epoch=2, ended=True))
    assert not await ledger.owns_run(run.id, 2)


async def test_claims_in_the_database_follow_the_epoch(sessions: Sessions, ledger: RunLedger) -> None:
    run = await new_run(sessions)
    await ledger.load_run(run.id)
    assert await ledger.claim_intent(run.id, "ENTRY", 1, 1) is True
    assert await ledger.claim_intent(run.id, "ENTRY", 1, 1) is True
    await ledger.load_run(run.id)
    assert await ledger.claim_intent(run.id, "ENTRY", 1, 1) is False
    assert await ledger.claim_intent(run.id, "ENTRY", 1, 2) is True
    assert await ledger.claim_intent(run.id, "EXIT", 1, 2) is False
    await ledger.record(bought(run, epoch=2))
    assert await ledger.claim_intent(run.id, "ENTRY", 1, 2) is False


async def test_recording_goes_on_without_redis_and_the_mirror_is_rebuilt(
    sessions: Sessions, mirror: RuntimeMirror
) -> None:
    run = await new_run(sessions, symbol="REBUILT")
    deaf = RuntimeMirror.connect("redis://127.0.0.1:1")
    assert await RunLedger(sessions, deaf).record(bought(run, symbol="REBUILT")) is False
    with pytest.raises(MirrorUnavailable):
        await deaf.ping()
    await deaf.close()
    assert await runtime_of(mirror, run.strategy_id) == {}
    assert await RunLedger(sessions, mirror).rebuild_mirror() >= 1
    assert (await runtime_of(mirror, run.strategy_id))["position"] == "bought"
    assert await running_of(mirror, "REBUILT") == {run.strategy_id}


async def test_accounts_are_found(sessions: Sessions, ledger: RunLedger) -> None:
    run = await new_run(sessions)
    assert run.broker_account_id is not None
    account = await ledger.load_account(run.broker_account_id)
    assert account is not None
    assert account.secrets_box == b"\x01sealed"
    assert "sealed" not in repr(account)
    assert (await ledger.feed_accounts("paper"))[0][0] == run.broker_account_id
    assert run.broker_account_id not in {account_id for account_id, _ in await ledger.feed_accounts("kite")}
    assert (run.id, run.strategy_id) in await ledger.running_runs()


async def test_an_open_run_has_a_label_that_tells_symbol_shares_and_time_and_nothing_of_its_user(
    sessions: Sessions, ledger: RunLedger
) -> None:
    run = await new_run(sessions, symbol="LABELLED")
    assert (await ledger.running_labels())[run.id] == run_label("LABELLED", run.quantity, run.buy_at)


async def test_what_holds_shares_is_recovered_first_then_what_buys_soonest(
    sessions: Sessions, ledger: RunLedger
) -> None:
    later, sooner, holding = await new_run(sessions), await new_run(sessions), await new_run(sessions)
    async with transaction(sessions) as session:
        for run, minutes in ((later, 3), (sooner, 2), (holding, 4)):
            (await session.get_one(Run, run.id)).buy_at = run.sell_at - timedelta(minutes=10 - minutes)
        (await session.get_one(Run, holding.id)).filled_quantity = 10
    order = [run_id for run_id, _ in await ledger.running_runs()]
    places = [order.index(run.id) for run in (holding, sooner, later)]
    assert places == sorted(places)


# --- what the database refuses for its content ------------------------------------------------------------------------


@pytest.mark.parametrize("bad", ["RMS: blocked \0 for nse_cm", "half \ud83d a pair", "x" * 50_000])
async def test_a_step_with_a_text_that_cannot_be_stored_is_recorded_without_it(
    sessions: Sessions, ledger: RunLedger, bad: str
) -> None:
    run = await new_run(sessions)
    await ledger.load_run(run.id)
    step = bought(run)
    intents = tuple(replace(intent, reason=bad) for intent in step.intents)
    logs = tuple(replace(line, reason=bad, detail={"said": bad}) for line in step.logs)
    runtime = replace(step.runtime, message=bad, status_detail="")
    refused = replace(step, intents=intents, logs=logs, runtime=runtime, state={"phase": "guarding", "reason": bad})
    assert await ledger.record(refused)
    stored = await ledger.load_run(run.id)
    assert (stored.intents[0].state, stored.intents[0].filled_quantity) == ("filled", 10)
    assert stored.state is not None
    assert stored.state["phase"] == "guarding"
    if "\0" in bad or "\ud83d" in bad:
        assert (stored.intents[0].reason, stored.state["reason"]) == (STAND_IN, STAND_IN)


@pytest.mark.parametrize("bad", ["\0", "\ud83d"])
async def test_a_log_line_that_cannot_be_stored_is_written_without_its_text(
    sessions: Sessions, ledger: RunLedger, bad: str
) -> None:
    run = await new_run(sessions)
    line = LogRecord(event="BUY", occurred_at=NOW, reason=bad, detail={"said": bad})
    await ledger.append_log(run.user_id, run.strategy_id, run.id, line)
    async with transaction(sessions) as session:
        stored = (await session.scalars(select(OrderLog).where(col(OrderLog.run_id) == run.id))).one()
    assert (stored.reason, stored.detail) == (STAND_IN, {"said": STAND_IN})


async def test_a_number_out_of_range_is_refused_by_an_error_of_its_own(sessions: Sessions, ledger: RunLedger) -> None:
    run = await new_run(sessions)
    await ledger.load_run(run.id)
    step = bought(run)
    with pytest.raises(RecordRefused):
        await ledger.record(replace(step, runtime=replace(step.runtime, filled_quantity=2**70)))
