"""What is wrong with the parts of a deployment: feeds, processes, records, machines. Pure."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from api.overview.facts import Facts, Stream
from api.readiness.operator import ADDRESS, FAULTS
from config.commands.base.findings import Level, judge_room
from config.commands.overview.trouble import Trouble, Urgency, clock, count, sentence

_PANIC_ENDS = timedelta(seconds=60)
"""How long a panic may need; an exit without buyers needs longer, and a person then knows why."""


def of_feeds(facts: Facts) -> Iterator[Trouble]:
    if facts.mirror is None:
        return
    for broker in facts.brokers:
        runs = [run for run in facts.runs if run.open and run.broker in {broker, ""}]
        if broker not in facts.feeds_due or not runs:
            continue
        held, streams = [run for run in runs if run.holds], facts.mirror.feeds.get(broker, ())
        if _is_down(streams):
            yield Trouble(
                "feed_lost",
                Urgency.NOW if held else Urgency.SOON,
                f"No price stream of {broker} is up; {count(len(held), 'position')} held",
                "let a user connect, or see by `tradeactors doctor` whether it is the network",
                "the-feed-is-mute",
            )
        elif any(stream.word != "live" for stream in streams):
            lag = max((stream.lag_ms or 0 for stream in streams), default=0)
            yield Trouble(
                "ticks_stale",
                Urgency.SOON if held else Urgency.NOTE,
                f"Prices of {broker} come late, by up to {lag / 1000:.1f} s",
                "see by `tradeactors doctor` whether a clock is ahead; else it is the broker's stream",
                "late-prices",
            )


def _is_down(streams: Sequence[Stream]) -> bool:
    """A feed that says nothing has no stream."""
    return all(stream.word == "down" for stream in streams)


_OF_POOLS = {
    "execution": (Urgency.NOW, "no order of its accounts leaves", "the-last-order-gateway-is-gone"),
    "ledger": (Urgency.NOW, "what its strategies do is not recorded", "postgresql-does-not-answer"),
    "feed": (Urgency.NOW, "no prices come", "the-feed-is-mute"),
}


def of_processes(facts: Facts) -> Iterator[Trouble]:
    if facts.head_answers is False:
        yield Trouble(
            "head_gone",
            Urgency.SOON,
            "Ray's head does not answer: strategies go on, none starts or restarts",
            "start it again under its address",
            "the-ray-head-is-gone",
        )
    if facts.mirror is None:
        return
    seen = {presence.name: presence for presence in facts.mirror.presences}
    for name in facts.expected:
        presence, pool = seen.get(name), name.partition(":")[0]
        if presence is None or presence.silent:
            urgency, means, anchor = _OF_POOLS[pool]
            ago = "within the hour" if presence is None else f"for {presence.age_s:.0f} s"
            yield Trouble(
                "actor_silent",
                urgency,
                f"The actor {name} has said nothing {ago}: {means}",
                "Ray starts it again by itself; if it does not, see its node and its log",
                anchor,
            )
    for address in facts.mirror.emptied:
        yield Trouble(
            "node_emptied",
            Urgency.NOTE,
            f"No actor begins on the node {address}, since it is being emptied",
            f"`tradeactors drain {address} --back` when its work is done",
            "emptying-a-node",
        )
    if not any(name.startswith("api:") and not presence.silent for name, presence in seen.items()):
        yield Trouble(
            "api_gone",
            Urgency.NOW if facts.holding else Urgency.SOON,
            "No process of the API runs: nothing can be started or stopped, and no strategy is recovered",
            "start one on any machine with a Ray node",
            "the-api-is-gone",
        )


def of_records(facts: Facts) -> Iterator[Trouble]:
    view = facts.database
    if view is None:
        return
    if facts.newest_revision is not None and view.revision != facts.newest_revision:
        yield Trouble(
            "schema",
            Urgency.SOON,
            f"The database has schema {view.revision}, this version needs {facts.newest_revision}",
            "run `tradeactors migrate` with the version that runs",
            "upgrades",
        )
    for code in view.faults:
        urgency, anchor = (Urgency.NOW, "static-addresses") if code == ADDRESS else (Urgency.SOON, "soon")
        yield Trouble(code, urgency, FAULTS.get(code, code), "see the alert's row", anchor)
    slow = [asked_at for asked_at in view.panics if view.now - asked_at > _PANIC_ENDS]
    if slow:
        yield Trouble(
            "panic_unfinished",
            Urgency.NOW,
            f"{count(len(slow), 'panic')} not finished, the oldest of {clock(facts, min(slow))}",
            "see which exits fail; without an API process nothing ends it",
            "a-trader-calls-a-panic",
        )
    if view.outbox.late:
        yield Trouble(
            "notices_late",
            Urgency.SOON,
            f"{count(view.outbox.late, 'notice')} to traders not sent within five minutes",
            "see the log of the API for the sender's reason",
            "logs-and-figures",
        )
    if view.outbox.given_up:
        yield Trouble(
            "notices_given_up",
            Urgency.NOTE,
            f"{count(view.outbox.given_up, 'notice')} could not be delivered in the last hour",
            "nothing: the channel's user sees it in the inbox",
            "logs-and-figures",
        )
    if missed := view.scheduled_today.get("missed", 0):
        yield Trouble(
            "schedules_missed",
            Urgency.NOTE,
            f"{count(missed, 'schedule')} missed today; the users know why",
            "nothing, unless all have one reason",
            "each-morning",
        )


def of_machine(facts: Facts) -> Iterator[Trouble]:
    if facts.free_bytes is not None:
        finding = judge_room(facts.free_bytes)
        if finding.level is not Level.OK:
            urgency = Urgency.NOW if finding.level is Level.FAILURE else Urgency.SOON
            yield Trouble("disk", urgency, sentence(finding.sentence), "make room", "a-disk-is-full")
    if facts.mirror is not None and facts.mirror.buried:
        yield Trouble(
            "orders_buried",
            Urgency.NOTE,
            f"{count(facts.mirror.buried, 'event')} on queue:orders:dead name no order of ours",
            "find which other program writes to this Redis",
            "redis-or-valkey",
        )
