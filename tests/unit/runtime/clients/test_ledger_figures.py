"""What a ledger counts of the attempts, records and alerts that pass through it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from actors.domain.orders.placement_policy import AttemptOutcome
from actors.ports.common import PeerUnavailable
from actors.ports.execution import Attempt, PlaceResult
from actors.runtime.clients.ledger_figures import LedgerFigures
from config.metric_names import SECONDS
from persistence.errors import RecordRefused, StaleEpoch
from tests.kit.builders import NOW
from tests.kit.execution import a_command


def counted(figures: LedgerFigures) -> dict[tuple[str, ...], Any]:
    return {(name, *labels): value for name, labels, value in figures.figures.as_rows()}


def attempt(number: int, outcome: AttemptOutcome, sent_ms: int, answered_ms: int) -> Attempt:
    command = replace(a_command(), triggered_at=NOW)
    result = PlaceResult(outcome, sent_at=NOW + timedelta(milliseconds=sent_ms))
    return Attempt(command, number, result, NOW + timedelta(milliseconds=answered_ms))


def test_attempts_are_counted_with_their_latencies_and_retries_apart() -> None:
    figures = LedgerFigures(unmirrored=lambda: 2)
    figures.attempted(attempt(1, AttemptOutcome.AMBIGUOUS, 4, 3000))
    figures.attempted(attempt(2, AttemptOutcome.ACCEPTED, 5000, 5020))
    seen = counted(figures)
    assert seen["tradeactors_order_attempts", "BUY", "ambiguous"] == 1
    assert seen["tradeactors_order_attempts", "BUY", "accepted"] == 1
    assert seen["tradeactors_order_retries", "BUY"] == 1
    sent, known = (seen[f"tradeactors_trigger_to_{what}_seconds", "BUY"] for what in ("sent", "acknowledged"))
    assert (sum(sent[:-1]), sent[SECONDS.index(0.005)], sent[-1]) == (1, 1, pytest.approx(0.004))
    assert (known[SECONDS.index(10.0)], known[-1]) == (1, pytest.approx(5.02))
    assert seen["tradeactors_ledger_unmirrored_runs",] == 2


def test_a_request_that_never_left_and_a_clock_that_went_back_spoil_no_latency() -> None:
    figures = LedgerFigures(unmirrored=lambda: 0)
    figures.attempted(attempt(1, AttemptOutcome.NOT_SENT, 1, 2))
    assert ("tradeactors_trigger_to_sent_seconds", "BUY") not in counted(figures)
    figures.attempted(attempt(1, AttemptOutcome.ACCEPTED, -5, -1))
    assert counted(figures)["tradeactors_trigger_to_sent_seconds", "BUY"][-1] == 0


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, "recorded"),
        (PeerUnavailable("away"), "not_answered"),
        (StaleEpoch(1, 1), "stale"),
        (RecordRefused("too long"), "refused"),
    ],
)
def test_a_record_is_counted_by_how_it_ended(error: Exception | None, outcome: str) -> None:
    figures = LedgerFigures(unmirrored=lambda: 0)

    def record() -> None:
        with figures.recording():
            assert counted(figures)["tradeactors_ledger_waiting",] == 1
            if error is not None:
                raise error

    if error is None:
        record()
    else:
        with pytest.raises(type(error)):
            record()
    seen = counted(figures)
    assert (seen["tradeactors_ledger_records", outcome], seen["tradeactors_ledger_waiting",]) == (1, 0)
    assert sum(seen["tradeactors_ledger_record_seconds",][:-1]) == 1


def test_actors_and_alerts_are_counted() -> None:
    figures = LedgerFigures(unmirrored=lambda: 0)
    figures.loaded(1)
    figures.loaded(3)
    figures.alerted("exit_failed")
    seen = counted(figures)
    assert (seen["tradeactors_run_loads", "first"], seen["tradeactors_run_loads", "again"]) == (1, 1)
    assert seen["tradeactors_alerts", "exit_failed"] == 1
