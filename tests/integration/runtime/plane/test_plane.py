"""The socket plane over real sockets: who may connect, what a link carries, and what breaks it. Without Ray."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest

from actors.domain.prices.tick import Tick  # noqa: TC001 - as everywhere in the tests
from actors.domain.strategy.events import Event, OrderQueued, OrderReported
from actors.ports.common import PeerUnavailable
from actors.ports.prices import FeedStatus
from actors.ports.strategy import OrderCommand
from actors.runtime.plane.frames import Kind, Sealer
from actors.runtime.plane.invitations import TICKET_BYTES, Invitation, Listener, _proof, connect
from actors.runtime.plane.link import Link, LinkBroken
from actors.runtime.plane.orders import OrderLink, OrderLinkServer
from actors.runtime.plane.ticks import MUTE_AFTER_S, TickLink, TickSender
from tests.kit.builders import NOW, a_report, a_tick
from tests.kit.execution import BUY, a_command

HERE, ELSEWHERE, HOST = "node-1", "node-2", "127.0.0.1"
LIVE = FeedStatus(live=True, last_tick_at=NOW)


async def until(condition: Callable[[], object], within_s: float = 5.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - conditions of several objects, none of which tells
            await asyncio.sleep(0.005)


class Prices:
    """A sender of ticks and one receiver."""

    def __init__(self) -> None:
        self.joined: list[str] = []
        self.left: list[str] = []
        self.ticks: list[Tick] = []
        self.changes = 0
        self.sender = TickSender(HERE, HOST, on_joined=self.joined.append, on_left=self.left.append)
        self.link = TickLink(self.ticks.append, self._changed)

    def _changed(self) -> None:
        self.changes += 1

    async def join(self, node: str = HERE) -> None:
        joined = len(self.joined)
        await self.link.open(self.sender.invite("7", node), LIVE)
        await until(lambda: len(self.joined) > joined)


@pytest.fixture
async def prices() -> AsyncIterator[Prices]:
    prices = Prices()
    yield prices
    prices.link.close()
    prices.sender.close()
    await asyncio.sleep(0)


@pytest.mark.parametrize("node", [HERE, ELSEWHERE])
async def test_ticks_arrive_in_order_over_a_unix_socket_and_over_tcp(prices: Prices, node: str) -> None:
    await prices.join(node)
    sent = [a_tick(150000 + number, NOW) for number in range(100)]
    assert all(prices.sender.send("7", tick) for tick in sent)
    await until(lambda: len(prices.ticks) == 100)
    assert prices.ticks == sent


async def test_who_is_not_connected_is_told_from_who_is(prices: Prices) -> None:
    assert not prices.sender.send("7", a_tick(150000, NOW))
    await prices.join()
    assert prices.sender.send("7", a_tick(150000, NOW))
    assert not prices.sender.send("8", a_tick(150000, NOW))


async def test_the_state_of_the_feed_is_sent_and_a_change_is_noticed(prices: Prices) -> None:
    await prices.join()
    assert prices.link.status == LIVE
    prices.sender.tell(lambda _: FeedStatus(live=False))
    await until(lambda: prices.changes)
    assert prices.link.status == FeedStatus(live=False)
    prices.sender.tell(lambda _: LIVE)
    await until(lambda: prices.link.status.live)


async def test_a_sender_that_says_nothing_is_dead(prices: Prices) -> None:
    await prices.join()
    assert prices.link.alive
    await until(lambda: not prices.link.alive, MUTE_AFTER_S + 1)
    assert not prices.link.status.live


async def test_a_receiver_that_connects_again_takes_its_own_place(prices: Prices) -> None:
    await prices.join()
    await prices.join()
    assert prices.sender.send("7", a_tick(150000, NOW))
    await until(lambda: prices.ticks)
    assert len(prices.ticks) == 1
    assert prices.sender.has("7")


async def test_what_is_on_its_way_over_an_earlier_link_is_not_lost_with_it(prices: Prices) -> None:
    await prices.join()
    breach = a_tick(100000, NOW)
    invitation = prices.sender.invite("7", HERE)
    assert prices.sender.send("7", breach)  # the receiver is busy connecting again, and has not read it
    await prices.link.open(invitation, LIVE)
    await until(lambda: prices.ticks == [breach])


async def test_a_receiver_that_gave_up_before_it_was_let_in_is_not_kept(prices: Prices) -> None:
    invitation = prices.sender.invite("7", HERE)
    impatient = socket.socket(socket.AF_UNIX)
    impatient.connect(invitation.address)
    impatient.send(invitation.ticket + _proof(invitation.key, invitation.ticket))
    impatient.close()  # the welcome cannot be sent any more
    await until(lambda: prices.left == ["7"])
    assert not prices.sender.has("7")


async def test_both_ends_learn_that_the_other_is_gone(prices: Prices) -> None:
    await prices.join()
    prices.sender.close()
    await until(lambda: prices.changes)
    assert not prices.link.alive
    await until(lambda: prices.left == ["7"])


async def test_a_receiver_that_does_not_read_gets_the_newest_with_low_and_high_of_all(prices: Prices) -> None:
    await prices.join()
    reading = prices.link
    assert reading._link is not None
    asyncio.get_running_loop().remove_reader(reading._link._sock.fileno())
    number = 0
    while not prices.sender._links["7"]._held_back:  # until the socket's buffers are full
        number += 1
        assert prices.sender.send("7", a_tick(150000 + number, NOW))
    at = NOW + timedelta(seconds=1)
    for price in (100000, 200000, 150500):
        prices.sender.send("7", a_tick(price, at))
    asyncio.get_running_loop().add_reader(reading._link._sock.fileno(), reading._link._readable)
    await until(lambda: prices.ticks and prices.ticks[-1].price == 150500)
    last = prices.ticks[-1]
    assert (last.low, last.high, last.extremes_since) == (100000, 200000, NOW)
    assert len(prices.ticks) == number  # all before it came one by one


# --- who may connect --------------------------------------------------------------------------------------------------


class ListenerBench:
    """A listener, and the peers that got in."""

    def __init__(self) -> None:
        self.got_in: list[str] = []
        self.frames: list[tuple[Kind, bytes]] = []
        self.links: list[Link] = []
        self.broken = 0
        self.listener = Listener(HERE, HOST, self._joined)

    def _joined(self, peer: str, link: Link) -> None:
        self.got_in.append(peer)
        self.links.append(link)
        link.on_frame = lambda kind, body: self.frames.append((kind, body))
        link.on_broken = self._broke

    def _broke(self) -> None:
        self.broken += 1


@pytest.fixture
async def bench() -> AsyncIterator[ListenerBench]:
    bench = ListenerBench()
    yield bench
    bench.listener.close()
    for link in bench.links:
        link.close()
    await asyncio.sleep(0)


async def knock(invitation: Invitation, said: bytes) -> bytes:
    """What a stranger hears who says this: nothing, then the end."""
    assert isinstance(invitation.address, str)
    reader, writer = await asyncio.open_unix_connection(invitation.address)
    writer.write(said)
    try:
        return await asyncio.wait_for(reader.read(), 5)
    except ConnectionResetError:  # we said more than it read
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize("said", [b"\0" * 32, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"x" * 31, b""])
async def test_a_stranger_is_sent_away_without_a_word(bench: ListenerBench, said: bytes) -> None:
    assert await knock(bench.listener.invite("7", HERE), said) == b""
    assert bench.got_in == []


async def test_a_ticket_without_its_key_lets_nobody_in_and_is_used_up(bench: ListenerBench) -> None:
    invitation = bench.listener.invite("7", HERE)
    assert await knock(invitation, invitation.ticket + b"\0" * 16) == b""
    with pytest.raises(LinkBroken):
        await let_in(bench, invitation)


async def test_a_ticket_lets_in_once(bench: ListenerBench) -> None:
    invitation = bench.listener.invite("7", HERE)
    await let_in(bench, invitation)
    with pytest.raises(LinkBroken):
        await let_in(bench, invitation)
    assert bench.got_in == ["7"]


async def let_in(bench: ListenerBench, invitation: Invitation) -> Link:
    before = len(bench.got_in)
    link = await connect(invitation, lambda *_: None, lambda _: None)
    assert len(bench.got_in) == before + 1
    return link


async def test_an_invitation_to_another_is_worth_nothing_here(bench: ListenerBench) -> None:
    other = ListenerBench()
    theirs, ours = other.listener.invite("7", HERE), bench.listener.invite("7", HERE)
    with pytest.raises(LinkBroken):
        await let_in(bench, Invitation(ours.address, theirs.ticket, theirs.key))
    other.listener.close()


async def test_frames_injected_into_a_tcp_connection_end_it(bench: ListenerBench) -> None:
    """An attacker between two nodes can write into the stream; without the key that is all."""
    invitation = bench.listener.invite("7", ELSEWHERE)
    link = await let_in(bench, invitation)
    link.send(Kind.REPORT, b"true")
    await until(lambda: bench.frames)
    link._sock.send(Sealer(b"a guess").frame(Kind.COMMAND, b"false"))
    await until(lambda: bench.broken)
    assert bench.frames == [(Kind.REPORT, b"true")]
    with pytest.raises(LinkBroken):
        bench.links[0].send(Kind.REPORT, b"")
    link.close()


async def test_a_callback_that_raises_ends_the_link_instead_of_losing_what_came_behind(bench: ListenerBench) -> None:
    link = await let_in(bench, bench.listener.invite("7", HERE))

    def fail(_kind: Kind, _body: bytes) -> None:
        raise RuntimeError("a callback of ours raised")

    bench.links[0].on_frame = fail
    link.send(Kind.REPORT, b"first")
    link.send(Kind.REPORT, b"second")
    await until(lambda: bench.broken and link.broken)


async def test_half_a_hello_holds_up_nobody_and_is_closed(bench: ListenerBench) -> None:
    silent = socket.socket(socket.AF_UNIX)
    invitation = bench.listener.invite("7", HERE)
    silent.connect(invitation.address)
    silent.setblocking(False)
    await let_in(bench, invitation)
    assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(silent, 1), 4) == b""
    silent.close()


async def test_a_hundred_may_connect_at_once(bench: ListenerBench) -> None:
    invitations = [bench.listener.invite(str(number), HERE) for number in range(100)]
    links = await asyncio.gather(*(connect(i, lambda *_: None, lambda _: None) for i in invitations))
    assert sorted(bench.got_in, key=int) == [str(number) for number in range(100)]
    for link in links:
        link.close()


async def test_nobody_listening_is_told_at_once() -> None:
    gone = ListenerBench()
    invitations = [gone.listener.invite("7", node) for node in (HERE, ELSEWHERE)]
    gone.listener.close()
    for invitation in invitations:
        with pytest.raises(LinkBroken):
            await connect(invitation, lambda *_: None, lambda _: None)


def test_secrets_are_in_no_repr() -> None:
    text = repr(Invitation("\0name", b"t" * TICKET_BYTES, b"k" * 32))
    assert "ttt" not in text
    assert "kkk" not in text


# --- orders -----------------------------------------------------------------------------------------------------------


class OrderBench:
    """An execution actor's link server, and a strategy's link to it."""

    def __init__(self) -> None:
        self.commands: list[OrderCommand] = []
        self.answers: list[asyncio.Future[Event]] = []
        self.reports: list[Event] = []
        self.server = OrderLinkServer(HERE, HOST, self._execute)
        self.link = OrderLink(self.reports.append)
        self.broken: asyncio.Future[None] | None = None

    async def _execute(self, command: OrderCommand) -> Event:
        self.commands.append(command)
        answer: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        self.answers.append(answer)
        return await answer

    async def join(self, strategy_id: int = 3) -> None:
        self.broken = await self.link.open(self.server.invite(str(strategy_id), HERE))
        await until(lambda: strategy_id in self.server._links)


@pytest.fixture
async def orders() -> AsyncIterator[OrderBench]:
    orders = OrderBench()
    yield orders
    orders.server.close()
    for answer in orders.answers:
        answer.cancel()
    await asyncio.sleep(0.01)


FILLED = OrderReported(BUY.id, a_report())


async def test_a_command_and_what_became_of_it(orders: OrderBench) -> None:
    await orders.join()
    work = asyncio.create_task(orders.link.execute(a_command()))
    await until(lambda: orders.commands)
    assert orders.commands == [a_command()]
    queued = OrderQueued(BUY.id, NOW)
    assert orders.server.report(3, queued)
    orders.answers[0].set_result(FILLED)
    assert await work == FILLED
    assert orders.reports == [queued]


async def test_commands_do_not_wait_for_each_other(orders: OrderBench) -> None:
    await orders.join()
    first = asyncio.create_task(orders.link.execute(a_command()))
    second = asyncio.create_task(orders.link.execute(a_command(epoch=2)))
    await until(lambda: len(orders.answers) == 2)
    orders.answers[1].set_result(FILLED)
    assert await second == FILLED
    assert not first.done()
    orders.answers[0].set_exception(PeerUnavailable("the broker cannot be reached"))
    with pytest.raises(PeerUnavailable, match="the broker cannot be reached"):
        await first


async def test_a_link_that_breaks_leaves_the_command_in_doubt(orders: OrderBench) -> None:
    await orders.join()
    work = asyncio.create_task(orders.link.execute(a_command()))
    await until(lambda: orders.commands)
    orders.server.close()
    with pytest.raises(PeerUnavailable):
        await work
    assert orders.broken is not None
    await asyncio.wait_for(orders.broken, 1)
    assert not orders.link.alive
    with pytest.raises(PeerUnavailable):
        await orders.link.execute(a_command())
    assert not orders.server.report(3, FILLED)


async def test_a_strategy_cannot_order_for_another_one(orders: OrderBench) -> None:
    await orders.join(strategy_id=4)
    with pytest.raises(PeerUnavailable):
        await orders.link.execute(a_command())  # of strategy 3
    assert orders.commands == []


async def test_work_goes_on_when_its_strategy_is_gone(orders: OrderBench) -> None:
    await orders.join()
    work = asyncio.create_task(orders.link.execute(a_command()))
    await until(lambda: orders.answers)
    assert orders.link._link is not None
    orders.link._link.close()
    with pytest.raises(PeerUnavailable):
        await work
    assert not orders.answers[0].cancelled()
    orders.answers[0].set_result(FILLED)
