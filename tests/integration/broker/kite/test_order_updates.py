"""The stream of order updates over the real KiteTicker, and the follower that keeps it under valid credentials."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
import structlog

from actors.domain.orders.order import OrderReport, OrderStage
from actors.ports.execution import BrokerUnavailable, StreamCallbacks
from actors.runtime.clients.update_streams import UpdateFollower
from broker.kite.credentials import KiteCredentials
from broker.kite.gateway import KiteEndpoint, KiteGateway
from broker.kite.streams.order_updates import OrderUpdateStream
from broker.kite.streams.websocket import run_reactor
from tests.kit.builders import a_run
from tests.kit.execution import a_command
from tests.kit.paper import PaperCredentials, PaperExchange, eventually

PATIENCE_S = 20


@pytest.fixture(scope="module")
def exchange() -> Iterator[PaperExchange]:
    with PaperExchange(default_source="hold", heartbeat_seconds=0.5) as exchange:
        yield exchange


@pytest.fixture
def account(exchange: PaperExchange) -> Iterator[PaperCredentials]:
    yield exchange.control.new_account()
    exchange.control.clear_faults()


def credentials_of(account: PaperCredentials, token: str | None = None) -> KiteCredentials:
    return KiteCredentials(account.api_key, token or account.access_token)


async def place(exchange: PaperExchange, credentials: KiteCredentials) -> str:
    """Have a market order filled; its id."""

    async def load() -> KiteCredentials:
        return credentials

    placed = await KiteGateway(KiteEndpoint(exchange.url), load).place(a_command(a_run().entry_intent()))
    assert placed.order_id is not None
    return placed.order_id


async def until(condition: Callable[[], object]) -> None:
    await asyncio.to_thread(eventually, condition, PATIENCE_S)


def is_filled(order_id: str, updates: list[OrderReport]) -> bool:
    return any((u.order_id, u.stage, u.filled_quantity) == (order_id, OrderStage.COMPLETE, 10) for u in updates)


# --- the stream -----------------------------------------------------------------------------------------------------


class Listener:
    """A stream of its own, and everything it reported."""

    def __init__(self, exchange: PaperExchange) -> None:
        self.updates: list[OrderReport] = []
        self.connected = self.refused = 0
        self.lost: list[str] = []
        self.stream = OrderUpdateStream(
            exchange.ws_url,
            on_update=self.updates.append,
            on_connected=self._connected,
            on_lost=self.lost.append,
            on_refused=self._refused,
        )

    def _connected(self) -> None:
        self.connected += 1

    def _refused(self) -> None:
        self.refused += 1

    async def connects(self, times: int = 1) -> None:
        await until(lambda: self.connected >= times)


@asynccontextmanager
async def listening(exchange: PaperExchange, credentials: KiteCredentials) -> AsyncIterator[Listener]:
    run_reactor()
    listener = Listener(exchange)
    listener.stream.start(credentials)
    try:
        yield listener
    finally:
        listener.stream.close()


async def test_an_order_is_told_as_it_fills(exchange: PaperExchange, account: PaperCredentials) -> None:
    async with listening(exchange, credentials_of(account)) as listener:
        await listener.connects()
        order_id = await place(exchange, credentials_of(account))
        await until(lambda: is_filled(order_id, listener.updates))
        assert {update.tag for update in listener.updates} == {a_run().entry_intent().tag}
        assert all(update.average_price > 0 for update in listener.updates if update.filled_quantity)


async def test_accounts_share_the_reactor_and_hear_of_their_own_orders_only(
    exchange: PaperExchange, account: PaperCredentials
) -> None:
    other = exchange.control.new_account()
    async with (
        listening(exchange, credentials_of(account)) as first,
        listening(exchange, credentials_of(other)) as second,
    ):
        await first.connects()
        await second.connects()
        ids = [await place(exchange, credentials_of(a)) for a in (account, other)]
        await until(lambda: is_filled(ids[0], first.updates) and is_filled(ids[1], second.updates))
        assert {update.order_id for update in first.updates} == {ids[0]}
        assert {update.order_id for update in second.updates} == {ids[1]}


@pytest.mark.parametrize("fault", ["ws-abort", "ws-freeze"])
async def test_a_connection_that_breaks_or_falls_silent_is_made_again_and_said_to_be(
    exchange: PaperExchange, account: PaperCredentials, fault: str
) -> None:
    async with listening(exchange, credentials_of(account)) as listener:
        await listener.connects()
        exchange.control.fault(fault, {"user_id": account.user_id}, seconds=60)
        await listener.connects(2)
        assert len(listener.lost) == 1
        order_id = await place(exchange, credentials_of(account))
        await until(lambda: is_filled(order_id, listener.updates))


async def test_texts_that_make_no_sense_are_counted_and_cost_nothing(
    exchange: PaperExchange, account: PaperCredentials
) -> None:
    texts = [
        "no JSON",
        "[" * 100_000,
        "[]",
        "null",
        '"order"',
        '{"type": "order"}',
        '{"type": "order", "data": {}}',
        '{"type": "order", "data": []}',
        '{"type": "order", "data": "1"}',
        '{"type": "order", "data": {"order_id": "1", "status": "COMPLETE", "quantity": null}}',
        '{"type": "order", "data": {"order_id": "1", "status": "OPEN", "quantity": 1, "average_price": NaN}}',
        '{"type": "order", "data": {"order_id": "1", "status": "OPEN", "quantity": 1, "filled_quantity": -5}}',
    ]
    harmless = ['{"type": "message", "data": "Markets close early"}', '{"type": "error", "data": null}', "{}"]
    async with listening(exchange, credentials_of(account)) as listener:
        await listener.connects()
        for text in [*harmless, *texts]:
            exchange.control.fault("ws-text", {"user_id": account.user_id}, message=text)
        await until(lambda: listener.stream.malformed == len(texts))
        order_id = await place(exchange, credentials_of(account))
        await until(lambda: is_filled(order_id, listener.updates))
        assert (listener.connected, listener.lost, listener.stream.malformed) == (1, [], len(texts))


async def test_a_binary_frame_that_makes_no_sense_is_not_even_read(
    exchange: PaperExchange, account: PaperCredentials
) -> None:
    async with listening(exchange, credentials_of(account)) as listener:
        await listener.connects()
        exchange.control.fault("ws-malformed", {"user_id": account.user_id})
        order_id = await place(exchange, credentials_of(account))
        await until(lambda: is_filled(order_id, listener.updates))
        assert (listener.connected, listener.lost) == (1, [])


async def test_updates_that_come_twice_are_handed_over_twice(
    exchange: PaperExchange, account: PaperCredentials
) -> None:
    async with listening(exchange, credentials_of(account)) as listener:
        await listener.connects()
        exchange.control.fault("duplicate-updates", {"user_id": account.user_id}, times=20)
        await place(exchange, credentials_of(account))
        await until(lambda: len([u for u in listener.updates if u.stage is OrderStage.COMPLETE]) == 2)


async def test_a_callback_that_raises_does_not_cost_the_connection(
    exchange: PaperExchange, account: PaperCredentials
) -> None:
    told: list[OrderReport] = []
    lost: list[str] = []
    connected: list[bool] = []

    def on_update(report: OrderReport) -> None:
        told.append(report)
        raise RuntimeError("a callback of ours raised")

    stream = OrderUpdateStream(
        exchange.ws_url,
        on_update=on_update,
        on_connected=lambda: connected.append(True),
        on_lost=lost.append,
        on_refused=lambda: None,
    )
    run_reactor()
    stream.start(credentials_of(account))
    await until(lambda: connected)
    for _ in range(2):
        order_id = await place(exchange, credentials_of(account))
        await until(lambda order_id=order_id: is_filled(order_id, told))  # type: ignore[misc]
    assert lost == []
    stream.close()


async def test_a_dead_token_is_tried_once(exchange: PaperExchange, account: PaperCredentials) -> None:
    other = exchange.control.new_account()
    async with (
        listening(exchange, credentials_of(account, "dead")) as dead,
        listening(exchange, credentials_of(other)) as alive,
    ):
        await until(lambda: dead.refused)
        await alive.connects()
        exchange.control.fault("ws-abort", {"user_id": other.user_id})
        await alive.connects(2)  # by its own pace the dead one would have knocked again meanwhile
        assert (dead.refused, dead.connected, len(dead.lost)) == (1, 0, 1)
        dead.stream.start(credentials_of(account))
        await dead.connects()


async def test_a_connection_whose_credentials_are_replaced_is_lost_at_once(
    exchange: PaperExchange, account: PaperCredentials
) -> None:
    async with listening(exchange, credentials_of(account)) as listener:
        await listener.connects()
        exchange.control.fault("ws-refuse", {"user_id": account.user_id}, times=100)
        listener.stream.start(credentials_of(account))
        await until(lambda: listener.lost)
        assert listener.lost[0] == "its credentials were replaced"


@pytest.fixture
def unused_exchange() -> Iterator[PaperExchange]:
    """Whose sockets are those of the test: those of the tests before it may be closing yet."""
    with PaperExchange(default_source="hold", heartbeat_seconds=0.5) as exchange:
        yield exchange


async def test_starting_again_leaves_one_connection(unused_exchange: PaperExchange) -> None:
    exchange = unused_exchange
    account, other = exchange.control.new_account(), exchange.control.new_account()
    async with listening(exchange, credentials_of(account)) as listener:
        for _ in range(3):
            listener.stream.start(credentials_of(account))
        await listener.connects()
        await until(lambda: exchange.control.health()["sockets"] == 1)
        connected = listener.connected  # the last start may have dropped a connection that was just made
        await no_client_connects(exchange, account, other)
        assert listener.connected == connected
    await until(lambda: exchange.control.health()["sockets"] == 0)
    await no_client_connects(exchange, account, other)


async def no_client_connects(exchange: PaperExchange, account: PaperCredentials, other: PaperCredentials) -> None:
    """While another account's stream is broken and comes back, which takes what every reconnect takes."""
    refusing = exchange.control.fault("ws-refuse", {"user_id": account.user_id}, times=100)
    async with listening(exchange, credentials_of(other)) as alive:
        await alive.connects()
        exchange.control.fault("ws-abort", {"user_id": other.user_id})
        await alive.connects(2)
    left = [fault for fault in exchange.control.faults() if fault["fault_id"] == refusing["fault_id"]]
    assert [fault["hits"] for fault in left] == [0]
    exchange.control.clear_faults()


