"""`POST /margins/orders` of the paper exchange, asked by the unmodified KiteConnect client (kite.md §1.10)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from kiteconnect import KiteConnect
from kiteconnect import exceptions as kite_errors

from tests.kit.paper import PaperExchange

if TYPE_CHECKING:
    from collections.abc import Iterator

ORDER = {
    "exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY", "variety": "regular", "product": "MIS",
    "order_type": "MARKET", "quantity": 10, "price": 0, "trigger_price": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def paper() -> Iterator[PaperExchange]:
    with PaperExchange(default_source="hold") as exchange:
        yield exchange


@pytest.fixture
def kite(paper: PaperExchange) -> Any:
    account = paper.control.new_account(cash=100_000)
    return KiteConnect(account.api_key, access_token=account.access_token, root=paper.url)


def test_each_order_has_its_margin_and_nothing_is_placed(kite: Any, paper: PaperExchange) -> None:
    paper.control.set_price("NSE:INFY", 1500)
    paper.control.set_price("NSE:TCS", 4000)
    orders = [ORDER, ORDER | {"product": "CNC"}, ORDER | {"tradingsymbol": "TCS", "order_type": "LIMIT", "price": 3900}]
    rows = kite.order_margins(orders)
    assert [(row["tradingsymbol"], row["total"]) for row in rows] == [("INFY", 3000), ("INFY", 15000), ("TCS", 7800)]
    assert [row["leverage"] for row in rows] == [5, 1, 5]
    assert {row["charges"]["total"] for row in rows} == {0}
    assert (kite.orders(), kite.margins("equity")["net"]) == ([], 100_000)


def test_a_sale_of_what_is_held_needs_nothing(kite: Any, paper: PaperExchange) -> None:
    paper.control.set_price("NSE:INFY", 1500)
    paper.control.set_positions(
        kite.profile()["user_id"], {"instrument": "NSE:INFY", "product": "MIS", "quantity": 10, "average_price": 1500}
    )
    rows = kite.order_margins([ORDER | {"transaction_type": "SELL"}, ORDER])
    assert [row["total"] for row in rows] == [0, 3000]


@pytest.mark.parametrize(
    "orders",
    [{}, [], [1], [ORDER | {"tradingsymbol": "NOSUCH"}], [ORDER | {"quantity": 0}], [ORDER | {"quantity": "x"}],
     [ORDER | {"variety": None}], [ORDER] * 201],
)  # fmt: skip
def test_what_is_no_list_of_orders_is_refused(kite: Any, orders: Any) -> None:
    with pytest.raises(kite_errors.InputException):
        kite.order_margins(orders)


def test_only_the_owner_may_ask(kite: Any) -> None:
    kite.set_access_token("another")
    with pytest.raises(kite_errors.TokenException):
        kite.order_margins([ORDER])
