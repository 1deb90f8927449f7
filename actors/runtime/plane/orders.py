"""Order commands over the socket plane: from strategies to their execution actor, and their results back.

A command carries the strategy's id, and a link belongs to one strategy: a command for another one ends the link. A
command is idempotent by its intent; if the link breaks, its sender asks again, by a Ray call, with a look at the
order book first.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from actors.domain.strategy.events import Event
from actors.ports.common import PeerUnavailable
from actors.ports.strategy import OrderCommand
from actors.runtime.plane.frames import FrameRefused, Kind, pack_numbered, unpack_numbered
from actors.runtime.plane.invitations import Invitation, Listener, connect
from actors.runtime.plane.link import Link, LinkBroken

log = logging.getLogger(__name__)

_LINK_BROKE = "the link to execution broke"


class OrderLinkServer:
    """The receiving end, in an execution actor. `execute` is `OrderExecution.execute`."""

    def __init__(self, node: str, host: str, execute: Callable[[OrderCommand], Awaitable[Event]]) -> None:
        self._listener = Listener(node, host, self._joined)
        self._execute = execute
        self._links: dict[int, Link] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def invite(self, strategy_id: str, node: str) -> Invitation:
        return self._listener.invite(strategy_id, node)

    def report(self, strategy_id: int, event: Event) -> bool:
        """Give the strategy an event; False if it is not connected."""
        link = self._links.get(strategy_id)
        return link is not None and _sent(link, Kind.REPORT, 0, event)

    def close(self) -> None:
        """Take no further strategies, and leave those that are connected."""
        self._listener.close()
        for link in list(self._links.values()):
            link.close()

    def _joined(self, peer: str, link: Link) -> None:
        strategy_id = int(peer)
        before = self._links.get(strategy_id)
        self._links[strategy_id] = link
        if before is not None:
            before.close()
        link.on_frame = lambda kind, body: self._take(strategy_id, link, kind, body)
        link.on_broken = lambda: self._left(strategy_id, link)

    def _left(self, strategy_id: int, link: Link) -> None:
        if self._links.get(strategy_id) is link:
            del self._links[strategy_id]

    def _take(self, strategy_id: int, link: Link, kind: Kind, body: bytes) -> None:
        if kind is not Kind.COMMAND:
            raise FrameRefused(f"{kind.name} from a strategy")
        number, command = unpack_numbered(body)
        if not isinstance(command, OrderCommand) or command.strategy_id != strategy_id:
            raise FrameRefused(f"a command that strategy {strategy_id} may not give")
        task = asyncio.create_task(self._carry_out(link, number, command))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry_out(self, link: Link, number: int, command: OrderCommand) -> None:
        try:
            event = await self._execute(command)
        except Exception as error:  # noqa: BLE001 - whatever it was, it is the strategy's to know and to ask again
            _sent(link, Kind.FAILURE, number, str(error) or type(error).__name__)
        else:
            _sent(link, Kind.RESULT, number, event)


class OrderLink:
    """The sending end, in a strategy's process: at most one link. `on_report` gets what happens meanwhile."""

    def __init__(self, on_report: Callable[[Event], None]) -> None:
        self._on_report = on_report
        self._link: Link | None = None
        self._waiting: dict[int, asyncio.Future[Event]] = {}
        self._sent = 0

    @property
    def alive(self) -> bool:
        """Whether commands can go this way."""
        return self._link is not None and not self._link.broken

    async def open(self, invitation: Invitation) -> "asyncio.Future[None]":
        """Connect; the future is done when the link breaks.

        Raises:
            LinkBroken: it could not be done.
        """
        broken = asyncio.get_running_loop().create_future()
        self._link = await connect(invitation, self._take, lambda link: self._broken(link, broken))
        return broken

    def execute(self, command: OrderCommand) -> Coroutine[Any, Any, Event]:
        """Send the command in this call; what is awaited is the event that ends it. Raises PeerUnavailable, awaited."""
        number, answer = self._sent, asyncio.get_running_loop().create_future()
        self._sent += 1
        self._waiting[number] = answer
        if self._link is None or not _sent(self._link, Kind.COMMAND, number, command):
            answer.set_exception(PeerUnavailable(_LINK_BROKE))
        return self._answer(number, answer)

    async def _answer(self, number: int, answer: "asyncio.Future[Event]") -> Event:
        try:
            return await answer
        finally:
            self._waiting.pop(number, None)

    def _take(self, kind: Kind, body: bytes) -> None:
        number, value = unpack_numbered(body)
        if kind is Kind.REPORT:
            self._on_report(value)
            return
        answer = self._waiting.get(number)
        if answer is None or answer.done():
            return  # the caller no longer waits
        if kind is Kind.RESULT:
            answer.set_result(value)
        elif kind is Kind.FAILURE:
            answer.set_exception(PeerUnavailable(str(value)))
        else:
            raise FrameRefused(f"{kind.name} from execution")

    def _broken(self, link: Link, broken: "asyncio.Future[None]") -> None:
        if self._link is link:
            self._link = None
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(PeerUnavailable(_LINK_BROKE))
        if not broken.done():
            broken.set_result(None)


def _sent(link: Link, kind: Kind, number: int, value: object) -> bool:
    try:
        link.send(kind, pack_numbered(number, value))
    except LinkBroken:
        return False
    return True
