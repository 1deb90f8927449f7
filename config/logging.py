"""Structured logs: one line per event on stderr, as JSON or for people, with secrets taken out."""

import logging
import re
import sys
from collections.abc import Callable, Mapping, MutableMapping
from datetime import datetime
from typing import Any, Literal, TextIO

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
        "proxy_authorization",
        "proxy_url",
        "redis_password",
        "refresh_token",
        "request_token",
        "secret",
        "token",
    }
)
_TEXTS = ("event", "exception")
_CHATTY = ("kiteconnect", "urllib3", "twisted", "autobahn", "httpx", "httpcore", "alembic.runtime.plugins")


_READABLE = r"(?:https?|wss?|postgres(?:ql)?|rediss?|unix|file|tcp|ipc|grpc)(?:\+\w+)?"
"""Schemes of addresses whose path may be read. Those of notifications (tgram, slack, ntfy …) have tokens in it."""

_HOOKS = "|".join(
    (
        r"hooks\.slack\.com/",
        r"[\w.-]*discord(?:app)?\.com/api/webhooks/",
        r"api\.telegram\.org/bot",
        r"[\w.-]+\.webhook\.office\.com/",
    )
)
"""Where the addresses begin that services give out for notifications; the rest of each is its token."""

_NAMES = "|".join(sorted((name.replace("_", "[_-]?") for name in SECRET_KEYS), key=len, reverse=True))
_IN_TEXT = re.compile(
    rf"""
    (?P<database>\b(?:postgres(?:ql)?|rediss?|unix)(?:\+\w+)?://[^\s:/@]*:) \S+ (?=@)  # their clients take a / in it
    | (?P<hook>https?://(?:{_HOOKS})) [^\s'"]+
    | (?P<notified>(?<![a-z0-9+.-])(?!{_READABLE}:)[a-z][a-z0-9+.-]*://) \S+  # its user, host or path is the token
    | (?P<address>://[^\s:/@]*:) [^\s/]+ (?=@)                # http://user:...@host, whatever is in it
    | (?P<token>\bhttps?://) [^\s:/@]+ (?=@)                  # https://...@host
    | (?P<told>                                                # what may be told, and the value that may not:
        (?:^|(?<=[^a-z0-9])) (?:{_NAMES}) ["']? \s*[=:]\s*     # password='...', and authorization: token ...
        (?: (?:bearer|token|basic)\s+ )?
      | \bbearer\s+
      | \binput(?:_value)? ["']? \s*[=:]\s*                   # what pydantic was given
    )
    (?: '(?:[^'\\]|\\.)*' | "(?:[^"\\]|\\.)*" | [{{\[].* | [^\s,;'"}})\]@&]+ (?: [,;'"}})\]]+ [^\s,;'"}})\]@&]+ )* )
    | \beyJ[\w-]+\.[\w-]+\.[\w-]*                            # a JWT
    """,
    re.VERBOSE | re.IGNORECASE,
)


def redact_text(text: str) -> str:
    """The text with what looks like the value of a secret taken out, whatever wrote it: a library's exception, say."""
    return _IN_TEXT.sub(lambda found: (found[found.lastgroup] if found.lastgroup else "") + REDACTED, text)


def redact_secrets(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """structlog processor: replace the value of every key that names a secret, also inside dictionaries and lists.

    The texts of others, which are exceptions and the events of libraries, are searched for values.
    """
    redacted = {key: _redacted(key, value) for key, value in event.items()}
    return redacted | {key: redact_text(redacted[key]) for key in _TEXTS if isinstance(redacted.get(key), str)}


def _redacted(key: object, value: Any) -> Any:
    if isinstance(key, str) and key.lower().replace("-", "_") in SECRET_KEYS:
        return REDACTED
    if isinstance(value, dict):
        return {inner: _redacted(inner, item) for inner, item in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(None, item) for item in value]
    return value


LineForPeople = Callable[[datetime, str, str, Mapping[str, object]], str]
"""Makes one line of an instant, a level, an event and what else is known."""


def configure_logging(
    log_format: Literal["json", "console"] = "json", level: str = "INFO", *, for_people: LineForPeople | None = None
) -> None:
    """Send structlog and the standard library's logging through the same processors to stderr.

    May be called again; the last call counts. Timestamps are UTC, ISO 8601. `for_people`: each line goes to stdout as
    well, as this writes it.
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

    def handler(stream: TextIO, renderer: structlog.types.Processor) -> logging.Handler:
        made = logging.StreamHandler(stream)
        made.setFormatter(
            structlog.stdlib.ProcessorFormatter(
                foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
                processors=[
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.format_exc_info,  # no locals: they would print what is taken out next
                    redact_secrets,
                    renderer,
                ],
            )
        )
        return made

    root = logging.getLogger()
    root.handlers[:] = [handler(sys.stderr, _renderer(log_format))]
    if for_people is not None:
        root.handlers.append(handler(sys.stdout, _people_renderer(for_people)))
    root.setLevel(level)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


def _renderer(log_format: Literal["json", "console"]) -> structlog.types.Processor:
    if log_format == "console":
        return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    return structlog.processors.JSONRenderer()


def _people_renderer(line: LineForPeople) -> structlog.types.Processor:
    def render(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
        at = datetime.fromisoformat(event["timestamp"])
        return line(at, str(event.get("level", "info")), str(event["event"]), event)

    return render
