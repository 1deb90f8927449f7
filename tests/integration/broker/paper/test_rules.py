"""Rules of the exchange and the broker for single instruments: circuits, buyers, freeze quantities, stop orders."""

from __future__ import annotations

import shutil
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from kiteconnect import exceptions as kite_errors

from broker.kite.instruments import fetch_instruments
from broker.paper.base.config import PaperConfig
from tests.kit.paper import PaperExchange, eventually
from tests.kit.paper_account import PaperAccount

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

INFY = "NSE:INFY"
PRICE, LOWER, UPPER = 1500.0, 1350.0, 1650.0
FREE: dict[str, Any] = {
    "band_percent": None,
    "buyers": None,
    "sellers": None,
    "freeze_quantity": None,
    "mis_blocked": False,
    "outside_band": "clip",
}
PROCESSED = r"Order cannot be modified as it is being processed\. Try later\."


@pytest.fixture(scope="module")
def paper() -> Iterator[PaperExchange]:
    with PaperExchange(default_source="hold", orders_per_minute=0, orders_per_second=0) as exchange:
        yield exchange


@pytest.fixture
def account(paper: PaperExchange) -> Iterator[PaperAccount]:
    paper.control.set_price(INFY, PRICE)
    yield PaperAccount(paper)
    paper.control.set_rules(INFY, **FREE)


def circuit(paper: PaperExchange) -> None:
    paper.control.set_rules(INFY, lower_circuit_limit=LOWER, upper_circuit_limit=UPPER)


def at_the_lower_circuit(paper: PaperExchange, account: PaperAccount) -> None:
    account.bought(30)
    circuit(paper)
    paper.control.set_price(INFY, LOWER)


def sell(account: PaperAccount, quantity: int = 10, **changes: Any) -> str:
    return account.place("OUT", transaction_type="SELL", quantity=quantity, **changes)


def stop(account: PaperAccount, trigger: float, limit: float, **changes: Any) -> str:
    fields = {"transaction_type": "SELL", "order_type": "SL", "trigger_price": trigger, "price": limit}
    return account.place("STOP", **{**fields, **changes})


def test_quotes_have_the_circuit_limits_and_orders_outside_are_refused(
    account: PaperAccount, paper: PaperExchange
) -> None:
    circuit(paper)
    quote = account.kite.quote(INFY)[INFY]
    assert (quote["lower_circuit_limit"], quote["upper_circuit_limit"]) == (LOWER, UPPER)
    with pytest.raises(kite_errors.InputException, match=r"lower than the current lower circuit limit of 1350\.0"):
        account.place(order_type="LIMIT", price=1349.9)
    with pytest.raises(kite_errors.InputException, match=r"higher than the current upper circuit limit of 1650\.0"):
        account.place(order_type="LIMIT", price=1650.1)
    resting = account.place(order_type="LIMIT", price=LOWER)
    account.reaches(resting, "OPEN")
    with pytest.raises(kite_errors.InputException, match="circuit limit"):
        account.kite.modify_order("regular", resting, price=1349.9)
    assert account.status(resting) == "OPEN"


def test_a_band_in_percent_is_of_the_previous_close_and_on_the_grid(paper: PaperExchange) -> None:
    row = paper.control.set_rules("NSE:SBIN", band_percent=5)
    # 815.50 less and more 40.775, on the grid of 0.05 inside.
    assert (row["lower_circuit_limit"], row["upper_circuit_limit"]) == (774.75, 856.25)
    assert paper.control.set_price("NSE:SBIN", 700)["last_price"] == 774.75
    paper.control.set_rules("NSE:SBIN", band_percent=None)
    assert paper.control.set_price("NSE:SBIN", 700)["last_price"] == 700


@pytest.mark.parametrize(
    "band",
    [
        {"lower_circuit_limit": 10},
        {"lower_circuit_limit": 10, "upper_circuit_limit": 10},
        {"lower_circuit_limit": 10, "upper_circuit_limit": 20, "band_percent": 5},
    ],
)
def test_half_a_band_is_refused(paper: PaperExchange, band: dict[str, Any]) -> None:
    with pytest.raises(AssertionError, match="422"):
        paper.control.set_rules(INFY, **band)