# --- the follower ---------------------------------------------------------------------------------------------------


class StoredAccounts:
    """What is stored of the accounts; a failure is raised as often as it is there."""

    def __init__(self, exchange: PaperExchange) -> None:
        self._root = exchange.ws_url
        self.stored: dict[int, KiteCredentials] = {}
        self.failures: list[Exception] = []
        self.reads = 0

    async def credentials(self, account_id: int) -> KiteCredentials:
        self.reads += 1
        if self.failures:
            raise self.failures.pop()
        return self.stored[account_id]

    async def ws_root(self, _account_id: int) -> str:
        return self._root


class Received:
    """What the callbacks of an account got."""

    def __init__(self) -> None:
        self.updates: list[OrderReport] = []
        self.connected = 0
        self.loops: set[asyncio.AbstractEventLoop] = set()

    def on_update(self, report: OrderReport) -> None:
        self.loops.add(asyncio.get_running_loop())
        self.updates.append(report)

    def on_connected(self) -> None:
        self.connected += 1


@pytest.fixture
def accounts(exchange: PaperExchange, account: PaperCredentials) -> StoredAccounts:
    accounts = StoredAccounts(exchange)
    accounts.stored[2] = credentials_of(account)
    return accounts


async def test_updates_arrive_in_the_loop_of_the_follower(exchange: PaperExchange, accounts: StoredAccounts) -> None:
    follower, received = UpdateFollower(accounts), Received()
    follower.follow(2, StreamCallbacks(received.on_update, received.on_connected))
    twice = StreamCallbacks(lambda _report: pytest.fail("followed twice"), lambda: pytest.fail("followed twice"))
    follower.follow(2, twice)
    await until(lambda: received.connected)
    order_id = await place(exchange, accounts.stored[2])
    await until(lambda: is_filled(order_id, received.updates))
    assert received.loops == {asyncio.get_running_loop()}
    assert accounts.reads == 1
    follower.leave(2)


