"""The facts of a deployment in Prometheus' text format: what the stores show and what the actors have counted. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from api.overview.facts import Facts
from api.overview.figures import figures_of, unguarded_seconds
from api.readiness.operator import FAULTS
from config import metric_names
from config.metric_names import SECONDS, Metric
from persistence.mirror.figures import read_rows

_PROCESS = "process"


def deployment_text(facts: Facts) -> bytes:
    """What is not known has no sample: a figure that is missing is told apart from one that is zero."""
    registry = CollectorRegistry()
    registry.register(_Shown(facts))
    return generate_latest(registry)


class _Shown(Collector):
    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def collect(self) -> Iterator[Family]:
        yield from _of_stores(self._facts)
        yield from _of_processes(self._facts)


def _of_stores(facts: Facts) -> Iterator[Family]:
    figures, view, mirror = figures_of(facts), facts.database, facts.mirror
    up = {"database": float(view is not None), "redis": float(mirror is not None)}
    yield _gauge(metric_names.PART_UP, up)
    if view is not None:
        unknown = sum(run.detail == "order_outcome_unknown" for run in facts.runs)
        runs = {"all": figures["running"], "waiting_to_buy": figures["waiting_to_buy"], "paused": figures["paused"]}
        yield _gauge(metric_names.RUNS, runs)
        yield _gauge(metric_names.OUTCOMES_UNKNOWN, {"": unknown})
        outbox = view.outbox
        yield _gauge(
            metric_names.NOTICES, {"waiting": outbox.waiting, "late": outbox.late, "given_up": outbox.given_up}
        )
        outcomes = dict.fromkeys(("waiting", "armed", "skipped", "missed"), 0) | dict(view.scheduled_today)
        yield _gauge(metric_names.SCHEDULES, outcomes)
        yield _gauge(metric_names.FAULTS, dict.fromkeys(FAULTS, 0.0) | dict.fromkeys(view.faults, 1.0))
        yield _gauge(metric_names.PANICS, {"": len(view.panics)})
    if mirror is not None:
        guards = {
            "twice": figures["guarded_twice"],
            "once": figures["guarded_once"],
            "not": figures["not_guarded"],
            "exiting": figures["exiting"],
            "exit_failed": figures["exit_failed"],
        }
        yield _gauge(metric_names.POSITIONS, guards)
        yield _gauge(metric_names.UNGUARDED_SECONDS, {"": unguarded_seconds(facts)})
        yield _gauge(metric_names.QUEUED, {"": mirror.queued})
        yield _gauge(metric_names.BURIED, {"": mirror.buried})


def _gauge(metric: Metric, values: Mapping[str, float | None]) -> Family:
    family = GaugeMetricFamily(metric.name, metric.says, labels=metric.labels)
    for label, value in values.items():
        if value is not None:
            family.add_metric([label] if metric.labels else [], value)
    return family


def _of_processes(facts: Facts) -> Iterator[Family]:
    presences = facts.mirror.presences if facts.mirror is not None else ()
    silence = GaugeMetricFamily(metric_names.SILENCE.name, metric_names.SILENCE.says, labels=[_PROCESS])
    resident = GaugeMetricFamily(metric_names.RESIDENT.name, metric_names.RESIDENT.says, labels=[_PROCESS])
    counted = {metric.name: _family(metric) for metric in metric_names.ALL if metric.per_process}
    del counted[silence.name], counted[resident.name]
    for presence in presences:
        silence.add_metric([presence.name], presence.age_s)
        if presence.silent:  # its figures are of before
            continue
        resident.add_metric([presence.name], presence.resident_bytes)
        for metric, labels, value in read_rows(presence.figures):
            if metric.name in counted:
                _add(counted[metric.name], [*labels, presence.name], value)
    yield from (silence, resident, *counted.values())


def _family(metric: Metric) -> Family:
    labels = [*metric.labels, _PROCESS]
    if metric.kind == "counter":
        return CounterMetricFamily(metric.name, metric.says, labels=labels)
    if metric.kind == "histogram":
        return HistogramMetricFamily(metric.name, metric.says, labels=labels)
    return GaugeMetricFamily(metric.name, metric.says, labels=labels)


def _add(family: Family, labels: Sequence[str], value: float | Sequence[float]) -> None:
    if isinstance(family, HistogramMetricFamily):
        assert not isinstance(value, float | int)  # noqa: S101 - `read_rows` looked at it
        family.add_metric(labels, buckets=list(_cumulative(value[:-1])), sum_value=value[-1])
    elif isinstance(family, CounterMetricFamily | GaugeMetricFamily) and isinstance(value, float | int):
        family.add_metric(labels, value)


def _cumulative(cells: Iterable[float]) -> Iterator[tuple[str, float]]:
    total = 0.0
    for bound, cell in zip([*map(str, SECONDS), "+Inf"], cells, strict=True):
        total += cell
        yield bound, total
