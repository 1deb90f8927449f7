"""Which processes run, as they say of themselves in a real Valkey."""

import asyncio
import json

from api.operations.presence import keep_emptied_shown
from persistence.mirror.keys import EMPTIED_NODES, PROCESSES
from persistence.mirror.mirror import RuntimeMirror
from persistence.mirror.presence import SILENT_AFTER_S, Presence, keep_present
from tests.kit.fakes.strategy_engine import FakeEngine


async def test_a_process_is_there_until_it_is_forgotten(mirror: RuntimeMirror) -> None:
    await mirror.put_presence("api:a:1", "host-a", 41, "node", 1000)
    (seen,) = [one for one in await mirror.get_presences() if one.name == "api:a:1"]
    assert (seen.host, seen.pid, seen.node, seen.resident_bytes, seen.silent) == ("host-a", 41, "node", 1000, False)
    await mirror.forget_presence("api:a:1")
    assert "api:a:1" not in {one.name for one in await mirror.get_presences()}


async def test_it_is_silent_after_some_seconds_and_forgotten_after_an_hour(mirror: RuntimeMirror) -> None:
    seconds, _ = await mirror._redis.time()
    said = json.dumps({"host": "h", "pid": 1})
    for name, age in (("api:silent", int(SILENT_AFTER_S) + 2), ("api:old", 4000)):
        await mirror._redis.hset(PROCESSES, name, f"{seconds - age} {said}")
    await mirror._redis.hset(PROCESSES, "api:odd", "no such form")
    seen = {one.name: one for one in await mirror.get_presences()}
    assert (seen["api:silent"].silent, "api:odd" in seen) == (True, False)
    await mirror.put_presence("api:b:2", "h", 2)
    names = {one.name for one in await mirror.get_presences()}
    assert ("api:silent" in names, "api:old" in names) == (True, False)
    assert not await mirror._redis.hexists(PROCESSES, "api:odd")


async def test_a_process_says_so_with_its_memory_until_it_is_cancelled(mirror: RuntimeMirror) -> None:
    task = asyncio.create_task(keep_present(mirror, "api:c:3", "h", 3))

    async def seen() -> Presence:
        while True:
            for one in await mirror.get_presences():
                if one.name == "api:c:3":
                    return one

    async with asyncio.timeout(10):
        found = await seen()
    assert found.resident_bytes > 1_000_000
    task.cancel()


async def test_nodes_that_are_being_emptied_are_shown_for_a_minute(mirror: RuntimeMirror) -> None:
    await mirror.show_emptied(["10.0.0.12", "10.0.0.13"])
    assert await mirror.emptied_nodes() == ["10.0.0.12", "10.0.0.13"]
    assert 0 < await mirror._redis.ttl(EMPTIED_NODES) <= 60
    for odd in ("no such form", "7"):
        await mirror._redis.set(EMPTIED_NODES, odd)
        assert await mirror.emptied_nodes() == []
    await mirror._redis.delete(EMPTIED_NODES)
    assert await mirror.emptied_nodes() == []


async def test_a_process_of_the_api_shows_them_again_and_again_whether_the_engine_answers_or_not(
    mirror: RuntimeMirror,
) -> None:
    engine = FakeEngine(emptied=["10.0.0.12"])
    showing = asyncio.create_task(keep_emptied_shown(engine, mirror))
    async with asyncio.timeout(5):
        while await mirror.emptied_nodes() != ["10.0.0.12"]:  # noqa: ASYNC110 - Valkey is asked
            await asyncio.sleep(0.01)
    showing.cancel()
    await asyncio.gather(showing, return_exceptions=True)
    silent = asyncio.create_task(keep_emptied_shown(FakeEngine(up=False), mirror))
    await asyncio.sleep(0)
    assert not silent.done()
    silent.cancel()
    await mirror._redis.delete(EMPTIED_NODES)
