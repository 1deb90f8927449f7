"""The arithmetic of `make neighbours`: steps, percentiles, targets, bounds, routes and groups of processes."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from config.settings import Settings
from tests.neighbours import noise
from tests.neighbours.cpu import Seen as SeenProcess
from tests.neighbours.cpu import family, group_of, used_s
from tests.neighbours.growth import Bound, Grown, bounds, grown
from tests.neighbours.measure import Phase
from tests.neighbours.report import Seen, report
from tests.neighbours.routes import added, operations, refused_stops, unserved
from tests.neighbours.stamps import STEPS, StopStamps, percentile, steps_ms, targets, until_ms, without_trace

MS = 1_000_000


def stamps(**changes: int | None) -> StopStamps:
    """A STOP with a step each millisecond, but for `changes`, in milliseconds."""
    names = [
        "asked",
        "judged",
        "called",
        "logged",
        "sent",
        "arrived",
        "filled",
        "known",
        "recorded",
        "gone",
        "answered",
    ]
    at: dict[str, Any] = {name: number * MS for number, name in enumerate(names)}
    return StopStamps(**at | {name: None if ms is None else ms * MS for name, ms in changes.items()})


def test_the_steps_of_a_stop_add_up_to_what_the_trader_waited() -> None:
    one = stamps(answered=40)
    assert sum(steps_ms(one).values()) == pytest.approx(one.took_s * 1000)
    assert list(steps_ms(one)) == list(STEPS)


def test_a_stamp_that_is_missing_takes_its_two_steps_along_and_is_reported() -> None:
    one = stamps(sent=None)
    assert {"sent", "arrived"}.isdisjoint(steps_ms(one))
    assert without_trace([one, stamps(sent=None, gone=None), stamps()]) == {"sent": 2, "gone": 1}
    assert until_ms([one, stamps()], "sent") == [4.0]


def test_the_99th_percentile_of_few_is_the_slowest() -> None:
    assert percentile([3, 1, 2], 0.99) == 3
    assert percentile([3, 1, 2], 0.5) == 2
    assert percentile(list(range(1, 201)), 0.99) == 198


def test_targets_are_met_up_to_their_limit_and_missed_above_it() -> None:
    assert [one.met for one in targets([0.3], [2.0], [3.0], [2.0])] == [True, True, True]
    assert [one.met for one in targets([0.31], [2.0], [3.1], [2.1])] == [False, False, False]


def test_what_was_not_measured_is_missed() -> None:
    assert [(one.met, "not measured" in one.words) for one in targets([], [1.0], [], [])] == [(False, True)] * 3


def test_a_route_that_was_never_served_is_named() -> None:
    answers = {"a": {200: 1}, "b": {429: 9, 401: 1}, "strategy_held_by_trader": {409: 1}, "c": {409: 3}, "e": {0: 1}}
    assert unserved(["a", "b", "strategy_held_by_trader", "c", "d", "e"], answers) == ["b", "c", "d", "e"]


def test_every_operation_of_the_document_is_wanted() -> None:
    found = operations()
    assert found["stop_strategy"].method == "POST"
    assert len(found) >= 36


def test_the_noise_tries_every_operation() -> None:
    source = "".join(module.read_text(encoding="utf-8") for module in Path(noise.__file__).parent.glob("noise*.py"))
    assert [name for name in operations() if f'"{name}"' not in source] == []


def test_a_stop_that_was_not_looked_at_is_refused() -> None:
    assert refused_stops({200: 5, 202: 1, 404: 1, 429: 2, 503: 1, 0: 1, 408: 0}) == {429: 2, 503: 1, 0: 1}


def test_answers_of_several_spells_are_added() -> None:
    assert added([{"a": {200: 1}}, {"a": {200: 2, 429: 1}, "b": {0: 1}}]) == {"a": {200: 3, 429: 1}, "b": {0: 1}}


def test_bounds_follow_the_settings_and_the_time() -> None:
    settings = Settings(_env_file=None, api_rate_per_minute=600, auth_rate_per_minute=60, starts_per_minute=30)
    most = {bound.what: bound.most for bound in bounds(settings, 120, since_s=180, open_runs=2, runs_begun=10)}
    assert most["runs"] == 60 + 3 * 30
    assert most["order_logs"] == 2 * 122 + 12 * 12
    assert most["audit_log"] == 2 * 1250 + 125
    assert most["audit_log: broker_connect_failed"] == 11 * 2


def test_a_bound_counts_what_was_added_or_all_that_is_there() -> None:
    before, after = {"x": 90, "y": 90}, {"x": 101, "y": 101}
    limits = [Bound("x", 11, "a page"), Bound("y", 100, "a page", counts_all=True)]
    assert [one.kept for one in grown(before, after, limits)] == [True, False]
    with pytest.raises(KeyError):
        grown({}, after, limits)


def test_cpu_belongs_to_the_group_of_the_command_line() -> None:
    assert group_of("ray::StrategyActor.stop") == "strategies"
    assert group_of("python -P -m config.commands.cli api") == "API"
    assert group_of("python -m tests.neighbours.noise") == "noise client"
    assert group_of("guardian") == "guardians and others"


def test_cpu_is_counted_since_the_last_look_and_from_the_start_of_a_new_process() -> None:
    same, new = SeenProcess(7, 1, 100, 5.0, "gcs_server"), SeenProcess(8, 1, 900, 2.0, "ray::IDLE")
    reused = SeenProcess(9, 1, 950, 1.0, "ray::IDLE")
    used = used_s({(7, 100): 4.5, (9, 200): 8.0}, [same, new, reused])
    assert used == {"gcs": 0.5, "workers that start or wait": 3.0}


def test_only_the_stacks_own_processes_count() -> None:
    rows = [
        (1, 0, "init"),
        (5, 1, "test"),
        (6, 5, "child"),
        (7, 1, "postgres -D /data"),
        (8, 7, "backend"),
        (9, 1, "x"),
    ]
    everything = [SeenProcess(pid, parent, 0, 0.0, command) for pid, parent, command in rows]
    assert sorted(one.pid for one in family(everything, "/data", 5)) == [5, 6, 7, 8]


def seen(**changes: Any) -> Seen:
    load = (0.1, 0.2, 0.3)
    values: dict[str, Any] = {
        "pairs": 1,
        "wanted_pairs": 1,
        "load": load,
        "load_after": load,
        "machine": "two cores",
    } | changes
    found = Seen(datetime(2026, 11, 29, tzinfo=UTC), **values)
    for beside in (False, True):
        found.phases.append(Phase(beside, [stamps()], {200: 1}, [2.0], [0.1], [0.4], [0.01], {"API": 1.0}, wall_s=10.0))
    return found


def test_a_run_without_faults_says_so_and_has_date_load_and_pairs() -> None:
    text = report(seen())
    assert "no STOP was refused" in text
    assert "29 November 2026" in text
    assert "0.1 / 0.2 / 0.3 before" in text
    assert "1 pairs" in text
    assert "Met: STOP beside the noise" in text


def test_each_kind_of_fault_makes_the_run_red() -> None:
    bad = seen(pairs=1, wanted_pairs=2)
    bad.phases[1].stop_answers = {429: 1}
    bad.phases[0].wrong = ["duplicate: tag T has orders [1, 2]"]
    bad.noise, bad.unserved = {"stop_strategy": {503: 2}}, ["a_new_route"]
    bad.grown = [Grown(Bound("runs", 1, "a page"), 0, 2)]
    kinds = [fault.partition(":")[0] for fault in bad.faults()]
    assert sorted(kinds) == ["duplicate", "grown", "refused", "refused", "unfinished", "unserved"]
