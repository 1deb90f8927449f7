"""The stream of order updates over the real KiteTicker and the paper exchange."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit.feed_process import FeedProcess
from tests.kit.paper import PaperCredentials, PaperExchange, eventually

ORDER = {"exchange": "NSE", "tradingsymbol": "INFY", "product": "MIS", "order_type": "MARKET", "quantity": 10}


@pytest.fixture(scope="module")
def exchange() -> Iterator[PaperExchange]:
    with PaperExchange(default_source="hold", heartbeat_seconds=0.5) as exchange:
        yield exchange


@pytest.fixture
def account(exchange: PaperExchange) -> PaperCredentials:
    return exchange.control.new_account()


@pytest.fixture
def stream(exchange: PaperExchange) -> Iterator[FeedProcess]:
    with FeedProcess(exchange.ws_url, updates=True) as stream:
        yield stream
    exchange.control.clear_faults()


def order(exchange: PaperExchange, account: PaperCredentials, **fields: Any) -> str:
    return exchange.control.foreign_order(account.user_id, **{"transaction_type": "BUY", **ORDER, **fields})


def test_a_fill_is_told_with_its_tag(exchange: PaperExchange, account: PaperCredentials, stream: FeedProcess) -> None:
    stream.start(account)
    stream.wait_for("connected")
    order_id = order(exchange, account, tag="A2345678901234567890")
    told = stream.wait_for("update")
    assert (told["order_id"], told["tag"]) == (order_id, "A2345678901234567890")
    eventually(lambda: [u for u in stream.all("update") if (u["stage"], u["filled"]) == ("complete", 10)])


def test_other_accounts_are_not_heard(exchange: PaperExchange, account: PaperCredentials, stream: FeedProcess) -> None:
    stream.start(account)
    stream.wait_for("connected")
    order(exchange, exchange.control.new_account())
    mine = order(exchange, account)
    stream.wait_for("update")
    assert {update["order_id"] for update in stream.all("update")} == {mine}


def test_a_broken_stream_comes_back_and_says_so(
    exchange: PaperExchange, account: PaperCredentials, stream: FeedProcess
) -> None:
    stream.start(account)
    stream.wait_for("connected")
    exchange.control.fault("ws-abort")
    stream.wait_for("connected", 2)
    order(exchange, account)
    stream.wait_for("update")


@pytest.mark.parametrize("text", ["{", '{"type": "order", "data": {}}', '{"type": "order", "data": 7}', "[]", "null"])
def test_a_text_that_makes_no_sense_costs_at_most_the_connection(
    exchange: PaperExchange, account: PaperCredentials, stream: FeedProcess, text: str
) -> None:
    stream.start(account)
    stream.wait_for("connected")
    exchange.control.fault("ws-text", message=text)
    order(exchange, account)

    def heard() -> bool:
        """What falls into the gap of a reconnect is not replayed, so another order may be needed."""
        if len(stream.all("connected")) > 1 and not stream.all("update"):
            order(exchange, account)
        return bool(stream.all("update"))

    eventually(heard, 10, "an update after the senseless text")


def test_refused_credentials_are_said_and_new_ones_are_taken(
    exchange: PaperExchange, account: PaperCredentials, stream: FeedProcess
) -> None:
    exchange.control.expire_token(account.user_id)
    stream.start(account)
    stream.wait_for("refused")
    exchange.control.set_token(account.user_id, account.access_token)
    stream.start(account)
    stream.wait_for("connected")
