"""What CloudWatch takes out of a line `figures`, and that the reader of these tests refuses what CloudWatch refuses."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from api.operations.heartbeat import metric_line
from api.overview.facts import Facts
from api.strategies.schemas import Guard
from config.settings import SettingsError, load_settings
from tests.kit.embedded_metrics import NotEmbedded, Taken, taken_from
from tests.unit.config.overview.facts import NOW, facts, run

LINE: dict[str, Any] = {
    "_aws": {
        "Timestamp": round(NOW.timestamp() * 1000),
        "CloudWatchMetrics": [
            {"Namespace": "N", "Dimensions": [["host"]], "Metrics": [{"Name": "a", "Unit": "Count"}, {"Name": "b"}]}
        ],
    },
    "a": 1,
    "b": [2.5, 3],
    "host": "h1",
}


def changed(**members: Any) -> dict[str, Any]:
    return LINE | members


def directive(**members: Any) -> dict[str, Any]:
    aws = LINE["_aws"]
    return LINE | {"_aws": aws | {"CloudWatchMetrics": [aws["CloudWatchMetrics"][0] | members]}}


@pytest.mark.parametrize(
    "seen",
    [
        facts(),
        facts([run(1), run(2)], mirror={"guards": {1: Guard(state="exit_failed")}}),
        facts([run(number) for number in range(1, 400)]),
        facts(database=None),
        Facts(at=NOW, database=None, mirror=None),
    ],
)
def test_cloudwatch_takes_each_figure_out_of_the_line_once_and_without_dimensions(seen: Facts) -> None:
    line = metric_line(seen)
    taken = taken_from(json.dumps(line), NOW)
    assert {metric.name: metric.value for metric in taken} == {
        name: value for name, value in line.items() if name != "_aws"
    }
    assert len(taken) == len(line) - 1
    assert {(metric.namespace, metric.dimensions, metric.at) for metric in taken} == {("TradeActors", (), NOW)}
    assert {metric.name for metric in taken if metric.unit == "Seconds"} <= {"UnguardedSeconds"}


def test_figures_are_not_written_into_a_log_that_cloudwatch_cannot_read(tmp_path: Path) -> None:
    wanted: dict[str, Any] = {"secrets": "optional", "data_dir": str(tmp_path), "log_metrics": "cloudwatch"}
    assert load_settings(**wanted).log_format == "json"
    with pytest.raises(SettingsError, match="TRADEACTORS_LOG_METRICS=cloudwatch needs TRADEACTORS_LOG_FORMAT=json"):
        load_settings(**wanted, log_format="console")


def test_the_reader_takes_every_value_with_its_dimension() -> None:
    assert taken_from(json.dumps(LINE), NOW) == [
        Taken("N", name, unit, value, (("host", "h1"),), NOW)
        for name, unit, value in (("a", "Count", 1), ("b", "None", 2.5), ("b", "None", 3))
    ]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (f"INFO {json.dumps(LINE)}", "not one JSON object"),
        (json.dumps(LINE) + json.dumps(LINE), "not one JSON object"),
        (json.dumps(changed(a=float("nan"))), "NaN is no number"),
        (json.dumps(changed(text="x" * 300_000)), "too long"),
        ("[]", r"\$: \[\] is not of type 'object'"),
        (json.dumps({"a": 1}), "'_aws' is a required property"),
        (json.dumps(changed(a=True)), "a is no number"),
        (json.dumps(changed(a="1")), "a is no number"),
        (json.dumps(changed(a=None)), "a is no number"),
        (json.dumps(changed(a={"a": 1})), "a is no number"),
        (json.dumps(changed(b=[1] * 101)), "b has too many values"),
        (json.dumps(changed(host=1)), "the dimension host is no text"),
        (json.dumps(changed(_aws=LINE["_aws"] | {"Timestamp": "now"})), "not of type 'integer'"),
        (json.dumps(directive(Dimensions=[])), "Dimensions"),
        (json.dumps(directive(Namespace="AWS/Lambda")), "Amazon's"),
        (json.dumps(directive(Namespace="Trade Actors?")), "not allowed"),
        (json.dumps(directive(Metrics=[{"Name": "a", "Unit": "seconds"}])), "'seconds' is not one of"),
        (json.dumps(directive(Metrics=[{"Name": "a"}] * 2)), "defined twice"),
        (json.dumps(directive(Metrics=[{"Name": f"m{n}"} for n in range(101)])), "too many metrics"),
        (json.dumps(directive(Other=1)), "not known"),
    ],
)
def test_the_reader_refuses_what_breaks_the_format(line: str, why: str) -> None:
    with pytest.raises(NotEmbedded, match=why):
        taken_from(line, NOW)


@pytest.mark.parametrize("late", [timedelta(days=15), timedelta(hours=-3)])
def test_the_reader_refuses_an_event_of_another_time(late: timedelta) -> None:
    with pytest.raises(NotEmbedded, match="too far"):
        taken_from(json.dumps(LINE), NOW + late)
