"""What ledgers, execution and feeds open in their own processes: settings, ledger, claims. They cannot be arguments."""

from datetime import timedelta

from actors.domain.orders.placement_policy import RetryPolicy
from actors.execution.account.budget import BudgetLimits
from actors.execution.shell import ExecutionLimits
from actors.log_lines import line_for_people
from actors.ports.prices import FeedStatus
from actors.runtime.clients.claims import DatabaseHealth, MirrorClaims
from actors.runtime.clients.execution_lease import ExecutionLease
from config.logging import configure_logging
from config.settings import Settings, load_settings
from persistence.database.engine import open_database, sessions_of
from persistence.journal.alert_notices import AlertNotices
from persistence.journal.ledger import RunLedger
from persistence.journal.reopening import EndedRuns
from persistence.mirror.mirror import RuntimeMirror
from persistence.mirror.prices import FeedState

_HOT_PATH_TIMEOUT_S = 0.25
"""A protective exit waits no longer for Redis before it takes the PostgreSQL claim instead."""


def process_settings() -> Settings:
    """The settings of this process, with its logging set up by them."""
    settings = load_settings(secrets="engine")
    configure_logging(settings.log_format, for_people=line_for_people)
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
    return RunLedger(sessions_of(engine), mirror, settings.zone), mirror


def seldom_used(settings: Settings) -> tuple[EndedRuns, AlertNotices]:
    """The runs that have ended and the notices of alerts, over a connection of their own: steps never wait for them."""
    sessions = sessions_of(open_database(settings.database_url, pool_size=1, max_overflow=1))
    return EndedRuns(sessions), AlertNotices(sessions, settings.zone)


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


def open_claims(settings: Settings, name: str) -> tuple[MirrorClaims, RunLedger]:
    """Claims of the execution actor of that name, with the short patience of the order path, and the ledger they fall
    back to."""
    ledger, mirror = open_ledger(settings, mirror_timeout_s=_HOT_PATH_TIMEOUT_S, quick_claims=True)
    return MirrorClaims(mirror, ledger, DatabaseHealth(ledger), ExecutionLease(mirror, name)), ledger
