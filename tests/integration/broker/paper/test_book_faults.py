"""Faults of what can be read: an order book that is cut, half there or out of date, and positions that fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import requests
from kiteconnect import KiteConnect
from kiteconnect import exceptions as kite_errors

from tests.kit.paper import PaperExchange, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

LONG_AGO = 3600


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


def place(kite: Any, tag: str, side: str = "BUY") -> str:
    return str(
        kite.place_order("regular", "NSE", "INFY", side, 10, "MIS", "MARKET", market_protection=-1, tag=tag),
    )


def tags(kite: Any) -> list[str]:
    return [row["tag"] for row in kite.orders()]


def test_a_truncated_book_lacks_its_younger_half(kite: Any, paper: PaperExchange) -> None:
    for tag in ("A", "B", "C", "D"):
        place(kite, tag)
    paper.control.fault("truncated-book", {"user_id": kite.user_id}, times=2)
    assert [tags(kite), tags(kite), tags(kite)] == [["A", "B"], ["A", "B"], ["A", "B", "C", "D"]]


def test_a_truncated_book_can_break_off_in_the_middle(kite: Any, paper: PaperExchange) -> None:
    place(kite, "A")
    paper.control.fault("truncated-book", {"user_id": kite.user_id}, cut=True)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        kite.orders()
    assert tags(kite) == ["A"]


def test_a_stale_book_lacks_what_was_placed_since(kite: Any, paper: PaperExchange) -> None:
    order_id = place(kite, "A")
    paper.control.fault("stale-book", {"user_id": kite.user_id}, seconds=LONG_AGO)
    # One order's own history is not the book.
    assert kite.order_history(order_id)
    assert [tags(kite), tags(kite)] == [[], ["A"]]


def test_stale_positions_lack_the_fills_since_of_the_orders_that_are_aimed_at(kite: Any, paper: PaperExchange) -> None:
    def held() -> list[list[int]]:
        positions = kite.positions()
        return [[row["quantity"] for row in positions[part]] for part in ("net", "day")]

    place(kite, "IN")
    place(kite, "OUT", "SELL")
    eventually(lambda: held() == [[0], [0]], what="both fills")
    paper.control.fault("stale-positions", {"user_id": kite.user_id}, seconds=LONG_AGO)
    assert [held(), held()] == [[[0], []], [[0], [0]]]
    paper.control.fault("stale-positions", {"user_id": kite.user_id, "transaction_type": "SELL"}, seconds=LONG_AGO)
    assert [held(), held()] == [[[10], [10]], [[0], [0]]]


@pytest.mark.parametrize(("kind", "fields"), [("stale-book", {"seconds": LONG_AGO}), ("truncated-book", {})])
def test_a_book_fault_aimed_at_a_side_waits_for_such_an_order_and_hides_no_other(
    kite: Any, paper: PaperExchange, kind: str, fields: dict[str, Any]
) -> None:
    paper.control.fault(kind, {"user_id": kite.user_id, "transaction_type": "SELL"}, **fields)
    place(kite, "IN")
    assert tags(kite) == ["IN"]
    place(kite, "OUT", "SELL")
    assert [tags(kite), tags(kite)] == [["IN"], ["IN", "OUT"]]


def test_the_book_fails_and_everything_else_answers(kite: Any, paper: PaperExchange) -> None:
    paper.control.fault("book-error", {"user_id": kite.user_id}, times=2)
    for _ in range(2):
        with pytest.raises(kite_errors.NetworkException) as down:
            kite.orders()
        assert down.value.code == 503
        order_id = place(kite, "A")
        assert kite.order_history(order_id)
        assert "net" in kite.positions()
    assert tags(kite) == ["A", "A"]


def test_the_positions_fail_once_an_order_with_the_tag_exists(kite: Any, paper: PaperExchange) -> None:
    paper.control.fault("positions-error", {"tag": "OUT"}, status=500, error_type="OrderException", message="corrupt")
    assert kite.positions()["net"] == []
    place(kite, "OUT", "SELL")
    with pytest.raises(kite_errors.OrderException, match="corrupt") as down:
        kite.positions()
    assert down.value.code == 500
    eventually(lambda: [row["quantity"] for row in kite.positions()["net"]] == [-10])


def test_every_kind_says_what_it_does(paper: PaperExchange) -> None:
    kinds = paper.control.fault_kinds()
    assert {"accepted-close", "idle-close", "stale-book", "ws-mute", "exchange-cancel"} <= set(kinds)
    assert kinds["accepted-reply"]["fields"] == ["status", "content_type", "body"]
    assert all(kind["does"] and kind["stage"] for kind in kinds.values())


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({"kind": "typo"}, "unknown kind"),
        ({"kind": "drop-updates", "match": {"method": "POST"}}, "cannot be aimed by method"),
        ({"kind": "ws-abort", "match": {"tag": "A", "route": "/"}}, "cannot be aimed by route, tag"),
        ({"kind": "stale-book", "match": {"method": "POST"}}, "never hits"),
        ({"kind": "positions-error", "match": {"route": "/orders"}}, "never hits"),
        ({"kind": "park", "match": {"method": "PUT"}}, "never hits"),
    ],
)
def test_a_fault_that_could_never_hit_is_refused(paper: PaperExchange, body: dict[str, Any], complaint: str) -> None:
    reply = paper.control.http.post("/faults", json=body)
    assert (reply.status_code, complaint in reply.text) == (422, True)
