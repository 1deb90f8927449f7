"""Ticks over the socket plane: from the feed to the routers, and from a router to its strategies.

A sender also says every second whether the feed is alive. So a receiver knows the difference between a quiet market, a
dead feed and a sender that is gone.
"""

import asyncio
import logging
from collections.abc import Callable

from actors.domain.prices.tick import Tick
from actors.ports.prices import FeedStatus
from actors.runtime.plane.frames import FrameRefused, Kind, pack_status, pack_tick, unpack_status, unpack_tick
from actors.runtime.plane.invitations import Invitation, Listener, connect
from actors.runtime.plane.link import Link, LinkBroken

log = logging.getLogger(__name__)

_DRAIN_S = 1.0
"""How long an earlier link may still deliver; the sender closes it sooner."""

MUTE_AFTER_S = 3.0
"""A sender says something every second; one that is silent for this long is frozen."""


class TickSender:
    """The sending end, for any number of receivers. `on_joined` and `on_left` get the receiver's name."""

    def __init__(
        self, node: str, host: str, *, on_joined: Callable[[str], None], on_left: Callable[[str], None]
    ) -> None:
        self._listener = Listener(node, host, self._joined)
        self._links: dict[str, Link] = {}
        self._on_joined, self._on_left = on_joined, on_left
        self._packed: tuple[Tick | None, bytes] = None, b""

    def invite(self, receiver: str, node: str) -> Invitation:
        return self._listener.invite(receiver, node)

    def has(self, receiver: str) -> bool:
        """Whether the receiver is connected."""
        return receiver in self._links

    def send(self, receiver: str, tick: Tick) -> bool:
        """Hand over one tick; False if the receiver is not connected."""
        link = self._links.get(receiver)
        if link is None:
            return False
        if self._packed[0] is not tick:  # one tick often goes to many
            self._packed = tick, pack_tick(tick)
        try:
            link.send_tick(tick, self._packed[1])
        except LinkBroken:
            return False
        return True

    def tell(self, status_of: Callable[[str], FeedStatus]) -> None:
        """Tell each receiver whether its feed is alive; do it every second and at every change."""
        for receiver, link in list(self._links.items()):
            if not link.broken:
                link.send(Kind.STATUS, pack_status(status_of(receiver)))

    def close(self) -> None:
        """Take no further receivers, and leave those that are connected."""
        self._listener.close()
        for link in list(self._links.values()):
            link.close()

    def _joined(self, receiver: str, link: Link) -> None:
        before = self._links.get(receiver)
        self._links[receiver] = link
        if before is not None:
            before.close()
        link.on_broken = lambda: self._left(receiver, link)
        self._on_joined(receiver)

    def _left(self, receiver: str, link: Link) -> None:
        if self._links.get(receiver) is link:
            del self._links[receiver]
            self._on_left(receiver)


class TickLink:
    """The receiving end: at most one link. `on_change` is called when the feed, or the link, comes up or goes down."""

    def __init__(self, on_tick: Callable[[Tick], None], on_change: Callable[[], None]) -> None:
        self._on_tick, self._on_change = on_tick, on_change
        self._link: Link | None = None
        self._status = FeedStatus(live=False)
        self._heard_at = 0.0

    @property
    def alive(self) -> bool:
        """Whether the sender was heard within the last seconds."""
        link = self._link
        now = asyncio.get_running_loop().time()
        return link is not None and not link.broken and now - self._heard_at < MUTE_AFTER_S

    @property
    def status(self) -> FeedStatus:
        """What the sender last said of the feed; dead without a sender."""
        return self._status if self.alive else FeedStatus(live=False, last_tick_at=self._status.last_tick_at)

    async def open(self, invitation: Invitation, status: FeedStatus) -> None:
        """Connect in place of an earlier link; `status` is what the sender said when it invited.

        What is still on its way over the earlier link is taken in.

        Raises:
            LinkBroken: it could not be done.
        """
        link = await connect(invitation, self._take, self._broken)
        loop, before = asyncio.get_running_loop(), self._link
        self._status, self._heard_at, self._link = status, loop.time(), link
        if before is not None:
            loop.call_later(_DRAIN_S, before.close)

    def close(self) -> None:
        """Leave the sender."""
        if self._link is not None:
            link, self._link = self._link, None
            link.close()

    def _take(self, kind: Kind, body: bytes) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        if kind is Kind.TICK:
            self._on_tick(unpack_tick(body))
        elif kind is Kind.STATUS:
            before, self._status = self._status, unpack_status(body)
            if before.live is not self._status.live:
                self._on_change()
        else:
            raise FrameRefused(f"{kind.name} on a link of ticks")

    def _broken(self, link: Link) -> None:
        if self._link is link:
            self._link = None
            self._on_change()
