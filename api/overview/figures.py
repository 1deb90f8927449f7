"""The numbers of a deployment. Pure."""

from collections.abc import Sequence
from typing import Any

from api.overview.facts import Facts


def figures_of(facts: Facts) -> dict[str, int | None]:
    """The numbers of a deployment; None where it is not known."""
    view, mirror = facts.database, facts.mirror
    guards = None if mirror is None else [mirror.guards.get(run.strategy_id) for run in facts.holding]
    running = [run for run in facts.runs if run.open]
    nothing_read = view is None and mirror is None
    return {
        "running": None if nothing_read else len(running),
        "waiting_to_buy": None if nothing_read else sum(run.position in {"none", "buying"} for run in running),
        "holding": None if nothing_read else len(facts.holding),
        "guarded_twice": _number(guards, lambda guard: guard.state == "guarded" and len(guard.by) > 1),
        "guarded_once": _number(guards, lambda guard: guard.state == "guarded" and len(guard.by) == 1),
        "not_guarded": None if guards is None else sum(g is None or g.state == "not_guarded" for g in guards),
        "exiting": _number(guards, lambda guard: guard.state == "exiting"),
        "exit_failed": _number(guards, lambda guard: guard.state == "exit_failed"),
        "paused": None if nothing_read else sum(run.status == "paused" for run in running),
        "users": None if nothing_read else len({run.user_id for run in running}),
        "ended_today": None if view is None else view.ended_today,
        "failed_today": None if view is None else view.failed_today,
        "orders_queued": None if mirror is None else mirror.queued,
        "notices_waiting": None if view is None else view.outbox.waiting,
        "users_without_entries": None if view is None else view.forbidden,
        "scheduled_today": None if view is None else sum(view.scheduled_today.values()),
        "schedules_missed_today": None if view is None else view.scheduled_today.get("missed", 0),
    }


def _number(guards: Sequence[Any] | None, wanted: Any) -> int | None:
    return None if guards is None else sum(guard is not None and wanted(guard) for guard in guards)


def unguarded_seconds(facts: Facts) -> float:
    """How long the position that is not guarded longest has been so, as far as is known; 0 if all are guarded."""
    if facts.mirror is None:
        return 0.0
    longest = 0.0
    for run in facts.holding:
        guard = facts.mirror.guards.get(run.strategy_id)
        if guard is None or guard.state == "not_guarded":
            since = run.updated_at if guard is None or guard.since is None else guard.since
            longest = max(longest, (facts.at - since).total_seconds())
    return longest
