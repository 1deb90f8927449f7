"""`queue:orders` on the real PostgreSQL and Valkey: an event is there until its result is recorded (rows G2, J3)."""

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import update
from sqlmodel import col
from structlog.testing import capture_logs

from persistence.database.engine import Sessions, open_database, sessions_of, transaction
from persistence.database.models.runs import Run
from persistence.journal.ledger import RunLedger
from persistence.journal.records import IntentRecord, RunRuntime, RunUpdate
from persistence.mirror.claims import Claim
from persistence.mirror.keys import DEAD_ORDERS, ORDER_QUEUE
from persistence.mirror.mirror import RuntimeMirror
from tests.integration.rows import NOW, new_run
from tests.kit.databases import new_valkey

pytest_plugins = ["tests.integration.fixtures"]


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    """A Valkey of this module's own, since a sweep sees the whole queue."""
    with new_valkey() as server:
        yield server.connection_url


@pytest.fixture
async def ledger(sessions: Sessions, mirror: RuntimeMirror) -> RunLedger:
    """On a mirror that has nothing to rebuild."""
    await mirror._redis.flushall()
    await mirror.mark_built()
    return RunLedger(sessions, mirror)


def an_intent(run: Run, leg: str = "ENTRY", state: str = "sent", seq: int = 1) -> IntentRecord:
    side, cause = ("BUY", "BUY") if leg == "ENTRY" else ("SELL", "STOPLOSS")
    order_id = f"{run.id}{seq}" if state in {"acknowledged", "filled", "rejected", "cancelled"} else None
    return IntentRecord(
        run_id=run.id,
        leg=leg,
        seq=seq,
        side=side,
        quantity=10,
        tag=f"{leg[1]}{run.id}Q{seq}",
        cause=None if state == "armed" else cause,
        state=state,
        order_id=order_id,
        filled_quantity=10 if state == "filled" else 0,
    )


def a_step(run: Run, *intents: IntentRecord, ended: bool = False, delete_mirror: bool = False) -> RunUpdate:
    runtime = RunRuntime(
        status="stopped" if ended else "running",
        position="bought",
        status_detail="",
        last_action="",
        message="",
        stop_loss_paise=149_050,
        filled_quantity=10,
        updated_at=NOW + timedelta(seconds=1),
    )
    return RunUpdate(
        run_id=run.id,
        strategy_id=run.strategy_id,
        user_id=run.user_id,
        epoch=1,
        symbol="INFY",
        runtime=runtime,
        state={},
        intents=intents,
        ended=ended,
        delete_mirror=delete_mirror,
    )


def intent_id(run: Run, leg: str = "ENTRY", seq: int = 1) -> str:
    return f"{run.id}-{leg}-{seq}"


async def claim(mirror: RuntimeMirror, run: Run, leg: str = "ENTRY", seq: int = 1) -> Claim:
    mine = intent_id(run, leg, seq)
    event = {"event": "BUY" if leg == "ENTRY" else "STOPLOSS", "strategy_id": run.strategy_id, "intent_id": mine}
    return await mirror.claim(run.strategy_id, 1, mine, json.dumps(event | {"at": NOW.isoformat()}), 30)


async def queued(mirror: RuntimeMirror) -> list[str]:
    return sorted(json.loads(event)["intent_id"] for event in await mirror.pending_orders())


async def dead(mirror: RuntimeMirror) -> list[str]:
    return [str(event) for event in await mirror._redis.lrange(DEAD_ORDERS, 0, -1)]


@pytest.mark.parametrize("state", ["claimed", "sent", "acknowledged"])
async def test_an_event_stays_while_its_intent_is_working(
    sessions: Sessions, ledger: RunLedger, mirror: RuntimeMirror, state: str
) -> None:
    run = await new_run(sessions)
    await claim(mirror, run)
    await mirror.release(run.strategy_id, intent_id(run))
    await ledger.record(a_step(run, an_intent(run, state=state)))
    await ledger.ensure_mirror()
    assert await queued(mirror) == [intent_id(run)]


@pytest.mark.parametrize("state", ["filled", "cancelled", "rejected", "failed"])
async def test_an_event_leaves_when_the_result_is_recorded(
    sessions: Sessions, ledger: RunLedger, mirror: RuntimeMirror, state: str
) -> None:
    run, other = await new_run(sessions), await new_run(sessions)
    await claim(mirror, run)
    await claim(mirror, run, "EXIT")
    await claim(mirror, other)
    await mirror.release(run.strategy_id, intent_id(run))
    assert await ledger.record(a_step(run, an_intent(run, state=state), an_intent(run, "EXIT"))) is True
    assert await queued(mirror) == sorted([intent_id(run, "EXIT"), intent_id(other)])


