"""One gateway for every account."""

from dataclasses import dataclass

from actors.domain.market_hours import ALWAYS_OPEN, MarketHours
from actors.ports.execution import BrokerUnavailable, OrderGateway


@dataclass
class FakeGateways:
    """`OrderGateways`: the same gateway for every account, or none while `down`."""

    only: OrderGateway
    down: bool = False
    market: MarketHours = ALWAYS_OPEN

    async def hours(self, account_id: int) -> MarketHours:
        if self.down:
            raise BrokerUnavailable("the database does not answer")
        return self.market

    async def gateway(self, account_id: int) -> OrderGateway:
        if self.down:
            raise BrokerUnavailable("the database does not answer")
        return self.only
