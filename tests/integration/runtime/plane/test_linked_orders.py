"""Which way a message takes: over the link while there is one, by a Ray call without one, or when it is in doubt."""

from typing import Any

from actors.domain.strategy.events import Event, OrderReported
from actors.ports.strategy import OrderCommand
from actors.runtime import names
from actors.runtime.hosts.router import create_router
from actors.runtime.names import Pools
from actors.runtime.peers import Peers
from actors.runtime.plane import invitations, linked_orders, linked_ticks
from actors.runtime.plane.orders import OrderLink
from tests.kit.builders import INFY, a_report
from tests.kit.execution import BUY, a_command

FILLED = OrderReported(BUY.id, a_report())


class RecordingPeers(Peers):
    """Answers every Ray call with a filled order."""

    def __init__(self) -> None:
        super().__init__()
        self.called: list[str] = []

    async def call(self, name: str, method: str, *arguments: Any, title: str = "") -> Any:
        self.called.append(f"{name} {method}")
        return FILLED


class StandingLink(OrderLink):
    """A link that is always alive, and answers at once."""

    def __init__(self) -> None:
        super().__init__(lambda _: None)
        self.carried: list[OrderCommand] = []

    @property
    def alive(self) -> bool:
        return True

    async def execute(self, command: OrderCommand) -> Event:
        self.carried.append(command)
        return FILLED


async def test_a_command_goes_over_the_link_and_one_in_doubt_by_ray() -> None:
    peers, link = RecordingPeers(), StandingLink()
    execution = linked_orders.LinkedOrderExecution(peers, Pools(), 3, lambda _: None)
    assert await execution.execute(a_command()) == FILLED
    assert peers.called == ["execution:0 execute"]  # there is no link yet
    execution._link = link
    assert await execution.execute(a_command()) == FILLED
    assert (len(peers.called), len(link.carried)) == (1, 1)
    assert await execution.execute(a_command(look_up_first=True)) == FILLED  # perhaps the link cannot carry it
    assert (len(peers.called), len(link.carried)) == (2, 1)


def test_a_machine_that_cannot_listen_invites_nobody() -> None:
    def invite(_peer: str, _node: str) -> Any:
        raise OSError("Cannot assign requested address")

    assert invitations.invitation_for(invite, "7", "node") is None
    assert invitations.invitation_for(lambda *_: None, "7", None) is None  # type: ignore[arg-type]


async def test_the_names_of_another_brokers_feed_and_routers_tell_the_broker() -> None:
    pools, peers = Pools(brokers=("paper", "kite")), RecordingPeers()
    for broker in ("paper", "kite", ""):
        await linked_ticks.LinkedPriceWatch(peers, pools, broker, lambda _: None, create_router).unwatch(3, INFY)
    assert peers.called == ["router:NSE:INFY unwatch", "router:NSE:INFY@kite unwatch", "router:NSE:INFY unwatch"]
    assert names.feed_names(pools) == ["feed:0", "feed:0@kite"]
    assert pools.suffix("another") == "@another", "a broker that is not offered has no prices, and nobody else's"