async def test_a_failed_intent_that_is_tried_again_is_queued_again(
    sessions: Sessions, ledger: RunLedger, mirror: RuntimeMirror
) -> None:
    run = await new_run(sessions)
    for _ in range(2):
        assert await claim(mirror, run, "EXIT") is Claim.GRANTED
        assert await queued(mirror) == [intent_id(run, "EXIT")]
        await mirror.release(run.strategy_id, intent_id(run, "EXIT"))
        await ledger.record(a_step(run, an_intent(run, "EXIT", "failed")))
        assert await queued(mirror) == []


async def test_a_late_record_of_a_failure_leaves_the_next_attempt_on_the_queue(
    sessions: Sessions, ledger: RunLedger, mirror: RuntimeMirror
) -> None:
    run = await new_run(sessions)
    await claim(mirror, run, "EXIT")
    await mirror.release(run.strategy_id, intent_id(run, "EXIT"))
    await claim(mirror, run, "EXIT")
    await ledger.record(a_step(run, an_intent(run, "EXIT", "failed")))
    await ledger.ensure_mirror()
    assert await queued(mirror) == [intent_id(run, "EXIT")]


@pytest.mark.parametrize("delete_mirror", [False, True])
async def test_the_end_of_a_run_takes_all_its_events_off(
    sessions: Sessions, ledger: RunLedger, mirror: RuntimeMirror, *, delete_mirror: bool
) -> None:
    run, other = await new_run(sessions), await new_run(sessions)
    for leg, seq in (("ENTRY", 1), ("EXIT", 1), ("EXIT", 2)):
        await claim(mirror, run, leg, seq)
    await claim(mirror, other)
    await ledger.record(a_step(run, an_intent(run, state="filled"), ended=True, delete_mirror=delete_mirror))
    assert await queued(mirror) == [intent_id(other)]


async def test_a_late_step_of_an_earlier_run_takes_its_events_off_and_not_those_of_the_present_one(
    sessions: Sessions, ledger: RunLedger, mirror: RuntimeMirror
) -> None:
    earlier = await new_run(sessions)
    await ledger.record(a_step(earlier, ended=True))
    present = await new_run(sessions, like=earlier)
    await claim(mirror, earlier, "EXIT")
    await claim(mirror, present)
    await ledger.record(a_step(earlier, an_intent(earlier, "EXIT", "filled"), ended=True))
    assert await queued(mirror) == [intent_id(present)]


async def test_a_sweep_finds_what_was_left_behind(sessions: Sessions, ledger: RunLedger, mirror: RuntimeMirror) -> None:
    ended, working, other = [await new_run(sessions) for _ in range(3)]
    await ledger.record(a_step(ended, ended=True))
    await ledger.record(a_step(working, an_intent(working, state="filled"), an_intent(working, "EXIT", "failed")))
    for run in (ended, working, other):
        await claim(mirror, run)
    await claim(mirror, working, "EXIT", seq=2)
    await ledger.ensure_mirror()
    assert await queued(mirror) == sorted([intent_id(working, "EXIT", 2), intent_id(other)])


async def test_a_sweep_takes_a_failed_intent_off_once_its_lock_is_gone(
    sessions: Sessions, ledger: RunLedger, mirror: RuntimeMirror
) -> None:
    run = await new_run(sessions)
    await ledger.record(a_step(run, an_intent(run, "EXIT", "failed")))
    await claim(mirror, run, "EXIT")
    await ledger.ensure_mirror()
    assert await queued(mirror) == [intent_id(run, "EXIT")]
    await mirror.release(run.strategy_id, intent_id(run, "EXIT"))
    await ledger.ensure_mirror()
    assert await queued(mirror) == []


POISON = (
    b"not json",
    b"\xff\xfe\x00\x01",
    b"[" * 100_000,
    b"[]",
    b'"7-ENTRY-1"',
    b'{"event": "BUY"}',
    b'{"event": "SHORT", "strategy_id": 1, "intent_id": "1-ENTRY-1", "at": "x"}',
    b'{"event": "BUY", "strategy_id": "1", "intent_id": "1-ENTRY-1", "at": "x"}',
    b'{"event": "BUY", "strategy_id": true, "intent_id": "1-ENTRY-1", "at": "x"}',
    b'{"event": "BUY", "strategy_id": 1, "intent_id": 7, "at": "x"}',
    b'{"event": "BUY", "strategy_id": 1, "intent_id": "1-MIDDLE-1", "at": "x"}',
    b'{"event": "BUY", "strategy_id": 1, "intent_id": " 1-ENTRY-1", "at": "x"}',
    b'{"event": "BUY", "strategy_id": 1, "intent_id": "99999999999999999999-ENTRY-1", "at": "x"}',
    b'{"event": "BUY", "strategy_id": 1, "intent_id": "9000000000-ENTRY-1", "at": "no such run"}',
)


