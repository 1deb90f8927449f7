"""One log line as a person reads it at a glance, beside the JSON that machines read. The standard library alone.

Strategies and routers, which are many, load this module.
"""

from collections.abc import Mapping
from datetime import datetime

from actors.domain.instrument_list_day import INDIA

_ELSEWHERE = frozenset({"event", "level", "logger", "timestamp", "run_id", "epoch", "user_id", "exception"})
"""What stands in the JSON line, or in another place of this one."""

_PLACED = ("strategy_id", "phase", "kind", "order_id", "quantity", "price", "reason", "sentence", "message")
"""What has a place of its own in the line."""


def line_for_people(at: datetime, level: str, event: str, about: Mapping[str, object]) -> str:
    """Time in India, phase, what happened, order, shares and price, and why; what else is known, as `name=value`."""
    told = {name: value for name, value in about.items() if value is not None and value != ""}
    words = [f"{at.astimezone(INDIA):%H:%M:%S.%f}"[:-3], "IST"]
    if level not in {"info", "debug"}:
        words.append(level.upper())
    if "phase" in told:
        words.append(f"{told['phase']:<9}")
    words.append(str(told.get("kind", event)))
    for name, form in (
        ("strategy_id", "strategy {}"),
        ("order_id", "order {}"),
        ("quantity", "{} shares"),
        ("price", "at ₹{}"),
    ):
        if name in told:
            words.append(form.format(told[name]))
    reasons = [str(told[name]) for name in ("reason", "sentence", "message") if name in told]
    rest = [
        f"{name}={value}"
        for name, value in told.items()
        if not (name in _ELSEWHERE or name in _PLACED or name[0] == "_")
    ]
    line = "  ".join([" ".join(words), *reasons, *([" ".join(rest)] if rest else [])])
    return f"{line}\n{told['exception']}" if "exception" in told else line