def test_at_the_lower_circuit_a_sale_rests_and_a_purchase_fills(account: PaperAccount, paper: PaperExchange) -> None:
    at_the_lower_circuit(paper, account)
    row = account.reaches(sell(account), "OPEN")
    # The protection price lies below the band: the circuit limit is as low as an order may go.
    assert (row["order_type"], row["price"], row["filled_quantity"]) == ("LIMIT", LOWER, 0)
    quote = account.kite.quote(INFY)[INFY]
    assert (quote["buy_quantity"], quote["depth"]["buy"][0]["quantity"]) == (0, 0)
    assert quote["sell_quantity"] > 0
    account.bought(1)
    paper.control.set_price(INFY, LOWER + 1)
    account.reaches(row["order_id"], "COMPLETE")


def test_at_the_upper_circuit_nobody_sells(account: PaperAccount, paper: PaperExchange) -> None:
    account.bought(10)
    circuit(paper)
    paper.control.set_price(INFY, UPPER)
    row = account.reaches(account.place("MORE"), "OPEN")
    assert row["price"] == UPPER
    assert account.kite.quote(INFY)[INFY]["sell_quantity"] == 0
    account.reaches(sell(account), "COMPLETE")


def test_buyers_come_a_few_at_a_time_and_serve_the_queue_in_its_order(
    account: PaperAccount, paper: PaperExchange
) -> None:
    at_the_lower_circuit(paper, account)
    first, second = (sell(account, order_type="LIMIT", price=LOWER) for _ in range(2))
    account.reaches(first, "OPEN")
    account.reaches(second, "OPEN")
    paper.control.set_rules(INFY, buyers=6)

    def filled() -> tuple[int, int]:
        return account.row(first)["filled_quantity"], account.row(second)["filled_quantity"]

    for expected in ((6, 0), (10, 2), (10, 8)):
        paper.control.set_price(INFY, LOWER)
        assert filled() == expected


def test_a_modification_loses_the_place_in_the_queue(account: PaperAccount, paper: PaperExchange) -> None:
    at_the_lower_circuit(paper, account)
    first, second = (sell(account, order_type="LIMIT", price=LOWER) for _ in range(2))
    account.reaches(first, "OPEN")
    account.reaches(second, "OPEN")
    account.kite.modify_order("regular", first, quantity=9)
    eventually(lambda: account.row(first)["quantity"] == 9)
    account.reaches(first, "OPEN")
    (row,) = [row for row in paper.control.http.get("/market").json() if row["instrument"] == INFY]
    assert row["queue"] == [second, first]
    paper.control.set_rules(INFY, buyers=10)
    paper.control.set_price(INFY, LOWER)
    assert (account.status(second), account.status(first)) == ("COMPLETE", "OPEN")


def test_a_protected_order_outside_the_band_can_be_rejected_instead(
    account: PaperAccount, paper: PaperExchange
) -> None:
    at_the_lower_circuit(paper, account)
    paper.control.set_rules(INFY, outside_band="reject")
    row = account.reaches(sell(account), "REJECTED")
    assert "circuit limit" in row["status_message"]
    # A modify is answered 200 and refused afterwards: the former terms hold.
    resting = sell(account, order_type="LIMIT", price=UPPER)
    account.reaches(resting, "OPEN")
    account.kite.modify_order("regular", resting, order_type="MARKET", market_protection=5)
    eventually(lambda: account.row(resting)["status_message"])
    row = account.reaches(resting, "OPEN")
    assert (row["order_type"], row["price"]) == ("LIMIT", UPPER)
    assert "circuit limit" in row["status_message"]


def test_quantities_above_the_freeze_are_refused(account: PaperAccount, paper: PaperExchange) -> None:
    paper.control.set_rules(INFY, freeze_quantity=100)
    with pytest.raises(kite_errors.InputException, match="exceeds the freeze quantity of 100"):
        account.place(quantity=101)
    order_id = account.place(quantity=100, order_type="LIMIT", price=1400)
    account.reaches(order_id, "OPEN")
    with pytest.raises(kite_errors.InputException, match="freeze quantity"):
        account.kite.modify_order("regular", order_id, quantity=101)


