"""Facts that the tests of the verdict start from: one strategy that holds ten shares, and everything is well."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from api.overview.facts import Facts, MirrorView, Stream
from api.strategies.schemas import Guard
from persistence.database.operator_view import OperatorView, RunSeen
from persistence.mirror.presence import Presence

NOW = datetime(2026, 11, 30, 11, 0, tzinfo=ZoneInfo("Asia/Kolkata"))
EXPECTED = ("feed:0", "execution:0", "ledger:0")
GUARDED = Guard(state="guarded", since=NOW, confirmed_at=NOW, by=["strategy", "execution"])


def run(strategy_id: int = 1, **values: Any) -> RunSeen:
    """A run that has bought and waits for its time."""
    seen = RunSeen(
        strategy_id=strategy_id,
        run_id=strategy_id * 10,
        user_id=7,
        symbol="NSE:INFY",
        broker="paper",
        position="bought",
        status="running",
        detail="",
        message="Bought",
        quantity=10,
        filled=10,
        buy_at=NOW - timedelta(hours=1),
        sell_at=NOW + timedelta(hours=1),
        updated_at=NOW - timedelta(minutes=1),
        started_at=NOW - timedelta(hours=2),
        epoch=1,
    )
    return replace(seen, **values)


def presences(*names: str, age_s: float = 1.0) -> list[Presence]:
    """Processes of one machine."""
    return [Presence(name, "10.0.0.1", number, age_s) for number, name in enumerate(names, 100)]


def facts(
    runs: Sequence[RunSeen] = (),
    *,
    view: dict[str, Any] | None = None,
    mirror: dict[str, Any] | None = None,
    **rest: Any,
) -> Facts:
    """A deployment in which all is well but for what is given."""
    shown: dict[str, Any] = {
        "guards": {one.strategy_id: GUARDED for one in runs if one.holds},
        "feeds": {"paper": [Stream("0", "live", 12)]},
        "presences": presences(*EXPECTED, "api:host:1"),
    }
    seen = OperatorView(now=NOW, revision="0024", runs=runs)
    values: dict[str, Any] = {
        "at": NOW,
        "database": replace(seen, **(view or {})),
        "mirror": MirrorView(**shown | (mirror or {})),
        "runs": runs,
        "expected": EXPECTED,
        "head_answers": True,
        "newest_revision": "0024",
    }
    return Facts(**values | rest)
