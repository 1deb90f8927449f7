"""The order claim and the prices of the mirror on a real Valkey (rows F4, G1, G2)."""

import asyncio
import itertools
import json
from datetime import timedelta

import pytest

from persistence.errors import MirrorUnavailable
from persistence.mirror.claims import Claim
from persistence.mirror.keys import bars_key
from persistence.mirror.mirror import RuntimeMirror, open_redis
from persistence.mirror.prices import BARS_KEEP_SECONDS, Bar, FeedState
from tests.integration.rows import NOW
from tests.kit.databases import PATIENT_S
from tests.kit.mirrored import runtime_of

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
    return [found["intent_id"] for found in events if found.get("strategy_id") == strategy_id]


async def test_a_claim_is_granted_once_and_recognised_after(mirror: RuntimeMirror, strategy_id: int) -> None:
    assert await claim(mirror, strategy_id, 1, "ENTRY") is Claim.GRANTED
    assert await claim(mirror, strategy_id, 1, "ENTRY") is Claim.HELD_BY_ME
    assert await queued(mirror, strategy_id) == [f"{strategy_id}-ENTRY-1"]


async def test_a_claim_whose_answer_was_lost_is_granted_again_but_only_to_its_maker(
    mirror: RuntimeMirror, strategy_id: int
) -> None:
    intent_id = f"{strategy_id}-ENTRY-1"
    shown = event(strategy_id, intent_id)

    async def claim_as(claim_id: str, epoch: int = 1) -> Claim:
        return await mirror.claim(strategy_id, epoch, intent_id, shown, 30, claim_id=claim_id)

    assert [await claim_as("a"), await claim_as("a")] == [Claim.GRANTED, Claim.GRANTED]
    assert [await claim_as("b"), await claim_as("b")] == [Claim.HELD_BY_ME, Claim.HELD_BY_ME]
    assert await claim_as("a") is Claim.HELD_BY_ME, "another has claimed it since, and may have sent"
    assert [await claim_as("c", 2), await claim_as("c", 2)] == [Claim.HELD_BY_ME, Claim.HELD_BY_ME]
    assert await claim_as("a") is Claim.REFUSED
    assert await queued(mirror, strategy_id) == [intent_id]


async def test_a_claim_that_was_released_is_no_claim_any_more(mirror: RuntimeMirror, strategy_id: int) -> None:
    intent_id = f"{strategy_id}-ENTRY-1"
    await mirror.claim(strategy_id, 1, intent_id, event(strategy_id, intent_id), 30, claim_id="a")
    await mirror.release(strategy_id, intent_id)
    assert await claim(mirror, strategy_id, 1, "ENTRY") is Claim.GRANTED
    assert await mirror.claim(strategy_id, 1, intent_id, "{}", 30, claim_id="a") is Claim.HELD_BY_ME


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


async def test_release_frees_the_lock_and_leaves_the_event_until_its_result_is_recorded(
    mirror: RuntimeMirror, strategy_id: int
) -> None:
    intent_id = f"{strategy_id}-ENTRY-1"
    await mirror.put_run(strategy_id, "INFY", {"symbol": "INFY"}, {"user_id": "1", "position": "buying"})
    await claim(mirror, strategy_id, 1, "ENTRY")
    assert (await runtime_of(mirror, strategy_id))["lock_state"] == f"1:{intent_id}"
    await mirror.release(strategy_id, intent_id)
    assert (await runtime_of(mirror, strategy_id))["lock_state"] == ""
    assert await queued(mirror, strategy_id) == [intent_id]
    await mirror.settle(strategy_id, [intent_id])
    assert await queued(mirror, strategy_id) == []
    assert await claim(mirror, strategy_id, 1, "ENTRY") is Claim.GRANTED
    assert await queued(mirror, strategy_id) == [intent_id]


async def test_release_of_an_overtaken_intent_leaves_the_lock_to_its_holder(
    mirror: RuntimeMirror, strategy_id: int
) -> None:
    await claim(mirror, strategy_id, 1, "ENTRY")
    await claim(mirror, strategy_id, 1, "EXIT")
    await mirror.release(strategy_id, f"{strategy_id}-ENTRY-1")
    assert await claim(mirror, strategy_id, 1, "EXIT") is Claim.HELD_BY_ME


