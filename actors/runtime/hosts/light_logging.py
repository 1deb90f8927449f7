"""Log lines of strategies and routers, with the standard library alone: JSON for machines, and one for people.

The rest of the product logs through structlog, which would bring rich and pygments into every strategy's memory.
"""

import json
import logging
import sys
from datetime import UTC, datetime

from actors.log_lines import line_for_people

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def _about(record: logging.LogRecord) -> dict[str, object]:
    """What we said of it; Ray marks each record with a name that begins with an underscore."""
    return {name: value for name, value in vars(record).items() if name not in _STANDARD and name[0] != "_"}


class JsonLines(logging.Formatter):
    """One JSON object per record, with the keys that structlog writes elsewhere; `extra` becomes more of them."""

    def format(self, record: logging.LogRecord) -> str:
        """The line; times are UTC, ISO 8601."""
        line = _about(record) | {
            "event": record.getMessage(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class PeopleLines(logging.Formatter):
    """One line per record as `line_for_people` writes it."""

    def format(self, record: logging.LogRecord) -> str:
        """The line; times are those of India."""
        about = _about(record)
        if record.exc_info:
            about["exception"] = self.formatException(record.exc_info)
        at = datetime.fromtimestamp(record.created, UTC)
        return line_for_people(at, record.levelname.lower(), record.getMessage(), about)


def configure_light_logging() -> None:
    """Send everything from INFO on to stderr as JSON and to stdout for people; Ray keeps each in a file of its own."""
    machines, people = logging.StreamHandler(sys.stderr), logging.StreamHandler(sys.stdout)
    machines.setFormatter(JsonLines())
    people.setFormatter(PeopleLines())
    logging.basicConfig(level=logging.INFO, handlers=[machines, people], force=True)
