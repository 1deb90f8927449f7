"""Orders over both planes: a strategy's commands and execution's answers go over a link where there is one.

Links are made by invitation (`actors.runtime.plane.invitations`), and made again when they break: the peer is looked
up again by its name. Without a link everything still works by Ray calls, more slowly.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from actors.domain.strategy.events import Event
from actors.ports.strategy import OrderCommand
from actors.runtime import ray_ports
from actors.runtime.names import Pools
from actors.runtime.peers import Peers
from actors.runtime.plane.orders import OrderLink, OrderLinkServer

if TYPE_CHECKING:
    from actors.runtime.plane.invitations import Invitation

log = logging.getLogger(__name__)

RELINK_S = 0.5
"""Between tries to link to an execution actor that is restarting."""


class LinkedOrderExecution(ray_ports.RayOrderExecution):
    """`OrderExecution` for one strategy: its order commands go over a link while there is one."""

    def __init__(self, peers: Peers, pools: Pools, strategy_id: int, on_report: Callable[[Event], None]) -> None:
        super().__init__(peers, pools)
        self._strategy_id = strategy_id
        self._link = OrderLink(on_report)

    def execute(self, command: OrderCommand) -> Awaitable[Event]:
        """Give the command over the link. One in doubt goes by a call of Ray: perhaps the link cannot carry it."""
        if self._link.alive and not command.look_up_first:
            return self._link.execute(command)
        return super().execute(command)

    async def keep_linked(self, account_id: int) -> None:
        """Keep a link to the account's execution actor, until cancelled."""
        while True:
            try:
                invited: Invitation | None = await self._call(
                    account_id, "invite", self._strategy_id, self._peers.own_node
                )
                if invited is None:
                    return  # there is no way to link; commands go as Ray calls
                await (await self._link.open(invited))
            except Exception as error:  # noqa: BLE001 - whatever it was, commands go as Ray calls meanwhile
                log.info("execution.not_linked", extra={"strategy_id": self._strategy_id, "error": repr(error)})
            await asyncio.sleep(RELINK_S)


class LinkedStrategyEvents:
    """`StrategyEvents` for an execution actor."""

    def __init__(self, links: OrderLinkServer, peers: Peers) -> None:
        self._links, self._strategies = links, ray_ports.RayStrategies(peers)

    async def report(self, strategy_id: int, event: Event) -> None:
        if not self._links.report(strategy_id, event):
            await self._strategies.report(strategy_id, event)
