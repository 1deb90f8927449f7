"""The composition root of the API: the only place that chooses implementations."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from api.auth_service import AuthService
from api.broker_service import BrokerService
from api.engine_port import StrategyEngine
from api.lifecycle_service import LifecycleService
from api.passwords import Passwords
from api.strategy_service import StrategyService
from api.tokens import AccessTokens
from broker.instruments import InstrumentLists
from config.settings import Settings, SettingsError
from persistence.database import Sessions, migrate, open_database, sessions_of
from persistence.encryption import SecretBox
from persistence.login_throttle import LoginThrottle
from persistence.runtime_mirror import RuntimeMirror, open_redis

POOL_SIZE = 10
MAX_OVERFLOW = 10


@dataclass(frozen=True, slots=True)
class Resources:
    """Everything that requests need, alive as long as the process serves."""

    settings: Settings
    sessions: Sessions
    mirror: RuntimeMirror
    engine: StrategyEngine
    tokens: AccessTokens
    auth: AuthService
    brokers: BrokerService
    strategies: StrategyService
    lifecycle: LifecycleService


def utc_now() -> datetime:
    """The clock of the API process."""
    return datetime.now(UTC)


@asynccontextmanager
async def open_resources(settings: Settings, engine: StrategyEngine | None) -> AsyncIterator[Resources]:
    """Bring the schema up to date, connect to everything, and let go of it at the end.

    Without `engine`, the Ray engine is connected; a passed one stays the caller's to close.

    Raises:
        SettingsError: if a URL or a secret is missing.
        DatabaseUnavailable: if PostgreSQL does not answer.
    """
    _require(settings)
    await asyncio.to_thread(migrate, settings.database_url)
    async with AsyncExitStack() as stack:
        database = open_database(settings.database_url, pool_size=POOL_SIZE, max_overflow=MAX_OVERFLOW)
        stack.push_async_callback(database.dispose)
        redis = open_redis(settings.redis_url)
        stack.push_async_callback(redis.aclose)
        passwords = Passwords()
        stack.callback(passwords.close)
        if engine is None:
            engine = await _connect_engine(settings)
            stack.push_async_callback(engine.close)
        sessions, mirror = sessions_of(database), RuntimeMirror(redis)
        tokens = AccessTokens(
            settings.jwt_secret.get_secret_value(), timedelta(minutes=settings.access_token_minutes), utc_now
        )
        secret_box = SecretBox.from_texts([key.get_secret_value() for key in settings.encryption_keys])
        instruments = InstrumentLists(utc_now)
        brokers = BrokerService(settings, sessions, mirror, secret_box, instruments, utc_now)
        yield Resources(
            settings=settings,
            sessions=sessions,
            mirror=mirror,
            engine=engine,
            tokens=tokens,
            auth=AuthService(sessions, passwords, tokens, LoginThrottle(redis), utc_now),
            brokers=brokers,
            strategies=StrategyService(sessions, mirror, brokers, engine),
            lifecycle=LifecycleService(settings, sessions, mirror, engine, utc_now),
        )


async def _connect_engine(settings: Settings) -> StrategyEngine:
    from actors.runtime import cluster

    cluster.prepare(settings)  # before the next line imports Ray
    from actors.runtime.engine import RayEngine

    engine: StrategyEngine = await RayEngine.connect(settings)
    return engine


def _require(settings: Settings) -> None:
    needed = {
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "JWT_SECRET": settings.jwt_secret.get_secret_value(),
        "ENCRYPTION_KEYS": settings.encryption_keys,
    }
    missing = [f"TRADEACTORS_{name} is needed by the API." for name, value in needed.items() if not value]
    if missing:
        raise SettingsError(missing)
