"""One user asks for as much as the limits allow, another presses STOP: with a real server in a process of its own."""

import asyncio
import multiprocessing
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from multiprocessing.synchronize import Event

import httpx
import pytest

from persistence.database.engine import Sessions
from persistence.database.models.runs import Run
from tests.integration.api.kept_strategies import keep_run, keep_strategies
from tests.integration.api.timeline.long_runs import record_exits
from tests.integration.api_user import ApiUser
from tests.integration.served import settings_of
from tests.integration.served_apart import served_apart

pytest_plugins = ["tests.integration.fixtures"]

KEPT = 200
EXITS = 3000
ALONE_S = 1.0
WATCHED_S = 6.0

QUICK_S = 0.2
"""How long a STOP may take, whatever others ask for."""

SLOWER = 20
"""How many times as long as without a flood it may take, on a machine whose processors are busy with something else."""


@pytest.fixture(scope="module")
def real_server(postgres_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the application; no broker is asked."""
    folder = tmp_path_factory.mktemp("api")
    with served_apart(settings_of(postgres_url, redis_url, "http://127.0.0.1:9", folder)) as url:
        yield url


@pytest.fixture
async def web(real_server: str) -> AsyncIterator[httpx.AsyncClient]:
    """Speaks HTTP to it."""
    async with httpx.AsyncClient(base_url=real_server, trust_env=False, timeout=60) as client:
        yield client


async def _ask_on(client: httpx.AsyncClient, path: str, ended: Event, answers: Counter[int]) -> None:
    while not ended.is_set():
        answers[(await client.get(path)).status_code] += 1


async def _ask_over(url: str, path: str, token: str, connections: int, begun: Event, ended: Event) -> None:
    headers, answers = {"Authorization": f"Bearer {token}"}, Counter[int]()
    async with AsyncExitStack() as stack:
        clients = [
            httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=60) for _ in range(connections)
        ]
        for client in clients:
            await stack.enter_async_context(client)
        begun.set()
        await asyncio.gather(*(_ask_on(client, path, ended, answers) for client in clients))
    assert set(answers) <= {200, 429}, answers
    assert answers[200], "the flood was served as far as the limits allow"


def _flood(url: str, path: str, token: str, connections: int, begun: Event, ended: Event) -> None:
    asyncio.run(_ask_over(url, path, token, connections, begun, ended))


@contextmanager
def flood(url: str, path: str, user: ApiUser, connections: int) -> Iterator[None]:
    """The user asks in another process over several connections, over each as soon as it has its answer."""
    context = multiprocessing.get_context("spawn")
    begun, ended = context.Event(), context.Event()
    arguments = (url, path, user.tokens["access_token"], connections, begun, ended)
    process = context.Process(target=_flood, args=arguments, daemon=True)
    process.start()
    try:
        assert begun.wait(60)
        yield
    finally:
        ended.set()
        process.join(60)
    assert process.exitcode == 0


async def stops(trader: ApiUser, strategy_id: int, for_s: float) -> list[float]:
    """What each of many STOPs took, one after another; the shortest first."""
    took_s = []
    until = time.monotonic() + for_s
    while time.monotonic() < until:
        begun = time.perf_counter()
        answer = await trader.call("POST", "/strategy/stop", strategy_id=strategy_id)
        took_s.append(time.perf_counter() - begun)
        assert (answer.status_code, answer.json()["position"]) == (202, "selling")
        await asyncio.sleep(0.02)
    return sorted(took_s)


async def stops_beside(url: str, path: str, greedy: ApiUser, connections: int, trader: ApiUser, run: Run) -> None:
    """STOP again and again beside connections that ask for `path`: of a hundred, the slowest but one is quick."""
    alone_s = await stops(trader, run.strategy_id, ALONE_S)
    quick_s = max(QUICK_S, SLOWER * alone_s[len(alone_s) // 2])
    with flood(url, path, greedy, connections):
        took_s = await stops(trader, run.strategy_id, WATCHED_S)
    p50, p99 = took_s[len(took_s) // 2], took_s[int(len(took_s) * 0.99)]
    assert p99 < quick_s, f"{len(took_s)} STOPs: p50 {p50:.3f} s, p99 {p99:.3f} s, and not below {quick_s:.3f} s"


@pytest.mark.parametrize("connections", [4, 32])
async def test_one_user_at_the_limit_does_not_delay_anothers_stop(
    web: httpx.AsyncClient, real_server: str, sessions: Sessions, connections: int
) -> None:
    greedy, trader = await ApiUser.register(web), await ApiUser.register(web)
    await keep_strategies(sessions, greedy, KEPT)
    run = await keep_run(sessions, trader)
    await stops_beside(real_server, "/strategy/list?limit=200", greedy, connections, trader, run)


@pytest.mark.parametrize("connections", [4, 32])
async def test_a_flood_of_timelines_does_not_delay_a_stop(
    web: httpx.AsyncClient, real_server: str, sessions: Sessions, connections: int
) -> None:
    greedy, trader = await ApiUser.register(web), await ApiUser.register(web)
    long, run = await keep_run(sessions, greedy), await keep_run(sessions, trader)
    await record_exits(sessions, long, EXITS)
    path = f"/strategy/{long.strategy_id}/timeline"
    await stops_beside(real_server, path, greedy, connections, trader, run)
