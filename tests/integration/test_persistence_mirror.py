"""The order claim and the prices of the mirror on a real Valkey (rows F4, G1, G2)."""

import asyncio
import itertools
import json

import pytest

from persistence.runtime_mirror import Claim, RuntimeMirror
from tests.integration.rows import NOW

pytest_plugins = ["tests.integration.fixtures"]

_ids = itertools.count(900_000)


@pytest.fixture
def strategy_id() -> int:
    return next(_ids)


def event(strategy_id: int, intent_id: str, kind: str = "BUY", at: str = "2026-11-23T09:30:00+05:30") -> str:
    return json.dumps({"event": kind, "strategy_id": strategy_id, "intent_id": intent_id, "at": at})


async def claim(mirror: RuntimeMirror, strategy_id: int, epoch: int, leg: str, seq: int = 1, run: int = 0) -> Claim:
    intent_id = f"{run or strategy_id}-{leg}-{seq}"
    return await mirror.claim(strategy_id, epoch, intent_id, event(strategy_id, intent_id), 30)


async def queued(mirror: RuntimeMirror, strategy_id: int) -> list[str]:
    events = [json.loads(text) for text in await mirror.pending_orders()]
    return [found["intent_id"] for found in events if found["strategy_id"] == strategy_id]


async def test_a_claim_is_granted_once_and_recognised_after(mirror: RuntimeMirror, strategy_id: int) -> None:
    assert await claim(mirror, strategy_id, 1, "ENTRY") is Claim.GRANTED
    assert await claim(mirror, strategy_id, 1, "ENTRY") is Claim.HELD_BY_ME
    assert await queued(mirror, strategy_id) == [f"{strategy_id}-ENTRY-1"]


async def test_forty_racers_for_one_intent_get_one_grant(mirror: RuntimeMirror, strategy_id: int) -> None:
    answers = await asyncio.gather(*(claim(mirror, strategy_id, 1, "EXIT") for _ in range(40)))
    assert answers.count(Claim.GRANTED) == 1
    assert len(await queued(mirror, strategy_id)) == 1


async def test_an_exit_takes_the_lock_from_an_entry_but_not_the_other_way_round(
    mirror: RuntimeMirror, strategy_id: int
) -> None:
    assert await claim(mirror, strategy_id, 1, "ENTRY") is Claim.GRANTED
    assert await claim(mirror, strategy_id, 1, "EXIT") is Claim.GRANTED
    assert await claim(mirror, strategy_id, 1, "ENTRY") is Claim.REFUSED
    assert await claim(mirror, strategy_id, 2, "ENTRY") is Claim.REFUSED
    assert await claim(mirror, strategy_id, 1, "EXIT", seq=2) is Claim.GRANTED


async def test_a_later_incarnation_takes_over_and_the_earlier_is_refused(
    mirror: RuntimeMirror, strategy_id: int
) -> None:
    assert await claim(mirror, strategy_id, 1, "EXIT") is Claim.GRANTED
    assert await claim(mirror, strategy_id, 2, "EXIT") is Claim.HELD_BY_ME
    assert await claim(mirror, strategy_id, 1, "EXIT") is Claim.REFUSED
    assert await claim(mirror, strategy_id, 1, "EXIT", seq=2) is Claim.REFUSED
    assert await mirror.renew(strategy_id, 1, f"{strategy_id}-EXIT-1", 30) is False
    assert await mirror.renew(strategy_id, 2, f"{strategy_id}-EXIT-1", 30) is True


async def test_a_new_run_outranks_what_an_old_one_left(mirror: RuntimeMirror, strategy_id: int) -> None:
    assert await claim(mirror, strategy_id, 7, "EXIT", run=1) is Claim.GRANTED
    assert await claim(mirror, strategy_id, 1, "ENTRY", run=2) is Claim.GRANTED
    assert await claim(mirror, strategy_id, 8, "EXIT", run=1) is Claim.REFUSED


