"""Which processes run, as they say of themselves in a real Valkey."""

import asyncio
import json

from persistence.mirror.keys import PROCESSES
from persistence.mirror.mirror import RuntimeMirror
from persistence.mirror.presence import SILENT_AFTER_S, Presence, keep_present


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
