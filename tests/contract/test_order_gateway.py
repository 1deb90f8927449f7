"""What every `OrderGateway` promises, on the fake of the unit tests and on the real client over the paper exchange."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from itertools import count
from typing import Protocol

import pytest

from actors.domain.identifiers import Instrument, Product
from actors.domain.orders.order import Intent, OrderReport, OrderStage
from actors.domain.orders.placement_policy import AttemptOutcome
from actors.domain.orders.price_band import PriceBand
from actors.ports.execution import BrokerUnavailable, OrderGateway
from broker.kite.credentials import KiteCredentials
from broker.kite.gateway import KiteEndpoint, KiteGateway
from tests.kit.builders import INFY, a_run
from tests.kit.execution import a_command, held
from tests.kit.fakes.order_gateway import (
    EXPIRED,
    LOST_ANSWER,
    LOST_REQUEST,
    NOT_SENT,
    PARKED,
    REFUSED,
    THROTTLED,
    FakeGateway,
    Placing,
)
from tests.kit.paper import PaperExchange
from tests.kit.virtual_time import FakeClock

RUNS = count(1)
FAULTS = {
    LOST_ANSWER: ("accepted-drop", {}),
    LOST_REQUEST: ("not-accepted-drop", {}),
    REFUSED: ("sync-reject", {"error_type": "MarginException"}),
    THROTTLED: ("rate-limit-429", {}),
    EXPIRED: ("token-403", {}),
    PARKED: ("park", {}),
}


class Broker(Protocol):
    """A broker that does what the test asks of it."""

    @property
    def gateway(self) -> OrderGateway:
        """The gateway under test."""
        ...

    def next_order(self, placing: Placing) -> None:
        """Choose what happens to the next request."""

    def down(self, *, down: bool) -> None:
        """Whether it answers."""

    def requests(self) -> int:
        """How many requests to place an order it has seen."""


class FakeBroker:
    """The fake."""

    def __init__(self) -> None:
        self.gateway = FakeGateway(FakeClock())
        self.gateway.bands[INFY] = PriceBand(135000, 165000, 150000)

    def next_order(self, placing: Placing) -> None:
        self.gateway.script.append(placing)

    def down(self, *, down: bool) -> None:
        self.gateway.down = down

    def requests(self) -> int:
        return len(self.gateway.posts)


class PaperBroker:
    """The paper exchange, through the real client; a broker that is not there is a port that no process listens on."""

    def __init__(self, exchange: PaperExchange) -> None:
        self._control, self._account = exchange.control, exchange.control.new_account()
        self._url = exchange.url
        self.gateway: OrderGateway = self._gateway(exchange.url)

    def _gateway(self, url: str) -> KiteGateway:
        async def credentials() -> KiteCredentials:
            return KiteCredentials(self._account.api_key, self._account.access_token)

        return KiteGateway(KiteEndpoint(url), credentials)

    def next_order(self, placing: Placing) -> None:
        if placing is NOT_SENT:
            with socket.socket() as unused:
                unused.bind(("127.0.0.1", 0))
                self.gateway = self._gateway(f"http://127.0.0.1:{unused.getsockname()[1]}")
            return
        kind, fields = FAULTS[placing]
        self._control.fault(kind, {"user_id": self._account.user_id, "method": "POST"}, **fields)

    def down(self, *, down: bool) -> None:
        self._control.outage(on=down)

    def requests(self) -> int:
        requests = self._control.ledger(user_id=self._account.user_id)["requests"]
        return len([request for request in requests if request["method"] == "POST"])


@pytest.fixture(scope="module")
def exchange() -> Iterator[PaperExchange]:
    with PaperExchange(default_source="hold", orders_per_second=0, orders_per_minute=0) as exchange:
        yield exchange


@pytest.fixture(params=["fake", "kite"])
async def broker(request: pytest.FixtureRequest) -> AsyncIterator[Broker]:
    if request.param == "fake":
        yield FakeBroker()
        return
    exchange: PaperExchange = request.getfixturevalue("exchange")
    yield PaperBroker(exchange)
    exchange.control.outage(on=False)
    exchange.control.clear_faults()


def a_buy(quantity: int = 10) -> Intent:
    return a_run(run_id=next(RUNS), quantity=quantity).entry_intent()


def a_sell(quantity: int) -> Intent:
    return a_run(run_id=next(RUNS)).exit_intent(1, quantity)


async def orders_of(broker: Broker, intent: Intent) -> list[OrderReport]:
    return [report for report in await broker.gateway.orders() if report.tag == intent.tag]


async def becomes(broker: Broker, intent: Intent, stage: OrderStage, filled: int) -> OrderReport:
    async with asyncio.timeout(5):
        while True:
            (report,) = await orders_of(broker, intent)
            if (report.stage, report.filled_quantity) == (stage, filled):
                return report
            await asyncio.sleep(0.01)


async def parked(broker: Broker) -> tuple[Intent, str]:
    broker.next_order(PARKED)
    intent = a_buy()
    placed = await broker.gateway.place(a_command(intent))
    assert placed.order_id is not None
    await becomes(broker, intent, OrderStage.OPEN, 0)
    return intent, placed.order_id


async def cancelled(broker: Broker, order_id: str) -> None:
    """Cancel an order that the broker may still be changing."""
    async with asyncio.timeout(5):
        while True:
            try:
                return await broker.gateway.cancel(order_id)
            except BrokerUnavailable:
                await asyncio.sleep(0.01)


async def test_a_placed_order_is_listed_under_its_tag_and_fills(broker: Broker) -> None:
    intent = a_buy()
    placed = await broker.gateway.place(a_command(intent))
    assert placed.outcome is AttemptOutcome.ACCEPTED
    report = await becomes(broker, intent, OrderStage.COMPLETE, 10)
    assert (report.order_id, report.quantity) == (placed.order_id, 10)
    assert report.average_price > 0


async def test_the_net_position_follows_the_fills(broker: Broker) -> None:
    assert await held(broker.gateway, Product.MIS) == 0
    bought, sold = a_buy(10), a_sell(4)
    await broker.gateway.place(a_command(bought))
    await becomes(broker, bought, OrderStage.COMPLETE, 10)
    assert await held(broker.gateway, Product.MIS) == 10
    await broker.gateway.place(a_command(sold))
    await becomes(broker, sold, OrderStage.COMPLETE, 4)
    assert await held(broker.gateway, Product.MIS) == 6
    assert await held(broker.gateway, Product.CNC) == 0
    for demat in (False, True):
        assert await held(broker.gateway, Product.MIS, demat=demat) == 6
        assert await held(broker.gateway, Product.CNC, demat=demat) == 0


@pytest.mark.parametrize("placing", [REFUSED, THROTTLED, EXPIRED, NOT_SENT, LOST_REQUEST], ids=lambda p: p.outcome)
async def test_a_failure_that_placed_nothing_is_told_by_its_kind(broker: Broker, placing: Placing) -> None:
    intent = a_buy()
    broker.next_order(placing)
    failed = await broker.gateway.place(a_command(intent))
    assert (failed.outcome, failed.order_id) == (placing.outcome, None)
    assert failed.reason
    if placing is not NOT_SENT:
        assert await orders_of(broker, intent) == []
        assert broker.requests() == 1


async def test_an_order_whose_answer_is_lost_is_ambiguous_and_found_by_its_tag(broker: Broker) -> None:
    intent = a_buy()
    broker.next_order(LOST_ANSWER)
    lost = await broker.gateway.place(a_command(intent))
    assert (lost.outcome, lost.order_id) == (AttemptOutcome.AMBIGUOUS, None)
    await becomes(broker, intent, OrderStage.COMPLETE, 10)
    assert broker.requests() == 1


async def test_a_parked_order_fills_when_its_protection_is_widened(broker: Broker) -> None:
    intent, order_id = await parked(broker)
    await broker.gateway.widen_protection(order_id, Decimal(3))
    await becomes(broker, intent, OrderStage.COMPLETE, 10)


async def test_a_parked_order_can_be_put_into_the_queue_at_a_price(broker: Broker) -> None:
    intent, order_id = await parked(broker)
    band = await broker.gateway.price_band(INFY)
    await broker.gateway.rest_at(order_id, band.lower)  # a BUY: no seller goes this low
    await cancelled(broker, order_id)
    await becomes(broker, intent, OrderStage.CANCELLED, 0)
    with pytest.raises(BrokerUnavailable):
        await broker.gateway.rest_at(order_id, band.lower)


async def test_the_price_band_of_an_instrument_holds_its_price(broker: Broker) -> None:
    band = await broker.gateway.price_band(INFY)
    assert 0 < band.lower <= band.last <= band.upper
    with pytest.raises(BrokerUnavailable):
        await broker.gateway.price_band(Instrument("NSE", "NOSUCHSHARE", 1))


async def test_a_parked_order_can_be_cancelled_and_then_no_more(broker: Broker) -> None:
    intent, order_id = await parked(broker)
    await broker.gateway.cancel(order_id)
    await becomes(broker, intent, OrderStage.CANCELLED, 0)
    with pytest.raises(BrokerUnavailable):
        await broker.gateway.cancel(order_id)
    with pytest.raises(BrokerUnavailable):
        await broker.gateway.widen_protection(order_id, Decimal(3))


async def test_an_unknown_order_cannot_be_touched(broker: Broker) -> None:
    with pytest.raises(BrokerUnavailable):
        await broker.gateway.cancel("1900000000000000000")
    with pytest.raises(BrokerUnavailable):
        await broker.gateway.widen_protection("1900000000000000000", Decimal(3))


async def test_reads_of_a_broker_that_is_down_say_so_and_work_again_afterwards(broker: Broker) -> None:
    broker.down(down=True)
    with pytest.raises(BrokerUnavailable):
        await broker.gateway.orders()
    with pytest.raises(BrokerUnavailable):
        await held(broker.gateway, Product.MIS)
    broker.down(down=False)
    assert list(await broker.gateway.orders()) == []
