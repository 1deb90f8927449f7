"""Ticks over both planes: they are asked for by a Ray call, and come over a link where there is one.

Links are made by invitation (`actors.runtime.plane.invitations`), and made again when they break: the peer is looked
up again by its name. Without a link ticks still come, as Ray calls.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from actors.domain.identifiers import Instrument
from actors.domain.money import Paise
from actors.domain.prices.tick import Tick
from actors.ports.prices import FeedStatus
from actors.runtime import names
from actors.runtime.handles import PeerMissing
from actors.runtime.names import Pools
from actors.runtime.peers import Peers
from actors.runtime.plane.invitations import Invitation
from actors.runtime.plane.link import LinkBroken
from actors.runtime.plane.ticks import TickLink, TickSender

log = logging.getLogger(__name__)

Ask = Callable[[str | None], Awaitable[tuple[FeedStatus, Invitation | None]]]
"""Asks a sender of ticks, by a Ray call, for its ticks: given a node, also for an invitation to connect from there."""


class _Subscription:
    """What a sender of ticks was last asked for, and the link that its ticks come on."""

    def __init__(self, peers: Peers, on_tick: Callable[[Tick], None]) -> None:
        self._peers, self._link = peers, TickLink(on_tick, self._change)
        self._asked_for: object = None
        self.on_change: Callable[[], None] = _ignore

    async def renew(self, wanted: object, ask: Ask) -> FeedStatus:
        """Ask, unless the link is up and `wanted` has been asked for. Raises PeerUnavailable."""
        linked = self._link.alive
        if linked and wanted == self._asked_for:
            return self._link.status
        status, invited = await ask(None if linked else self._peers.own_node)
        self._asked_for = wanted
        if invited is not None:
            try:
                await self._link.open(invited, status)
            except LinkBroken as error:
                log.warning("ticks.not_linked", extra={"reason": str(error)})  # they come as Ray calls meanwhile
        return status

    @property
    def linked(self) -> bool:
        """Whether there is a link on which ticks come."""
        return self._link.alive

    def close(self) -> None:
        """End the link."""
        self._link.close()

    def _change(self) -> None:
        self.on_change()


class _Linked:
    """What all who are sent ticks have in common."""

    def __init__(self, peers: Peers, on_tick: Callable[[Tick], None]) -> None:
        self._peers, self._subscription = peers, _Subscription(peers, on_tick)

    def when_changed(self, callback: Callable[[], None]) -> None:
        """The callback is called when what was last answered may no longer be true."""
        self._subscription.on_change = callback

    def close(self) -> None:
        """Stop receiving."""
        self._subscription.close()


StartRouter = Callable[[Instrument, Pools, str], object]
"""Makes the router of an instrument at a broker, unless there is one."""


class LinkedPriceWatch(_Linked):
    """`PriceWatch` for one strategy, of its broker's prices. A router starts when the first strategy
    asks for it."""

    def __init__(
        self, peers: Peers, pools: Pools, broker: str, on_tick: Callable[[Tick], None], start_router: StartRouter
    ) -> None:
        super().__init__(peers, on_tick)
        self._pools, self._broker, self._start_router = pools, broker, start_router

    async def watch(
        self, strategy_id: int, instrument: Instrument, stop_loss: Paise | None, *, yields: bool = False
    ) -> FeedStatus:

        async def ask(node: str | None) -> Any:
            name = await self._router(instrument)
            return await self._peers.call(name, "watch", strategy_id, stop_loss, self._peers.own_handle, node, yields)

        return await self._subscription.renew((instrument, stop_loss, yields), ask)

    async def unwatch(self, strategy_id: int, instrument: Instrument) -> None:
        self.close()
        await self._peers.call(self._name(instrument), "unwatch", strategy_id)

    async def _router(self, instrument: Instrument) -> str:
        name = self._name(instrument)
        try:
            await self._peers.find(name)
        except PeerMissing:
            await asyncio.to_thread(self._start_router, instrument, self._pools, self._broker)  # it asks the head
        return name

    def _name(self, instrument: Instrument) -> str:
        return names.router_name(instrument.key, self._pools.suffix(self._broker))


class LinkedTickSource(_Linked):
    """`TickSource` for a router: the feed of that name."""

    def __init__(self, peers: Peers, feed: str, on_tick: Callable[[Tick], None]) -> None:
        super().__init__(peers, on_tick)
        self._feed = feed

    async def subscribe(self, instrument: Instrument, *, armed: bool) -> FeedStatus:

        async def ask(node: str | None) -> Any:
            return await self._peers.call(self._feed, "subscribe", instrument, armed, self._peers.own_handle, node)

        return await self._subscription.renew((instrument, armed), ask)


class LinkedWatch(_Linked):
    """One instrument's ticks from the feed of that name, for an execution actor: over a link, and by no other way."""

    def __init__(self, peers: Peers, feed: str, on_tick: Callable[[Tick], None]) -> None:
        super().__init__(peers, on_tick)
        self._feed = feed

    async def subscribe(self, instrument: Instrument) -> FeedStatus:
        """Have the ticks sent; renewing is idempotent. Without a link none come, however live the feed is.

        Raises:
            PeerUnavailable: the feed does not answer.
        """

        async def ask(node: str | None) -> Any:
            return await self._peers.call(self._feed, "watch", self._peers.own_name, instrument, node)

        status = await self._subscription.renew(instrument, ask)
        return status if self._subscription.linked else replace(status, live=False)


class LinkedTickReceivers:
    """`TickReceiver`: over the sender's links, else by a Ray call."""

    def __init__(self, sender: TickSender, name_of: Callable[[int | str], str], peers: Peers, method: str) -> None:
        self._sender, self._name_of = sender, name_of
        self._peers, self._method = peers, method

    def deliver(self, receiver: int | str, tick: Tick) -> None:
        if not self._sender.send(str(receiver), tick):
            self._peers.tell(self._name_of(receiver), self._method, tick)


def _ignore() -> None: ...
