"""Live clients, built in the process that uses them: they cannot travel as actor arguments."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from actors.domain.identifiers import Leg
from actors.domain.orders.retry_policy import RetryPolicy
from actors.execution.account.budget import BudgetLimits
from actors.execution.shell import ExecutionLimits
from actors.ports.common import PeerUnavailable
from actors.ports.execution import BrokerUnavailable, GuardShown, KnownIntent, OrderGateway
from actors.ports.prices import FeedStatus
from actors.runtime.clients.claims import DatabaseHealth, MirrorClaims
from actors.runtime.clients.execution_lease import ExecutionLease
from broker.kite.credentials import KiteCredentials
from broker.kite.gateway import KiteEndpoint, KiteGateway
from broker.proxy import Proxy
from config.logging import configure_logging
from config.settings import Broker, Settings, load_settings
from persistence.database.engine import open_database, sessions_of
from persistence.errors import DatabaseUnavailable, MirrorUnavailable, UnreadableSecret
from persistence.journal.ledger import RunLedger
from persistence.journal.records import AccountRecord
from persistence.journal.reopening import EndedRuns
from persistence.mirror.mirror import RuntimeMirror
from persistence.mirror.prices import FeedState
from persistence.secrets.encryption import SealedSecret, SecretBox, open_credentials

log = structlog.get_logger(__name__)

_REREAD_S = 15.0
"""How long until a running part notices a change of an account's proxy, beside the time until the account is read."""

_HOT_PATH_TIMEOUT_S = 0.25
"""A protective exit waits no longer for Redis before it takes the PostgreSQL claim instead."""


def process_settings() -> Settings:
    """The settings of this process, with its logging set up by them."""
    settings = load_settings()
    configure_logging(settings.log_format)
    return settings


def open_ledger(
    settings: Settings, *, mirror_timeout_s: float = 0.5, quick_claims: bool = False
) -> tuple[RunLedger, RuntimeMirror]:
    """The journal over the deployment's PostgreSQL and Redis."""
    engine = open_database(settings.database_url, pool_size=5, max_overflow=10)
    mirror = RuntimeMirror.connect(
        settings.redis_url,
        timeout_s=mirror_timeout_s,
        quick_claims=quick_claims,
        default_broker=settings.brokers[0],
    )
    return RunLedger(sessions_of(engine), mirror), mirror


def ended_runs(settings: Settings) -> EndedRuns:
    """The runs that have ended, over a connection of their own: they are seldom asked for."""
    return EndedRuns(sessions_of(open_database(settings.database_url, pool_size=1, max_overflow=1)))


def feed_state(status: FeedStatus) -> FeedState:
    """As the mirror shows it."""
    lag_ms = None if status.lag is None else round(status.lag / timedelta(milliseconds=1))
    return FeedState(status.live, lag_ms, status.late_since)


def execution_limits(settings: Settings) -> ExecutionLimits:
    """The operator's limits of order placing."""
    return ExecutionLimits(
        budget=BudgetLimits(
            settings.order_rate_per_second,
            settings.orders_per_minute,
            settings.orders_per_day,
            settings.order_reserve_for_exits,
        ),
        entry=_retry_policy(settings, settings.entry_quarantine_s),
        exit=_retry_policy(settings, settings.exit_quarantine_s),
    )


def _retry_policy(settings: Settings, quarantine_s: float) -> RetryPolicy:
    return RetryPolicy(retries=settings.order_retries, quarantine=timedelta(seconds=quarantine_s))


class CredentialsUnreadable(BrokerUnavailable):
    """None of the encryption keys opens them. Their user must connect again, or the operator restore the key."""


class ProxyNotAllowed(BrokerUnavailable):
    """The account is to be used through its proxy alone, and the operator allows none (any more)."""


