"""Prometheus' rules and Grafana's dashboards against the code and the operator's page."""

import importlib.util
import json
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from config import metric_names

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "docs" / "monitoring"
SAMPLES = {sample for metric in metric_names.ALL for sample in metric.samples}


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_monitoring", ROOT / "docs" / "make_monitoring.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((FOLDER / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_the_files_are_what_the_script_writes() -> None:
    for path, text in script().files().items():
        assert path.read_text(encoding="utf-8") == text, f"run docs/make_monitoring.py: {path.name}"


def test_every_metric_in_a_rule_or_a_panel_exists() -> None:
    named = set()
    for path in FOLDER.rglob("*.*"):
        named |= set(re.findall(r"\btradeactors_\w+", path.read_text(encoding="utf-8")))
    assert named
    assert named <= SAMPLES


def test_every_alert_has_a_rule_with_a_heading_of_the_runbook() -> None:
    made = script()
    codes = {code for code, _, _ in made.alert_rows()}
    assert codes >= made.ENDS
    covered = {code for rule in rules() for code in re.findall(r'code="(\w+)"', rule["expr"])}
    assert covered == codes - made.ENDS
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert {rule["annotations"]["runbook"].partition("#")[2] for rule in rules()} <= anchors
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names))


def test_metrics_have_no_label_that_grows_with_strategies_or_users() -> None:
    labels = {label for metric in metric_names.ALL for label in metric.labels}
    assert labels.isdisjoint({"strategy", "strategy_id", "user", "user_id", "run_id", "symbol", "path"})
    assert len({metric.name for metric in metric_names.ALL}) == len(metric_names.ALL)


def test_no_other_module_names_a_metric() -> None:
    named = {
        str(module.relative_to(ROOT))
        for folder in ("actors", "api", "broker", "config", "persistence")
        for module in (ROOT / folder).rglob("*.py")
        if re.search(r'"tradeactors_(?!tenant)\w+"', module.read_text(encoding="utf-8"))
    }
    assert named == {"config/metric_names.py"}


@pytest.mark.parametrize("name", ["trading", "engine", "machine"])
def test_a_dashboard_has_what_grafana_needs(name: str) -> None:
    board = json.loads((FOLDER / "dashboards" / f"{name}.json").read_text(encoding="utf-8"))
    assert (board["uid"], board["schemaVersion"]) == (f"tradeactors-{name}", 39)
    assert board["templating"]["list"][0]["type"] == "datasource"
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    for panel in board["panels"]:
        assert {"type", "title", "gridPos", "datasource", "targets", "fieldConfig"} <= panel.keys()
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
        assert all(target["expr"] and target["refId"] for target in panel["targets"])


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is in Debian's package prometheus")
@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", "docs/monitoring/alerts.yml"),
        ("check", "config", "docs/monitoring/prometheus.yml"),
        ("check", "config", "docs/monitoring/prometheus-cluster.yml"),
        ("test", "rules", "tests/unit/docs/alerts_test.yml"),
    ],
)
def test_promtool_agrees(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(["promtool", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
