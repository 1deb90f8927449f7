"""The account's owner in the broker's app: trades by hand, edits of any order, holdings; and the judge's view of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from kiteconnect import exceptions as kite_errors
from websockets.sync.client import connect

from tests.kit.paper import PaperExchange, eventually
from tests.kit.paper_account import PaperAccount

if TYPE_CHECKING:
    from collections.abc import Iterator

PRICE = 1500.0


@pytest.fixture(scope="module")
def paper() -> Iterator[PaperExchange]:
    with PaperExchange(default_source="hold", orders_per_minute=0, orders_per_second=0) as exchange:
        exchange.control.set_price("NSE:INFY", PRICE)
        yield exchange


@pytest.fixture
def account(paper: PaperExchange) -> Iterator[PaperAccount]:
    yield PaperAccount(paper)
    paper.control.set_liquidity("NSE:INFY", None)
    paper.control.set_price("NSE:INFY", PRICE)


def resting(account: PaperAccount, **changes: Any) -> str:
    order_id = account.place("OURS", order_type="LIMIT", price=1450, **changes)
    account.reaches(order_id, "OPEN")
    return order_id


def half_filled(account: PaperAccount, paper: PaperExchange, filled: int = 4) -> str:
    """Our limit order of ten at the market, of which some have filled and no others do."""
    paper.control.set_liquidity("NSE:INFY", filled)
    order_id = account.place("OURS", order_type="LIMIT", price=PRICE)
    eventually(lambda: account.row(order_id)["filled_quantity"] == filled)
    paper.control.set_liquidity("NSE:INFY", 0)
    return order_id


def test_hand_trades_of_both_sides_go_through_while_ours_rests(account: PaperAccount) -> None:
    ours = resting(account)
    for side, quantity, net in (("BUY", 5, 5), ("SELL", 8, -3), ("BUY", 3, 0)):
        by_hand = account.reaches(account.by_hand(side, quantity), "COMPLETE")
        assert (account.net(), by_hand["tag"], by_hand["placed_by"]) == (net, None, account.user_id)
    assert account.status(ours) == "OPEN"
    limit = account.by_hand("SELL", 1, order_type="LIMIT", price=1600)
    assert account.reaches(limit, "OPEN")["price"] == 1600


def test_the_owner_edits_our_order_and_the_book_shows_it(account: PaperAccount, paper: PaperExchange) -> None:
    ours = resting(account)
    paper.control.edit_order(ours, quantity=7, price=1440)
    eventually(lambda: account.row(ours)["status"] == "OPEN" and account.row(ours)["modified"])
    row = account.row(ours)
    assert (row["quantity"], row["price"], row["tag"]) == (7, 1440, "OURS")
    paper.control.edit_order(ours, quantity=12)
    eventually(lambda: account.row(ours)["quantity"] == 12)
    account.reaches(ours, "OPEN")
    paper.control.edit_order(ours, order_type="MARKET")
    row = account.reaches(ours, "COMPLETE")
    assert (row["quantity"], row["filled_quantity"], account.net()) == (12, 12, 12)
    assert [(r["method"], r["source"], r["tag"]) for r in account.requests()] == [
        ("POST", "api", "OURS"),
        *[("PUT", "foreign", "OURS")] * 3,
    ]


def test_a_quantity_reduced_to_what_has_filled_completes_the_order(account: PaperAccount, paper: PaperExchange) -> None:
    ours = half_filled(account, paper)
    paper.control.edit_order(ours, quantity=4)
    row = account.reaches(ours, "COMPLETE")
    assert (row["quantity"], row["filled_quantity"], row["pending_quantity"], account.net()) == (4, 4, 0, 4)


def test_a_reduced_order_completes_with_its_new_quantity(account: PaperAccount, paper: PaperExchange) -> None:
    ours = half_filled(account, paper)
    paper.control.edit_order(ours, quantity=6)
    account.reaches(ours, "OPEN")
    paper.control.set_liquidity("NSE:INFY", None)
    paper.control.set_price("NSE:INFY", PRICE)
    row = account.reaches(ours, "COMPLETE")
    assert (row["quantity"], row["filled_quantity"], account.net()) == (6, 6, 6)


def test_an_edit_below_what_has_filled_is_refused_and_changes_nothing(
    account: PaperAccount, paper: PaperExchange
) -> None:
    ours = half_filled(account, paper)
    with pytest.raises(AssertionError, match=r"400 .*quantity"):
        paper.control.edit_order(ours, quantity=3)
    assert (account.status(ours), account.row(ours)["quantity"]) == ("OPEN", 10)


def test_the_owner_cancels_our_order(account: PaperAccount, paper: PaperExchange) -> None:
    ours = half_filled(account, paper)
    paper.control.cancel_by_hand(ours)
    row = account.reaches(ours, "CANCELLED")
    assert (row["filled_quantity"], row["cancelled_quantity"], row["status_message"]) == (4, 6, None)
    with pytest.raises(AssertionError, match=r"Order cannot be cancelled as it is being processed\. Try later\."):
        paper.control.cancel_by_hand(ours)
    with pytest.raises(AssertionError, match="404"):
        paper.control.edit_order("1" * 19, quantity=1)


def test_sockets_hear_of_hand_trades_and_hand_edits(account: PaperAccount, paper: PaperExchange) -> None:
    keys = f"api_key={account.credentials.api_key}&access_token={account.credentials.access_token}"
    with connect(f"{paper.ws_url}/?{keys}", additional_headers={"X-Kite-Version": "3"}, proxy=None) as socket:
        ours = resting(account)
        by_hand = account.by_hand("BUY", 5)
        account.reaches(by_hand, "COMPLETE")
        paper.control.edit_order(ours, quantity=7)
        eventually(lambda: account.row(ours)["quantity"] == 7)
        account.reaches(ours, "OPEN")
        paper.control.cancel_by_hand(ours)
        account.reaches(ours, "CANCELLED")
        heard: list[tuple[str, str, int, str | None]] = []
        while len(heard) < 3:
            message = socket.recv(timeout=5)
            if isinstance(message, str):
                data = json.loads(message)["data"]
                heard.append((data["order_id"], data["status"], data["quantity"], data["tag"]))
    assert heard == [(by_hand, "COMPLETE", 5, None), (ours, "UPDATE", 7, "OURS"), (ours, "CANCEL", 7, "OURS")]


def test_rows_of_all_orders_have_what_kites_have(account: PaperAccount, paper: PaperExchange) -> None:
    account.bought()
    account.reaches(account.by_hand("SELL", 4), "COMPLETE")
    paper.control.square_off(account.user_id)
    eventually(lambda: account.net() == 0)
    rows = httpx.get(
        f"{paper.url}/orders",
        headers={
            "X-Kite-Version": "3",
            "Authorization": f"token {account.credentials.api_key}:{account.credentials.access_token}",
        },
        trust_env=False,
    ).json()["data"]
    assert [(row["placed_by"], row["tag"]) for row in rows] == [
        (account.user_id, "IN"),
        (account.user_id, None),
        ("ADMINSQF", None),
    ]
    for row in rows:
        assert (row["exchange"], row["tradingsymbol"], row["product"], row["order_type"]) == (
            "NSE", "INFY", "MIS", "LIMIT",
        )  # fmt: skip
        assert row["price"] > 0
        assert row["tags"][-2:][0] == "mktp"
        for stamp in ("order_timestamp", "exchange_timestamp", "exchange_update_timestamp"):
            assert len(row[stamp]) == len("2026-11-28 13:00:00")
    position = account.position()
    assert (position["overnight_quantity"], position["day_buy_quantity"], position["day_sell_quantity"]) == (0, 10, 10)


def test_shares_sold_out_of_holdings_show_as_used_and_as_a_short_day_position(
    account: PaperAccount, paper: PaperExchange
) -> None:
    rows = paper.control.set_holdings(
        account.user_id,
        {"instrument": "NSE:INFY", "opening_quantity": 100, "t1_quantity": 20, "collateral_quantity": 30},
    )
    assert [row["opening_quantity"] for row in rows] == [100]
    account.reaches(account.by_hand("SELL", 60, product="CNC"), "COMPLETE")
    row = account.holding()
    assert (row["opening_quantity"], row["quantity"], row["used_quantity"]) == (100, 40, 60)
    assert (row["t1_quantity"], row["collateral_quantity"], account.net("CNC")) == (20, 30, -60)
    with pytest.raises(kite_errors.GeneralException, match="only 10 available") as refused:
        account.place("OUT", transaction_type="SELL", quantity=11, product="CNC")
    assert refused.value.code == 400
    # Bought again today: first it makes up for what was sold.
    account.bought(5, product="CNC")
    row = account.holding()
    assert (row["opening_quantity"], row["quantity"], row["used_quantity"], account.net("CNC")) == (100, 45, 55, -55)


def test_a_sale_out_of_holdings_needs_tpin_and_one_of_today_does_not(
    account: PaperAccount, paper: PaperExchange
) -> None:
    held = {"instrument": "NSE:INFY", "opening_quantity": 10}
    paper.control.set_holdings(account.user_id, held)
    paper.control.require_tpin(account.user_id)
    sale = {"transaction_type": "SELL", "product": "CNC"}
    with pytest.raises(kite_errors.GeneralException, match="TPIN") as refused:
        account.place("OUT", quantity=1, **sale)
    assert refused.value.code == 428
    account.bought(3, product="CNC")
    account.reaches(account.place("OUT", quantity=3, **sale), "COMPLETE")
    paper.control.set_holdings(account.user_id, {**held, "authorised_quantity": 4})
    account.reaches(account.place("OUT", quantity=4, **sale), "COMPLETE")
    with pytest.raises(kite_errors.GeneralException, match="TPIN"):
        account.place("OUT", quantity=1, **sale)


def test_positions_of_earlier_days_can_be_set(account: PaperAccount, paper: PaperExchange) -> None:
    (row,) = paper.control.set_positions(
        account.user_id, {"instrument": "NSE:INFY", "product": "MIS", "quantity": -50, "average_price": 1490}
    )
    assert (row["quantity"], row["overnight_quantity"], row["average_price"]) == (-50, -50, 1490)
    account.bought(10)
    row = account.position()
    assert (row["quantity"], row["overnight_quantity"], row["day_buy_quantity"]) == (-40, -50, 10)
    assert account.judged()["lowest_quantity"] == -50


def test_a_short_of_a_moment_is_still_seen(account: PaperAccount) -> None:
    account.bought(10)
    account.reaches(account.place("OUT", transaction_type="SELL", quantity=10), "COMPLETE")
    account.reaches(account.by_hand("SELL", 7), "COMPLETE")
    short = account.row(account.by_hand("BUY", 7))
    eventually(lambda: account.net() == 0)
    row = account.judged()
    assert (row["net_quantity"], row["lowest_quantity"], row["highest_quantity"]) == (0, -7, 10)
    assert row["lowest_at"] <= short["order_timestamp"].strftime("%Y-%m-%d %H:%M:%S")
    assert [net for _, net in row["net_over_time"]] == [10, 0, -7, 0]
    assert (row["sold"], row["sold_by_tag"], row["bought"]) == (
        {"api": 10, "foreign": 7},
        {"OUT": 10},
        {"api": 10, "foreign": 7},
    )


def test_selling_what_was_held_is_no_short_and_selling_more_is(account: PaperAccount, paper: PaperExchange) -> None:
    paper.control.set_holdings(account.user_id, {"instrument": "NSE:INFY", "opening_quantity": 10})
    account.reaches(account.by_hand("SELL", 10, product="CNC"), "COMPLETE")
    row = account.judged("CNC")
    assert (row["net_quantity"], row["lowest_quantity"], account.net("CNC")) == (0, 0, -10)


def test_requests_are_counted_by_day_and_kind_and_refusals_by_reason(
    account: PaperAccount, paper: PaperExchange
) -> None:
    ours = resting(account)
    account.kite.modify_order("regular", ours, price=1440)
    account.reaches(ours, "OPEN")
    account.kite.cancel_order("regular", ours)
    account.reaches(ours, "CANCELLED")
    for _ in range(2):
        with pytest.raises(kite_errors.InputException):
            account.place("BAD", order_type="LIMIT", price=1450.01)
    paper.control.fault("async-reject", message="RMS:Blocked")
    account.reaches(account.place("LATE"), "REJECTED")
    account.by_hand("BUY", 1)
    ledger = paper.control.ledger(account.user_id)["accounts"][account.user_id]
    (counts,) = ledger["requests_by_day"].values()
    assert counts == {"place": 4, "modify": 1, "cancel": 1, "all": 6, "refused": 2}
    tick_size = "Tick size for this script is 0.10. Kindly enter price in the multiple of tick size for this script."
    assert ledger["refusals"] == {tick_size: 2, "RMS:Blocked": 1}


def test_set_holdings_positions_and_the_judges_view_outlive_a_restart(tmp_path: Any) -> None:
    with PaperExchange(ledger_path=tmp_path / "ledger.jsonl", default_source="hold") as paper:
        account = PaperAccount(paper)
        paper.control.set_holdings(account.user_id, {"instrument": "NSE:INFY", "opening_quantity": 10})
        paper.control.set_positions(account.user_id, {"instrument": "NSE:TCS", "product": "MIS", "quantity": 3})
        paper.control.require_tpin(account.user_id)
        account.reaches(account.by_hand("SELL", 2), "COMPLETE")
        account.reaches(account.by_hand("BUY", 2), "COMPLETE")
        before = (account.kite.holdings(), account.kite.positions(), paper.control.over_time(account.user_id))

        paper.restart()

        account.kite = account.client(account.credentials.access_token)
        assert (account.kite.holdings(), account.kite.positions(), paper.control.over_time(account.user_id)) == before
        assert account.judged()["lowest_quantity"] == -2
        with pytest.raises(kite_errors.GeneralException, match="TPIN"):
            account.place("OUT", transaction_type="SELL", product="CNC")
