"""What others do to an account (its owner by hand, the broker at the end of the day), and what the ledger keeps."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any

import pytest
from kiteconnect import KiteConnect
from kiteconnect import exceptions as kite_errors
from requests.adapters import HTTPAdapter

from tests.kit.paper import PaperExchange, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator


class FromAddress(HTTPAdapter):
    """Sends from one address of this machine."""

    def __init__(self, address: str) -> None:
        self._address = address
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options, source_address=(self._address, 0))


@pytest.fixture(scope="module")
def paper() -> Iterator[PaperExchange]:
    with PaperExchange(default_source="hold", orders_per_minute=0, orders_per_second=0) as exchange:
        yield exchange


@pytest.fixture
def kite(paper: PaperExchange) -> Iterator[Any]:
    account = paper.control.new_account()
    client = KiteConnect(account.api_key, access_token=account.access_token, root=paper.url)
    client.user_id = account.user_id
    yield client
    paper.control.clear_faults()


def place(kite: Any, tag: str, **changes: Any) -> str:
    order = {
        "variety": "regular",
        "exchange": "NSE",
        "tradingsymbol": "INFY",
        "transaction_type": "BUY",
        "quantity": 10,
        "product": "MIS",
        "order_type": "MARKET",
        "market_protection": -1,
    }
    return str(kite.place_order(**{**order, **changes}, tag=tag))


def limit(kite: Any, tag: str) -> str:
    order_id = place(kite, tag, order_type="LIMIT", price=100)
    eventually(lambda: status(kite, order_id) == "OPEN")
    return order_id


def status(kite: Any, order_id: str) -> str:
    return str(kite.order_history(order_id)[-1]["status"])


def net(kite: Any, product: str = "MIS") -> int:
    return sum(row["quantity"] for row in kite.positions()["net"] if row["product"] == product)


def requests_of(paper: PaperExchange, kite: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = paper.control.ledger(user_id=kite.user_id)["requests"]
    return rows


def test_the_broker_squares_off_with_untagged_orders(kite: Any, paper: PaperExchange) -> None:
    place(kite, "IN")
    place(kite, "SHORT", tradingsymbol="SBIN", transaction_type="SELL")
    place(kite, "KEEP", product="CNC")
    eventually(lambda: (net(kite), net(kite, "CNC"), len(kite.trades())) == (0, 10, 3))
    parked = limit(kite, "PARKED")

    done = paper.control.square_off(kite.user_id)

    eventually(lambda: all(status(kite, order_id) == "COMPLETE" for order_id in done["order_ids"]))
    assert {row["quantity"] for row in kite.positions()["net"] if row["product"] == "MIS"} == {0}
    assert net(kite, "CNC") == 10
    assert (done["cancelled"], status(kite, parked)) == ([parked], "CANCELLED")
    closing = [row for row in kite.orders() if row["order_id"] in done["order_ids"]]
    assert sorted((row["tradingsymbol"], row["transaction_type"], row["tag"]) for row in closing) == [
        ("INFY", "SELL", None),
        ("SBIN", "BUY", None),
    ]
    assert [row["source"] for row in requests_of(paper, kite)] == ["api"] * 4 + ["square-off"] * 2
    assert paper.control.square_off(kite.user_id) == {"order_ids": [], "cancelled": []}


@pytest.mark.parametrize(("side", "quantity"), [("BUY", 5), ("SELL", -5)])
def test_the_owner_buys_and_sells_by_hand(kite: Any, paper: PaperExchange, side: str, quantity: int) -> None:
    order_id = paper.control.foreign_order(kite.user_id, tradingsymbol="INFY", transaction_type=side, quantity=5)
    eventually(lambda: status(kite, order_id) == "COMPLETE")
    assert (net(kite), [row["tag"] for row in kite.orders()]) == (quantity, [None])
    (request,) = requests_of(paper, kite)
    assert (request["source"], request["tag"], request["outcome"]) == ("foreign", None, "accepted")


@pytest.mark.parametrize(
    ("refusal", "error"), [(403, kite_errors.PermissionException), (400, kite_errors.InputException)]
)
def test_orders_are_taken_from_registered_addresses_only(
    kite: Any, paper: PaperExchange, refusal: int, error: type[Exception]
) -> None:
    order_id = limit(kite, "BEFORE")
    paper.control.register_ips(kite.user_id, "127.0.0.2", refusal_status=refusal)
    for request in (
        lambda: place(kite, "REFUSED"),
        lambda: kite.modify_order("regular", order_id, price=101),
        lambda: kite.cancel_order("regular", order_id),
    ):
        with pytest.raises(error, match=r"127\.0\.0\.1") as refused:
            request()
        assert getattr(refused.value, "code", None) == refusal
    # Reads are allowed from anywhere.
    assert [row["tag"] for row in kite.orders()] == ["BEFORE"]

    kite.reqsession.mount(paper.url, FromAddress("127.0.0.2"))
    place(kite, "REGISTERED")
    assert [(row["ip"], row["outcome"]) for row in requests_of(paper, kite)] == [
        ("127.0.0.1", "accepted"),
        *[("127.0.0.1", "not-accepted")] * 3,
        ("127.0.0.2", "accepted"),
    ]

    paper.control.register_ips(kite.user_id)
    kite.reqsession.mount(paper.url, HTTPAdapter())
    place(kite, "ANYWHERE")
    assert len(kite.orders()) == 3


def test_the_ledger_says_of_every_request_what_it_was_and_what_became_of_it(kite: Any, paper: PaperExchange) -> None:
    before = time.time_ns()
    order_id = limit(kite, "T1")
    paper.control.fault("not-accepted-close", {"method": "PUT", "tag": "T1"})
    with pytest.raises(Exception, match="RemoteDisconnected"):
        kite.modify_order("regular", order_id, price=101)
    kite.modify_order("regular", order_id, price=102)
    eventually(lambda: status(kite, order_id) == "OPEN")
    kite.cancel_order("regular", order_id)
    path = f"/orders/regular/{order_id}"
    rows = paper.control.ledger(tag="T1")["requests"]
    assert [(r["method"], r["path"], r["outcome"], r["order_id"], r["faults"]) for r in rows] == [
        ("POST", "/orders/regular", "accepted", order_id, []),
        ("PUT", path, "not-accepted", None, ["not-accepted-close"]),
        ("PUT", path, "accepted", order_id, []),
        ("DELETE", path, "accepted", order_id, []),
    ]
    for row in rows:
        assert (row["tag"], row["transaction_type"], row["user_id"]) == ("T1", "BUY", kite.user_id)
        assert (row["source"], row["ip"]) == ("api", "127.0.0.1")
    assert [row["form"].get("price") for row in rows] == ["100", "101", "102", None]
    stamps = [row["received_ns"] for row in rows]
    assert stamps == sorted(stamps)
    assert before < stamps[0]


def test_half_a_request_is_never_executed(kite: Any, paper: PaperExchange) -> None:
    form = "exchange=NSE&tradingsymbol=INFY&transaction_type=BUY&product=MIS&order_type=LIMIT&price=100&quantity=1000"
    head = (
        "POST /orders/regular HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Kite-Version: 3\r\n"
        f"Authorization: token {kite.api_key}:{kite.access_token}\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(form)}\r\n\r\n"
    )
    port = int(paper.url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port)) as client:
        # What is left reads as a whole order of one share.
        client.sendall((head + form[:-3]).encode())
    eventually(lambda: requests_of(paper, kite))
    (request,) = requests_of(paper, kite)
    assert (request["outcome"], request["error"]) == ("not-accepted", "the client left before the request was whole")
    assert kite.orders() == []


def test_what_the_exchange_was_going_to_cancel_it_cancels_after_a_restart(tmp_path: Any) -> None:
    with PaperExchange(ledger_path=tmp_path / "ledger.jsonl", default_source="hold") as paper:
        account = paper.control.new_account()
        paper.control.register_ips(account.user_id, "127.0.0.1")
        client = KiteConnect(account.api_key, access_token=account.access_token, root=paper.url)
        paper.control.fault("exchange-cancel", quantity=4, seconds=2)
        order_id = place(client, "CUT")
        eventually(lambda: client.order_history(order_id)[-1]["filled_quantity"] == 4)
        before = paper.control.ledger(tag="CUT")["requests"]

        paper.restart()

        client = KiteConnect(account.api_key, access_token=account.access_token, root=paper.url)
        eventually(lambda: status(client, order_id) == "CANCELLED")
        assert client.orders()[0]["cancelled_quantity"] == 6
        assert paper.control.ledger(tag="CUT")["requests"] == before
