"""What the mirror tells of its changes, and how it is read, on a real Valkey."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from redis.asyncio import Redis

from persistence.errors import MirrorUnavailable
from persistence.mirror.event_stream import EventPage, EventStream
from persistence.mirror.keys import events_key, runtime_key
from persistence.mirror.mirror import RuntimeMirror, open_redis
from persistence.mirror.scripts import EVENTS_KEPT
from tests.kit.databases import PATIENT_S, new_valkey
from tests.kit.mirrored import running_of, runtime_of, strategy_of

pytest_plugins = ["tests.integration.fixtures"]

_ids = itertools.count(700_000)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = open_redis(redis_url, timeout_s=PATIENT_S)
    yield client
    await client.aclose()


@pytest.fixture
def stream(redis: Redis) -> EventStream:
    return EventStream(redis)


@pytest.fixture
def user_id() -> int:
    return next(_ids)


@pytest.fixture
def strategy_id() -> int:
    return next(_ids)


def runtime(user_id: int, **changes: str) -> dict[str, str]:
    fields = {"user_id": str(user_id), "symbol": "INFY", "position": "none", "last_price": "", "updated_at": "1"}
    return fields | changes


async def show(mirror: RuntimeMirror, strategy_id: int, fields: dict[str, str]) -> None:
    await mirror.put_run(strategy_id, "INFY", {"symbol": "INFY"}, fields)


async def news(stream: EventStream, user_id: int, last_id: str, limit: int = 100) -> EventPage:
    page = await stream.after(user_id, last_id, limit)
    assert page is not None
    return page


async def test_every_change_is_told_once_and_in_its_order(
    mirror: RuntimeMirror, stream: EventStream, user_id: int, strategy_id: int
) -> None:
    begin = await stream.position(user_id)
    await show(mirror, strategy_id, runtime(user_id))
    await show(mirror, strategy_id, runtime(user_id, position="buying"))
    await mirror.end_run(strategy_id, "INFY", runtime(user_id, position="sold"))
    await mirror.delete_strategy(strategy_id, "INFY", tell=user_id)
    page = await news(stream, user_id, begin)
    told = [(event.event, event.strategy_id, event.runtime.get("position")) for event in page.events]
    assert told == [
        ("strategy", strategy_id, "none"),
        ("strategy", strategy_id, "buying"),
        ("strategy", strategy_id, "sold"),
        ("deleted", strategy_id, None),
    ]
    assert page.events[1].runtime == runtime(user_id, position="buying")
    assert (page.last_id, page.more) == (page.events[-1].event_id, False)
    assert await stream.position(user_id) == page.last_id


async def test_what_changed_nothing_is_no_event(
    mirror: RuntimeMirror, stream: EventStream, user_id: int, strategy_id: int
) -> None:
    await show(mirror, strategy_id, runtime(user_id))
    begin = await stream.position(user_id)
    await show(mirror, strategy_id, runtime(user_id, last_price="1500.00", updated_at="2"))
    assert (await runtime_of(mirror, strategy_id))["last_price"] == "1500.00"
    await mirror.end_run(strategy_id, "INFY", runtime(user_id))
    assert (await news(stream, user_id, begin)).events == ()


async def test_a_stop_tells_the_final_state_although_nothing_of_it_is_kept(
    mirror: RuntimeMirror, stream: EventStream, user_id: int, strategy_id: int
) -> None:
    await show(mirror, strategy_id, runtime(user_id))
    begin = await stream.position(user_id)
    await mirror.end_run(strategy_id, "INFY", runtime(user_id, position="sold"), keep_seconds=0)
    assert [event.runtime["position"] for event in (await news(stream, user_id, begin)).events] == ["sold"]
    assert await runtime_of(mirror, strategy_id) == {}
    assert await strategy_of(mirror, strategy_id) == {}
    assert strategy_id not in await running_of(mirror, "INFY")


async def test_the_final_state_of_a_run_is_kept_for_a_day(
    mirror: RuntimeMirror, redis: Redis, user_id: int, strategy_id: int
) -> None:
    await show(mirror, strategy_id, runtime(user_id))
    await mirror.end_run(strategy_id, "INFY", runtime(user_id, position="sold"))
    assert (await runtime_of(mirror, strategy_id))["position"] == "sold"
    assert 86_300 < await redis.ttl(runtime_key(strategy_id)) <= 86_400
    await show(mirror, strategy_id, runtime(user_id))
    assert await redis.ttl(runtime_key(strategy_id)) == -1


async def test_nobody_is_told_of_the_strategies_of_an_account_that_is_gone(
    mirror: RuntimeMirror, stream: EventStream, user_id: int, strategy_id: int
) -> None:
    begin = await stream.position(user_id)
    await mirror.delete_strategy(strategy_id, "INFY")
    assert (await news(stream, user_id, begin)).events == ()


async def test_users_are_told_of_their_own_strategies_only(mirror: RuntimeMirror, stream: EventStream) -> None:
    asha, ravi = next(_ids), next(_ids)
    begins = {user_id: await stream.position(user_id) for user_id in (asha, ravi)}
    owned = {asha: [next(_ids) for _ in range(20)], ravi: [next(_ids) for _ in range(20)]}
    await asyncio.gather(*(show(mirror, s, runtime(user)) for user, ids in owned.items() for s in ids))
    for user_id, ids in owned.items():
        told = {event.strategy_id for event in (await news(stream, user_id, begins[user_id])).events}
        assert told == set(ids)


async def test_many_events_come_in_pages(
    mirror: RuntimeMirror, stream: EventStream, user_id: int, strategy_id: int
) -> None:
    last_id, seen, more = await stream.position(user_id), list[str](), True
    for number in range(7):
        await show(mirror, strategy_id, runtime(user_id, message=str(number)))
    while more:
        page = await news(stream, user_id, last_id, limit=3)
        seen += [event.runtime["message"] for event in page.events]
        last_id, more = page.last_id, page.more
    assert seen == [str(number) for number in range(7)]


async def test_an_id_that_the_stream_does_not_reach_back_to_is_told_apart(
    mirror: RuntimeMirror, stream: EventStream, redis: Redis, user_id: int, strategy_id: int
) -> None:
    first = await stream.position(user_id)
    for number in range(EVENTS_KEPT + 200):
        await show(mirror, strategy_id, runtime(user_id, message=str(number)))
    assert EVENTS_KEPT <= await redis.xlen(events_key(user_id)) < EVENTS_KEPT + 200
    assert 86_300 < await redis.ttl(events_key(user_id)) <= 86_400
    assert await stream.after(user_id, first, 100) is None
    position = await stream.position(user_id)
    assert await stream.after(user_id, "999999999999999-0", 100) is None
    await redis.delete(events_key(user_id))
    assert await stream.after(user_id, position, 100) is None
    await show(mirror, strategy_id, runtime(user_id, message="after the loss"))
    assert await stream.after(user_id, position, 100) is None


async def test_wake_ups_name_the_users_who_have_news(
    mirror: RuntimeMirror, stream: EventStream, user_id: int, strategy_id: int
) -> None:
    async with aclosing(stream.wakeups()) as wakeups:
        assert await anext(wakeups) is None
        await show(mirror, strategy_id, runtime(user_id))
        async for woken in wakeups:
            if woken == user_id:
                break


async def test_a_quiet_subscription_stays(mirror: RuntimeMirror, redis: Redis, user_id: int, strategy_id: int) -> None:
    async with aclosing(EventStream(redis, quiet_s=0.5).wakeups()) as wakeups:
        await anext(wakeups)
        waiting = asyncio.ensure_future(anext(wakeups))
        done, _ = await asyncio.wait([waiting], timeout=1.2)
        assert not done
        await show(mirror, strategy_id, runtime(user_id))
        assert await waiting == user_id


async def test_a_subscription_whose_redis_dies_says_so() -> None:
    with new_valkey() as server:
        client = open_redis(server.connection_url)
        wakeups = EventStream(client).wakeups()
        assert await anext(wakeups) is None
    with pytest.raises(MirrorUnavailable):
        await anext(wakeups)
    await client.aclose()


async def test_statuses_are_read_together_and_in_order(mirror: RuntimeMirror, user_id: int) -> None:
    first, missing, second = next(_ids), next(_ids), next(_ids)
    await show(mirror, first, runtime(user_id, position="bought"))
    await show(mirror, second, runtime(user_id, position="sold"))
    found = await mirror.get_statuses([second, missing, first])
    assert [status.get("position") for status, _ in found] == ["sold", None, "bought"]
