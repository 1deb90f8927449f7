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
from tests.kit.whole import DirectDesk

T = TypeVar("T")


@dataclass
class Life:
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
    """`StrategyEvents`: a strategy that does not live loses what it is told."""

    lives: dict[int, Life]

    async def report(self, strategy_id: int, event: Event) -> None:
        if strategy_id not in self.lives:
            raise PeerUnavailable(f"strategy:{strategy_id} is restarting")
        self.lives[strategy_id].actor.post(event)


@dataclass
class _Records:
    """`AccountRecords`: every intent of every run that has ever lived here."""

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
        self.lives: dict[int, Life] = {}
        self.records = _Records()
        self.claims, self.attempts, self.updates = FakeClaims(), FakeAttemptLog(), FakeUpdates()
        self.feed = FakeFeedTicks()
        self._limits = ExecutionLimits(**{"awake": timedelta(0), **limits})
        self.execution = self.new_execution()

    def new_execution(self) -> ExecutionShell:
        """An execution actor that remembers nothing."""
        self.execution = ExecutionShell(
            gateways=FakeGateways(self.broker),
            claims=self.claims,
            strategies=_Strategies(self.lives),
            attempts=self.attempts,
            records=self.records,
            streams=ExecutionStreams(self.updates, self.feed),
            clock=self.clock,
            limits=self._limits,
        )
        self.desk = DirectDesk(self.execution)
        self._hearing = asyncio.create_task(self.execution.stops.keep_hearing())
        return self.execution

    def start(self, snapshot: Mapping[str, Any] | None = None, epoch: int = 1, **run: Any) -> Life:
        """A strategy that lives from now on."""
        its_run, journal = a_run(**run), FakeJournal()
        loaded = LoadedRun(its_run, epoch, snapshot)
        prices = FakePriceWatch(self.clock)
        actor = StrategyShell(loaded, desk=self.desk, journal=journal, prices=prices, clock=self.clock)
        life = Life(actor, journal, asyncio.create_task(actor.live()), epoch)
        self.lives[its_run.strategy_id] = life
        asyncio.create_task(self._follow(life))  # noqa: RUF006 - ends with the test's loop
        return life

    async def guarding(self, **run: Any) -> Life:
        """A strategy that has bought and guards."""
        life = self.start(**run)
        await until(lambda: life.state.phase is Phase.GUARDING, within_s=700)
        return life

    async def all_die(self) -> dict[int, tuple[Mapping[str, Any], int, Life]]:
        """The whole stack is gone; what was recorded stays."""
        left: dict[int, tuple[Mapping[str, Any], int, Life]] = {}
        for strategy_id, life in self.lives.items():
            left[strategy_id] = (dump_state(life.state), life.epoch, life)
            life.task.cancel()
            await asyncio.gather(life.task, return_exceptions=True)
        self.lives.clear()
        dead: list[asyncio.Future[Any]] = [*self.execution._working.values(), *self.execution._background]
        for task in dead:
            task.cancel()
        await asyncio.gather(*dead, return_exceptions=True)
        self.new_execution()
        return left

    async def recovered(self, left: Mapping[int, tuple[Mapping[str, Any], int, Life]], **run: Any) -> Life:
        """The stack is back; the strategy that was there first."""
        for snapshot, epoch, old in left.values():
            its = old.state.run
            again = {"run_id": its.run_id, "strategy_id": its.strategy_id, "product": its.product, **run}
            self.start(snapshot, epoch + 1, **again)
        life = next(iter(self.lives.values()))
        await until(lambda: life.state.watched_since or life.state.phase is Phase.ENDED, within_s=60)
        return life

    def tick(self, life: Life, price: int) -> None:
        """A price of this moment."""
        life.actor.post(TickReceived(a_tick(price, self.clock.now())))

    def by_hand(self, side: Side, quantity: int, product: Product = Product.MIS) -> None:
        """The trader trades in the Kite app, and the stream of order updates tells it."""
        order_id = self.broker.trade_by_hand(side, quantity, product)
        if 2 in self.updates.followed:
            self.updates.hear(2, self.broker.row(order_id))

    def stop(self, life: Life) -> None:
        """The trader presses STOP."""
        life.actor.post(StopRequested())

    def net(self, product: Product = Product.MIS) -> int:
        """Today's net position of INFY."""
        return self.broker.net.get((INFY, product), 0)

    @property
    def sold(self) -> list[int]:
        """Quantities of all sell orders that we have sent."""
        return [command.intent.quantity for _, command in self.broker.posts if command.intent.side == "SELL"]

    async def _follow(self, life: Life) -> None:
        """The journal knows what every strategy knows."""
        while True:
            self.records.states[life.state.run.run_id] = life.state
            if life.task.done():
                return
            await asyncio.sleep(0.5)
