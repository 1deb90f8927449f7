"""The verdict on a deployment: all well, something needs a person, or it cannot be known. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from api.overview.facts import Facts
from api.overview.figures import figures_of
from config.commands.overview.part_troubles import of_feeds, of_machine, of_processes, of_records
from config.commands.overview.run_troubles import of_alerts, of_positions, of_runs
from config.commands.overview.trouble import Trouble, Urgency, count


class Outcome(IntEnum):
    """The exit code of `status`."""

    WELL = 0
    TROUBLE = 1
    UNKNOWN = 2
    """Something that matters could not be read. It outranks trouble: what is not seen may be worse."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`sentence` says it in one line; `unknown` what could not be known; `troubles` the worst first."""

    outcome: Outcome
    sentence: str
    troubles: Sequence[Trouble]
    unknown: Sequence[str]


def verdict_of(facts: Facts) -> Verdict:
    """Judge what was read."""
    found = [
        *of_positions(facts),
        *of_runs(facts),
        *of_alerts(facts),
        *of_feeds(facts),
        *of_processes(facts),
        *of_records(facts),
        *of_machine(facts),
    ]
    troubles, unknown = sorted(found, key=lambda trouble: trouble.urgency), unknown_of(facts)
    serious = [trouble for trouble in troubles if trouble.urgency is not Urgency.NOTE]
    if unknown:
        return Verdict(Outcome.UNKNOWN, f"Cannot tell: {_away(facts)}", troubles, unknown)
    if serious:
        return Verdict(Outcome.TROUBLE, f"Not well: {_worst(serious)}", troubles, unknown)
    return Verdict(Outcome.WELL, f"All well: {_standing(facts)}", troubles, unknown)


def unknown_of(facts: Facts) -> list[str]:
    """What cannot be known, a sentence each."""
    found, held = [], len(facts.holding)
    if facts.database is None:
        shown = f"; Redis shows {len(facts.runs)} that run" if facts.mirror is not None else ""
        why = (
            "has another schema than this version: run `tradeactors migrate`"
            if facts.other_schema
            else "does not answer"
        )
        found.append(f"PostgreSQL {why}: which strategies run, what was alerted and what waits is not known{shown}")
    if facts.mirror is None:
        guards = (
            f"whether the {count(held, 'position')} held are guarded" if held else "whether stop-losses are guarded"
        )
        found.append(f"Redis does not answer: {guards}, the feeds and the processes are not known")
    return found


def as_json(facts: Facts, verdict: Verdict) -> dict[str, Any]:
    """What `--json` prints; its names are kept from version to version."""
    figures = figures_of(facts)
    return {
        "verdict": verdict.outcome.name.lower(),
        "exit_code": int(verdict.outcome),
        "sentence": verdict.sentence,
        "at": facts.at.isoformat(),
        "unknown": list(verdict.unknown),
        "troubles": [
            {
                "code": trouble.code,
                "urgency": trouble.urgency.name.lower(),
                "sentence": trouble.sentence,
                "do": trouble.do,
                "runbook": trouble.runbook,
                "strategy_id": trouble.strategy_id,
            }
            for trouble in verdict.troubles
        ],
        "figures": figures,
        "processes": [
            {
                "name": one.name,
                "host": one.host,
                "pid": one.pid,
                "silent": one.silent,
                "age_s": round(one.age_s, 1),
                "resident_bytes": one.resident_bytes,
            }
            for one in (facts.mirror.presences if facts.mirror is not None else ())
        ],
        "feeds": {
            broker: [
                {"connection": stream.connection, "state": stream.word, "lag_ms": stream.lag_ms} for stream in streams
            ]
            for broker, streams in (facts.mirror.feeds.items() if facts.mirror is not None else ())
        },
    }


def _away(facts: Facts) -> str:
    if facts.database is None and facts.mirror is None:
        return "neither PostgreSQL nor Redis can be read"
    return f"{'PostgreSQL' if facts.database is None else 'Redis'} cannot be read"


def _worst(serious: Sequence[Trouble]) -> str:
    unguarded = sum(trouble.code == "unguarded_position" for trouble in serious)
    things = f"{count(len(serious), 'thing')} need{'s' if len(serious) == 1 else ''} a person"
    if not unguarded:
        return things
    return f"{count(unguarded, 'position')} {'is' if unguarded == 1 else 'are'} NOT guarded; {things}"


def _standing(facts: Facts) -> str:
    running, held, figures = sum(run.open for run in facts.runs), len(facts.holding), figures_of(facts)
    if not running:
        return "no strategy runs"
    runs = f"{running} strateg{'y runs' if running == 1 else 'ies run'}"
    if not held:
        return f"{runs}, none holds a position"
    exiting = figures["exiting"] or 0
    ways = [f"{held - exiting} guarded"] * (held > exiting) + [f"{exiting} being sold"] * (exiting > 0)
    return f"{runs}, {held} hold{'s' if held == 1 else ''} a position: {', '.join(ways)}"
