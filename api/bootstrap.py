"""The composition root of the API: the only place that chooses implementations."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta

import structlog

from actors.ports.engine import StrategyEngine
from api.base.clock import utc_now
from api.brokers.broker_threads import open_calls
from api.brokers.browser_logins import BrowserLogins
from api.brokers.connect_throttle import ConnectThrottle
from api.brokers.lookups import BrokerLookups
from api.brokers.service import BrokerService
from api.events.reader import EventReader
from api.events.streams import EventsService
from api.notifications.channels import ChannelService
from api.notifications.day_summaries import DaySummaries
from api.notifications.sending.sender import Sender
from api.notifications.service import InboxService
from api.notifications.telegram.commands import Commands
from api.notifications.telegram.connecting import ChatConnections
from api.notifications.telegram.poller import TelegramPoller
from api.notifications.ways import bot_of, open_ways, push_key_of
from api.overview.looking import Looking as DeploymentLooking
from api.overview.looking import RecentFacts
from api.readiness.looking import Looking
from api.readiness.operator import OperatorChecks
from api.readiness.rounds import ReadinessRounds
from api.readiness.service import ReadinessService
from api.strategies.held_and_closed import WordService
from api.strategies.panic.marks import EntryMarks
from api.strategies.panic.pursuit import PanicPursuit
from api.strategies.panic.service import PanicService
from api.strategies.preview.service import PreviewService
from api.strategies.rule_facts import StrategyChecks
from api.strategies.schedules.arming import ScheduleArming
from api.strategies.schedules.service import ScheduleService
from api.strategies.service import StrategyService
from api.strategies.start_and_stop import LifecycleService
from api.users.auth_service import AuthService
from api.users.live_logins import LiveLogins
from api.users.login_tokens import LoginLifetime, LoginTokens
from api.users.own_logins import OwnLogins
from api.users.passwords.check import PasswordCheck
from api.users.passwords.hashing import Passwords
from api.users.tokens import AccessTokens
from api.users.user_service import UserService
from broker.kite.instruments import InstrumentLists
from broker.market.overrides import InvalidOverrides
from broker.market.trading_calendar import TradingCalendars
from config.capacity import Capacity, capacity_of
from config.settings import Settings, SettingsError
from persistence.database.engine import Sessions, migrate, open_database, sessions_of
from persistence.login_throttle import LoginThrottle
from persistence.mirror.event_stream import EventStream
from persistence.mirror.mirror import RuntimeMirror, open_redis
from persistence.secrets.encryption import SecretBox

log = structlog.stdlib.get_logger(__name__)

POOL_SIZE = 10
MAX_OVERFLOW = 10

RESERVED_CONNECTIONS = 20
"""For STOP, of which fifty may come at once, for panics, and for the question whether a login goes on: queries of
others must not keep a trader from stopping."""


@dataclass(frozen=True, slots=True)
class Resources:
    """Everything that requests need, alive as long as the process serves."""

    settings: Settings
    capacity: Capacity
    sessions: Sessions
    mirror: RuntimeMirror
    engine: StrategyEngine
    tokens: AccessTokens
    logins: LiveLogins
    own_logins: OwnLogins
    passwords: Passwords
    auth: AuthService
    users: UserService
    brokers: BrokerService
    browser_logins: BrowserLogins
    lookups: BrokerLookups
    calendars: TradingCalendars
    strategies: StrategyService
    lifecycle: LifecycleService
    schedules: ScheduleService
    arming: ScheduleArming
    words: WordService
    previews: PreviewService
    events: EventsService
    panic: PanicService
    pursuit: PanicPursuit
    inbox: InboxService
    channels: ChannelService
    sender: Sender
    summaries: DaySummaries
    push_key: str
    readiness: ReadinessService
    readiness_rounds: ReadinessRounds
    chats: ChatConnections
    recent: RecentFacts
    poller: TelegramPoller | None
    """None: there is no bot."""


@asynccontextmanager
async def open_resources(settings: Settings, engine: StrategyEngine | None) -> AsyncIterator[Resources]:
    """Bring the schema up to date, connect to everything, and close it at the end.

    Without `engine`, the Ray engine is connected; a passed one stays the caller's to close.

    Raises:
        SettingsError: if a URL or a secret is missing, or CALENDAR_OVERRIDES is no such file.
        DatabaseUnavailable: if PostgreSQL does not answer.
    """
    _require(settings)
    calendars = calendars_of(settings)
    await asyncio.to_thread(migrate, settings.database_url)
    async with AsyncExitStack() as stack:
        database = open_database(
            settings.database_url,
            pool_size=POOL_SIZE,
            max_overflow=MAX_OVERFLOW,
            statement_timeout_s=settings.api_statement_timeout_s,
        )
        stack.push_async_callback(database.dispose)
        reserve = open_database(
            settings.database_url,
            pool_size=POOL_SIZE,
            max_overflow=RESERVED_CONNECTIONS - POOL_SIZE,
            statement_timeout_s=settings.api_statement_timeout_s,
        )
        stack.push_async_callback(reserve.dispose)
        redis = open_redis(settings.redis_url)
        stack.push_async_callback(redis.aclose)
        passwords = Passwords()
        stack.callback(passwords.close)
        if engine is None:
            engine = await _connect_engine(settings)
            stack.push_async_callback(engine.close)
        sessions, mirror = sessions_of(database), RuntimeMirror(redis, default_broker=settings.brokers[0])
        token_lifetime = timedelta(minutes=settings.access_token_minutes)
        tokens = AccessTokens(settings.jwt_secret.get_secret_value(), token_lifetime, utc_now)
        reserved = sessions_of(reserve)
        logins = LiveLogins(reserved, token_lifetime)
        stack.push_async_callback(logins.close)
        throttle = LoginThrottle(redis)
        check = PasswordCheck(sessions, passwords, throttle)
        lifetime = LoginLifetime(timedelta(days=settings.login_days), timedelta(days=settings.login_unused_days))
        login_tokens = LoginTokens(tokens, lifetime, utc_now)
        secret_box = SecretBox.from_settings(settings)
        calls = stack.enter_context(open_calls(settings))
        brokers = BrokerService(settings, sessions, mirror, secret_box, calls, ConnectThrottle(redis), engine, utc_now)
        lookups = BrokerLookups(settings, secret_box, InstrumentLists(utc_now), calls, utc_now)
        await brokers.report_unknown_keys()
        capacity = capacity_of(settings)
        log.info("places", **asdict(capacity))
        checks = StrategyChecks(settings, brokers, lookups, calendars, utc_now)
        stream = EventStream(redis)
        events = EventsService(
            EventReader(sessions, mirror, stream, utc_now, settings.zone), stream, logins.is_live, utc_now
        )
        stack.push_async_callback(events.close)
        events.start()
        lifecycle = LifecycleService(settings, capacity, sessions, reserved, mirror, engine, checks, utc_now)
        marks = EntryMarks(reserved, mirror)
        schedules = ScheduleService(settings, sessions, reserved, checks, calendars, utc_now)
        pursuit = PanicPursuit(reserved, marks, engine, schedules.pause_all)
        browser_logins = BrowserLogins(settings, sessions, brokers, redis, utc_now)
        rounds = _readiness_rounds(settings, sessions, mirror, engine, brokers, lookups, checks, browser_logins)
        ways = await stack.enter_async_context(open_ways(settings, utc_now))
        panic = PanicService(reserved, marks, engine, pursuit, settings.zone, utc_now)
        bot = bot_of(ways)
        chats = ChatConnections(sessions, secret_box, bot, redis, utc_now)
        yield Resources(
            settings=settings,
            capacity=capacity,
            sessions=sessions,
            mirror=mirror,
            engine=engine,
            tokens=tokens,
            logins=logins,
            own_logins=OwnLogins(sessions, check, logins, lifetime, utc_now),
            passwords=passwords,
            auth=AuthService(
                sessions,
                passwords,
                login_tokens,
                logins,
                throttle,
                utc_now,
                registration=settings.registration_mode,
            ),
            users=UserService(sessions, mirror, check, logins, utc_now),
            brokers=brokers,
            browser_logins=browser_logins,
            lookups=lookups,
            calendars=calendars,
            strategies=StrategyService(sessions, mirror, engine, checks),
            words=WordService(sessions, engine, lifecycle.status),
            previews=PreviewService(settings, capacity, sessions, mirror, checks),
            lifecycle=lifecycle,
            schedules=schedules,
            arming=ScheduleArming(settings, sessions, lifecycle, calendars, utc_now),
            events=events,
            panic=panic,
            pursuit=pursuit,
            inbox=InboxService(sessions),
            channels=ChannelService(sessions, secret_box, ways, redis, utc_now),
            summaries=DaySummaries(settings, sessions, calendars, utc_now),
            sender=Sender(sessions, secret_box, ways, settings.zone),
            push_key=push_key_of(ways),
            readiness=rounds.service,
            readiness_rounds=rounds,
            chats=chats,
            recent=RecentFacts(DeploymentLooking(settings, sessions, mirror)),
            poller=TelegramPoller(sessions, bot, Commands(sessions, chats, lifecycle, panic, browser_logins, utc_now))
            if bot is not None
            else None,
        )


def _readiness_rounds(
    settings: Settings,
    sessions: Sessions,
    mirror: RuntimeMirror,
    engine: StrategyEngine,
    brokers: BrokerService,
    lookups: BrokerLookups,
    checks: StrategyChecks,
    browser_logins: BrowserLogins,
) -> ReadinessRounds:
    """Those of this process; a login at the broker begins one at once."""
    operator = OperatorChecks(settings, sessions, mirror, engine, utc_now)
    looking = Looking(settings, sessions, mirror, brokers, lookups, checks, operator, utc_now)
    service = ReadinessService(settings, sessions, looking, browser_logins.new_link, utc_now)
    rounds = ReadinessRounds(settings, sessions, service, operator, utc_now)
    brokers.when_connected(rounds.kick)
    return rounds


async def _connect_engine(settings: Settings) -> StrategyEngine:
    from actors.runtime.driver import cluster

    cluster.prepare(settings)  # before the next line imports Ray
    from actors.runtime.driver.engine import RayEngine

    engine: StrategyEngine = await RayEngine.connect(settings)
    return engine


def calendars_of(settings: Settings) -> TradingCalendars:
    """The trading calendars. Raises SettingsError if CALENDAR_OVERRIDES cannot be used."""
    try:
        return TradingCalendars(settings.calendar_overrides)
    except InvalidOverrides as error:
        named = f"TRADEACTORS_CALENDAR_OVERRIDES {settings.calendar_overrides}"
        raise SettingsError([f"{named}, {problem}." for problem in error.problems]) from error


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
