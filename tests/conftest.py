"""One real stack, and one PostgreSQL and Valkey, for the whole test session: started when the first test asks."""

from collections.abc import Iterator

import pytest
from hypothesis import settings as hypothesis_settings

from config.stack.stack import Stack
from tests.kit.databases import mirror, postgres_url, redis_url, sessions
from tests.kit.session import running_session
from tests.kit.trader import Deployment

__all__ = ["deployment", "mirror", "postgres_url", "redis_url", "running", "sessions", "stack"]

# How long an example takes says how busy the machine is.
hypothesis_settings.register_profile("any machine", deadline=None)
hypothesis_settings.load_profile("any machine")


@pytest.fixture(scope="session")
def running() -> Iterator[tuple[Stack, Deployment]]:
    """The stack, warmed up: its first strategy pays for what all others find ready."""
    with running_session(account_proxies=True) as (stack, deployment):
        deployment.trader().strategy("INFY", buy_in=600, sell_in=1200).stop()
        yield stack, deployment


@pytest.fixture(scope="session")
def stack(running: tuple[Stack, Deployment]) -> Stack:
    """PostgreSQL, Valkey, Ray, the paper exchange and the API, all real."""
    return running[0]


@pytest.fixture(scope="session")
def deployment(running: tuple[Stack, Deployment]) -> Deployment:
    """The stack as tests look at it."""
    return running[1]
