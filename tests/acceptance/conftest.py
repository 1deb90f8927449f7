"""One real stack for the whole test session.

`tests.kit.stack` comes before anything that imports Ray, which reads its settings when it is imported.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from config.embedded import Stack
from tests.kit.paper import PaperControl
from tests.kit.stack import running_stack
from tests.kit.trader import Deployment, Trader

QUICK: dict[str, Any] = {
    # ambiguity is resolved in seconds, so that four attempts fit into a test
    "entry_quarantine_s": 1.5,
    "exit_quarantine_s": 1.0,
    "order_timeout_s": "0.5,1.5",
    "execution_actors": 1,
}


def deployment_of(stack: Stack) -> Deployment:
    """What a test needs of a running stack; the process becomes a driver of its Ray."""
    import redis

    from actors.runtime import cluster

    cluster.connect(stack.settings)
    client = redis.Redis.from_url(stack.settings.redis_url, decode_responses=True, socket_timeout=30)
    exchange = PaperControl(stack.urls["paper exchange"])
    return Deployment(stack.settings, stack.urls["API"], exchange, client)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """PostgreSQL, Valkey, Ray, the paper exchange and the API, all real."""
    with running_stack(**QUICK) as running:
        yield running


@pytest.fixture(scope="session")
def deployment(stack: Stack) -> Iterator[Deployment]:
    """The stack as tests look at it."""
    import ray

    seen = deployment_of(stack)
    yield seen
    seen.redis.close()
    ray.shutdown()


@pytest.fixture
def trader(deployment: Deployment) -> Trader:
    """A new trader, registered and connected to the paper exchange."""
    return deployment.trader()
