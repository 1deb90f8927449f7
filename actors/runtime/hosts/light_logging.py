"""JSON log lines for strategies and routers, with the standard library alone.

The rest of the product logs through structlog, which would bring rich and pygments into every strategy's memory.
"""

import json
import logging
from datetime import UTC, datetime

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """One JSON object per record, with the keys that structlog writes elsewhere; `extra` becomes more of them."""

    def format(self, record: logging.LogRecord) -> str:
        """The line; times are UTC, ISO 8601."""
        line = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        line |= {
            "event": record.getMessage(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure_light_logging() -> None:
    """Send everything from INFO on to stderr as JSON lines, which Ray keeps in the worker's log file."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
