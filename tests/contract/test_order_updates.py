"""What every `OrderUpdates` promises, on the fake of the unit tests and on the real one over the paper exchange."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from typing import Protocol

import pytest

from actors.domain.orders.order import OrderReport, OrderStage
from actors.ports.execution import OrderUpdates, StreamCallbacks
from actors.runtime.clients.update_streams import UpdateFollower
from broker.kite.credentials import KiteCredentials
from broker.kite.gateway import KiteEndpoint, KiteGateway
from tests.kit.builders import INFY, a_report, a_run
from tests.kit.execution import a_command
from tests.kit.fakes.order_updates import FakeUpdates
from tests.kit.paper import PaperExchange

ACCOUNT = 2
SBIN_TOKEN = 779521


class Broker(Protocol):
    """A broker whose stream does what the test asks of it."""

    @property
    def updates(self) -> OrderUpdates:
        """The stream under test."""
        ...

    def connect(self) -> None:
        """Let the stream of an account that is followed come up."""

    def break_off(self) -> None:
        """Break the connection, which comes back."""

    async def fill_an_order(self) -> str:
        """Have an order of the account filled; its id."""
        ...

    def trade(self) -> None:
        """A trade of each instrument."""


class FakeBroker:
    """The fake."""

    def __init__(self) -> None:
        self.updates = FakeUpdates()
        self._orders = 0

    def connect(self) -> None:
        self.updates.reconnect(ACCOUNT)

    def break_off(self) -> None:
        self.updates.followed[ACCOUNT].on_lost()
        self.updates.reconnect(ACCOUNT)

    async def fill_an_order(self) -> str:
        self._orders += 1
        self.updates.hear(ACCOUNT, a_report(str(self._orders)))
        return str(self._orders)

    def trade(self) -> None:
        for token in (INFY.token, SBIN_TOKEN):
            self.updates.tick(ACCOUNT, 150000, datetime.now(UTC), token)


class PaperBroker:
    """The paper exchange, whose prices tick by themselves."""

    def __init__(self, exchange: PaperExchange) -> None:
        self._exchange, self._account = exchange, exchange.control.new_account()
        self.updates: OrderUpdates = UpdateFollower(self)

    async def credentials(self, _account_id: int) -> KiteCredentials:
        return KiteCredentials(self._account.api_key, self._account.access_token)

    async def ws_root(self, _account_id: int) -> str:
        return self._exchange.ws_url

    def connect(self) -> None: ...

    def break_off(self) -> None:
        self._exchange.control.fault("ws-abort", {"user_id": self._account.user_id})

    async def fill_an_order(self) -> str:
        async def credentials() -> KiteCredentials:
            return await self.credentials(ACCOUNT)

        gateway = KiteGateway(KiteEndpoint(self._exchange.url), credentials)
        placed = await gateway.place(a_command(a_run().entry_intent()))
        assert placed.order_id is not None
        return placed.order_id

    def trade(self) -> None: ...


@pytest.fixture(scope="module")
def exchange() -> Iterator[PaperExchange]:
    with PaperExchange(default_source="hold", tick_seconds=0.1, heartbeat_seconds=0.5) as exchange:
        yield exchange


@pytest.fixture(params=["fake", "kite"])
async def broker(request: pytest.FixtureRequest) -> AsyncIterator[Broker]:
    if request.param == "fake":
        yield FakeBroker()
        return
    exchange: PaperExchange = request.getfixturevalue("exchange")
    broker = PaperBroker(exchange)
    yield broker
    broker.updates.leave(ACCOUNT)
    exchange.control.clear_faults()


class Follower:
    """Hears what the stream of an account says."""

    def __init__(self) -> None:
        self.updates: list[OrderReport] = []
        self.tokens: list[int] = []
        self.connected = self.lost = 0
        self.threads: set[int] = set()
        self.callbacks = StreamCallbacks(
            self._updated, self._connected, on_lost=self._lost, on_tick=lambda token, *_: self.tokens.append(token)
        )

    async def follows(self, broker: Broker) -> "Follower":
        """Follow the account, and wait for its stream."""
        broker.updates.follow(ACCOUNT, self.callbacks)
        broker.connect()
        await until(lambda: self.connected)
        return self

    async def hears_of(self, order_id: str) -> None:
        """Wait until the order is said to be filled."""
        await until(lambda: (order_id, OrderStage.COMPLETE) in [(u.order_id, u.stage) for u in self.updates])

    async def hears_ticks(self, broker: Broker, token: int, count: int = 2) -> None:
        """Wait for `count` further ticks of the instrument."""
        wanted = self.tokens.count(token) + count
        await until(lambda: self.tokens.count(token) >= wanted, broker.trade)

    def _updated(self, report: OrderReport) -> None:
        self.threads.add(threading.get_ident())
        self.updates.append(report)

    def _connected(self) -> None:
        self.connected += 1

    def _lost(self) -> None:
        self.lost += 1


async def until(condition: Callable[[], object], meanwhile: Callable[[], None] = lambda: None) -> None:
    async with asyncio.timeout(20):
        while not condition():
            meanwhile()
            await asyncio.sleep(0.01)


async def test_an_order_is_heard_of_in_the_loop_of_the_follower(broker: Broker) -> None:
    follower = await Follower().follows(broker)
    await follower.hears_of(await broker.fill_an_order())
    assert follower.threads == {threading.get_ident()}


async def test_an_account_that_is_followed_again_keeps_its_callbacks(broker: Broker) -> None:
    first, second = await Follower().follows(broker), Follower()
    broker.updates.follow(ACCOUNT, second.callbacks)
    await first.hears_of(await broker.fill_an_order())
    assert (second.updates, second.connected) == ([], 0)


async def test_a_break_and_each_connection_are_said(broker: Broker) -> None:
    follower = await Follower().follows(broker)
    broker.break_off()
    await until(lambda: follower.connected == 2)
    assert follower.lost == 1
    await follower.hears_of(await broker.fill_an_order())


async def test_ticks_come_of_exactly_the_instruments_that_are_asked_for(broker: Broker) -> None:
    follower = await Follower().follows(broker)
    broker.updates.subscribe(ACCOUNT, frozenset({INFY.token}))
    await follower.hears_ticks(broker, INFY.token)
    assert SBIN_TOKEN not in follower.tokens
    broker.updates.subscribe(ACCOUNT, frozenset({SBIN_TOKEN}))
    await follower.hears_ticks(broker, SBIN_TOKEN)
    before = follower.tokens.count(INFY.token)
    await follower.hears_ticks(broker, SBIN_TOKEN)
    assert follower.tokens.count(INFY.token) == before


async def test_ticks_come_again_after_a_reconnect(broker: Broker) -> None:
    follower = await Follower().follows(broker)
    broker.updates.subscribe(ACCOUNT, frozenset({INFY.token}))
    broker.break_off()
    await until(lambda: follower.connected == 2)
    await follower.hears_ticks(broker, INFY.token)


async def test_a_rehearsal_calls_back_and_is_no_message(broker: Broker) -> None:
    follower = await Follower().follows(broker)
    rehearsed: list[bool] = []
    broker.updates.rehearse(lambda: rehearsed.append(True))
    await until(lambda: rehearsed)
    assert (follower.updates, follower.tokens) == ([], [])


async def test_an_account_that_is_left_is_silent_and_can_be_followed_again(broker: Broker) -> None:
    first = await Follower().follows(broker)
    broker.updates.subscribe(ACCOUNT, frozenset({INFY.token}))
    broker.updates.leave(ACCOUNT)
    broker.updates.leave(ACCOUNT)
    second = await Follower().follows(broker)
    heard = list(first.tokens)  # what was on its way as the account was left has arrived
    broker.trade()
    await second.hears_of(await broker.fill_an_order())
    assert (first.updates, first.tokens, second.tokens) == ([], heard, []), "what was asked for is forgotten too"


async def test_what_is_asked_of_an_account_that_is_not_followed_means_nothing(broker: Broker) -> None:
    broker.updates.subscribe(ACCOUNT, frozenset({INFY.token}))
    follower = await Follower().follows(broker)
    broker.updates.subscribe(ACCOUNT, frozenset({SBIN_TOKEN}))
    await follower.hears_ticks(broker, SBIN_TOKEN)
    assert INFY.token not in follower.tokens
