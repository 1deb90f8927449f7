"""Every fault of the paper exchange, as the unmodified KiteConnect client feels it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
import requests
from kiteconnect import KiteConnect
from kiteconnect import exceptions as kite_errors

from tests.kit.paper import PaperExchange, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

ORDER = {
    "variety": "regular",
    "exchange": "NSE",
    "tradingsymbol": "INFY",
    "transaction_type": "BUY",
    "quantity": 10,
    "product": "MIS",
    "order_type": "MARKET",
    "market_protection": -1,
}


@pytest.fixture(scope="module")
def paper() -> Iterator[PaperExchange]:
    with PaperExchange(default_source="hold", orders_per_minute=0, orders_per_second=0) as exchange:
        yield exchange


@pytest.fixture
def kite(paper: PaperExchange) -> Iterator[Any]:
    account = paper.control.new_account()
    client = KiteConnect(account.api_key, access_token=account.access_token, root=paper.url, timeout=0.4)
    client.user_id = account.user_id
    yield client
    paper.control.clear_faults()


def accepted(kite: Any) -> int:
    return len(kite.orders())


@pytest.mark.parametrize(
    ("kind", "fields", "error", "code"),
    [
        ("accepted-hang", {"seconds": 30}, requests.ReadTimeout, None),
        ("accepted-drop", {}, requests.ConnectionError, None),
        ("accepted-close", {}, requests.ConnectionError, None),
        ("accepted-html-502", {}, kite_errors.DataException, 502),
        ("accepted-503", {}, kite_errors.NetworkException, 503),
        ("accepted-cut-body", {}, requests.exceptions.ChunkedEncodingError, None),
        ("accepted-bad-json", {}, kite_errors.DataException, 502),
        ("accepted-no-content-type", {}, KeyError, None),
        ("accepted-timeout-400", {}, kite_errors.InputException, 400),
    ],
)
def test_the_answer_fails_though_the_order_is_accepted_once(
    kite: Any, paper: PaperExchange, kind: str, fields: dict[str, Any], error: type[Exception], code: int | None
) -> None:
    paper.control.fault(kind, {"user_id": kite.user_id, "method": "POST"}, **fields)
    with pytest.raises(error) as failure:
        kite.place_order(**ORDER, tag="LOST")
    assert getattr(failure.value, "code", None) == code
    assert [row["tag"] for row in kite.orders()] == ["LOST"]
    (request,) = paper.control.ledger(user_id=kite.user_id)["requests"]
    assert request["faults"] == [kind]
    assert request["order_id"] == kite.orders()[0]["order_id"]
    assert (request["outcome"], request["tag"]) == ("accepted", "LOST")


@pytest.mark.parametrize(
    ("kind", "fields", "error", "code"),
    [
        ("not-accepted-hang", {"seconds": 30}, requests.ReadTimeout, None),
        ("not-accepted-drop", {}, requests.ConnectionError, None),
        ("not-accepted-close", {}, requests.ConnectionError, None),
        ("rate-limit-429", {}, kite_errors.NetworkException, 429),
        ("unavailable-503", {}, kite_errors.NetworkException, 503),
        ("html-502", {}, kite_errors.DataException, 502),
        ("token-403", {}, kite_errors.TokenException, 403),
        ("sync-reject", {"error_type": "MarginException"}, kite_errors.GeneralException, 400),
        ("sync-reject", {"message": "Blocked."}, kite_errors.InputException, 400),
    ],
)
def test_the_answer_fails_and_nothing_is_placed(
    kite: Any, paper: PaperExchange, kind: str, fields: dict[str, Any], error: type[Exception], code: int | None
) -> None:
    paper.control.fault(kind, **fields)
    with pytest.raises(error) as failure:
        kite.place_order(**ORDER)
    assert getattr(failure.value, "code", None) == code
    assert accepted(kite) == 0
    (request,) = paper.control.ledger(user_id=kite.user_id)["requests"]
    assert (request["faults"], request["order_id"], request["outcome"]) == ([kind], None, "not-accepted")
    kite.place_order(**ORDER)
    assert accepted(kite) == 1


GARBAGE = [
    ({"body": "[]"}, AttributeError, None),
    ({"body": '{"status":"success","data":null}'}, TypeError, None),
    ({"body": '{"status":"success","data":{}}'}, KeyError, None),
    ({"body": '{"status":"success"}'}, KeyError, None),
    ({"body": '{"status":"error","error_type":"OrderException"}', "status": 400}, KeyError, None),
    ({"body": ""}, kite_errors.DataException, 502),
    ({"status": 204, "content_type": ""}, KeyError, None),
    ({"body": "<html>504</html>", "content_type": "text/html", "status": 504}, kite_errors.DataException, 502),
    (
        {"body": '{"status":"error","message":"no","error_type":"OrderException"}', "status": 500},
        kite_errors.OrderException,
        500,
    ),
]


@pytest.mark.parametrize(("kind", "placed"), [("accepted-reply", 1), ("not-accepted-reply", 0)])
@pytest.mark.parametrize(("fields", "error", "code"), GARBAGE)
def test_an_answer_of_the_tests_own_says_nothing_about_the_order(
    kite: Any,
    paper: PaperExchange,
    kind: str,
    placed: int,
    fields: dict[str, Any],
    error: type[Exception],
    code: int | None,
) -> None:
    paper.control.fault(kind, {"user_id": kite.user_id, "transaction_type": "BUY"}, **fields)
    with pytest.raises(error) as failure:
        kite.place_order(**ORDER)
    assert getattr(failure.value, "code", None) == code
    assert accepted(kite) == placed


@pytest.mark.parametrize(
    ("ending", "seen"), [("close", "RemoteDisconnected"), ("drop", "ConnectionResetError")], ids=["FIN", "RST"]
)
@pytest.mark.parametrize("side", ["accepted", "not-accepted"])
def test_a_close_is_a_fin_and_a_drop_is_a_reset(
    kite: Any, paper: PaperExchange, side: str, ending: str, seen: str
) -> None:
    paper.control.fault(f"{side}-{ending}", {"user_id": kite.user_id, "method": "POST"})
    with pytest.raises(requests.ConnectionError, match=seen):
        kite.place_order(**ORDER)


def test_a_kept_alive_connection_is_closed_as_the_next_request_comes(kite: Any, paper: PaperExchange) -> None:
    paper.control.fault("idle-close", {"user_id": kite.user_id, "method": "POST"})
    kite.place_order(**ORDER, tag="FRESH")
    with pytest.raises(requests.ConnectionError, match="RemoteDisconnected"):
        kite.place_order(**ORDER, tag="IDLE")
    kite.place_order(**ORDER, tag="AGAIN")
    assert [row["tag"] for row in kite.orders()] == ["FRESH", "AGAIN"]


@pytest.mark.parametrize("status", [302, 307])
def test_a_redirect_yields_an_order_id_for_an_order_never_placed(kite: Any, paper: PaperExchange, status: int) -> None:
    paper.control.fault("redirect", status=status)
    assert kite.place_order(**ORDER) == "1" * 19
    assert accepted(kite) == 0


def test_a_dripping_answer_outlives_the_read_timeout(kite: Any, paper: PaperExchange) -> None:
    paper.control.fault("drip", seconds=0.02)
    began = time.monotonic()
    kite.place_order(**ORDER)
    assert time.monotonic() - began > kite.timeout


def test_a_late_order_is_listed_late(kite: Any, paper: PaperExchange) -> None:
    paper.control.fault("late-visibility", seconds=0.6)
    paper.control.fault("accepted-drop")
    with pytest.raises(requests.ConnectionError):
        kite.place_order(**ORDER)
    placed = time.monotonic()
    assert accepted(kite) == 0
    eventually(lambda: accepted(kite) == 1)
    assert time.monotonic() - placed > 0.3


def test_a_late_reject(kite: Any, paper: PaperExchange) -> None:
    paper.control.fault("async-reject", message="RMS:Margin Exceeds")
    order_id = kite.place_order(**ORDER)
    eventually(lambda: kite.order_history(order_id)[-1]["status"] == "REJECTED")
    assert kite.orders()[0]["status_message_raw"] == "RMS:Margin Exceeds"


@pytest.mark.parametrize(("kind", "filled"), [("partial-fill", 3), ("park", 0)])
def test_a_fill_that_stops_is_completed_by_a_modify(kite: Any, paper: PaperExchange, kind: str, filled: int) -> None:
    paper.control.fault(kind, quantity=filled)
    order_id = kite.place_order(**ORDER)
    row = eventually(lambda: next((r for r in kite.orders() if r["status"] == "OPEN"), None))
    assert row is not None
    eventually(lambda: kite.orders()[0]["filled_quantity"] == filled)
    kite.modify_order("regular", order_id, order_type="MARKET", market_protection=5)
    eventually(lambda: kite.orders()[0]["status"] == "COMPLETE")


@pytest.mark.parametrize(("fields", "filled"), [({}, 0), ({"quantity": 4}, 4), ({"quantity": 4, "seconds": 0.2}, 4)])
def test_the_exchange_cancels_what_is_left(
    kite: Any, paper: PaperExchange, fields: dict[str, Any], filled: int
) -> None:
    paper.control.fault("exchange-cancel", {"user_id": kite.user_id, "transaction_type": "BUY"}, **fields)
    kite.place_order(**ORDER)
    eventually(lambda: kite.orders()[0]["status"] == "CANCELLED")
    (row,) = kite.orders()
    assert (row["filled_quantity"], row["cancelled_quantity"]) == (filled, 10 - filled)
    assert row["status_message"] == "Order cancelled by the exchange."


def test_modifies_and_cancels_are_refused_by_a_sync_reject(kite: Any, paper: PaperExchange) -> None:
    order_id = kite.place_order(**{**ORDER, "order_type": "LIMIT", "price": 100}, tag="REST")
    eventually(lambda: kite.orders()[0]["status"] == "OPEN")
    for method in ("PUT", "DELETE"):
        paper.control.fault(
            "sync-reject",
            {"method": method, "tag": "REST", "transaction_type": "BUY"},
            error_type="OrderException",
            message=f"No {method}.",
        )
    with pytest.raises(kite_errors.OrderException, match=r"No PUT\."):
        kite.modify_order("regular", order_id, price=101)
    with pytest.raises(kite_errors.OrderException, match=r"No DELETE\."):
        kite.cancel_order("regular", order_id)
    assert [row["status"] for row in kite.orders()] == ["OPEN"]


def test_a_slow_fill(kite: Any, paper: PaperExchange) -> None:
    paper.control.fault("slow-fill", seconds=0.3)
    kite.place_order(**ORDER)
    eventually(lambda: kite.orders()[0]["status"] == "OPEN")
    eventually(lambda: kite.orders()[0]["status"] == "COMPLETE")


def test_faults_are_aimed_and_counted(kite: Any, paper: PaperExchange) -> None:
    paper.control.fault("rate-limit-429", {"tag": "MINE"}, times=2)
    kite.place_order(**ORDER, tag="OTHER")
    for _ in range(2):
        with pytest.raises(kite_errors.NetworkException):
            kite.place_order(**ORDER, tag="MINE")
    kite.place_order(**ORDER, tag="MINE")
    assert paper.control.faults() == []


def test_reads_and_cancels_can_fail_too(kite: Any, paper: PaperExchange) -> None:
    paper.control.fault("html-502", {"method": "GET", "route": "/orders"})
    with pytest.raises(kite_errors.DataException):
        kite.orders()
    order_id = kite.place_order(**{**ORDER, "order_type": "LIMIT", "price": 100}, tag="REST")
    eventually(lambda: kite.orders()[0]["status"] == "OPEN")
    paper.control.fault("accepted-drop", {"method": "DELETE", "tag": "REST"})
    with pytest.raises(requests.ConnectionError):
        kite.cancel_order("regular", order_id)
    eventually(lambda: kite.orders()[0]["status"] == "CANCELLED")


def test_an_outage_takes_the_rest_side_down_but_not_the_control(kite: Any, paper: PaperExchange) -> None:
    paper.control.outage(on=True)
    with pytest.raises(kite_errors.NetworkException) as down:
        kite.orders()
    assert down.value.code == 503
    assert paper.control.health()["status"] == "ok"
    paper.control.outage(on=False)
    assert kite.orders() == []
    paper.control.outage(seconds=0.2)
    with pytest.raises(kite_errors.NetworkException):
        kite.orders()
    eventually(lambda: _answers(kite))


def test_the_exchange_cancels(kite: Any, paper: PaperExchange) -> None:
    order_id = kite.place_order(**{**ORDER, "order_type": "LIMIT", "price": 100})
    eventually(lambda: kite.orders()[0]["status"] == "OPEN")
    paper.control.cancel_by_exchange(order_id)
    assert kite.orders()[0]["status"] == "CANCELLED"


def _answers(kite: Any) -> bool:
    try:
        kite.orders()
    except kite_errors.NetworkException:
        return False
    return True