def test_the_dump_tells_a_freeze_quantity_that_is_ruled(account: PaperAccount, paper: PaperExchange) -> None:
    paper.control.set_rules(INFY, freeze_quantity=100)
    fetch = partial(fetch_instruments, account.credentials.api_key, account.credentials.access_token, root=paper.url)
    listed = fetch(timeout_s=(1.0, 5.0))
    assert [listed["NSE", symbol].freeze_quantity for symbol in ("INFY", "TCS")] == [100, None]


def test_the_broker_slices_what_is_above_the_freeze(account: PaperAccount, paper: PaperExchange) -> None:
    account.bought(25)
    paper.control.set_rules(INFY, freeze_quantity=10, mis_blocked=True)
    done = paper.control.square_off(account.user_id)
    eventually(lambda: account.net() == 0)
    assert [account.row(order_id)["quantity"] for order_id in done["order_ids"]] == [10, 10, 5]


def test_buyers_are_there_for_all_orders_of_a_tick_together(account: PaperAccount, paper: PaperExchange) -> None:
    account.bought(20)
    paper.control.set_source(INFY, "hold", silent=True)
    paper.control.set_rules(INFY, buyers=6)
    first, second = (sell(account, order_type="LIMIT", price=PRICE) for _ in range(2))
    account.reaches(first, "OPEN")
    account.reaches(second, "OPEN")
    assert [account.row(order_id)["filled_quantity"] for order_id in (first, second)] == [6, 0]


def test_mis_can_be_blocked_for_one_share(account: PaperAccount, paper: PaperExchange) -> None:
    account.bought(5)
    paper.control.set_rules(INFY, mis_blocked=True)
    # What is held can still be sold, and no more than that.
    account.reaches(sell(account, 5), "COMPLETE")
    with pytest.raises(kite_errors.InputException, match="MIS orders are blocked for INFY"):
        account.place()
    account.bought(product="CNC")
    account.bought(tradingsymbol="TCS")


@pytest.mark.parametrize(
    ("trigger", "limit", "refusal"),
    [
        (1490, 1445.3, None),
        (1490, 1445.2, "beyond the permissible range"),
        (1500, 1490, "should be lower than the last traded price"),
        (1490, 1490.1, "should be higher than the order price"),
    ],
)
def test_a_stop_keeps_to_the_exchanges_rules(
    account: PaperAccount, trigger: float, limit: float, refusal: str | None
) -> None:
    if refusal is None:
        account.reaches(stop(account, trigger, limit), "TRIGGER PENDING")
        return
    with pytest.raises(kite_errors.InputException, match=refusal):
        stop(account, trigger, limit)


def test_the_range_of_a_cheap_share_is_flat(account: PaperAccount, paper: PaperExchange) -> None:
    paper.control.set_price("NSE:IDEA", 60)
    cheap = {"tradingsymbol": "IDEA"}
    account.reaches(stop(account, 50, 48.5, **cheap), "TRIGGER PENDING")
    with pytest.raises(kite_errors.InputException, match=r"range of 1\.50"):
        stop(account, 50, 48.49, **cheap)
    account.reaches(stop(account, 55, 53.35, **cheap), "TRIGGER PENDING")


def test_a_stop_is_modified_within_the_rules_and_becomes_a_market_order(account: PaperAccount) -> None:
    account.bought()
    order_id = stop(account, 1490, 1480)
    account.reaches(order_id, "TRIGGER PENDING")
    with pytest.raises(kite_errors.InputException, match="permissible range"):
        account.kite.modify_order("regular", order_id, price=1400)
    with pytest.raises(kite_errors.InputException, match="lower than the last traded price"):
        account.kite.modify_order("regular", order_id, trigger_price=1510, price=1500)
    account.kite.modify_order("regular", order_id, order_type="MARKET", market_protection=5)
    account.reaches(order_id, "COMPLETE")
    with pytest.raises(kite_errors.OrderException, match=PROCESSED):
        account.kite.modify_order("regular", order_id, quantity=1)


