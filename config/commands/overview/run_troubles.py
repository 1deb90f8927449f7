"""What is wrong with positions, runs and orders. Pure."""

from collections.abc import Iterator
from datetime import timedelta

from actors.domain.strategy.state import StatusDetail
from api.overview.facts import Facts
from config.commands.overview.trouble import Trouble, Urgency, clock, named, sentence
from persistence.database.operator_view import RunSeen

_NEW_GUARD = timedelta(seconds=20)
"""How long after a fill the guards may need to say so: as the watcher's alert `unguarded_position`."""

_OVERDUE = timedelta(seconds=60)
"""How long after its time an order counts as forgotten: a missed one is recorded after five."""

_STARTS = timedelta(seconds=45)
"""How long the actor of a run may need to come up for the first time."""

_MONEY = "at-once-since-money-may-be-at-risk"


def of_positions(facts: Facts) -> Iterator[Trouble]:
    if facts.mirror is None:
        return
    for run in facts.holding:
        guard, due = facts.mirror.guards.get(run.strategy_id), run.broker in facts.feeds_due
        if guard is None:
            yield _unguarded(run, Urgency.NOW, "Redis shows nothing of it")
        elif guard.state == "not_guarded":
            if guard.confirmed_at is None and facts.at - run.updated_at < _NEW_GUARD:
                continue
            since = f" since {guard.since.astimezone(facts.at.tzinfo):%H:%M:%S}" if guard.since else ""
            urgency = Urgency.NOW if due else Urgency.NOTE
            yield _unguarded(run, urgency, guard.reason or "no guard hears prices", since)
        elif guard.state == "exit_failed":
            yield Trouble(
                "exit_failed",
                Urgency.NOW,
                f"The exit of {named(run)} fails: {guard.reason or run.message}",
                "by its reason: let the user connect, look at the address of the gateway, or sell by hand",
                _MONEY,
                run.strategy_id,
            )
        elif guard.state == "guarded" and len(guard.by) == 1 and due:
            yield Trouble(
                "one_guard",
                Urgency.NOTE,
                f"{sentence(named(run))} is guarded by {guard.by[0]} alone",
                "nothing, unless it lasts",
                "one-guard-only",
                run.strategy_id,
            )


def _unguarded(run: RunSeen, urgency: Urgency, reason: str, since: str = "") -> Trouble:
    return Trouble(
        "unguarded_position",
        urgency,
        f"{sentence(named(run))} is NOT guarded{since}: {reason}",
        "see its actor and its node; else sell by hand",
        "one-strategy-misbehaves",
        run.strategy_id,
    )


_DETAILS = {
    StatusDetail.ORDER_UNKNOWN: (
        "order_outcome_unknown", Urgency.NOW, "it is not known whether the broker took the order of {run}",
        "wait a minute; if it lasts, look into the broker's book", _MONEY,
    ),
    StatusDetail.ACCOUNT_SHORT: (
        "position_short", Urgency.NOW, "the account of {run} is short: {message}",
        "buy back by hand what the message says", _MONEY,
    ),
    StatusDetail.NEEDS_CONFIRMATION: (
        "needs_confirmation", Urgency.NOW, "{run} waits for its trader's word and is not guarded",
        "ask the user at once whether he still holds the shares", "what-a-restore-means-for-money",
    ),
    StatusDetail.BROKER_UNREACHABLE: (
        "broker_unreachable", Urgency.SOON, "the broker does not answer {run}",
        "see by `tradeactors doctor` whether it is the broker or the network", "the-broker-does-not-answer",
    ),
    StatusDetail.SESSION_EXPIRED: (
        "broker_session_expired", Urgency.SOON, "the broker login of {run} has ended",
        "ask user {user} to log in at the broker", "each-morning",
    ),
    StatusDetail.ENTRIES_HALTED: (
        "entries_halted", Urgency.SOON, "the BUY of {run} waits for Redis or PostgreSQL",
        "bring back the one that is away", "redis-does-not-answer",
    ),
    StatusDetail.NOT_LISTED: (
        "symbol_not_listed", Urgency.SOON, "the broker does not list the symbol of {run} today",
        "ask user {user}, who sells by hand what is held", "soon",
    ),
    StatusDetail.NO_BUYERS: (
        "no_buyers", Urgency.SOON, "the exit of {run} waits at the lower circuit, where there are no buyers",
        "wait, or talk to user {user}", _MONEY,
    ),
}  # fmt: skip
"""Words of the status that need a person while they last."""


def of_runs(facts: Facts) -> Iterator[Trouble]:
    for run in facts.runs:
        if (said := _DETAILS.get(_detail(run))) is not None and (run.open or run.detail == "needs_confirmation"):
            code, urgency, form, do, anchor = said
            words = {"run": named(run), "message": run.message, "user": run.user_id}
            yield Trouble(code, urgency, sentence(form.format(**words)), do.format(**words), anchor, run.strategy_id)
        elif run.open and (overdue := _overdue(facts, run)) is not None:
            yield Trouble(
                "strategy_silent",
                Urgency.NOW if run.holds else Urgency.SOON,
                f"{sentence(named(run))}: {overdue}, and no actor has acted",
                "see its actor in the dashboard; kill its process, which is always safe",
                "one-strategy-misbehaves",
                run.strategy_id,
            )


def _detail(run: RunSeen) -> StatusDetail:
    try:
        return StatusDetail(run.detail)
    except ValueError:  # of a later version
        return StatusDetail.NONE


def _overdue(facts: Facts, run: RunSeen) -> str | None:
    """What should have happened to a run by now; every actor records what it does, and what it misses."""
    if run.epoch == 0 and run.started_at is not None and facts.at - run.started_at > _STARTS:
        return f"it was started at {clock(facts, run.started_at)}"
    if run.position == "none" and run.status == "running" and facts.at - run.buy_at > _OVERDUE:
        return f"its BUY was due at {clock(facts, run.buy_at)}"
    waits = run.detail in {StatusDetail.MISSED_EXECUTION, StatusDetail.MARKET_CLOSED, StatusDetail.ORDER_QUEUED}
    if run.position == "bought" and run.status == "running" and not waits and facts.at - run.sell_at > _OVERDUE:
        return f"its SELL was due at {clock(facts, run.sell_at)}"
    return None


def of_alerts(facts: Facts) -> Iterator[Trouble]:
    """Alerts of which no state remains; what the runs say themselves is not repeated."""
    if facts.database is None:
        return
    guarded = {"unguarded_position", "recovery_waits"}  # what the guards say now is newer
    for alert in facts.database.alerts:
        if alert.code not in guarded:
            yield Trouble(
                alert.code,
                Urgency.NOW,
                f"{clock(facts, alert.at)} {alert.text}",
                "see the alert's row; it stays here for an hour",
                "alerts",
                alert.strategy_id,
            )