async def test_release_frees_the_lock_and_the_record_of_the_result_empties_the_queue(
    mirror: RuntimeMirror, strategy_id: int
) -> None:
    intent_id = f"{strategy_id}-ENTRY-1"
    await mirror.put_run(strategy_id, "INFY", {"symbol": "INFY"}, {"user_id": "1", "position": "buying"})
    await claim(mirror, strategy_id, 1, "ENTRY")
    assert (await mirror.get_runtime(strategy_id))["lock_state"] == f"1:{intent_id}"
    await mirror.release(strategy_id, intent_id)
    assert (await mirror.get_runtime(strategy_id))["lock_state"] == ""
    assert await queued(mirror, strategy_id) == [intent_id]
    await mirror.settle([intent_id])
    assert await queued(mirror, strategy_id) == []
    assert await claim(mirror, strategy_id, 1, "ENTRY") is Claim.GRANTED


async def test_release_of_an_overtaken_intent_leaves_the_lock_to_its_holder(
    mirror: RuntimeMirror, strategy_id: int
) -> None:
    await claim(mirror, strategy_id, 1, "ENTRY")
    await claim(mirror, strategy_id, 1, "EXIT")
    await mirror.release(strategy_id, f"{strategy_id}-ENTRY-1")
    await mirror.settle([f"{strategy_id}-ENTRY-1"])
    assert await queued(mirror, strategy_id) == [f"{strategy_id}-EXIT-1"]
    assert await claim(mirror, strategy_id, 1, "EXIT") is Claim.HELD_BY_ME


async def test_an_event_queued_by_an_earlier_incarnation_is_not_queued_again(
    mirror: RuntimeMirror, strategy_id: int
) -> None:
    intent_id = f"{strategy_id}-EXIT-1"
    await mirror.claim(strategy_id, 1, intent_id, event(strategy_id, intent_id, at="earlier"), 30)
    await mirror.claim(strategy_id, 2, intent_id, event(strategy_id, intent_id, at="later"), 30)
    assert len(await queued(mirror, strategy_id)) == 1
    await mirror.settle([intent_id])
    assert await queued(mirror, strategy_id) == []


async def test_the_keys_of_a_step_take_the_settled_events_with_them(mirror: RuntimeMirror, strategy_id: int) -> None:
    entry, leaving = f"{strategy_id}-ENTRY-1", f"{strategy_id}-EXIT-1"
    await claim(mirror, strategy_id, 1, "ENTRY")
    await claim(mirror, strategy_id, 1, "EXIT")
    runtime = {"user_id": "1", "position": "bought"}
    await mirror.put_run(strategy_id, "INFY", {"symbol": "INFY"}, runtime, settled=[entry])
    assert await queued(mirror, strategy_id) == [leaving]
    await mirror.end_run(strategy_id, "INFY", runtime, settled=[entry, leaving])
    assert await queued(mirror, strategy_id) == []


async def test_an_event_that_is_shown_again_is_there_once(mirror: RuntimeMirror, strategy_id: int) -> None:
    intent_id = f"{strategy_id}-EXIT-1"
    for _ in range(2):
        await mirror.requeue(intent_id, event(strategy_id, intent_id))
    assert await queued(mirror, strategy_id) == [intent_id]


async def test_a_lock_that_was_lost_is_taken_again_by_renewal(mirror: RuntimeMirror, strategy_id: int) -> None:
    assert await mirror.renew(strategy_id, 3, f"{strategy_id}-EXIT-1", 30) is True
    assert await claim(mirror, strategy_id, 2, "EXIT") is Claim.REFUSED


async def test_prices_are_rupees_with_two_decimals(mirror: RuntimeMirror) -> None:
    await mirror.put_price("M&M", 310_005, NOW, NOW)
    assert await mirror.get_price("M&M") == {
        "price": "3100.05",
        "exchange_time": "2026-11-23T04:00:00+00:00",
        "received_at": "2026-11-23T04:00:00+00:00",
    }


async def test_status_reads_runtime_and_price_together(mirror: RuntimeMirror, strategy_id: int) -> None:
    await mirror.put_run(strategy_id, "TCS", {"symbol": "TCS"}, {"user_id": "1", "symbol": "TCS", "position": "bought"})
    await mirror.put_price("TCS", 400_000, None, NOW)
    runtime, price = await mirror.get_status(strategy_id)
    assert (runtime["position"], price["price"]) == ("bought", "4000.00")
    assert await mirror.get_status(next(_ids)) == ({}, {})