async def test_an_event_queued_by_an_earlier_incarnation_is_not_queued_again(
    mirror: RuntimeMirror, strategy_id: int
) -> None:
    intent_id = f"{strategy_id}-EXIT-1"
    await mirror.claim(strategy_id, 1, intent_id, event(strategy_id, intent_id, at="earlier"), 30)
    await mirror.claim(strategy_id, 2, intent_id, event(strategy_id, intent_id, at="later"), 30)
    assert len(await queued(mirror, strategy_id)) == 1
    await mirror.settle(strategy_id, [intent_id])
    assert await queued(mirror, strategy_id) == []


async def test_settling_takes_the_named_intents_off_and_no_others(mirror: RuntimeMirror, strategy_id: int) -> None:
    other = next(_ids)
    for seq in (1, 2, 12):
        await claim(mirror, strategy_id, 1, "EXIT", seq)
    await claim(mirror, other, 1, "EXIT")
    await mirror.settle(strategy_id, [f"{strategy_id}-EXIT-1", f"{strategy_id}-EXIT-12", f"{strategy_id}-EXIT-99"])
    assert await queued(mirror, strategy_id) == [f"{strategy_id}-EXIT-2"]
    assert await queued(mirror, other) == [f"{other}-EXIT-1"]


async def test_an_intent_that_holds_the_lock_may_keep_its_event(mirror: RuntimeMirror, strategy_id: int) -> None:
    intent_id = f"{strategy_id}-EXIT-1"
    await claim(mirror, strategy_id, 1, "EXIT")
    await mirror.settle(strategy_id, [intent_id], unless_held=True)
    assert await queued(mirror, strategy_id) == [intent_id]
    await mirror.release(strategy_id, intent_id)
    await mirror.settle(strategy_id, [intent_id], unless_held=True)
    assert await queued(mirror, strategy_id) == []


async def test_the_end_of_a_run_takes_its_events_off_and_those_of_no_other_run(mirror: RuntimeMirror) -> None:
    # Whatever the order of an event's fields, the year of its instant is not a run.
    strategy_id, run, longer = next(_ids), 2026, 20261
    for owner in (run, longer):
        for leg in ("ENTRY", "EXIT"):
            mine = f"{owner}-{leg}-1"
            fields = {"at": "2026-11-23T09:30:00+05:30"} | json.loads(event(strategy_id, mine))
            await mirror.claim(strategy_id, 1, mine, json.dumps(fields), 30)
    fields = {"user_id": "1", "run_id": str(run), "position": "sold"}
    await mirror.end_run(strategy_id, "INFY", fields)
    assert sorted(await queued(mirror, strategy_id)) == [f"{longer}-ENTRY-1", f"{longer}-EXIT-1"]
    await mirror.end_run(strategy_id, "INFY", fields | {"run_id": str(longer)}, keep_seconds=0)
    assert await queued(mirror, strategy_id) == []


async def test_the_lock_lapses_by_itself(mirror: RuntimeMirror, strategy_id: int) -> None:
    await claim(mirror, strategy_id, 1, "ENTRY")
    key = f"lock_state:{strategy_id}"
    assert 0 < await mirror._redis.pttl(key) <= 30_000
    await mirror.renew(strategy_id, 1, f"{strategy_id}-ENTRY-1", 60)
    assert 30_000 < await mirror._redis.pttl(key) <= 60_000


async def test_two_hundred_calls_at_once_share_the_connections(redis_url: str) -> None:
    redis = open_redis(redis_url, timeout_s=PATIENT_S)
    crowd = RuntimeMirror(redis)
    strategies = [next(_ids) for _ in range(200)]
    answers = await asyncio.gather(*(claim(crowd, strategy_id, 1, "ENTRY") for strategy_id in strategies))
    assert answers == [Claim.GRANTED] * 200
    await asyncio.gather(*(crowd.settle(one, [f"{one}-ENTRY-1"]) for one in strategies))
    assert [one for one in strategies if await queued(crowd, one)] == []
    clients = await redis.client_list()
    assert len(clients) < 200
    await crowd.close()


async def test_a_call_that_gets_no_connection_in_time_says_that_redis_does_not_answer(redis_url: str) -> None:
    redis = open_redis(redis_url, timeout_s=0.2, max_connections=1)
    only = await redis.connection_pool.get_connection()  # type: ignore[no-untyped-call]
    with pytest.raises(MirrorUnavailable):
        await RuntimeMirror(redis).ping()
    await redis.connection_pool.release(only)
    await RuntimeMirror(redis).ping()
    await redis.aclose()


