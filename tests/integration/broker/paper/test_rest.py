"""The paper exchange's REST side, driven by the unmodified KiteConnect client."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from kiteconnect import KiteConnect
from kiteconnect import exceptions as kite_errors

from tests.kit.login_form import Browser
from tests.kit.paper import PaperExchange, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

BUY_INFY = {
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
    with PaperExchange(default_source="hold", orders_per_minute=0) as exchange:
        yield exchange


@pytest.fixture
def kite(paper: PaperExchange) -> Any:
    account = paper.control.new_account()
    client = KiteConnect(account.api_key, access_token=account.access_token, root=paper.url)
    client.user_id = account.user_id
    client.secret = account.api_secret
    return client


def final_row(kite: Any, order_id: str) -> dict[str, Any]:
    def row() -> dict[str, Any] | None:
        last: dict[str, Any] = kite.order_history(order_id)[-1]
        return last if last["status"] in ("COMPLETE", "REJECTED", "CANCELLED") else None

    found = eventually(row, what=f"end of order {order_id}")
    assert found is not None
    return found


@pytest.mark.parametrize("price", ["NaN", "Infinity", "-Infinity", "1e999", '"1,510"', "[1510]"])
def test_a_price_that_is_none_is_refused_with_its_field(paper: PaperExchange, price: str) -> None:
    body = '{"instrument": "NSE:INFY", "price": ' + price + "}"
    answer = httpx.post(f"{paper.url}/paper/price", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert [fault["loc"] for fault in answer.json()["detail"]] == [["body", "price"]]


def test_a_name_without_its_exchange_is_refused_with_what_to_write(paper: PaperExchange) -> None:
    answer = httpx.post(f"{paper.url}/paper/price", json={"instrument": "INFY", "price": 1510})
    said = "no instrument INFY: name one as GET /paper/market does, such as NSE:INFY"
    assert (answer.status_code, answer.json()["detail"]) == (404, said)


def test_an_empty_account_reads_as_empty(kite: Any) -> None:
    assert (kite.orders(), kite.trades(), kite.holdings()) == ([], [], [])
    assert kite.positions() == {"net": [], "day": []}
    assert kite.profile()["user_id"] == kite.user_id
    assert kite.margins()["equity"]["net"] == kite.margins("equity")["net"] > 0


def test_a_market_order_fills_and_makes_a_position(kite: Any, paper: PaperExchange) -> None:
    paper.control.set_price("NSE:INFY", 1500)
    order_id = kite.place_order(**BUY_INFY, tag="ENTRY1")
    row = final_row(kite, order_id)
    assert (row["status"], row["order_type"], row["price"]) == ("COMPLETE", "LIMIT", 1507.5)
    assert (row["tag"], row["filled_quantity"], row["average_price"]) == ("ENTRY1", 10, 1500.0)
    assert isinstance(row["order_timestamp"], dt.datetime)
    assert isinstance(row["exchange_update_timestamp"], str)

    (fill,) = kite.order_trades(order_id)
    assert (fill["quantity"], fill["average_price"], "tag" in fill) == (10, 1500.0, False)

    paper.control.set_price("NSE:INFY", 1510)
    (position,) = kite.positions()["net"]
    assert (position["quantity"], position["product"], position["pnl"]) == (10, "MIS", 100.0)

    final_row(kite, kite.place_order(**{**BUY_INFY, "transaction_type": "SELL"}))
    (position,) = kite.positions()["net"]
    assert (position["quantity"], position["realised"]) == (0, 100.0)


def test_a_protected_market_order_parks_and_a_modify_completes_it(kite: Any, paper: PaperExchange) -> None:
    paper.control.set_price("NSE:SBIN", 800)
    paper.control.set_liquidity("NSE:SBIN", 4)
    order_id = kite.place_order(**{**BUY_INFY, "tradingsymbol": "SBIN", "market_protection": 1})
    eventually(lambda: kite.order_history(order_id)[-1]["filled_quantity"] == 4)
    paper.control.set_price("NSE:SBIN", 850)
    row = kite.order_history(order_id)[-1]
    assert (row["status"], row["filled_quantity"], row["pending_quantity"]) == ("OPEN", 4, 6)

    paper.control.set_liquidity("NSE:SBIN", None)
    assert kite.modify_order("regular", order_id, order_type="LIMIT", price=860) == order_id
    row = final_row(kite, order_id)
    assert (row["status"], row["average_price"]) == ("COMPLETE", (4 * 800 + 6 * 850) / 10)


def test_cancel_ends_a_resting_order_once(kite: Any) -> None:
    order_id = kite.place_order(**{**BUY_INFY, "order_type": "LIMIT", "price": 100})
    eventually(lambda: kite.order_history(order_id)[-1]["status"] == "OPEN")
    assert kite.cancel_order("regular", order_id) == order_id
    assert final_row(kite, order_id)["cancelled_quantity"] == 10
    with pytest.raises(kite_errors.OrderException) as refused:
        kite.cancel_order("regular", order_id)
    assert refused.value.code == 400


@pytest.mark.parametrize(
    ("changes", "error", "code", "text"),
    [
        ({"market_protection": None}, "InputException", 400, "Market orders without market protection are not"),
        ({"market_protection": True}, "InputException", 400, "failed to decode market_protection, got: True"),
        ({"tag": "X" * 21}, "InputException", 400, "`tag`"),
        ({"order_type": "LIMIT", "price": 1500.03}, "InputException", 400, "Tick size for this script is 0.10"),
        ({"tradingsymbol": "NIFTY 50"}, "InputException", 400, "does not exist"),
        ({"quantity": 10_000_000}, "GeneralException", 400, "Insufficient funds"),
        ({"product": "CNC", "transaction_type": "SELL"}, "GeneralException", 400, "Insufficient stock holding"),
    ],
)
def test_refusals_arrive_as_the_client_knows_them(
    kite: Any, changes: dict[str, Any], error: str, code: int, text: str
) -> None:
    with pytest.raises(getattr(kite_errors, error), match=text) as refused:
        kite.place_order(**{**BUY_INFY, **changes})
    assert refused.value.code == code
    assert kite.orders() == []


def test_symbols_with_an_ampersand_trade(kite: Any) -> None:
    order_id = kite.place_order(**{**BUY_INFY, "tradingsymbol": "M&M"})
    assert final_row(kite, order_id)["tradingsymbol"] == "M&M"


def test_the_eleventh_order_of_a_calendar_second_is_refused(kite: Any) -> None:
    # The cap counts calendar seconds: begin just after a full one, so that all requests fall into it.
    time.sleep(1 - time.time() % 1)
    for _ in range(10):
        kite.place_order(**BUY_INFY)
    with pytest.raises(kite_errors.NetworkException) as refused:
        kite.place_order(**BUY_INFY)
    assert refused.value.code == 429
    assert len(kite.orders()) == 10


def test_quotes_leave_unknown_instruments_out(kite: Any, paper: PaperExchange) -> None:
    paper.control.set_price("NSE:M&M", 3400)
    prices = kite.ltp("NSE:M&M", "NSE:NIFTY 50", "NSE:NOPE")
    assert set(prices) == {"NSE:M&M", "NSE:NIFTY 50"}
    assert prices["NSE:M&M"] == {"instrument_token": 519937, "last_price": 3400}
    assert kite.ohlc("NSE:M&M")["NSE:M&M"]["ohlc"]["low"] == 3400
    quote = kite.quote("NSE:M&M")["NSE:M&M"]
    assert len(quote["depth"]["buy"]) == 5
    assert isinstance(quote["timestamp"], dt.datetime)


def test_the_instrument_dump_is_parsed_by_the_client(kite: Any) -> None:
    everything = {row["tradingsymbol"]: row for row in kite.instruments()}
    shares = kite.instruments("NSE")
    assert everything["NIFTY 50"]["instrument_token"] == 256265
    assert everything["INFY26DECFUT"]["name"] == "INFY"
    assert everything["INFY"]["tick_size"] == 0.1
    assert {row["exchange"] for row in shares} == {"NSE"}
    assert all(row["instrument_token"] & 0xFF in (1, 9) for row in shares)


def test_a_login_gives_a_session_and_ends_the_former_one(kite: Any, paper: PaperExchange) -> None:
    login_page = f"{paper.url}/connect/login?api_key={kite.api_key}&v=3"
    page = Browser().submit(login_page, user_id=kite.user_id, password="paper")
    token = page.text.split('request_token">')[1].split("<")[0]
    with pytest.raises(kite_errors.TokenException, match="Invalid `checksum`") as wrong:
        kite.generate_session(paper.control.request_token(kite.user_id), "wrong-secret")
    assert wrong.value.code == 403

    former = kite.access_token
    session = kite.generate_session(token, kite.secret)
    assert isinstance(session["login_time"], dt.datetime)
    assert kite.profile()["user_id"] == kite.user_id
    with pytest.raises(kite_errors.TokenException, match="Token is invalid or has expired"):
        kite.generate_session(token, kite.secret)

    kite.set_access_token(former)
    with pytest.raises(kite_errors.TokenException, match="Incorrect `api_key` or `access_token`"):
        kite.profile()


def test_an_expired_token_says_so_and_fires_the_hook(kite: Any, paper: PaperExchange) -> None:
    fired: list[bool] = []
    kite.set_session_expiry_hook(lambda: fired.append(True))
    paper.control.expire_token(kite.user_id)
    with pytest.raises(kite_errors.TokenException, match="Token is invalid or has expired"):
        kite.orders()
    assert fired == [True]
    paper.control.set_token(kite.user_id, "fresh")
    kite.set_access_token("fresh")
    assert kite.orders() == []
    assert kite.invalidate_access_token() is True
    with pytest.raises(kite_errors.TokenException):
        kite.orders()


def test_requests_without_credentials_or_version_are_refused(paper: PaperExchange) -> None:
    with httpx.Client(base_url=paper.url, trust_env=False) as bare:
        no_version = bare.get("/orders", headers={"Authorization": "token paper:paper-token"})
        no_token = bare.get("/orders", headers={"X-Kite-Version": "3"})
        unknown = bare.get("/no/such/route")
    assert [r.json()["error_type"] for r in (no_version, no_token)] == ["InputException"] * 2
    assert no_token.json() == {
        "status": "error",
        "message": "Invalid `api_key` or `access_token`.",
        "data": None,
        "error_type": "InputException",
    }
    assert (unknown.status_code, unknown.json()["status"]) == (404, "error")


def test_the_documented_account_is_there(paper: PaperExchange) -> None:
    client = KiteConnect("paper", access_token="paper-token", root=paper.url)
    assert client.profile()["user_id"] == "PA0001"


def test_the_ledger_has_refused_requests_too_with_the_time_they_arrived(kite: Any, paper: PaperExchange) -> None:
    before = time.time_ns()
    order_id = kite.place_order(**BUY_INFY, tag="TAGA")
    with pytest.raises(kite_errors.InputException):
        kite.place_order(**{**BUY_INFY, "quantity": 0}, tag="TAGB")
    after = time.time_ns()
    final_row(kite, order_id)
    ledger = paper.control.ledger(user_id=kite.user_id)
    accepted, refused = ledger["requests"]
    assert before < accepted["received_ns"] < refused["received_ns"] < after
    assert (accepted["status"], accepted["order_id"], accepted["form"]["tag"]) == (200, order_id, "TAGA")
    assert (refused["status"], refused["order_id"]) == (400, None)
    assert "quantity" in refused["error"]

    by_tag = paper.control.ledger(tag="TAGA")
    assert [request["order_id"] for request in by_tag["requests"]] == [order_id]
    account = ledger["accounts"][kite.user_id]
    assert [order["order_id"] for order in account["orders"]] == [order_id]
    assert account["trades"][0]["price_paise"] > 0
    assert account["positions"][0]["quantity"] == 10


def test_an_order_from_outside_shows_in_the_book(kite: Any, paper: PaperExchange) -> None:
    order_id = paper.control.foreign_order(kite.user_id, tradingsymbol="INFY", transaction_type="SELL", quantity=5)
    assert final_row(kite, order_id)["tag"] is None
    assert kite.positions()["net"][0]["quantity"] == -5


def test_everything_outlives_a_kill(tmp_path: Any) -> None:
    with PaperExchange(ledger_path=tmp_path / "ledger.jsonl", default_source="hold") as paper:
        account = paper.control.new_account(holdings={"NSE:ITC": 7})
        client = KiteConnect(account.api_key, access_token=account.access_token, root=paper.url)
        paper.control.set_price("NSE:INFY", 1234.5)
        filled = client.place_order(**BUY_INFY, tag="KEEP")
        final_row(client, filled)
        resting = client.place_order(**{**BUY_INFY, "order_type": "LIMIT", "price": 1200})
        eventually(lambda: client.order_history(resting)[-1]["status"] == "OPEN")
        remembered = client.orders(), client.trades(), client.positions(), client.holdings()

        paper.restart()

        client = KiteConnect(account.api_key, access_token=account.access_token, root=paper.url)
        assert (client.orders(), client.trades(), client.positions(), client.holdings()) == remembered
        assert len(paper.control.ledger(tag="KEEP")["requests"]) == 1
        paper.control.set_price("NSE:INFY", 1199)
        assert final_row(client, resting)["average_price"] == 1199.0