async def test_what_is_no_event_of_ours_is_buried_with_a_warning_and_hinders_nobody(
    sessions: Sessions, ledger: RunLedger, mirror: RuntimeMirror
) -> None:
    run, other = await new_run(sessions), await new_run(sessions)
    foreign = json.dumps(
        {"event": "BUY", "strategy_id": other.strategy_id, "intent_id": intent_id(run, "EXIT"), "at": "x"}
    ).encode()
    await mirror._redis.lpush(ORDER_QUEUE, *POISON, foreign)
    assert await claim(mirror, run) is Claim.GRANTED
    with capture_logs() as logs:
        await ledger.ensure_mirror()
    assert await queued(mirror) == [intent_id(run)]
    buried = await mirror._redis.execute_command("LRANGE", DEAD_ORDERS, 0, -1, NEVER_DECODE=True)  # type: ignore[no-untyped-call]
    assert sorted(buried) == sorted((*POISON, foreign))
    warnings = [line for line in logs if line["event"] == "order_event_buried"]
    assert {line["log_level"] for line in warnings} == {"warning"}
    assert len(warnings) == len(POISON) + 1
    assert max(len(line["order_event"]) for line in warnings) <= 800


async def test_the_dead_list_is_bounded(ledger: RunLedger, mirror: RuntimeMirror) -> None:
    await mirror._redis.lpush(ORDER_QUEUE, *(f"poison {number}" for number in range(1200)))
    await ledger.ensure_mirror()
    assert await mirror.pending_orders() == []
    assert len(await dead(mirror)) == 1000


async def test_an_empty_queue_costs_no_database(mirror: RuntimeMirror, ledger: RunLedger) -> None:
    engine = open_database("postgresql+psycopg://nobody@127.0.0.1:1/none")
    await RunLedger(sessions_of(engine), mirror).ensure_mirror()
    await engine.dispose()


async def test_after_a_flush_the_events_of_working_intents_are_queued_again(
    sessions: Sessions, ledger: RunLedger, mirror: RuntimeMirror
) -> None:
    claimed, exiting, done, ended = [await new_run(sessions) for _ in range(4)]
    assert await ledger.claim_intent(claimed.id, "ENTRY", 1, 0)
    await ledger.record(
        a_step(
            exiting,
            an_intent(exiting, state="filled"),
            an_intent(exiting, "EXIT"),
            an_intent(exiting, "EXIT", "acknowledged", 2),
        )
    )
    await ledger.record(a_step(done, an_intent(done, state="filled"), an_intent(done, "EXIT", "armed")))
    await ledger.record(a_step(ended, an_intent(ended), ended=True))
    await mirror._redis.flushall()
    await claim(mirror, exiting, "EXIT", 2)
    await ledger.ensure_mirror()
    mine = {str(run.id) for run in (claimed, exiting, done, ended)}
    found = [json.loads(event) for event in await mirror.pending_orders()]
    shown = {(e["intent_id"], e["event"], e["strategy_id"]) for e in found if e["intent_id"].split("-")[0] in mine}
    assert shown == {
        (intent_id(claimed), "BUY", claimed.strategy_id),
        (intent_id(exiting, "EXIT"), "STOPLOSS", exiting.strategy_id),
        (intent_id(exiting, "EXIT", 2), "STOPLOSS", exiting.strategy_id),
    }
    assert len(found) == len({e["intent_id"] for e in found})
    assert {"event", "strategy_id", "intent_id", "at"} == set(found[0])
    await ledger.ensure_mirror()
    assert len(await mirror.pending_orders()) == len(found)


async def test_what_redis_missed_is_made_good_for_the_queue_too(
    sessions: Sessions, ledger: RunLedger, mirror: RuntimeMirror
) -> None:
    run, ended = await new_run(sessions), await new_run(sessions)
    await claim(mirror, run)
    await claim(mirror, ended)
    deaf = RuntimeMirror.connect("redis://127.0.0.1:1")
    missed = RunLedger(sessions, deaf)
    assert await missed.record(a_step(run, an_intent(run, state="filled"), an_intent(run, "EXIT"))) is False
    assert await missed.record(a_step(ended, an_intent(ended, state="filled"), ended=True)) is False
    await deaf.close()
    assert await queued(mirror) == sorted([intent_id(run), intent_id(ended)])
    await ledger.mirror_again(run.id, delete=False)
    await ledger.mirror_again(ended.id, delete=False)
    assert await queued(mirror) == [intent_id(run, "EXIT")]


async def test_making_good_a_run_that_a_later_one_has_followed_takes_its_events_off(
    sessions: Sessions, ledger: RunLedger, mirror: RuntimeMirror
) -> None:
    earlier = await new_run(sessions)
    await claim(mirror, earlier, "EXIT")
    async with transaction(sessions) as session:
        await session.execute(update(Run).where(col(Run.id) == earlier.id).values(ended_at=NOW))
    present = await new_run(sessions, like=earlier)
    await claim(mirror, present)
    await ledger.mirror_again(earlier.id, delete=True)
    assert await queued(mirror) == [intent_id(present)]
