"""A stop-loss that is moved twice in a second by a strategy whose process dies before the second move has its line."""

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from sqlmodel import col

from actors.domain.money import Paise, to_rupees
from actors.domain.orders.order import Intent, OrderEvent
from actors.domain.strategy.events import StopRequested, TickReceived
from actors.domain.strategy.state import Phase
from actors.ports.strategy import LoadedRun, OrderCommand
from actors.strategy.shell import StrategyShell
from persistence.database.engine import Sessions, transaction
from persistence.database.models.order_logs import OrderLog
from persistence.database.models.runs import Run
from persistence.journal.ledger import RunLedger
from persistence.mirror.mirror import RuntimeMirror
from tests.integration.rows import NOW, new_run
from tests.kit.builders import a_tick
from tests.kit.fakes.order_execution import FakeExecution
from tests.kit.fakes.price_watch import FakePriceWatch
from tests.kit.ledgers import LedgerOfTest
from tests.kit.strategies import listed, reported
from tests.kit.virtual_time import until

pytest_plugins = ["tests.integration.fixtures"]

STOP: Paise = 149_050
FIRST, LAST = STOP - 1000, STOP + 500


class StandingClock:
    """`Clock`: the second in which the stop-loss is moved does not end, however busy the machine is."""

    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return time.monotonic()


@dataclass
class Process:
    """One incarnation of the strategy; `kill` ends it as a dead process ends: nothing more is recorded."""

    loaded: LoadedRun
    ledger: LedgerOfTest

    def __post_init__(self) -> None:
        clock = StandingClock()
        self.execution = FakeExecution(clock)
        prices = FakePriceWatch(clock)
        self.shell = StrategyShell(
            self.loaded, execution=self.execution, journal=self.ledger, prices=prices, clock=clock
        )

    def start(self) -> None:
        self.task = asyncio.create_task(self.shell.run())

    async def kill(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])

    async def reaches(self, phase: Phase) -> None:
        await until(lambda: self.shell.state.phase is phase, within_s=10)

    async def ordered(self) -> OrderCommand:
        await until(lambda: self.execution.commands, within_s=10)
        return self.execution.commands[0]


@dataclass
class Killed:
    """A run whose process died a moment ago, holding shares."""

    run: Run
    ledger: LedgerOfTest
    entry: Intent

    async def next_process(self) -> Process:
        loaded = await self.ledger.load(self.run.id)
        assert loaded is not None
        process = Process(loaded, self.ledger)
        process.execution.book = [listed(self.entry)]
        process.start()
        return process


@pytest.fixture
async def killed(sessions: Sessions, mirror: RuntimeMirror) -> Killed:
    """Both moves were answered, that is recorded, within some milliseconds; then the process died."""
    run, ledger = await new_run(sessions), LedgerOfTest(RunLedger(sessions, mirror), mirror)
    loaded = await ledger.load(run.id)
    assert loaded is not None
    process = Process(loaded, ledger)
    process.start()
    bought = await process.ordered()
    process.execution.answer(reported(bought.intent))
    await process.reaches(Phase.GUARDING)
    for level in (FIRST, LAST):
        await process.shell.move_stop(level)
    await process.kill()
    return Killed(run, ledger, bought.intent)


async def lines_of(sessions: Sessions, run: Run) -> list[tuple[str, str]]:
    """Moves and decisions to sell in the order log: word and reason."""
    words = ("STOP_LOSS_MOVED", "STOPLOSS_TRIGGERED", "SELL_TRIGGERED")
    wanted = select(OrderLog).where(col(OrderLog.run_id) == run.id, col(OrderLog.event).in_(words))
    async with transaction(sessions) as session:
        return [(line.event, line.reason or "") for line in await session.scalars(wanted.order_by(col(OrderLog.id)))]


async def until_lines(sessions: Sessions, run: Run, number: int) -> list[tuple[str, str]]:
    """The same, as soon as there are `number` of them."""
    async with asyncio.timeout(10):
        while True:
            lines = await lines_of(sessions, run)
            if len(lines) >= number:
                return lines
            await asyncio.sleep(0.02)


def move(before: Paise, after: Paise) -> tuple[str, str]:
    return "STOP_LOSS_MOVED", f"₹{to_rupees(before)} to ₹{to_rupees(after)}"


async def test_the_last_level_is_not_lost_with_the_process(killed: Killed, sessions: Sessions) -> None:
    assert await lines_of(sessions, killed.run) == [move(STOP, FIRST)]
    process = await killed.next_process()
    assert process.shell.state.stop_loss == LAST
    assert await until_lines(sessions, killed.run, 2) == [move(STOP, FIRST), move(FIRST, LAST)]
    await process.kill()


async def test_a_sale_by_the_level_stands_behind_its_line(killed: Killed, sessions: Sessions) -> None:
    process = await killed.next_process()
    await process.reaches(Phase.GUARDING)
    process.shell.post(TickReceived(a_tick(LAST, NOW + timedelta(seconds=1))))
    assert (await process.ordered()).intent.event is OrderEvent.STOPLOSS
    *moves, sale = await until_lines(sessions, killed.run, 3)
    assert moves == [move(STOP, FIRST), move(FIRST, LAST)]
    assert sale == ("STOPLOSS_TRIGGERED", f"price ₹{to_rupees(LAST)} at or below ₹{to_rupees(LAST)}")
    await process.kill()


async def test_a_sale_on_stop_stands_behind_the_line_of_the_level_that_was_armed(
    killed: Killed, sessions: Sessions
) -> None:
    process = await killed.next_process()
    process.shell.post(StopRequested())
    *moves, sale = await until_lines(sessions, killed.run, 3)
    assert (moves, sale[0]) == ([move(STOP, FIRST), move(FIRST, LAST)], "SELL_TRIGGERED")
    await process.kill()
