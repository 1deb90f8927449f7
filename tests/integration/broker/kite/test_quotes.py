"""Quotes of instruments that the tick stream is silent about, over the real client from the paper exchange."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from actors.domain.identifiers import Instrument
from broker.errors import BrokerUnreachable, CredentialsRejected
from broker.kite.credentials import KiteCredentials
from broker.kite.quotes import market_quotes, market_tokens
from tests.kit.paper import PaperExchange

INFY, UNKNOWN = Instrument("NSE", "INFY", 408065), Instrument("NSE", "NOSUCH", 1)
TIMEOUT = (1.0, 5.0)


@pytest.fixture(scope="module")
def exchange() -> Iterator[PaperExchange]:
    with PaperExchange(default_source="hold", tick_seconds=30) as exchange:
        yield exchange


def credentials_of(exchange: PaperExchange) -> KiteCredentials:
    account = exchange.control.new_account()
    return KiteCredentials(account.api_key, account.access_token)


def test_a_quote_has_its_price_in_paise_and_the_time_of_the_exchange(exchange: PaperExchange) -> None:
    exchange.control.set_price("NSE:INFY", 1449.95)
    quotes = market_quotes(credentials_of(exchange), [INFY, UNKNOWN], root=exchange.url, timeout_s=TIMEOUT)
    assert [(quote.instrument, quote.price) for quote in quotes] == [(INFY, 144995)]
    assert abs(datetime.now(UTC) - quotes[0].traded_at) < timedelta(seconds=5)


def test_todays_tokens_are_told_by_symbol_and_what_is_not_listed_is_left_out(exchange: PaperExchange) -> None:
    stale = Instrument("NSE", "INFY", 1)
    found = market_tokens(credentials_of(exchange), [stale, UNKNOWN], root=exchange.url, timeout_s=TIMEOUT)
    assert found == {"NSE:INFY": INFY.token}


def test_a_broker_that_refuses_or_is_away_is_told_apart(exchange: PaperExchange) -> None:
    credentials = credentials_of(exchange)
    wrong = KiteCredentials(credentials.api_key, "wrong")
    with pytest.raises(CredentialsRejected):
        market_quotes(wrong, [INFY], root=exchange.url, timeout_s=TIMEOUT)
    with pytest.raises(BrokerUnreachable):
        market_quotes(credentials, [INFY], root="http://127.0.0.1:9", timeout_s=TIMEOUT)
