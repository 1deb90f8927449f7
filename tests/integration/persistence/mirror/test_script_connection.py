"""The connection that claims go over, against the real Valkey: its answers, its silence, and what it falls back to."""

import asyncio
import itertools
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from config.stack.guarded_process import GuardedProcess
from config.stack.valkey import await_valkey, plan_valkey, valkey_command
from persistence.errors import MirrorUnavailable
from persistence.mirror.claims import Claim
from persistence.mirror.mirror import RuntimeMirror
from persistence.mirror.script_connection import ScriptConnection, ScriptUnavailable
from persistence.mirror.scripts import CLAIM

KEYS = ["lock_state:900", "queue:orders:test", "runtime:900", "lock_claim:900"]
_claim_ids = itertools.count()


def arguments(intent: str, epoch: int = 1) -> list[str]:
    return [str(epoch), intent, f'{{"intent_id": "{intent}"}}', "20000", f"claim {next(_claim_ids)}"]


@pytest.fixture
async def connection(redis_url: str) -> AsyncIterator[ScriptConnection]:
    connection = ScriptConnection(redis_url, (CLAIM,), timeout_s=0.5)
    with pytest.raises(ScriptUnavailable):  # the first call finds no connection, and has one made
        await connection.run(CLAIM, KEYS, arguments("900-ENTRY-1"))
    assert connection._connecting is not None
    await connection._connecting
    yield connection
    await connection.close()


async def test_it_answers_as_the_slow_way_does(connection: ScriptConnection, redis_url: str) -> None:
    assert await connection.run(CLAIM, KEYS, arguments("901-ENTRY-1")) == "granted"
    assert await connection.run(CLAIM, KEYS, arguments("901-ENTRY-1")) == "held_by_me"
    assert await connection.run(CLAIM, KEYS, arguments("901-EXIT-1")) == "granted"
    assert await connection.run(CLAIM, KEYS, arguments("901-ENTRY-1")) == "refused"


async def test_claims_at_the_same_time_get_each_its_own_answer(connection: ScriptConnection) -> None:
    keys = [[f"lock_state:{number}", *KEYS[1:3], f"lock_claim:{number}"] for number in range(950, 990)]
    first = await asyncio.gather(*(connection.run(CLAIM, own, arguments("950-ENTRY-1")) for own in keys))
    second = await asyncio.gather(*(connection.run(CLAIM, own, arguments("950-EXIT-1")) for own in keys[::2]))
    third = await asyncio.gather(*(connection.run(CLAIM, own, arguments("950-EXIT-1")) for own in keys))
    assert set(first) == set(second) == {"granted"}
    assert third == ["held_by_me", "granted"] * 20


async def test_an_answer_that_arrived_while_the_process_was_held_up_counts(connection: ScriptConnection) -> None:
    keys = ["lock_state:907", *KEYS[1:3], "lock_claim:907"]
    claiming = asyncio.create_task(connection.run(CLAIM, keys, arguments("907-ENTRY-1")))
    await asyncio.sleep(0)
    time.sleep(connection._timeout_s + 0.1)  # noqa: ASYNC251 - the loop is held up
    assert await claiming == "granted"


async def test_an_answer_that_is_read_long_after_it_came_is_asked_for_again(connection: ScriptConnection) -> None:
    keys = ["lock_state:909", *KEYS[1:3], "lock_claim:909"]
    claiming = asyncio.create_task(connection.run(CLAIM, keys, arguments("909-ENTRY-1")))
    await asyncio.sleep(0)
    time.sleep(connection._timeout_s + 1.1)  # noqa: ASYNC251 - the loop is held up
    with pytest.raises(ScriptUnavailable):
        await claiming
    assert await connection.run(CLAIM, keys, arguments("909-EXIT-1")) == "granted"


async def test_a_claim_under_way_while_the_connection_breaks_is_made_again_and_granted(redis_url: str) -> None:
    mirror = RuntimeMirror.connect(redis_url, quick_claims=True)
    await mirror.claim(908, 1, "908-ENTRY-1", '{"intent_id": "908-ENTRY-1"}', 20)
    connection = mirror._claims
    assert connection is not None
    assert connection._connecting is not None
    await connection._connecting
    link = connection._link
    assert link is not None
    claiming = asyncio.create_task(mirror.claim(908, 1, "908-EXIT-1", '{"intent_id": "908-EXIT-1"}', 20))
    await asyncio.sleep(0)
    link.data_received = lambda _: link.close()  # type: ignore[method-assign, assignment] # it is done, the answer lost
    assert await claiming is Claim.GRANTED
    await mirror.settle_run(908)
    await mirror.release(908, "908-EXIT-1")
    await mirror.close()


