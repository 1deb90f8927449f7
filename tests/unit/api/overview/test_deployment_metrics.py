"""The figures of a deployment as Prometheus reads them."""

from dataclasses import replace
from datetime import timedelta

from prometheus_client.parser import text_string_to_metric_families

from api.overview.deployment_metrics import deployment_text
from api.overview.facts import Facts
from api.strategies.schemas import Guard
from config import metric_names
from persistence.database.operator_view import Outbox
from persistence.mirror.figures import Figures
from persistence.mirror.presence import Presence
from tests.unit.config.overview.facts import NOW, facts, run

NOT_GUARDED = Guard(state="not_guarded", reason="No guard hears prices", since=NOW - timedelta(seconds=42))


def samples(seen: Facts) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(deployment_text(seen).decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def labelled(**labels: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))


def test_positions_are_counted_by_guard_and_the_longest_without_one_is_timed() -> None:
    runs = [run(1), run(2), run(3, position="none", detail="order_outcome_unknown")]
    shown = samples(facts(runs, mirror={"guards": {1: NOT_GUARDED, 2: Guard(state="exit_failed")}}))
    assert shown["tradeactors_positions", labelled(guard="not")] == 1
    assert shown["tradeactors_positions", labelled(guard="exit_failed")] == 1
    assert shown["tradeactors_positions", labelled(guard="twice")] == 0
    assert shown["tradeactors_unguarded_seconds", ()] == 42
    assert shown["tradeactors_outcomes_unknown", ()] == 1
    assert shown["tradeactors_runs", labelled(state="all")] == 3


def test_what_the_actors_counted_is_shown_by_process_but_of_silent_ones() -> None:
    figures = Figures()
    figures.count(metric_names.ALERTS, "exit_failed", by=2)
    for seconds in (0.0004, 0.001, 0.2, 60.0):
        figures.observe(metric_names.SENT, seconds, "STOPLOSS")
    figures.watch(metric_names.LEDGER_WAITING, lambda: 5)
    figures.watch(metric_names.BUDGET_LEFT, lambda: 0.25, "minute")
    figures.watch(metric_names.BUDGET_LEFT, lambda: 0.5, "day")
    figures.watch(metric_names.ARMED_PRICE_AGE, lambda: None)  # nothing is armed
    rows = [*figures.as_rows(), ["no_such_metric", [], 1], ["tradeactors_alerts", ["a", "b"], 1], "odd"]
    presences = [
        Presence("ledger:0", "h", 1, 1.5, figures=rows),
        Presence("ledger:1", "h", 2, 99.0, figures=rows),
    ]
    shown = samples(facts(mirror={"presences": presences}))
    of_zero = {"process": "ledger:0"}
    assert shown["tradeactors_alerts_total", labelled(code="exit_failed", **of_zero)] == 2
    assert shown["tradeactors_ledger_waiting", labelled(**of_zero)] == 5
    assert shown["tradeactors_order_budget_left_ratio", labelled(window="minute", **of_zero)] == 0.25
    assert shown["tradeactors_order_budget_left_ratio", labelled(window="day", **of_zero)] == 0.5
    assert ("tradeactors_armed_price_age_seconds", labelled(**of_zero)) not in shown
    bucket, about = "tradeactors_trigger_to_sent_seconds_bucket", {"cause": "STOPLOSS", **of_zero}
    assert [shown[bucket, labelled(le=le, **about)] for le in ("0.0005", "0.001", "0.3", "10.0", "+Inf")] == [
        1,
        2,
        3,
        3,
        4,
    ]
    assert shown["tradeactors_trigger_to_sent_seconds_count", labelled(**about)] == 4
    assert shown["tradeactors_process_silence_seconds", labelled(process="ledger:1")] == 99
    assert not [key for key in shown if key[0] == "tradeactors_alerts_total" and ("process", "ledger:1") in key[1]]


def test_a_part_that_is_away_has_no_figures_rather_than_zeros() -> None:
    away = samples(replace(facts([run()]), mirror=None))
    assert away["tradeactors_part_up", labelled(part="redis")] == 0
    assert ("tradeactors_unguarded_seconds", ()) not in away
    away = samples(facts(database=None))
    assert away["tradeactors_part_up", labelled(part="database")] == 0
    assert ("tradeactors_panics_unfinished", ()) not in away


def test_every_metric_of_the_stores_and_the_actors_is_declared() -> None:
    view = {"outbox": Outbox(waiting=1, late=2, given_up=3), "faults": ["readiness_disk"]}
    text = deployment_text(facts(view=view)).decode()
    of_this_process = {
        metric_names.REQUESTS, metric_names.REQUEST_SECONDS, metric_names.RECOVERED, metric_names.SWEEP_FAILURES,
        metric_names.PLACES, metric_names.FEED_LAG, metric_names.FEED_LIVE,
    }  # fmt: skip
    for metric in set(metric_names.ALL) - of_this_process:
        assert f"# TYPE {metric.samples[0] if metric.kind == 'counter' else metric.name} " in text
    shown = samples(facts(view=view))
    assert shown["tradeactors_notices", labelled(state="late")] == 2
    assert shown["tradeactors_operator_faults", labelled(code="readiness_disk")] == 1
