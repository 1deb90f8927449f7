"""Errors of the rooms below the API, as the app sees them."""

from collections.abc import Mapping

from actors.ports.engine import EngineUnavailable
from api.base.errors import ApiError
from broker.errors import (
    BrokerRefused,
    BrokerUnreachable,
    CredentialsMismatch,
    ExpiredToken,
    InvalidToken,
    ProxyUnreachable,
    TooManyCalls,
)
from persistence.errors import DatabaseBusy, DatabaseUnavailable, MirrorUnavailable, UnreadableSecret

TRANSLATIONS: Mapping[type[Exception], tuple[int, str, str | None]] = {
    InvalidToken: (401, "broker_token_invalid", None),
    ExpiredToken: (401, "broker_token_expired", None),
    CredentialsMismatch: (403, "credentials_mismatch", None),
    BrokerRefused: (403, "broker_refused", None),
    BrokerUnreachable: (503, "broker_unreachable", "The broker does not answer. Please try again."),
    ProxyUnreachable: (
        503,
        "proxy_unreachable",
        "The proxy of the connection does not lead to the broker: mend it, or connect without it.",
    ),
    TooManyCalls: (429, "too_many_broker_calls", None),
    UnreadableSecret: (409, "broker_not_connected", "Please connect your broker again."),
    DatabaseUnavailable: (503, "database_unavailable", "The service is not available right now. Please try again."),
    DatabaseBusy: (503, "database_busy", "The service has too much to do right now. Please try again."),
    MirrorUnavailable: (503, "redis_unavailable", "New work is not taken on right now. Please try again."),
    EngineUnavailable: (503, "engine_unavailable", "The trading engine does not answer right now. Please try again."),
}
"""Errors of the lower layers: status, code, sentence (None: the error's own)."""

RETRY_AFTER_S: Mapping[type[Exception], int] = {TooManyCalls: 5, DatabaseBusy: 5}
"""Seconds after which the same request may be served, where that is known."""


def code_of(error: Exception) -> str:
    """The code that the app gets for an error, for the audit log."""
    if isinstance(error, ApiError):
        return error.code
    return TRANSLATIONS[type(error)][1] if type(error) in TRANSLATIONS else "internal_error"
