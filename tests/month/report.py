"""The month as Markdown: each day, each strategy, and what was said where nothing was traded. Pure."""

import re
from collections import Counter
from collections.abc import Sequence
from datetime import date
from textwrap import wrap

from tests.month.judge import Seen, Verdict
from tests.month.plan import BOUGHT, UNSAID, Month, Outcome, Planned

_SHORT = {
    Outcome.TRADES: "trades",
    Outcome.STOPPED: "stop-loss",
    Outcome.PANIC: "panic",
    Outcome.PAUSED: "paused by the panic",
    Outcome.HOLIDAY: "holiday",
    Outcome.ANNOUNCED: "closed at short notice",
    Outcome.SPECIAL: "special session, left out",
    Outcome.NO_LOGIN: "no login",
    Outcome.AWAY: "API away",
    Outcome.NOT_ITS_DAY: "–",
}


def report(month: Month, seen: Seen, verdicts: Sequence[Verdict], unplanned: Sequence[str], took_s: float) -> str:
    """The whole report."""
    wrong = [
        f"{verdict.day}, {verdict.planned.owner}, {verdict.planned.symbol}: {sentence}"
        for verdict in verdicts
        for sentence in verdict.wrong
    ] + list(unplanned)
    counts = Counter(verdict.outcome for verdict in verdicts)
    silent = [verdict for verdict in verdicts if verdict.outcome not in UNSAID | BOUGHT]
    interrupted = [verdict for verdict in verdicts if verdict.outcome in BOUGHT - UNSAID]
    lines = [
        "# A month in minutes",
        "",
        *wrap(_explained(month, took_s), 110),
        "",
        "| verdict | |",
        "|---|---|",
        f"| trades that should happen | {sum(counts[outcome] for outcome in BOUGHT)} |",
        f"| of these, bought once and sold once, on time, and said once each | {_well(verdicts, trades=True)} |",
        f"| trades that should not happen | {len(silent)} |",
        f"| of these, not made, and said | {_well(verdicts, trades=False)} |",
        f"| orders in the exchange's ledger | {len(seen.orders)} |",
        f"| notices in the traders' inboxes | {len(seen.told)} |",
        f"| of these in their mailboxes, once each | {_mailed(seen)} |",
        f"| promises broken | {len(wrong)} |",
        "",
        "## Days",
        "",
        *_table(month, verdicts),
        "",
        *wrap(_LEGEND, 110),
        "",
        "## What was said where nothing was traded",
        "",
        *(line for verdict in silent for line in _said(verdict)),
        "",
        "## What was said where it was sold before its time",
        "",
        *(line for verdict in interrupted for line in _said(verdict)),
        "",
        "## Notices by kind",
        "",
        "| kind | |",
        "|---|---|",
        *(f"| `{kind}` | {number} |" for kind, number in sorted(Counter(told.kind for told in seen.told).items())),
    ]
    if wrong:
        lines += ["", "## What failed", "", *(f"- {sentence}" for sentence in wrong)]
    return "\n".join(lines) + "\n"


def _explained(month: Month, took_s: float) -> str:
    first, last = month.days[0], month.days[-1]
    return (
        f"`make month`: {first:%d %B} to {last:%d %B %Y}, {len(month.days)} days with {len(month.owners)} traders and "
        f"{len(month.strategies)} schedules, in {took_s / 60:.0f} minutes. All parts are real: PostgreSQL, Valkey, "
        "Ray, the API and the paper exchange. The wall clock of all their processes jumps from one moment that matters "
        "to the next (tests/kit/machine_clock.py), and each of these then takes its real time. Every morning "
        "at six the exchange ends all logins, and at eight each trader logs in again by the link of a message, but for "
        "one who forgets it once. The API is killed on one morning, and one holiday is announced on the evening "
        "before. One share falls through its stop-loss, and one trader presses panic, and resumes on the evening of "
        "the next day. All notices go to a mail server, too."
    )


_LEGEND = (
    "`trades`: bought once and sold once, each within three seconds after its time; `stop-loss` and `panic`: after the "
    "price fell, or the trader pressed it. `–`: no day of its schedule."
)


def _well(verdicts: Sequence[Verdict], *, trades: bool) -> int:
    mine = [v for v in verdicts if v.outcome in BOUGHT or (v.outcome not in UNSAID and not trades)]
    return sum(not verdict.wrong for verdict in mine if (verdict.outcome in BOUGHT) is trades)


def _mailed(seen: Seen) -> int:
    told = Counter((told.owner, told.text) for told in seen.told)
    mailed = Counter((mail.owner, line) for mail in seen.mails for line in mail.lines)
    return (told & mailed).total()


def _table(month: Month, verdicts: Sequence[Verdict]) -> list[str]:
    found = {(verdict.planned, verdict.day): verdict for verdict in verdicts}
    names = [
        f"{planned.owner}: {planned.symbol} {planned.buy:%H:%M}–{planned.sell:%H:%M}" for planned in month.strategies
    ]
    rows = [f"| day | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for day in month.days:
        cells = [_cell(found, planned, day) for planned in month.strategies]
        rows.append(f"| {day:%a %d} | {' | '.join(cells)} |")
    return rows


def _cell(found: dict[tuple[Planned, date], Verdict], planned: Planned, day: date) -> str:
    verdict = found[planned, day]
    shown = _SHORT[verdict.outcome]
    return f"**{shown}: wrong**" if verdict.wrong else shown


def _said(verdict: Verdict) -> list[str]:
    what = f"{verdict.day:%a %d}, {verdict.planned.owner}, {verdict.planned.symbol} ({verdict.outcome}): "
    said = re.sub(r"\?code=\S+", "?code=…", verdict.said or "nothing")
    return wrap(f"- {what}{said}", 110, subsequent_indent="  ", break_long_words=False)