class Accounts:
    """Broker accounts: their credentials are decrypted here, for this process alone. Also `OrderGateways`."""

    def __init__(self, settings: Settings, ledger: RunLedger) -> None:
        self._settings, self._ledger = settings, ledger
        self._box = SecretBox.from_settings(settings)

    async def gateway(self, account_id: int) -> OrderGateway:
        """See `OrderGateways.gateway`."""
        account = await self._account(account_id)
        endpoint = KiteEndpoint(
            self._settings.broker_root("kite" if account.broker == "kite" else "paper"),
            self._settings.order_timeout_s,
            self._settings.market_protection,
        )
        return KiteGateway(endpoint, lambda: self.credentials(account_id), reread_s=self.reread_s)

    async def broker(self, account_id: int) -> Broker:
        """Which broker the account is at. Raises BrokerUnavailable."""
        return "kite" if (await self._account(account_id)).broker == "kite" else "paper"

    @property
    def reread_s(self) -> float | None:
        """How old credentials in use may grow before they are read again; None: until the broker refuses them."""
        return _REREAD_S if self._settings.account_proxies else None

    async def ws_root(self, account_id: int) -> str:
        """Where the account's broker has its WebSocket. Raises BrokerUnavailable."""
        account = await self._account(account_id)
        return self._settings.broker_ws_root("kite" if account.broker == "kite" else "paper")

    async def credentials(self, account_id: int) -> KiteCredentials:
        """The account's present credentials.

        Raises:
            BrokerUnavailable: they cannot be read now, or the user has disconnected the account.
            ProxyNotAllowed: they are for a proxy, and ACCOUNT_PROXIES is off.
        """
        account = await self._account(account_id)
        sealed = SealedSecret(account.secrets_box, account.key_version)
        try:
            opened = open_credentials(self._box, account.user_id, sealed)
        except UnreadableSecret as error:
            raise CredentialsUnreadable(f"the credentials of account {account_id} cannot be decrypted") from error
        if opened.proxy_url is None:
            return KiteCredentials(opened.api_key, opened.access_token)
        if not self._settings.account_proxies:
            raise ProxyNotAllowed(f"the proxy of account {account_id} is not allowed (ACCOUNT_PROXIES)")
        return KiteCredentials(opened.api_key, opened.access_token, Proxy.parse(opened.proxy_url))

    async def _account(self, account_id: int) -> AccountRecord:
        try:
            account = await self._ledger.load_account(account_id)
        except DatabaseUnavailable as error:
            raise BrokerUnavailable("the database does not answer") from error
        if account is None:
            raise BrokerUnavailable(f"account {account_id} is not connected")
        return account


@dataclass(frozen=True, slots=True)
class JournalRecords:
    """`AccountRecords` in PostgreSQL."""

    ledger: RunLedger

    async def known_intents(self, account_id: int) -> Sequence[KnownIntent]:
        """See `AccountRecords.known_intents`."""
        try:
            found = await self.ledger.known_intents(account_id)
        except DatabaseUnavailable as error:
            raise PeerUnavailable(str(error)) from error
        return [
            KnownIntent(
                i.run_id, i.strategy_id, i.user_id, Leg(i.leg), i.tag, (i.exchange, i.tradingsymbol, i.product), i.ended
            )
            for i in found
        ]

    async def accounts_in_use(self) -> Sequence[int]:
        """See `AccountRecords.accounts_in_use`."""
        try:
            return await self.ledger.accounts_in_use()
        except DatabaseUnavailable as error:
            raise PeerUnavailable(str(error)) from error


@dataclass(frozen=True, slots=True)
class GuardsInMirror:
    """`GuardDisplay` in Redis."""

    mirror: RuntimeMirror

    async def show_guards(self, guards: Sequence[GuardShown]) -> None:
        """See `GuardDisplay.show_guards`."""
        try:
            await self.mirror.show_guards([(g.strategy_id, g.run_id, ",".join(g.by), g.at.isoformat()) for g in guards])
        except MirrorUnavailable as error:
            log.info("guards_not_shown", reason=str(error))


def open_claims(settings: Settings, name: str) -> tuple[MirrorClaims, RunLedger]:
    """Claims of the execution actor of that name, with the short patience of the order path, and the ledger they fall
    back to."""
    ledger, mirror = open_ledger(settings, mirror_timeout_s=_HOT_PATH_TIMEOUT_S, quick_claims=True)
    return MirrorClaims(mirror, ledger, DatabaseHealth(ledger), ExecutionLease(mirror, name)), ledger
