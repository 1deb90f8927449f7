"""The Ray actor of a router, one for each symbol that is followed: it imports no large library, as there are many."""

import asyncio
import os
from typing import Any

from actors.domain.identifiers import Instrument
from actors.domain.money import Paise
from actors.domain.prices.tick import Tick
from actors.ports.prices import FeedStatus
from actors.prices.router_shell import RouterShell
from actors.runtime import names, ray_ports
from actors.runtime.clock import SystemClock
from actors.runtime.hosts.actor_options import actor_of
from actors.runtime.hosts.light_logging import configure_light_logging
from actors.runtime.hosts.process_tuning import end_own_actor, tune
from actors.runtime.names import Pools
from actors.runtime.peers import Peers, own_host, own_node
from actors.runtime.plane import invitations, linked_ticks
from actors.runtime.plane.invitations import Invitation
from actors.runtime.plane.ticks import TickSender
from actors.waiting import every_second_or_when

_FORGET_AFTER_S = 60.0
"""A strategy whose link broke and that did not ask again for this long is gone."""


class TickRouter:
    """The Ray actor `router:{EXCHANGE}:{SYMBOL}`, with the name of its broker behind it if that is not the first."""

    async def __init__(self, instrument: Instrument, pools: Pools, broker: str) -> None:  # type: ignore[misc] # Ray awaits it
        configure_light_logging()
        tune()
        self._peers = peers = Peers()
        self._name = names.router_name(instrument.key, pools.suffix(broker))
        self._ticks = TickSender(
            own_node(),
            own_host(),
            on_joined=lambda receiver: self._router.catch_up(int(receiver)),
            on_left=self._on_left,
        )
        source = linked_ticks.LinkedTickSource(peers, names.feed_name(pools.suffix(broker)), self._on_tick)
        self._changed = asyncio.Event()
        source.when_changed(self._changed.set)
        self._router = RouterShell(
            instrument,
            source=source,
            strategies=linked_ticks.LinkedTickReceivers(self._ticks, _strategy_name, peers, "take_tick"),
            mirror=ray_ports.RayPriceMirror(peers, pools, broker),
            clock=SystemClock(),
        )
        self._renewal = asyncio.create_task(self._keep_renewing())

    def __repr__(self) -> str:
        return self._name

    async def watch(
        self, strategy_id: int, stop_loss: Paise | None, strategy: Any, node: str | None, yields: bool = False
    ) -> tuple[FeedStatus, Invitation | None]:
        """Add a strategy to those that get the ticks, or renew it; the latest tick follows at once.

        `strategy`: the handle to send ticks to as long as it has no link from `node`. `yields`: execution watches the
        stop-loss as well, so that ticks may come a moment later.
        """
        self._peers.meet(names.strategy_name(strategy_id), strategy)
        status = self._router.watch(strategy_id, stop_loss, yields=yields)
        return status, invitations.invitation_for(self._ticks.invite, str(strategy_id), node)

    async def unwatch(self, strategy_id: int) -> None:
        self._router.unwatch(strategy_id)

    async def on_tick(self, tick: Tick) -> None:
        """A tick from a feed that has no link to us."""
        self._on_tick(tick)

    async def process_id(self) -> int:
        """The pid of this actor's process."""
        return os.getpid()

    def _on_tick(self, tick: Tick) -> None:
        self._router.on_tick(tick)

    def _on_left(self, receiver: str) -> None:
        asyncio.get_running_loop().call_later(_FORGET_AFTER_S, self._forget_unless_back, int(receiver))

    def _forget_unless_back(self, strategy_id: int) -> None:
        if not self._ticks.has(str(strategy_id)):
            self._router.forget_if_silent(strategy_id)

    async def _keep_renewing(self) -> None:
        while not self._router.idle:
            await self._router.renew()
            self._ticks.tell(lambda _: self._router.status)
            await every_second_or_when(self._changed)
        end_own_actor()


def create_router(instrument: Instrument, pools: Pools, broker: str) -> Any:
    """The router of an instrument at a broker, or the one that exists already."""
    name = names.router_name(instrument.key, pools.suffix(broker))
    return actor_of(TickRouter, name, instrument, pools, broker, scheduling_strategy="SPREAD")


def _strategy_name(strategy_id: int | str) -> str:
    return names.strategy_name(int(strategy_id))
