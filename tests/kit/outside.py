"""Strategies and execution as they work together at one account, while others trade there too. In virtual time.

The strategies and the execution actor are the real ones; the broker, the journal and the prices are fakes.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from actors.domain.identifiers import Product, Side
from actors.domain.orders.cover import position_key
from actors.domain.orders.order import Order
from actors.domain.strategy.events import Event, StopRequested, TickReceived
from actors.domain.strategy.snapshot import dump_state
from actors.domain.strategy.state import Phase, StrategyState
from actors.execution.shell import ExecutionLimits, ExecutionShell
from actors.ports.common import PeerUnavailable
from actors.ports.execution import ExecutionStreams, KnownIntent
from actors.ports.strategy import LoadedRun
from actors.strategy.shell import StrategyShell
from tests.kit.builders import INFY, NOW, a_run, a_tick
from tests.kit.fakes.attempt_log import FakeAttemptLog
from tests.kit.fakes.feed_ticks import FakeFeedTicks
from tests.kit.fakes.journal import FakeJournal
from tests.kit.fakes.order_claims import FakeClaims
from tests.kit.fakes.order_gateway import FakeGateway
from tests.kit.fakes.order_gateways import FakeGateways
from tests.kit.fakes.order_updates import FakeUpdates
from tests.kit.fakes.price_watch import FakePriceWatch
from tests.kit.virtual_time import FakeClock, until
from tests.kit.whole import DirectExecution

T = TypeVar("T")


@dataclass
class Incarnation:
    """One incarnation of a strategy."""

    actor: StrategyShell
    journal: FakeJournal
    task: "asyncio.Task[bool]"
    epoch: int

    @property
    def state(self) -> StrategyState:
        """The state after the last event."""
        return self.actor.state

    @property
    def alerts(self) -> list[str]:
        """The codes of the alerts that the strategy has raised."""
        return [code for code, _ in self.journal.alerts]


@dataclass
class _Strategies:
    """`StrategyEvents`: a strategy that does not run loses its events."""

    strategies: dict[int, Incarnation]

    async def report(self, strategy_id: int, event: Event) -> None:
        if strategy_id not in self.strategies:
            raise PeerUnavailable(f"strategy:{strategy_id} is restarting")
        self.strategies[strategy_id].actor.post(event)


@dataclass
class _Records:
    """`AccountRecords`: every intent of every run that was ever started here."""

    states: dict[int, StrategyState] = field(default_factory=dict)

    async def known_intents(self, account_id: int) -> Sequence[KnownIntent]:
        return [_known(state, order) for state in self.states.values() for order in (state.entry, *state.exits)]

    async def accounts_in_use(self) -> Sequence[int]:
        return [2] if self.states else []


def _known(state: StrategyState, order: Order) -> KnownIntent:
    run, intent = state.run, order.intent
    key, ended = position_key(run.instrument, run.product), state.phase is Phase.ENDED
    return KnownIntent(run.run_id, run.strategy_id, run.user_id, intent.id.leg, intent.tag, key, ended)


class OutsideBench:
    """One account. The default strategy buys 10 INFY after 30 s, its stop-loss is at 1450 rupees."""

    def __init__(self, start: datetime = NOW, **limits: Any) -> None:
        self.clock = FakeClock(start)
        self.broker = FakeGateway(self.clock)
        self.strategies: dict[int, Incarnation] = {}
        self.records = _Records()
        self.claims, self.attempts, self.updates = FakeClaims(), FakeAttemptLog(), FakeUpdates()
        self.feed = FakeFeedTicks()
        self._limits = ExecutionLimits(**{"awake": timedelta(0), **limits})
        self.execution = self.new_execution()
        self.order_execution = DirectExecution(self.execution)

    def new_execution(self) -> ExecutionShell:
        """An execution actor that remembers nothing."""
        self.execution = ExecutionShell(
            gateways=FakeGateways(self.broker),
            claims=self.claims,
            strategies=_Strategies(self.strategies),
            attempts=self.attempts,
            records=self.records,
            streams=ExecutionStreams(self.updates, self.feed),
            clock=self.clock,
            limits=self._limits,
        )
        self._hearing = asyncio.create_task(self.execution.stops.keep_hearing())
        return self.execution

    def start(self, snapshot: Mapping[str, Any] | None = None, epoch: int = 1, **run: Any) -> Incarnation:
        """A strategy that runs from now on."""
        its_run, journal = a_run(**run), FakeJournal()
        loaded = LoadedRun(its_run, epoch, snapshot)
        prices = FakePriceWatch(self.clock)
        actor = StrategyShell(loaded, execution=self.order_execution, journal=journal, prices=prices, clock=self.clock)
        strategy = Incarnation(actor, journal, asyncio.create_task(actor.run()), epoch)
        self.strategies[its_run.strategy_id] = strategy
        asyncio.create_task(self._follow(strategy))  # noqa: RUF006 - ends with the test's loop
        return strategy

    async def guarding(self, **run: Any) -> Incarnation:
        """A strategy that has bought and guards."""
        strategy = self.start(**run)
        await until(lambda: strategy.state.phase is Phase.GUARDING, within_s=700)
        return strategy

    async def all_die(self) -> dict[int, tuple[Mapping[str, Any], int, Incarnation]]:
        """The whole stack is gone; what was recorded stays."""
        left: dict[int, tuple[Mapping[str, Any], int, Incarnation]] = {}
        for strategy_id, strategy in self.strategies.items():
            left[strategy_id] = (dump_state(strategy.state), strategy.epoch, strategy)
            strategy.task.cancel()
            await asyncio.gather(strategy.task, return_exceptions=True)
        self.strategies.clear()
        await self.execution_dies()
        return left

    async def execution_dies(self) -> None:
        """Execution alone is gone, and is back with no memory; strategies go on, and call the new one."""
        dead: list[asyncio.Future[Any]] = [*self.execution._working.values(), *self.execution._background]
        for task in dead:
            task.cancel()
        await asyncio.gather(*dead, return_exceptions=True)
        self.order_execution.actor = self.new_execution()

    async def recovered(
        self, left: Mapping[int, tuple[Mapping[str, Any], int, Incarnation]], **run: Any
    ) -> Incarnation:
        """The stack is back; the strategy that was there first."""
        for snapshot, epoch, old in left.values():
            its = old.state.run
            again = {"run_id": its.run_id, "strategy_id": its.strategy_id, "product": its.product, **run}
            self.start(snapshot, epoch + 1, **again)
        strategy = next(iter(self.strategies.values()))
        await until(lambda: strategy.state.watched_since or strategy.state.phase is Phase.ENDED, within_s=60)
        return strategy

    def tick(self, strategy: Incarnation, price: int) -> None:
        """A price of this moment."""
        strategy.actor.post(TickReceived(a_tick(price, self.clock.now())))

    def by_hand(self, side: Side, quantity: int, product: Product = Product.MIS) -> None:
        """The trader trades in the Kite app, and the stream of order updates tells it."""
        order_id = self.broker.trade_by_hand(side, quantity, product)
        if 2 in self.updates.followed:
            self.updates.hear(2, self.broker.row(order_id))

    def stop(self, strategy: Incarnation) -> None:
        """The trader presses STOP."""
        strategy.actor.post(StopRequested())

    def net(self, product: Product = Product.MIS) -> int:
        """Today's net position of INFY."""
        return self.broker.net.get((INFY, product), 0)

    @property
    def sold(self) -> list[int]:
        """Quantities of all sell orders that we have sent."""
        return [command.intent.quantity for _, command in self.broker.posts if command.intent.side == "SELL"]

    async def _follow(self, strategy: Incarnation) -> None:
        """The journal knows what every strategy knows."""
        while True:
            self.records.states[strategy.state.run.run_id] = strategy.state
            if strategy.task.done():
                return
            await asyncio.sleep(0.5)
