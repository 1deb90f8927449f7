"""An execution actor with everything around it faked, and the commands that strategies give it."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from actors.domain.identifiers import Leg, Product, Side
from actors.domain.market_hours import ALWAYS_OPEN, MarketHours
from actors.domain.orders.cover import NOTHING, Stake, position_key
from actors.domain.orders.order import Intent, OrderEvent, OrderReport
from actors.domain.strategy.events import Event, OrderReported, PlacementFailed
from actors.execution.shell import ExecutionLimits, ExecutionShell
from actors.ports.execution import ExecutionStreams, KnownIntent, OrderGateway
from actors.ports.strategy import Holding, OrderCommand
from tests.kit.builders import INFY, NOW, a_report, a_run
from tests.kit.fakes.account_records import FakeRecords
from tests.kit.fakes.attempt_log import FakeAttemptLog
from tests.kit.fakes.feed_ticks import FakeFeedTicks
from tests.kit.fakes.order_claims import FakeClaims
from tests.kit.fakes.order_gateway import FakeGateway
from tests.kit.fakes.order_gateways import FakeGateways
from tests.kit.fakes.order_updates import FakeUpdates
from tests.kit.fakes.strategy_events import FakeStrategies
from tests.kit.virtual_time import FakeClock, passing

BUY = a_run().entry_intent()


def a_sell(quantity: int = 10, event: OrderEvent = OrderEvent.STOPLOSS, seq: int = 1) -> Intent:
    return a_run().exit_intent(seq, quantity, event)


def a_command(intent: Intent = BUY, **changes: Any) -> OrderCommand:
    command = OrderCommand(
        strategy_id=3,
        run_id=7,
        user_id=1,
        account_id=2,
        epoch=1,
        instrument=INFY,
        product=Product.MIS,
        intent=intent,
        triggered_at=NOW,
    )
    return replace(command, **changes)


async def held(gateway: OrderGateway, product: Product, *, demat: bool = True) -> int:
    """Shares of INFY that the account holds in the product."""
    return (await gateway.positions(demat=demat)).get(position_key(INFY, product), NOTHING).held


class ExecutionBench:
    """One account at one broker, in virtual time. The default limits are those of production.

    But for `awake`: virtual time passes only when nothing is left to do, so execution cannot stay awake until it has.
    """

    def __init__(self, start: datetime = NOW, *, market: MarketHours = ALWAYS_OPEN, **limits: Any) -> None:
        self.clock = FakeClock(start)
        self.broker = FakeGateway(self.clock)
        self.broker.net[INFY, Product.MIS] = 10
        self.gateways = FakeGateways(self.broker, market=market)
        self.claims, self.strategies, self.attempts = FakeClaims(), FakeStrategies(), FakeAttemptLog()
        self.records, self.updates = FakeRecords(), FakeUpdates()
        self.feed = FakeFeedTicks()
        self.actor = ExecutionShell(
            gateways=self.gateways,
            claims=self.claims,
            strategies=self.strategies,
            attempts=self.attempts,
            records=self.records,
            streams=ExecutionStreams(self.updates, self.feed),
            clock=self.clock,
            limits=ExecutionLimits(**{"awake": timedelta(0), **limits}),
        )

    def start(self, command: OrderCommand) -> "asyncio.Task[Event]":
        """Give the command, without waiting for its end."""
        return asyncio.create_task(self.actor.execute(command))

    async def filled(self, command: OrderCommand) -> OrderReport:
        """Carry the command out; it must end with an order."""
        event = await self.actor.execute(command)
        assert isinstance(event, OrderReported), event
        return event.report

    async def failed(self, command: OrderCommand) -> PlacementFailed:
        """Carry the command out; it must end without one."""
        event = await self.actor.execute(command)
        assert isinstance(event, PlacementFailed), event
        return event

    @property
    def posted_at(self) -> list[timedelta]:
        """When each request left, since the start of the test."""
        return [at - NOW for at, _ in self.broker.posts]

    @property
    def posted(self) -> list[Intent]:
        """What was sent, in its order."""
        return [command.intent for _, command in self.broker.posts]


STAKE = Stake(7, 10, BUY.tag, (a_sell().tag,))
HOLDING = Holding(3, 7, 1, 2, 1, INFY, Product.MIS, 10, exiting=False, stake=STAKE)
NOTHING_HELD = replace(HOLDING, quantity=0, stake=replace(STAKE, quantity=0))
KEY = position_key(INFY, Product.MIS)
ENTRY = KnownIntent(7, 3, 1, Leg.ENTRY, BUY.tag, KEY, ended=False)


async def guarded(bench: ExecutionBench) -> ExecutionBench:
    """An account whose position one run has bought and guards, and that the watcher has seen."""
    bench.records.intents = [ENTRY]
    bench.broker.list(
        replace(a_report("0", filled=10, tag=BUY.tag), terms=bench.broker.terms(INFY, Product.MIS, Side.BUY))
    )
    await bench.actor.guard(HOLDING)
    await passing(5)
    assert bench.attempts.alerts == []
    return bench