async def test_credentials_that_cannot_be_read_are_waited_for(accounts: StoredAccounts) -> None:
    accounts.failures = [RuntimeError("unforeseen"), BrokerUnavailable("the database does not answer")]
    follower, received = UpdateFollower(accounts), Received()
    follower.follow(2, StreamCallbacks(received.on_update, received.on_connected))
    await until(lambda: received.connected)
    assert accounts.reads == 3
    follower.leave(2)


async def test_after_a_refusal_new_credentials_bring_the_stream_back(
    exchange: PaperExchange, account: PaperCredentials, accounts: StoredAccounts, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    follower, received = UpdateFollower(accounts), Received()
    with structlog.testing.capture_logs() as logged:
        follower.follow(2, StreamCallbacks(received.on_update, received.on_connected))
        await until(lambda: received.connected == 1)
        exchange.control.expire_token(account.user_id)
        await until(lambda: accounts.reads >= 2)  # it looks, and finds the refused ones
        exchange.control.set_token(account.user_id, "the-token-of-tomorrow")
        accounts.stored[2] = credentials_of(account, "the-token-of-tomorrow")
        await until(lambda: received.connected == 2)
        order_id = await place(exchange, accounts.stored[2])
        await until(lambda: is_filled(order_id, received.updates))
        follower.leave(2)
    assert "updates.refused" in [entry["event"] for entry in logged]
    for secret in (account.access_token, "the-token-of-tomorrow", account.api_key):
        assert secret not in f"{logged} {caplog.text}"


async def test_an_account_that_is_left_is_closed_and_can_be_followed_again(
    exchange: PaperExchange, accounts: StoredAccounts
) -> None:
    before = exchange.control.health()["sockets"]
    follower, received, again = UpdateFollower(accounts), Received(), Received()
    follower.leave(2)
    follower.follow(2, StreamCallbacks(received.on_update, received.on_connected))
    await until(lambda: received.connected)
    follower.leave(2)
    await until(lambda: exchange.control.health()["sockets"] == before)
    follower.follow(2, StreamCallbacks(again.on_update, again.on_connected))
    await until(lambda: again.connected)
    order_id = await place(exchange, accounts.stored[2])
    await until(lambda: is_filled(order_id, again.updates))
    assert received.updates == []
    follower.leave(2)
    follower.leave(2)
