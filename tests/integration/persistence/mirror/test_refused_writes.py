"""A Redis that still answers and takes no writes shows the past: what it says is not taken for the present."""

import itertools
from collections.abc import AsyncIterator

import pytest

from persistence.errors import MirrorUnavailable
from persistence.mirror.mirror import RuntimeMirror, open_redis
from tests.kit.databases import PATIENT_S, new_valkey

_ids = itertools.count(700_000)


@pytest.fixture
async def own_mirror() -> AsyncIterator[tuple[RuntimeMirror, str]]:
    """A mirror on a Valkey of its own, which may be spoilt."""
    with new_valkey() as server:
        mirror = RuntimeMirror.connect(server.connection_url, timeout_s=PATIENT_S)
        yield mirror, server.connection_url
        await mirror.close()


async def test_a_status_that_redis_can_no_longer_change_is_not_shown(own_mirror: tuple[RuntimeMirror, str]) -> None:
    mirror, url = own_mirror
    strategy_id = next(_ids)
    shown = {"user_id": "1", "run_id": "1", "position": "bought", "symbol": "NSE:INFY"}
    await mirror.put_run(strategy_id, "NSE:INFY", {"symbol": "NSE:INFY"}, shown)
    assert (await mirror.get_status(strategy_id))[0]["position"] == "bought"
    operator = open_redis(url, timeout_s=PATIENT_S)
    try:
        await operator.config_set("maxmemory", "1")  # with `noeviction`: reads go on and writes are refused
        with pytest.raises(MirrorUnavailable):
            await mirror.put_run(strategy_id, "NSE:INFY", {"symbol": "NSE:INFY"}, shown | {"position": "sold"})
        with pytest.raises(MirrorUnavailable):
            await mirror.get_status(strategy_id)
        await operator.config_set("maxmemory", "0")
        assert (await mirror.get_status(strategy_id))[0]["position"] == "bought"
        assert await operator.exists("mirror:takes_writes") == 0
    finally:
        await operator.aclose()
