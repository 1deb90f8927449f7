"""The real client against a broker that misbehaves: each row of kite.md §2 as the engine feels it."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from actors.domain.identifiers import Product
from actors.domain.orders.placement_policy import AttemptOutcome
from actors.ports.execution import BrokerLoginExpired, BrokerUnavailable
from broker.kite.credentials import KiteCredentials
from broker.kite.gateway import KiteEndpoint, KiteGateway
from tests.kit.builders import a_run
from tests.kit.execution import a_command, held
from tests.kit.paper import PaperCredentials, PaperExchange, eventually

TIMEOUT = (0.5, 0.4)


@pytest.fixture(scope="module")
def exchange() -> Iterator[PaperExchange]:
    with PaperExchange(default_source="hold", orders_per_second=0, orders_per_minute=0) as exchange:
        yield exchange


class Account:
    """One account, its gateway, and how often its credentials were read. `credentials` may be a failure."""

    def __init__(self, exchange: PaperExchange, **fields: Any) -> None:
        self.control = exchange.control
        self.paper: PaperCredentials = self.control.new_account(**fields)
        self.credentials: KiteCredentials | Exception = KiteCredentials(self.paper.api_key, self.paper.access_token)
        self.loads = 0
        self.gateway = KiteGateway(KiteEndpoint(exchange.url, TIMEOUT), self._load)

    async def _load(self) -> KiteCredentials:
        self.loads += 1
        if isinstance(self.credentials, Exception):
            raise self.credentials
        return self.credentials

    def fault(self, kind: str, method: str = "POST", **fields: Any) -> None:
        self.control.fault(kind, {"user_id": self.paper.user_id, "method": method}, **fields)

    def requests(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.control.ledger(user_id=self.paper.user_id)["requests"]
        return found


@pytest.fixture
def account(exchange: PaperExchange) -> Iterator[Account]:
    yield Account(exchange)
    exchange.control.clear_faults()
    exchange.control.outage(on=False)


@pytest.mark.parametrize(
    ("kind", "fields", "outcome", "placed"),
    [
        ("accepted-hang", {"seconds": 5}, AttemptOutcome.AMBIGUOUS, 1),
        ("accepted-drop", {}, AttemptOutcome.AMBIGUOUS, 1),
        ("accepted-html-502", {}, AttemptOutcome.AMBIGUOUS, 1),
        ("accepted-503", {}, AttemptOutcome.AMBIGUOUS, 1),
        ("accepted-cut-body", {}, AttemptOutcome.AMBIGUOUS, 1),
        ("accepted-bad-json", {}, AttemptOutcome.AMBIGUOUS, 1),
        ("accepted-no-content-type", {}, AttemptOutcome.AMBIGUOUS, 1),
        ("accepted-timeout-400", {}, AttemptOutcome.AMBIGUOUS, 1),
        ("not-accepted-hang", {"seconds": 5}, AttemptOutcome.AMBIGUOUS, 0),
        ("not-accepted-drop", {}, AttemptOutcome.AMBIGUOUS, 0),
        ("not-accepted-close", {}, AttemptOutcome.AMBIGUOUS, 0),
        ("accepted-close", {}, AttemptOutcome.AMBIGUOUS, 1),
        ("rate-limit-429", {"message": "Maximum allowed order requests exceeded."}, AttemptOutcome.RATE_LIMITED, 0),
        ("unavailable-503", {}, AttemptOutcome.AMBIGUOUS, 0),
        ("html-502", {}, AttemptOutcome.AMBIGUOUS, 0),
        ("redirect", {"status": 302}, AttemptOutcome.AMBIGUOUS, 0),
        ("redirect", {"status": 307}, AttemptOutcome.AMBIGUOUS, 0),
        ("rate-limit-429", {}, AttemptOutcome.RATE_LIMITED, 0),
        ("token-403", {}, AttemptOutcome.SESSION_EXPIRED, 0),
        ("sync-reject", {"error_type": "MarginException"}, AttemptOutcome.REFUSED, 0),
        ("sync-reject", {"error_type": "HoldingException"}, AttemptOutcome.REFUSED, 0),
        ("sync-reject", {"error_type": "InputException"}, AttemptOutcome.REFUSED, 0),
        ("sync-reject", {"error_type": "PermissionException", "status": 403}, AttemptOutcome.REFUSED, 0),
        ("sync-reject", {"error_type": "OrderException", "status": 500}, AttemptOutcome.AMBIGUOUS, 0),
    ],
)
async def test_what_an_answer_proves(
    account: Account, kind: str, fields: dict[str, Any], outcome: AttemptOutcome, placed: int
) -> None:
    account.fault(kind, **fields)
    command = a_command(a_run().entry_intent())
    result = await account.gateway.place(command)
    assert (result.outcome, result.order_id) == (outcome, None)
    assert result.reason
    assert account.paper.access_token not in result.reason
    tags = [report.tag for report in await account.gateway.orders()]
    assert tags == [command.intent.tag] * placed
    assert len(account.requests()) == 1


async def test_an_order_leaves_with_everything_the_broker_wants(account: Account) -> None:
    command = a_command(a_run().entry_intent())
    await account.gateway.place(command)
    (request,) = account.requests()
    assert request["path"] == "/orders/regular"
    assert request["form"] == {
        "exchange": "NSE",
        "tradingsymbol": "INFY",
        "transaction_type": "BUY",
        "quantity": "10",
        "product": "MIS",
        "order_type": "MARKET",
        "validity": "DAY",
        "tag": command.intent.tag,
        "market_protection": "-1",
        "variety": "regular",
    }


async def test_a_dripping_answer_is_given_up(account: Account) -> None:
    """The gap between two bytes stays below what may be waited for one; only the whole takes too long."""
    account.fault("drip", seconds=TIMEOUT[1] / 2)
    result = await account.gateway.place(a_command())
    assert (result.outcome, result.reason) == (AttemptOutcome.AMBIGUOUS, "the broker did not answer in time")


async def test_a_request_that_hangs_does_not_hold_up_the_next(account: Account) -> None:
    account.fault("not-accepted-hang", seconds=5, times=2)
    hanging = [asyncio.create_task(account.gateway.place(a_command())) for _ in range(2)]
    await asyncio.to_thread(eventually, lambda: len(account.requests()) == 2)
    assert (await account.gateway.place(a_command())).outcome is AttemptOutcome.ACCEPTED
    await asyncio.gather(*hanging)


async def test_credentials_are_read_once_and_again_after_the_broker_refused_them(account: Account) -> None:
    for _ in range(3):
        await account.gateway.orders()
    assert account.loads == 1
    account.control.expire_token(account.paper.user_id)
    assert (await account.gateway.place(a_command())).outcome is AttemptOutcome.SESSION_EXPIRED
    with pytest.raises(BrokerUnavailable):
        await account.gateway.orders()
    account.control.set_token(account.paper.user_id, "fresh")
    account.credentials = KiteCredentials(account.paper.api_key, "fresh")
    assert (await account.gateway.place(a_command())).outcome is AttemptOutcome.ACCEPTED
    assert account.loads > 1


async def test_without_credentials_nothing_leaves(account: Account) -> None:
    account.credentials = BrokerUnavailable("the database does not answer")
    result = await account.gateway.place(a_command())
    assert (result.outcome, result.reason) == (AttemptOutcome.NOT_SENT, "the database does not answer")
    with pytest.raises(BrokerUnavailable):
        await account.gateway.orders()
    assert account.requests() == []


@pytest.mark.parametrize(
    "kind", ["html-502", "unavailable-503", "not-accepted-drop", "accepted-bad-json", "accepted-cut-body", "redirect"]
)
async def test_a_read_that_fails_in_any_way_proves_nothing(account: Account, kind: str) -> None:
    account.fault(kind, "GET", times=2)
    with pytest.raises(BrokerUnavailable):
        await account.gateway.orders()
    with pytest.raises(BrokerUnavailable):
        await held(account.gateway, Product.MIS)
    assert await account.gateway.orders() == []


async def test_an_order_of_another_hand_is_seen_and_carries_no_tag_of_ours(account: Account) -> None:
    order_id = account.control.foreign_order(
        account.paper.user_id, tradingsymbol="INFY", transaction_type="BUY", quantity=3
    )
    (report,) = await account.gateway.orders()
    assert (report.order_id, report.tag) == (order_id, None)


async def test_delivery_counts_what_is_in_the_demat_account(exchange: PaperExchange) -> None:
    account = Account(exchange, holdings={"NSE:INFY": 7})
    assert await held(account.gateway, Product.CNC) == 7
    assert await held(account.gateway, Product.MIS) == 0


async def test_one_reading_tells_everything_the_account_holds(exchange: PaperExchange) -> None:
    account = Account(exchange, holdings={"NSE:INFY": 7})
    await account.gateway.place(a_command(a_run().entry_intent()))
    await account.gateway.place(a_command(a_run().entry_intent(), product=Product.CNC))

    async with asyncio.timeout(5):
        while True:
            positions = await account.gateway.positions()
            if {key: there.held for key, there in positions.items()} == {
                ("NSE", "INFY", "MIS"): 10,
                ("NSE", "INFY", "CNC"): 17,
                ("BSE", "INFY", "CNC"): 17,
            }:
                break
            await asyncio.sleep(0.01)
    assert await held(account.gateway, Product.CNC, demat=False) == 10


@pytest.mark.parametrize("route", ["/portfolio/positions", "/portfolio/holdings"])
async def test_half_a_reading_of_what_is_held_is_none(account: Account, route: str) -> None:
    account.control.fault("unavailable-503", {"user_id": account.paper.user_id, "route": route})
    with pytest.raises(BrokerUnavailable):
        await account.gateway.positions()


async def test_a_kept_connection_that_ends_as_an_order_arrives_is_ambiguous(account: Account) -> None:
    await account.gateway.keep_warm()
    account.fault("idle-close")
    assert (await account.gateway.place(a_command())).outcome is AttemptOutcome.AMBIGUOUS
    assert (await account.gateway.place(a_command())).outcome is AttemptOutcome.ACCEPTED


async def test_a_read_that_an_expired_session_refuses_is_told_apart(account: Account) -> None:
    account.control.expire_token(account.paper.user_id)
    with pytest.raises(BrokerLoginExpired):
        await account.gateway.positions()