async def test_a_lock_that_was_lost_is_taken_again_by_renewal(mirror: RuntimeMirror, strategy_id: int) -> None:
    assert await mirror.renew(strategy_id, 3, f"{strategy_id}-EXIT-1", 30) is True
    assert await claim(mirror, strategy_id, 2, "EXIT") is Claim.REFUSED


async def test_prices_are_rupees_with_two_decimals(mirror: RuntimeMirror) -> None:
    await mirror.put_price("M&M", 310_005, NOW, NOW)
    assert await mirror.get_price("M&M") == {
        "price": "3100.05",
        "exchange_time": "2026-11-23T04:00:00+00:00",
        "received_at": "2026-11-23T04:00:00+00:00",
        "feed": "live",
        "feed_lag_ms": "",
        "feed_since": "",
    }
    await mirror.put_feed("M&M", FeedState(live=False))
    assert (await mirror.get_price("M&M"))["feed"] == "down"
    await mirror.put_feed("M&M", FeedState(live=True, lag_ms=8000, since=NOW))
    shown = await mirror.get_price("M&M")
    assert (shown["feed"], shown["feed_lag_ms"], shown["feed_since"]) == ("late", "8000", NOW.isoformat())


async def test_prices_of_a_minute_make_its_bar(mirror: RuntimeMirror) -> None:
    symbol, day = f"BARS{next(_ids)}", NOW.date()
    heard = [(150_000, 150_000, 150_000), (149_000, 148_000, 151_000), (149_500, 149_000, 149_500)]
    for price, low, high in heard:
        await mirror.put_price(symbol, price, NOW, NOW, extremes=(low, high))
    later = NOW + timedelta(minutes=1)
    await mirror.put_price(symbol, 160_000, later, later, extremes=(160_000, 160_000))
    await mirror.put_price(symbol, 170_000, later, later, broker="kite", extremes=(170_000, 170_000))
    assert (await mirror.get_price(symbol))["price"] == "1600.00"
    assert await mirror.get_bars(symbol, [day]) == [
        Bar(NOW, open=150_000, high=151_000, low=148_000, close=149_500),
        Bar(later, open=160_000, high=160_000, low=160_000, close=160_000),
    ]
    assert [bar.close for bar in await mirror.get_bars(symbol, [day], "kite")] == [170_000]
    assert await mirror.get_bars(symbol, [day - timedelta(days=1)]) == []
    assert 0 < await mirror._redis.ttl(bars_key(symbol, f"{day:%Y%m%d}")) <= BARS_KEEP_SECONDS


async def test_prices_of_one_broker_are_not_shown_to_runs_of_another(mirror: RuntimeMirror) -> None:
    at_paper, at_kite, of_before = next(_ids), next(_ids), next(_ids)
    for strategy_id, broker in ((at_paper, "paper"), (at_kite, "kite"), (of_before, "")):
        fields = {"user_id": "1", "symbol": "SBIN"} | ({"broker": broker} if broker else {})
        await mirror.put_run(strategy_id, "SBIN", {"symbol": "SBIN"}, fields)
    await mirror.put_price("SBIN", 70_000, NOW, NOW, broker="paper")
    assert [price.get("price") for _, price in await mirror.get_statuses([at_paper, at_kite, of_before])] == [
        "700.00", None, "700.00",
    ]  # fmt: skip
    await mirror.put_price("SBIN", 81_000, NOW, NOW, broker="kite")
    assert [price["price"] for _, price in await mirror.get_statuses([at_paper, at_kite, of_before])] == [
        "700.00", "810.00", "700.00",
    ]  # fmt: skip
    prices = await mirror.get_prices([("SBIN", "kite"), ("SBIN", "paper"), ("SBIN", "")])
    assert [price["price"] for price in prices] == ["810.00", "700.00", "700.00"]


async def test_status_reads_runtime_and_price_together(mirror: RuntimeMirror, strategy_id: int) -> None:
    await mirror.put_run(strategy_id, "TCS", {"symbol": "TCS"}, {"user_id": "1", "symbol": "TCS", "position": "bought"})
    await mirror.put_price("TCS", 400_000, None, NOW)
    runtime, price = await mirror.get_status(strategy_id)
    assert (runtime["position"], price["price"]) == ("bought", "4000.00")
    assert await mirror.get_status(next(_ids)) == ({}, {})
