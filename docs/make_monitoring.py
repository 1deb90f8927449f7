"""Write Prometheus' rules and Grafana's dashboards into docs/monitoring: one rule for each alert of docs/operations.md.

    .venv/bin/python docs/make_monitoring.py

`tests/unit/docs/test_monitoring.py` fails when the files are not what this writes.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from api.readiness.operator import FAULTS  # noqa: E402
from config import metric_names as names  # noqa: E402
from config.metric_names import Metric  # noqa: E402

PAGE = ROOT / "docs" / "operations.md"
FOLDER = ROOT / "docs" / "monitoring"
SECTIONS = {
    "At once, since money may be at risk": ("page", "at-once-since-money-may-be-at-risk"),
    "Soon": ("ticket", "soon"),
    "For the user": ("info", "for-the-user"),
}
"""Headings of the page, how urgent their alerts are, and their anchors."""

BEGIN = "<!-- metrics: begin (written by docs/make_monitoring.py) -->"
END = "<!-- metrics: end -->"

ENDS = frozenset({"redis_restored", "readiness_restored"})
"""Alerts that say that something is over: Prometheus says so itself."""

FOR_MINUTES = 10
"""How long an alert of the engine lasts here after it was raised."""


def alert_rows() -> Iterator[tuple[str, str, str]]:
    """Every alert of the page: its code, its section and what it means."""
    section = PAGE.read_text(encoding="utf-8").split("\n## Alerts\n")[1].split("\n## ")[0]
    for part in section.split("\n### ")[1:]:
        heading = part.splitlines()[0]
        for cell, means in re.findall(r"^\| (`[^|]+`) \| ([^|]+) \|", part, re.MULTILINE):
            for code in re.findall(r"`(\w+)`", cell):
                yield code, heading, means.strip()


def rules() -> dict[str, Any]:
    """The file of rules."""
    of_codes = [
        _rule(_camel(code), _of_code(code), *SECTIONS[heading], means)
        for code, heading, means in alert_rows()
        if code not in ENDS
    ]
    return {
        "groups": [
            {"name": "tradeactors: alerts of the engine", "rules": of_codes},
            {"name": "tradeactors: state", "rules": [_rule(*state) for state in STATES]},
        ]
    }


def _of_code(code: str) -> str:
    if code in FAULTS:
        return f'max by (code) ({names.FAULTS.samples[0]}{{code="{code}"}}) > 0'
    counted = f'{names.ALERTS.samples[0]}{{code="{code}"}}'
    by = "max by (code, process)"
    # A counter that has just appeared has no increase yet.
    return (
        f"{by} (increase({counted}[{FOR_MINUTES}m])) > 0 "
        f"or ({by} ({counted}) unless {by} ({counted} offset {FOR_MINUTES}m))"
    )


def _sample(metric: Metric, **labels: str) -> str:
    wanted = ",".join(f'{name}="{value}"' for name, value in labels.items())
    return metric.samples[0] + (f"{{{wanted}}}" if wanted else "")


def _most(metric: Metric, **labels: str) -> str:
    return f"max({_sample(metric, **labels)})"


def _of_each_process(metric: Metric, function: str = "max", **labels: str) -> str:
    return f"{function} by (process) ({_sample(metric, **labels)})"


SLOW = f"histogram_quantile(0.99, sum by (le) (rate({names.ACKNOWLEDGED.name}_bucket[15m]))) > 0.3"
SILENT = f'min by (process) ({names.SILENCE.samples[0]}{{process!~"api:.*"}}) > 30'
DEAF = f"max by (broker) ({_sample(names.FEED_LIVE)}) < 1 and on () {_most(names.POSITIONS)} > 0"
UNANSWERED = f"increase({_sample(names.CLAIMS, verdict='not_answered')}[{FOR_MINUTES}m])"

State = tuple[str, str, str, str, str, str]
"""A rule about the state: name, expression, how urgent, anchor of the runbook, what it says, how long it waits."""

STATES: tuple[State, ...] = (
    ("PositionNotGuarded", f"{_most(names.UNGUARDED_SECONDS)} > 20", "page", "one-strategy-misbehaves",
     "a position is held and no guard watches its stop-loss", ""),
    ("ExitFails", f"{_most(names.POSITIONS, guard='exit_failed')} > 0", "page", "at-once-since-money-may-be-at-risk",
     "an exit cannot be placed", "30s"),
    ("OutcomeUnknown", f"{_most(names.OUTCOMES_UNKNOWN)} > 0", "page", "at-once-since-money-may-be-at-risk",
     "it is not known whether the broker took an order", "1m"),
    ("NoApi", f"absent({_sample(names.PART_UP)})", "page", "the-api-is-gone",
     "no process of the API can be scraped", "1m"),
    ("DatabaseAway", f"{_most(names.PART_UP, part='database')} < 1", "page", "postgresql-does-not-answer",
     "database cannot be read", "30s"),
    ("RedisAway", f"{_most(names.PART_UP, part='redis')} < 1", "page", "redis-does-not-answer",
     "redis cannot be read", "30s"),
    ("ActorSilent", SILENT, "page", "a-node-is-gone",
     "an actor of the pools has said nothing for 30 s", ""),
    ("FeedDown", DEAF, "page", "the-feed-is-mute",
     "no price stream of a broker is as it should be while positions are held", "30s"),
    ("LedgerWaits", f"{_of_each_process(names.LEDGER_WAITING)} > 100", "ticket", "postgresql-does-not-answer",
     "records wait for PostgreSQL", "1m"),
    ("StopsWithoutPrices", f"{_of_each_process(names.STOPS_DEAF)} > 0", "ticket", "one-guard-only",
     "execution watches a stop-loss and hears no prices for it", "2m"),
    ("ArmedPriceOld", f"{_of_each_process(names.ARMED_PRICE_AGE)} > 300", "ticket", "late-prices",
     "a symbol whose stop-loss is watched has had no price for five minutes: no trade, or its prices are lost", ""),
    ("OrderBudgetLow", f"{_of_each_process(names.BUDGET_LEFT, 'min', window='day')} < 0.2", "ticket",
     "an-order-budget-runs-out", "an account has used four fifths of its requests of the day", ""),
    ("ClaimsNotAnswered", f"max by (process) ({UNANSWERED}) > 0", "page", "redis-does-not-answer",
     "order locks could not be claimed: BUYs are halted, and exits leave after a look at the order book", ""),
    ("OrdersSlow", SLOW, "ticket", "what-to-do-when", "orders need more than 300 ms to their id (row E3)", ""),
    ("NoticesLate", f"{_most(names.NOTICES, state='late')} > 0", "ticket", "logs-and-figures",
     "notices to traders are not sent", ""),
    ("PanicUnfinished", f"{_most(names.PANICS)} > 0", "page", "a-trader-calls-a-panic",
     "a panic has not sold everything", "2m"),
)  # fmt: skip


def _rule(name: str, expr: str, severity: str, anchor: str, says: str, wait: str = "") -> dict[str, Any]:
    rule: dict[str, Any] = {"alert": f"TradeActors{name}", "expr": expr}
    if wait:
        rule["for"] = wait
    plain = re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", says).replace("**", "")
    return rule | {
        "labels": {"severity": severity},
        "annotations": {"summary": plain, "runbook": f"docs/operations.md#{anchor}"},
    }


def _camel(code: str) -> str:
    return "".join(word.capitalize() for word in code.split("_"))


Panel = tuple[str, str, str, str]
"""Title, unit of Grafana, expression, legend."""


def _quantile(metric: Metric, share: float) -> str:
    return f"histogram_quantile({share}, sum by (le, cause) (rate({metric.name}_bucket[5m])))"


DASHBOARDS: dict[str, tuple[Panel, ...]] = {
    "trading": (
        ("Positions by guard", "short", f"max by (guard) ({names.POSITIONS.samples[0]})", "{{guard}}"),
        ("Not guarded, longest", "s", f"max({names.UNGUARDED_SECONDS.samples[0]})", "not guarded"),
        ("Runs", "short", f"max by (state) ({names.RUNS.samples[0]})", "{{state}}"),
        ("Outcomes unknown", "short", f"max({names.OUTCOMES_UNKNOWN.samples[0]})", "orders"),
        ("Requests to the broker", "reqps",
         f"sum by (cause, outcome) (max by (cause, outcome, process) (rate({names.ATTEMPTS.samples[0]}[5m])))",
         "{{cause}} {{outcome}}"),
        ("Retries", "reqps", f"sum by (cause) (max by (cause, process) (rate({names.RETRIES.samples[0]}[5m])))",
         "{{cause}}"),
        ("Trigger to sent, p99", "s", _quantile(names.SENT, 0.99), "{{cause}}"),
        ("Trigger to order id, p99", "s", _quantile(names.ACKNOWLEDGED, 0.99), "{{cause}}"),
        ("Schedules of today", "short", f"max by (outcome) ({names.SCHEDULES.samples[0]})", "{{outcome}}"),
        ("Notices", "short", f"max by (state) ({names.NOTICES.samples[0]})", "{{state}}"),
    ),
    "engine": (
        ("Alerts in ten minutes", "short",
         f"sum by (code) (max by (code, process) (increase({names.ALERTS.samples[0]}[10m])))", "{{code}}"),
        ("Price streams live", "short", f"max by (broker, connection) ({names.FEED_LIVE.samples[0]})",
         "{{broker}} {{connection}}"),
        ("Price streams behind", "s", f"max by (broker, connection) ({names.FEED_LAG.samples[0]})",
         "{{broker}} {{connection}}"),
        ("Streams lost", "short", f"max by (broker, process) (increase({names.FEED_LOSSES.samples[0]}[10m]))",
         "{{broker}}"),
        ("Stop-losses armed at execution", "short", f"max by (process) ({names.STOPS_ARMED.samples[0]})",
         "{{process}}"),
        ("Stop-losses without prices", "short", f"max by (process) ({names.STOPS_DEAF.samples[0]})", "{{process}}"),
        ("Price age of armed symbols, oldest", "s", f"max by (process) ({names.ARMED_PRICE_AGE.samples[0]})",
         "{{process}}"),
        ("Order budget left, of the account with least", "percentunit",
         f"min by (process, window) ({names.BUDGET_LEFT.samples[0]})", "{{process}} {{window}}"),
        ("Requests that wait for their budget", "short", f"max by (process) ({names.BUDGET_WAITING.samples[0]})",
         "{{process}}"),
        ("Claims of order locks", "reqps",
         f"sum by (verdict) (max by (verdict, process) (rate({names.CLAIMS.samples[0]}[5m])))", "{{verdict}}"),
        ("Orders on the queue", "short", f"max({names.QUEUED.samples[0]})", "queued"),
        ("Ledgers: waiting for PostgreSQL", "short", f"max by (process) ({names.LEDGER_WAITING.samples[0]})",
         "{{process}}"),
        ("Ledgers: records", "reqps",
         f"sum by (outcome) (max by (outcome, process) (rate({names.RECORDS.samples[0]}[5m])))", "{{outcome}}"),
        ("Ledgers: time of a record, p99", "s",
         f"histogram_quantile(0.99, sum by (le, process) (rate({names.RECORD_SECONDS.name}_bucket[5m])))",
         "{{process}}"),
        ("Actors that took a run over", "short",
         f"sum by (kind) (max by (kind, process) (increase({names.LOADS.samples[0]}[10m])))", "{{kind}}"),
        ("Runs that Redis has missed", "short", f"max by (process) ({names.UNMIRRORED.samples[0]})", "{{process}}"),
    ),
    "machine": (
        ("Memory of the processes", "bytes", f"max by (process) ({names.RESIDENT.samples[0]})", "{{process}}"),
        ("Silence of the processes", "s", f"min by (process) ({names.SILENCE.samples[0]})", "{{process}}"),
        ("PostgreSQL and Redis", "short", f"max by (part) ({names.PART_UP.samples[0]})", "{{part}}"),
        ("Places", "short", f"max by (of, what) ({names.PLACES.samples[0]})", "{{of}} {{what}}"),
        ("Requests to the API", "reqps", f"sum by (status) (rate({names.REQUESTS.samples[0]}[5m]))", "{{status}}"),
        ("Answers of the API, p99", "s",
         f"histogram_quantile(0.99, sum by (le, route) (rate({names.REQUEST_SECONDS.name}_bucket[5m])))", "{{route}}"),
        ("Faults that API processes see", "short", f"max by (code) ({names.FAULTS.samples[0]})", "{{code}}"),
        ("Recovery sweeps: failures", "short", f"sum(increase({names.SWEEP_FAILURES.samples[0]}[10m]))", "failures"),
        ("Recovery sweeps: recovered", "short", f"sum(increase({names.RECOVERED.samples[0]}[10m]))", "runs"),
    ),
}  # fmt: skip


def dashboard(name: str) -> dict[str, Any]:
    """A dashboard as Grafana imports it; it asks which Prometheus to use."""
    source = {"type": "prometheus", "uid": "${datasource}"}
    panels = [
        {
            "id": number + 1,
            "type": "timeseries",
            "title": title,
            "datasource": source,
            "gridPos": {"h": 8, "w": 12, "x": 12 * (number % 2), "y": 8 * (number // 2)},
            "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
            "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
            "targets": [{"refId": "A", "datasource": source, "expr": expr, "legendFormat": legend}],
        }
        for number, (title, unit, expr, legend) in enumerate(DASHBOARDS[name])
    ]
    variable = {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    return {
        "uid": f"tradeactors-{name}",
        "title": f"TradeActors: {name}",
        "tags": ["tradeactors"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "15s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "Asia/Kolkata",
        "templating": {"list": [variable]},
        "panels": panels,
    }


def metric_table() -> str:
    """Every metric, as the page lists them."""
    rows = ["| metric | labels | says |", "|---|---|---|"]
    for metric in names.ALL:
        labels = ", ".join([*metric.labels, *(["process"] if metric.per_process else [])])
        rows.append(
            f"| `{metric.samples[0] if metric.kind == 'counter' else metric.name}` | {labels} | {metric.says} |"
        )
    return "\n".join(rows)


def page_with_table() -> str:
    """The operator's page with its table of metrics brought up to date."""
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n\n{metric_table()}\n\n{END}{rest.split(END)[1]}"


def files() -> dict[Path, str]:
    """Every file that this writes, with its text."""
    head = "# Written by docs/make_monitoring.py from the tables of docs/operations.md.\n"
    written = {
        PAGE: page_with_table(),
        FOLDER / "alerts.yml": head + yaml.safe_dump(rules(), sort_keys=False, width=1000),
    }
    for name in DASHBOARDS:
        text = json.dumps(dashboard(name), indent=2) + "\n"
        written[FOLDER / "dashboards" / f"{name}.json"] = text
    return written


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
