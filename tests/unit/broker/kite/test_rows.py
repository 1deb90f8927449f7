"""From Kite's words to ours: what a row says of an order (kite.md §3)."""

from decimal import Decimal
from typing import Any

import pytest

from actors.domain.orders.cover import AccountPosition
from actors.domain.orders.order import OrderStage
from broker.kite.answers.holdings import holdings_of, positions_of
from broker.kite.answers.rows import report_of, stage_of

ROW: dict[str, Any] = {
    "order_id": "220303000308932",
    "status": "COMPLETE",
    "status_message": None,
    "quantity": 10,
    "filled_quantity": 10,
    "pending_quantity": 0,
    "average_price": 1510.35,
    "tag": None,
    "tags": [],
}


def test_a_row_becomes_a_report() -> None:
    report = report_of(ROW | {"tag": "EABCDEFGHIJKLMNOPQRS"})
    assert (report.order_id, report.tag, report.stage) == (
        "220303000308932",
        "EABCDEFGHIJKLMNOPQRS",
        OrderStage.COMPLETE,
    )
    assert (report.quantity, report.filled_quantity, report.average_price) == (10, 10, Decimal("1510.35"))


def test_fills_are_taken_from_the_filled_quantity_alone() -> None:
    row = ROW | {"status": "CANCELLED", "filled_quantity": 3, "pending_quantity": 1, "cancelled_quantity": 1}
    assert report_of(row).filled_quantity == 3
    assert report_of(ROW | {"filled_quantity": 12}).filled_quantity == 10
    assert report_of(ROW | {"filled_quantity": None, "average_price": None}).filled_quantity == 0


@pytest.mark.parametrize(
    ("tag", "tags", "own"),
    [
        ("EABCDEFGHIJKLMNOPQRS", ["EABCDEFGHIJKLMNOPQRS", "mktp", "mktp:2.00"], "EABCDEFGHIJKLMNOPQRS"),
        (None, ["mktp", "EABCDEFGHIJKLMNOPQRS"], "EABCDEFGHIJKLMNOPQRS"),
        (None, None, None),
        (None, ["autoslice"], None),
        ("byhand", ["byhand"], "byhand"),
    ],
)
def test_our_tag_is_found_among_those_of_the_system(tag: str | None, tags: list[str] | None, own: str | None) -> None:
    assert report_of(ROW | {"tag": tag, "tags": tags}).tag == own


def test_an_unknown_status_is_not_final() -> None:
    assert not report_of(ROW | {"status": "A STATUS OF NEXT YEAR", "filled_quantity": 0}).stage.terminal


def test_the_reason_of_a_rejection_is_kept() -> None:
    row = ROW | {"status": "REJECTED", "filled_quantity": 0, "status_message": "Insufficient funds"}
    assert report_of(row).reason == "Insufficient funds"


@pytest.mark.parametrize(
    "nonsense",
    [
        {"order_id": None},
        {"order_id": ""},
        {"order_id": ["1"]},
        {"quantity": None},
        {"quantity": "ten"},
        {"filled_quantity": -1},
        {"average_price": "NaN"},
        {"average_price": float("inf")},
        {"average_price": "free"},
        {"tags": 7},
        {"tags": [7]},
        {"tag": 7},
        {"quantity": 0},
        {"quantity": 10.5},
        {"status": 7},
        {"order_id": "1\0"},
    ],
)
def test_a_row_that_makes_no_sense_is_none(nonsense: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError, ArithmeticError)):
        report_of(ROW | nonsense)


def test_positions_are_kept_by_exchange_symbol_and_product() -> None:
    row = {"exchange": "NSE", "tradingsymbol": "INFY", "product": "MIS", "quantity": 10}
    rows = [row, row | {"product": "CNC", "quantity": 3}, row | {"exchange": "BSE", "quantity": -2}]
    assert positions_of({"net": rows, "day": [row]}) == {
        ("NSE", "INFY", "MIS"): AccountPosition(10),
        ("NSE", "INFY", "CNC"): AccountPosition(3),
        ("BSE", "INFY", "MIS"): AccountPosition(-2),
    }


def test_shares_in_the_demat_account_can_be_sold_on_either_exchange() -> None:
    rows = [{"exchange": "BSE", "tradingsymbol": "INFY", "quantity": 7, "t1_quantity": 2}]
    assert holdings_of(rows) == {("NSE", "INFY", "CNC"): 9, ("BSE", "INFY", "CNC"): 9}


@pytest.mark.parametrize(
    ("status", "stage"),
    [
        ("PUT ORDER REQ RECEIVED", OrderStage.PENDING),
        ("VALIDATION PENDING", OrderStage.PENDING),
        ("OPEN PENDING", OrderStage.PENDING),
        ("AMO REQ RECEIVED", OrderStage.PENDING),
        ("a status of next year", OrderStage.PENDING),
        ("OPEN", OrderStage.OPEN),
        ("TRIGGER PENDING", OrderStage.OPEN),
        ("MODIFY PENDING", OrderStage.OPEN),
        ("CANCEL PENDING", OrderStage.OPEN),
        ("UPDATE", OrderStage.OPEN),
        ("COMPLETE", OrderStage.COMPLETE),
        ("CANCELLED", OrderStage.CANCELLED),
        ("CANCEL", OrderStage.CANCELLED),
        ("REJECTED", OrderStage.REJECTED),
    ],
)
def test_status_of_kite_has_its_stage(status: str, stage: OrderStage) -> None:
    assert stage_of(status) is stage
