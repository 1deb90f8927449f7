"""The timeline of runs as a real strategy actor journals them, in virtual time."""

import asyncio
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from actors.domain.orders.order import OrderStage
from actors.domain.orders.placement_policy import AttemptOutcome
from actors.domain.strategy.state import Phase
from actors.ports.execution import Attempt, PlaceResult
from actors.ports.strategy import OrderCommand
from actors.runtime.clients.journal_mapping import attempt_line, run_update
from api.timeline.legs import timeline_of_run
from api.timeline.schemas import StrategyTimeline
from persistence.database.models.order_logs import OrderLog
from persistence.database.models.runs import Intent, Run
from persistence.journal.records import LogRecord
from tests.kit.builders import BUY_AT
from tests.kit.strategies import SELL_AT, STOP, StrategyBench, reported
from tests.kit.timelines import whole_page
from tests.kit.virtual_time import in_virtual_time

IST = ZoneInfo("Asia/Kolkata")
MS = timedelta(milliseconds=1)


def placed(command: OrderCommand, order_id: str) -> LogRecord:
    """The line of an attempt that left four milliseconds after its trigger."""
    sent_at = command.triggered_at + 4 * MS
    result = PlaceResult(AttemptOutcome.ACCEPTED, sent_at, order_id)
    return attempt_line(Attempt(command, 1, result, sent_at + 10 * MS))


def timeline_of(bench: StrategyBench, *, reason: str | None = None) -> StrategyTimeline:
    """What the API tells once the journal and the attempts are in the database; `reason`: instead of every line's."""
    updates = [run_update(entry) for entry in bench.journal.records]
    last = updates[-1]
    attempts = [placed(command, f"order-{command.intent.id}") for command in bench.execution.commands]
    lines = sorted(
        [*attempts, *(line for update in updates for line in update.logs)], key=lambda line: line.occurred_at
    )
    asked = {"quantity": bench.run.quantity, "buy_at": bench.run.buy_at, "sell_at": bench.run.sell_at}
    columns: dict[str, Any] = asked | asdict(last.runtime)
    run = Run(
        id=last.run_id,
        strategy_id=last.strategy_id,
        started_at=bench.run.buy_at,
        ended_at=last.runtime.updated_at if last.ended else None,
        **columns,
    )
    intents = [Intent(**asdict(intent)) for intent in last.intents]
    rows = [OrderLog(**asdict(replace(line, reason=reason or line.reason))) for line in lines]
    return timeline_of_run(run, bench.run.instrument.symbol, whole_page(intents, rows), IST, limit=50, offset=0)


@in_virtual_time
async def test_a_strategy_that_is_stopped_out() -> None:
    bench = await StrategyBench().guarding()
    bench.tick(STOP - 500)
    leaving = await bench.ordered(2)
    bench.execution.answer(reported(leaving.intent, price="1445"))
    await bench.finished()
    timeline = timeline_of(bench)
    entry, exit_leg = timeline.legs
    assert (entry.outcome, entry.scheduled_at, entry.late_ms, entry.filled_quantity) == ("filled", BUY_AT, 4, 10)
    assert entry.triggered_at is not None
    assert entry.filled_at is not None
    assert (exit_leg.cause, exit_leg.scheduled_at, exit_leg.late_ms) == ("STOPLOSS", None, 4)
    assert (exit_leg.triggered_at, exit_leg.average_price) == (leaving.triggered_at, 1445.0)
    assert [note.event for note in timeline.notes] == ["BUY_TRIGGERED", "STOPLOSS_TRIGGERED", "RUN_ENDED"]
    assert timeline.summary.startswith("Bought 10 INFY at 1500.00, 4 ms after ")
    assert "; sold by stop-loss at 1445.00, 4 ms after the price touched it at " in timeline.summary


@in_virtual_time
async def test_a_strategy_that_sells_in_two_parts_at_its_time() -> None:
    bench = await StrategyBench().guarding()
    first = await bench.ordered(2)
    bench.execution.answer(
        reported(first.intent, stage=OrderStage.CANCELLED, filled=4, reason="cancelled by the exchange")
    )
    second = await bench.ordered(3)
    bench.execution.answer(reported(second.intent))
    await bench.finished()
    timeline = timeline_of(bench)
    assert [(leg.leg, leg.seq, leg.cause, leg.outcome) for leg in timeline.legs] == [
        ("ENTRY", 1, "BUY", "filled"),
        ("EXIT", 1, "SELL", "cancelled"),
        ("EXIT", 2, "SELL", "filled"),
    ]
    assert [leg.scheduled_at for leg in timeline.legs] == [BUY_AT, SELL_AT, None]
    assert "EXIT_CONTINUED" in [note.event for note in timeline.notes]
    assert "in 2 orders" in timeline.summary


@in_virtual_time
async def test_a_strategy_whose_stop_was_pressed() -> None:
    bench = await StrategyBench().guarding()
    stopping = asyncio.create_task(bench.actor.stop(60))
    leaving = await bench.ordered(2)
    bench.execution.answer(reported(leaving.intent))
    assert await stopping
    await bench.finished()
    timeline = timeline_of(bench)
    assert [leg.cause for leg in timeline.legs] == ["BUY", "STOP"]
    reworded = timeline_of(bench, reason="in other words")
    assert [(leg.cause, leg.scheduled_at, leg.outcome) for leg in reworded.legs] == [
        (leg.cause, leg.scheduled_at, leg.outcome) for leg in timeline.legs
    ]
    assert reworded.summary == timeline.summary


@in_virtual_time
async def test_a_strategy_that_still_waits() -> None:
    bench = StrategyBench().start()
    await bench.reaches(Phase.SCHEDULED)
    await bench.actor.move_stop(STOP + 1_000)
    timeline = timeline_of(bench)
    assert [(leg.outcome, leg.late_ms) for leg in timeline.legs] == [("waiting", None)]
    assert [note.event for note in timeline.notes] == ["STOP_LOSS_MOVED"]
    assert timeline.summary.startswith("Waiting to buy 10 INFY at ")
    assert bench.task is not None
    bench.task.cancel()