async def test_an_error_of_the_script_makes_the_connection_unavailable_and_it_comes_back(
    connection: ScriptConnection,
) -> None:
    with pytest.raises(ScriptUnavailable):
        await connection.run(CLAIM, KEYS, arguments("no intent"))
    connection._tried_at = 0.0
    with pytest.raises(ScriptUnavailable):
        await connection.run(CLAIM, KEYS, arguments("902-ENTRY-1"))
    assert connection._connecting is not None
    await connection._connecting
    assert await connection.run(CLAIM, KEYS, arguments("902-ENTRY-1")) == "granted"


async def test_a_redis_that_is_silent_is_given_up_after_the_patience() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in (b"+OK\r\n", b"$3\r\nsha\r\n"):  # SELECT and SCRIPT LOAD, then nothing more
            await reader.read(1 << 16)
            writer.write(answer)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    mirror = RuntimeMirror.connect(f"redis://127.0.0.1:{port}/0", timeout_s=0.2, quick_claims=True)
    connection = mirror._claims
    assert connection is not None
    with pytest.raises(ScriptUnavailable):
        await connection.run(CLAIM, KEYS, arguments("903-ENTRY-1"))
    assert connection._connecting is not None
    await connection._connecting
    began = asyncio.get_running_loop().time()
    with pytest.raises(MirrorUnavailable):
        await mirror.claim(900, 1, "903-ENTRY-1", "{}", 20)
    assert asyncio.get_running_loop().time() - began < 1
    await mirror.close()
    server.close()


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "rediss://127.0.0.1:1/0", "redis://127.0.0.1:1?db=3"])
async def test_without_a_connection_it_says_so_at_once(url: str) -> None:
    connection = ScriptConnection(url, (CLAIM,), timeout_s=0.2)
    for _ in range(2):
        with pytest.raises(ScriptUnavailable):
            await connection.run(CLAIM, KEYS, arguments("904-ENTRY-1"))
    await connection.close()


async def test_a_redis_that_refuses_keeps_no_connection_of_ours() -> None:
    closed = asyncio.Event()

    async def loading(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1 << 16)
        writer.write(b"-LOADING Redis is loading the dataset in memory\r\n")
        await reader.read()
        closed.set()
        writer.close()

    server = await asyncio.start_server(loading, "127.0.0.1", 0)
    connection = ScriptConnection(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}", (CLAIM,), timeout_s=0.5)
    with pytest.raises(ScriptUnavailable):
        await connection.run(CLAIM, KEYS, arguments("906-ENTRY-1"))
    await asyncio.wait_for(closed.wait(), 3)
    await connection.close()
    server.close()


async def test_the_mirror_claims_by_it_and_by_the_slow_way_alike(redis_url: str) -> None:
    mirror = RuntimeMirror.connect(redis_url, quick_claims=True)
    assert await mirror.claim(905, 1, "905-ENTRY-1", '{"intent_id": "905-ENTRY-1"}', 20) is Claim.GRANTED
    assert mirror._claims is not None
    assert mirror._claims._connecting is not None
    await mirror._claims._connecting
    assert await mirror.claim(905, 1, "905-ENTRY-1", '{"intent_id": "905-ENTRY-1"}', 20) is Claim.HELD_BY_ME
    await mirror.settle_run(905)
    await mirror.release(905, "905-ENTRY-1")
    await mirror.close()


async def test_claims_go_over_a_unix_socket_as_they_do_over_tcp(tmp_path: Path) -> None:
    plan = plan_valkey(tmp_path, "secret-of-this-server", tmp_path)
    server = GuardedProcess(valkey_command(plan))
    try:
        await asyncio.to_thread(await_valkey, plan, server, threading.Event())
        connection = ScriptConnection(plan.url_with_password, (CLAIM,), timeout_s=0.5)
        with pytest.raises(ScriptUnavailable):
            await connection.run(CLAIM, KEYS, arguments("910-ENTRY-1"))
        assert connection._connecting is not None
        await connection._connecting
        assert await connection.run(CLAIM, KEYS, arguments("910-ENTRY-1")) == "granted"
        await connection.close()
    finally:
        server.stop()