def test_a_limit_order_cannot_become_a_stop(account: PaperAccount) -> None:
    order_id = account.place(order_type="LIMIT", price=1400)
    account.reaches(order_id, "OPEN")
    with pytest.raises(kite_errors.InputException, match="LIMIT cannot be modified to SL"):
        account.kite.modify_order("regular", order_id, order_type="SL", trigger_price=1510, price=1520)
    assert account.status(order_id) == "OPEN"


def test_a_woken_stop_rests_as_a_limit_order_and_can_be_chased(account: PaperAccount, paper: PaperExchange) -> None:
    account.bought()
    order_id = stop(account, 1490, 1480)
    account.reaches(order_id, "TRIGGER PENDING")
    paper.control.set_price(INFY, 1470)
    row = account.reaches(order_id, "OPEN")
    assert (row["order_type"], row["filled_quantity"]) == ("SL", 0)
    account.kite.modify_order("regular", order_id, price=1475)
    eventually(lambda: account.row(order_id)["price"] == 1475)
    # A gap wider than the range of a stop is no matter any more, nor is a trigger above the market.
    account.reaches(order_id, "OPEN")
    account.kite.modify_order("regular", order_id, order_type="LIMIT", price=1400)
    account.reaches(order_id, "COMPLETE")


@pytest.fixture(scope="module")
def bse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PaperExchange]:
    path: Path = tmp_path_factory.mktemp("instruments") / "instruments.csv"
    shutil.copy(PaperConfig().instruments_path, path)
    with path.open("a") as rows:
        rows.write("128209924,500209,INFY,INFOSYS,1510.00,,0,0.05,1,EQ,BSE,BSE\n")
        rows.write("90000129,351563,FINETICK,A FUND,10.00,,0,0.0025,1,EQ,NSE,NSE\n")
        rows.write("90000385,351564,NOTICK,AN INDEX,100.00,,0,0,1,EQ,INDICES,NSE\n")
    with PaperExchange(instruments_path=path, tick_seconds=0.05, walk_volatility=0.01) as exchange:
        yield exchange


def test_the_bse_takes_no_stop_without_a_limit(bse: PaperExchange) -> None:
    account = PaperAccount(bse)
    fields: dict[str, Any] = {"exchange": "BSE", "transaction_type": "SELL", "trigger_price": 1200}
    with pytest.raises(kite_errors.InputException, match="SL-M orders are not allowed on BSE"):
        account.place(order_type="SL-M", **fields)
    account.reaches(account.place(order_type="SL", price=1190, **fields), "TRIGGER PENDING")


def test_a_grid_finer_than_a_paisa_does_not_stop_the_prices(bse: PaperExchange) -> None:
    account = PaperAccount(bse)
    first = account.kite.ltp("NSE:FINETICK", "NSE:NOTICK", INFY)

    def all_moved() -> bool:
        now = account.kite.ltp(*first)
        return all(now[key]["last_price"] != first[key]["last_price"] for key in first)

    eventually(all_moved, what="prices on the move")
    order_id = account.place(tradingsymbol="FINETICK", order_type="LIMIT", price=5.01)
    account.reaches(order_id, "OPEN")
    # The dump says what the exchange says.
    row = next(row for row in account.kite.instruments("NSE") if row["tradingsymbol"] == "FINETICK")
    assert row["tick_size"] == 0.0025


def test_rules_outlive_a_restart(tmp_path: Path) -> None:
    with PaperExchange(ledger_path=tmp_path / "ledger.jsonl", default_source="hold") as paper:
        paper.control.set_rules(INFY, band_percent=10, freeze_quantity=7, mis_blocked=True, buyers=3)
        before = paper.control.set_rules(INFY)
        paper.restart()
        after = paper.control.set_rules(INFY)
        changing = ("exchange_ns",)
        assert {k: v for k, v in after.items() if k not in changing} == {
            k: v for k, v in before.items() if k not in changing
        }
        assert after["freeze_quantity"] == 7
