"""Which guards watch a position, by the mirror's hash (rows L1, M4): only a confirmed guard is shown."""

from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo

from actors.domain.strategy.state import StatusDetail
from api.strategies.schemas import Guard

CONFIRMED_WITHIN = timedelta(seconds=15)
"""Execution reports every few seconds which guards stand; an older report does not count."""

_OPEN = "bought"
_SELLING = "selling"


def guard_of(runtime: Mapping[str, str], now: datetime, zone: tzinfo) -> Guard:
    """From `runtime:{id}`."""
    if runtime["terminated_at"] and runtime.get("status_detail") == StatusDetail.NEEDS_CONFIRMATION:
        return Guard(state="not_guarded", reason=runtime["message"])
    if runtime["terminated_at"] or runtime["position"] not in {_OPEN, _SELLING}:
        return NOTHING_HELD
    if runtime["position"] == _SELLING:
        failed = runtime["status"] != "running"
        return Guard(state="exit_failed" if failed else "exiting", reason=runtime["message"] if failed else None)
    confirmed_at = _instant(runtime.get("guard_confirmed_at"), zone)
    since = _instant(runtime.get("guard_since"), zone)
    if confirmed_at is None:
        return Guard(state="not_guarded", reason="No guard has confirmed the stop-loss yet")
    if now - confirmed_at > CONFIRMED_WITHIN:
        reason = f"No guard has given a sign of life since {confirmed_at:%H:%M:%S}"
        return Guard(state="not_guarded", reason=reason, since=confirmed_at, confirmed_at=confirmed_at)
    by = [name for name in runtime.get("guard_by", "").split(",") if name]
    if not by:
        return Guard(state="not_guarded", reason="No guard hears prices", since=since, confirmed_at=confirmed_at)
    return Guard.model_validate({"state": "guarded", "since": since, "confirmed_at": confirmed_at, "by": by})


NOTHING_HELD = Guard(state="nothing")


def _instant(text: str | None, zone: tzinfo) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(zone) if text else None
