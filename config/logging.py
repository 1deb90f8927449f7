"""Structured logs: one line per event on stderr, as JSON or for people, with secrets taken out."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

REDACTED = "[redacted]"
SECRET_KEYS = frozenset(
    {
        "access_token",
        "api_key",
        "api_secret",
        "authorization",
        "checksum",
        "enctoken",
        "encryption_keys",
        "feed_access_token",
        "feed_api_key",
        "jwt_secret",
        "password",
        "redis_password",
        "refresh_token",
        "request_token",
        "secret",
        "token",
    }
)
_CHATTY = ("kiteconnect", "urllib3", "twisted", "autobahn", "httpx", "httpcore", "alembic.runtime.plugins")


def redact_secrets(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """structlog processor: replace the value of every key that names a secret, also inside dictionaries and lists."""
    return {key: _redacted(key, value) for key, value in event.items()}


def _redacted(key: object, value: Any) -> Any:
    if isinstance(key, str) and key.lower().replace("-", "_") in SECRET_KEYS:
        return REDACTED
    if isinstance(value, dict):
        return {inner: _redacted(inner, item) for inner, item in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(None, item) for item in value]
    return value


def configure_logging(log_format: Literal["json", "console"] = "json", level: str = "INFO") -> None:
    """Send structlog and the standard library's logging through the same processors to stderr.

    May be called again; the last call counts. Timestamps are UTC, ISO 8601.
    """
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                redact_secrets,
                *_renderers(log_format),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


def _renderers(log_format: Literal["json", "console"]) -> list[structlog.types.Processor]:
    if log_format == "console":
        # No locals in tracebacks: they would print what the redaction above takes out.
        plain = structlog.dev.plain_traceback
        return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
