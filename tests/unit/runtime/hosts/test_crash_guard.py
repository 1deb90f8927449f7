"""A strategy that crashes again and again: slower starts, one alert, and records that are refused for their content."""

from dataclasses import replace
from decimal import Decimal

import pytest

from actors.domain.orders.order import OrderStage
from actors.ports.common import EntryRefused
from actors.runtime.hosts.crash_guard import LONGEST_PAUSE_S, STEADY_AFTER_S, WINDOW_S, AlertsOnce, CrashPauses
from persistence.journal.records import LogRecord
from persistence.journal.storable import STAND_IN, storable_lines
from tests.kit.builders import NOW
from tests.kit.fakes.journal import FakeJournal
from tests.kit.strategies import STOP, StrategyBench, reported
from tests.kit.virtual_time import in_virtual_time, passing, until

REFUSED = EntryRefused("the database cannot store what was written")


def test_the_pauses_grow_while_it_crashes_at_once_and_stay_short_enough_for_a_position() -> None:
    pauses = CrashPauses()
    assert [pauses.after(0.1) for _ in range(6)] == [1, 2, 4, 8, 8, LONGEST_PAUSE_S]
    assert pauses.in_a_row


def test_a_crash_after_a_steady_run_is_a_first_one() -> None:
    pauses = CrashPauses()
    assert [pauses.after(lasted) for lasted in (0.1, 0.1, STEADY_AFTER_S, 0.1)] == [1, 2, 1, 2]
    assert (pauses.after(STEADY_AFTER_S), pauses.in_a_row) == (1, False)


async def test_the_next_incarnations_give_an_alert_once_in_a_window() -> None:
    now, journal = [0.0], FakeJournal()
    alerts = AlertsOnce(journal, lambda: now[0])
    for _ in range(100):  # five minutes of crashes
        await alerts.load(1)
        await alerts.alert(1, 2, "buy_failed", "No.")
        now[0] += WINDOW_S / 100 - 0.01
    assert journal.alerts == [("buy_failed", "No.")]
    now[0] += 2
    await alerts.load(1)
    await alerts.alert(1, 2, "buy_failed", "No.")
    await alerts.alert(1, 2, "exit_failed", "No.")
    assert len(journal.alerts) == 3


async def test_within_one_incarnation_every_alert_is_given() -> None:
    journal = FakeJournal()
    alerts = AlertsOnce(journal, lambda: 0.0)
    for _ in range(3):
        await alerts.alert(1, 2, "exit_failed", "No.")
    assert len(journal.alerts) == 3


async def test_what_was_over_is_given_again_when_it_comes_back() -> None:
    journal = FakeJournal()
    alerts = AlertsOnce(journal, lambda: 0.0)
    for _ in range(2):
        await alerts.load(1)
        await alerts.alert(1, 2, "recovery_waits", "No.", "run:1")
    await alerts.alert_over(1, 2, ("recovery_waits", "strategy_crashing"), "run:1")
    await alerts.load(1)
    await alerts.alert(1, 2, "recovery_waits", "No.", "run:1")
    assert len(journal.alerts) == 2
    assert journal.over == [("recovery_waits", "run:1"), ("strategy_crashing", "run:1")]


# --- the journal refuses the content of a record ----------------------------------------------------------------------


@in_virtual_time
async def test_a_strategy_whose_records_are_refused_guards_and_says_so_once() -> None:
    bench = await StrategyBench().guarding()
    bench.journal.failures = [REFUSED] * 1000
    tried = len(bench.journal.tried)
    bench.tick(STOP)
    sell = await bench.ordered(2)
    bench.actor.post(reported(sell.intent, stage=OrderStage.OPEN, filled=0))
    await passing(600)
    assert len(bench.journal.tried) - tried < 40
    assert [code for code, _ in bench.journal.alerts].count("record_refused") == 1
    assert bench.task is not None
    assert not bench.task.done()


@in_virtual_time
async def test_when_the_journal_takes_records_again_none_is_lost() -> None:
    bench = StrategyBench()
    bench.journal.failures = [REFUSED] * 5
    bench.start()
    buy = await bench.ordered()
    bench.execution.answer(reported(buy.intent))
    await until(lambda: "ORDER_COMPLETE" in bench.journal.logged, within_s=120)
    assert bench.journal.logged == ["BUY_TRIGGERED", "ORDER_COMPLETE"]


# --- what can be stored -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", ["a\0b", "\ud83d", "x" * 100_000])
def test_only_what_cannot_be_stored_is_replaced_at_first(bad: str) -> None:
    line = LogRecord(event="BUY", occurred_at=NOW, reason=bad, order_id="1", detail={"tag": "T", "said": [bad, "good"]})
    first, last = storable_lines(line)
    assert first == replace(line, reason=STAND_IN, detail={"tag": "T", "said": [STAND_IN, "good"]})
    assert (last.event, last.order_id) == ("BUY", "1")


def test_then_every_text_of_others_is() -> None:
    line = LogRecord(event="BUY", occurred_at=NOW, reason="harmless", price=Decimal("NaN"))
    first, last = storable_lines(line)
    assert (first.reason, first.price) == ("harmless", None)
    assert last.reason == STAND_IN
