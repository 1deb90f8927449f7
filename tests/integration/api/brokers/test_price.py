"""The last price that a START asks the broker for, on the real paper exchange."""

import time
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest
from fastapi import FastAPI
from sqlalchemy import text

from actors.domain.identifiers import Instrument
from api.base.clock import utc_now
from api.brokers.broker_threads import PRICE_PATIENCE_S
from api.brokers.lookups import BrokerLookups
from api.brokers.service import BrokerService
from broker.errors import BrokerUnreachable, ExpiredToken, InvalidToken
from persistence.database.engine import Sessions, transaction
from persistence.database.models.brokers import BrokerAccount
from persistence.errors import UnreadableSecret
from tests.integration.api_user import ApiUser
from tests.kit.paper import PaperExchange

pytest_plugins = ["tests.integration.fixtures"]

INFY = Instrument("NSE", "INFY", 408065)


@pytest.fixture
def brokers(app: FastAPI) -> BrokerService:
    service: BrokerService = app.state.resources.brokers
    return service


@pytest.fixture
def lookups(app: FastAPI) -> BrokerLookups:
    found: BrokerLookups = app.state.resources.lookups
    return found


@pytest.fixture
async def account(trader: ApiUser, brokers: BrokerService) -> BrokerAccount:
    user_id = int((await trader.call("GET", "/auth/validate")).json()["user_id"])
    account = await brokers.account(user_id)
    assert account is not None
    return account


@pytest.fixture
def market(paper: PaperExchange) -> Iterator[PaperExchange]:
    """The exchange, whose prices are afterwards what other tests expect."""
    yield paper
    for symbol, price in (("INFY", 1510.0), ("M&M", 3450.0), ("TCS", 3120.0)):
        paper.control.set_price(f"NSE:{symbol}", price)


async def test_the_last_price_is_exact_rupees(
    lookups: BrokerLookups, account: BrokerAccount, market: PaperExchange
) -> None:
    market.control.set_price("NSE:INFY", 1503.15)
    assert await lookups.last_price(account, INFY) == Decimal("1503.15")


async def test_a_symbol_with_an_ampersand_has_a_price(
    lookups: BrokerLookups, account: BrokerAccount, market: PaperExchange
) -> None:
    market.control.set_price("NSE:M&M", 2900.05)
    assert await lookups.last_price(account, Instrument("NSE", "M&M", 519937)) == Decimal("2900.05")


async def test_an_instrument_that_the_broker_does_not_know_has_no_price(
    lookups: BrokerLookups, account: BrokerAccount
) -> None:
    assert await lookups.last_price(account, Instrument("NSE", "NOSUCH", 1)) is None


async def test_a_price_of_zero_is_no_price(
    lookups: BrokerLookups, account: BrokerAccount, market: PaperExchange
) -> None:
    market.control.set_price("NSE:TCS", 0)
    assert await lookups.last_price(account, Instrument("NSE", "TCS", 2953217)) is None


async def test_a_flushed_session_has_expired(
    lookups: BrokerLookups, account: BrokerAccount, paper: PaperExchange
) -> None:
    paper.control.expire_token(account.broker_user_id)
    with pytest.raises(ExpiredToken):
        await lookups.last_price(account, INFY)


async def test_a_session_ended_elsewhere_is_invalid_and_past_its_morning_it_has_expired(
    lookups: BrokerLookups, account: BrokerAccount, paper: PaperExchange
) -> None:
    paper.control.set_token(account.broker_user_id, "another")
    with pytest.raises(InvalidToken):
        await lookups.last_price(account, INFY)
    account.token_obtained_at = utc_now() - timedelta(days=2)
    with pytest.raises(ExpiredToken):
        await lookups.last_price(account, INFY)


@pytest.mark.parametrize(
    "kind", ["not-accepted-hang", "drip", "html-502", "rate-limit-429", "accepted-bad-json", "redirect"]
)
async def test_without_a_usable_answer_the_broker_is_unreachable_within_the_patience(
    lookups: BrokerLookups, account: BrokerAccount, paper: PaperExchange, kind: str
) -> None:
    paper.control.fault(kind, {"route": "/quote", "user_id": account.broker_user_id}, seconds=1.0)
    began = time.monotonic()
    with pytest.raises(BrokerUnreachable):
        await lookups.last_price(account, INFY)
    assert time.monotonic() - began < PRICE_PATIENCE_S + 1.5


async def test_credentials_that_cannot_be_decrypted_are_said_to_be_so(
    brokers: BrokerService, lookups: BrokerLookups, account: BrokerAccount, sessions: Sessions
) -> None:
    async with transaction(sessions) as session:
        await session.execute(
            text("UPDATE broker_accounts SET key_version = 'ffffffff' WHERE id = :id"), {"id": account.id}
        )
    changed = await brokers.account(account.user_id)
    assert changed is not None
    with pytest.raises(UnreadableSecret):
        await lookups.last_price(changed, INFY)
