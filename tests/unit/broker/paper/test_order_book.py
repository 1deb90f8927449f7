from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from broker.paper.accounts.accounts import Account
from broker.paper.accounts.ledger import Journal
from broker.paper.base.config import PaperConfig
from broker.paper.base.errors import KiteError, LedgerCorruptError
from broker.paper.base.instruments import InstrumentList
from broker.paper.book.book import OrderBook
from broker.paper.faults.book_view import rows_seen
from broker.paper.faults.faults import Fault, FaultMatch
from broker.paper.orders.order import (
    TERMINAL,
    TRANSITIONS,
    IllegalTransitionError,
    Order,
    OrderEffects,
    OrderStatus,
)
from broker.paper.orders.order_form import read_new_order
from tests.kit.paper import ManualClock

if TYPE_CHECKING:
    from pathlib import Path

INFY = 408065
INSTRUMENTS = InstrumentList.load(PaperConfig().instruments_path)
WALK = ["PUT ORDER REQ RECEIVED", "VALIDATION PENDING", "OPEN PENDING", "OPEN"]


@dataclass
class Prices:
    last: int = 1500_00
    left: int | None = None

    def last_paise(self, _token: int) -> int:
        return self.last

    def liquidity(self, _token: int) -> int | None:
        return self.left

    def take_liquidity(self, _token: int, quantity: int) -> None:
        if self.left is not None:
            self.left -= quantity


@dataclass
class Desk:
    """An order book with its surroundings, and shortcuts to use it."""

    config: PaperConfig = field(default_factory=PaperConfig)
    clock: ManualClock = field(default_factory=ManualClock)
    prices: Prices = field(default_factory=Prices)
    journal: Journal = field(default_factory=lambda: Journal(None))
    updates: list[dict[str, Any]] = field(default_factory=list)
    account: Account = field(
        default_factory=lambda: Account(
            user_id="PA1", api_key="k", api_secret="s", access_token="t", cash_paise=10_00_000_00
        )
    )

    def __post_init__(self) -> None:
        self.book = OrderBook(
            self.config,
            self.clock,
            self.journal,
            INSTRUMENTS,
            self.prices,
            lambda _user, message: self.updates.append(message),
        )

    def place(self, effects: OrderEffects | None = None, **form: str) -> Order:
        fields = {
            "exchange": "NSE",
            "tradingsymbol": "INFY",
            "transaction_type": "BUY",
            "quantity": "10",
            "product": "MIS",
            "order_type": "MARKET",
        }
        if form.get("order_type", "MARKET") in ("MARKET", "SL-M"):
            fields["market_protection"] = "-1"
        terms = read_new_order("regular", {**fields, **form}, INSTRUMENTS)
        return self.book.place(self.account, terms, effects or OrderEffects())

    def settle(self) -> None:
        self.clock.advance(1)

    def tick(self, price: int, left: int | None = None) -> None:
        self.prices.last, self.prices.left = price, left
        self.book.on_tick(INFY)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def statuses(order: Order) -> list[str]:
    return [row["status"] for row in order.history]


def test_a_protected_market_order_walks_to_complete_as_a_limit_order(desk: Desk) -> None:
    order = desk.place(tag="RUN1")
    desk.settle()
    assert statuses(order) == [*WALK, "COMPLETE"]
    row = order.row()
    assert (row["order_type"], row["market_protection"], row["price"]) == ("LIMIT", 0, 1507.5)
    assert (row["tag"], row["tags"]) == ("RUN1", ["RUN1", "mktp", "mktp:0.50"])
    assert (row["filled_quantity"], row["average_price"], row["pending_quantity"]) == (10, 1500.0, 0)
    assert len(row["order_id"]) == 19


def test_each_step_takes_its_time(desk: Desk) -> None:
    order = desk.place()
    for status in WALK[:-1]:
        assert order.status == status
        desk.clock.advance(desk.config.stage_seconds)
    assert order.status == "COMPLETE"


def test_updates_are_sent_for_fills_but_not_for_the_placement(desk: Desk) -> None:
    desk.place()
    desk.settle()
    assert [(u["status"], u["checksum"], u["unfilled_quantity"]) for u in desk.updates] == [("COMPLETE", "", 0)]


def test_a_partial_fill_stays_open_until_there_is_liquidity(desk: Desk) -> None:
    desk.prices.left = 4
    order = desk.place()
    desk.settle()
    assert (order.status, order.filled_quantity, order.remaining) == ("OPEN", 4, 6)
    desk.tick(1501_00, left=100)
    assert (order.status, order.filled_quantity) == ("COMPLETE", 10)
    assert order.row()["average_price"] == 1500.6
    assert [u["status"] for u in desk.updates] == ["UPDATE", "COMPLETE"]


def test_a_market_order_parks_when_the_price_runs_away_and_a_modify_completes_it(desk: Desk) -> None:
    order = desk.place(transaction_type="SELL")
    desk.clock.advance(desk.config.stage_seconds * 2.5)
    desk.tick(1400_00)
    desk.settle()
    assert (order.status, order.filled_quantity) == ("OPEN", 0)
    desk.book.modify(desk.account, order.order_id, {"order_type": "LIMIT", "price": "1390"})
    desk.settle()
    assert order.status == "COMPLETE"
    assert statuses(order)[4:] == ["MODIFY VALIDATION PENDING", "MODIFY PENDING", "MODIFIED", "OPEN", "COMPLETE"]


def test_a_parked_order_fills_after_a_modify(desk: Desk) -> None:
    order = desk.place(OrderEffects(fill_cap=3))
    desk.settle()
    desk.tick(1500_00)
    assert (order.status, order.filled_quantity) == ("OPEN", 3)
    desk.book.modify(desk.account, order.order_id, {"order_type": "MARKET", "market_protection": "5"})
    desk.settle()
    assert (order.status, order.filled_quantity) == ("COMPLETE", 10)


def test_cancel_keeps_what_was_filled(desk: Desk) -> None:
    desk.prices.left = 4
    order = desk.place()
    desk.settle()
    desk.book.cancel(desk.account, order.order_id)
    desk.settle()
    row = order.row()
    assert (row["status"], row["filled_quantity"], row["cancelled_quantity"]) == ("CANCELLED", 4, 6)
    with pytest.raises(KiteError) as refused:
        desk.book.cancel(desk.account, order.order_id)
    assert (refused.value.status, refused.value.error_type) == (400, "OrderException")


def test_an_order_in_transit_cannot_be_changed(desk: Desk) -> None:
    order = desk.place()
    with pytest.raises(KiteError, match="being processed"):
        desk.book.cancel(desk.account, order.order_id)


def test_the_twenty_sixth_modification_is_refused(desk: Desk) -> None:
    order = desk.place(order_type="LIMIT", price="1000")
    desk.settle()
    for _ in range(25):
        desk.book.modify(desk.account, order.order_id, {"price": "1001"})
        desk.settle()
    with pytest.raises(KiteError) as refused:
        desk.book.modify(desk.account, order.order_id, {"price": "1001"})
    assert refused.value.message == "Maximum allowed order modifications exceeded."
    assert refused.value.error_type == "NetworkException"


def test_an_order_rejected_later_never_reaches_the_exchange(desk: Desk) -> None:
    order = desk.place(OrderEffects(reject_message="RMS:Blocked"))
    desk.settle()
    row = order.row()
    assert (row["status"], row["status_message"], row["exchange_order_id"]) == ("REJECTED", "RMS:Blocked", None)
    assert (row["pending_quantity"], desk.updates[-1]["status"]) == (0, "REJECTED")


def test_immediate_or_cancel_leaves_nothing_resting(desk: Desk) -> None:
    desk.prices.left = 4
    order = desk.place(validity="IOC", order_type="LIMIT", price="1500")
    desk.settle()
    assert (order.status, order.filled_quantity) == ("CANCELLED", 4)


def test_a_stop_waits_for_its_trigger_and_then_sells(desk: Desk) -> None:
    order = desk.place(transaction_type="SELL", order_type="SL-M", trigger_price="1490")
    desk.settle()
    assert order.status == "TRIGGER PENDING"
    desk.tick(1490_00)
    assert order.status == "COMPLETE"


def test_a_hidden_order_trades_before_it_is_listed(desk: Desk) -> None:
    order = desk.place(OrderEffects(hidden_seconds=30))
    desk.settle()
    assert order.status == "COMPLETE"
    assert desk.book.orders("PA1") == []
    with pytest.raises(KiteError) as unknown:
        desk.book.order("PA1", order.order_id)
    assert unknown.value.status == 404
    desk.clock.advance(30)
    assert desk.book.orders("PA1") == [order]


def test_a_stalled_order_stays_received(desk: Desk) -> None:
    order = desk.place(OrderEffects(hidden_seconds=83, stalled_seconds=83))
    desk.clock.advance(82)
    assert order.status == "PUT ORDER REQ RECEIVED"
    desk.clock.advance(2)
    assert order.status == "COMPLETE"


def test_the_exchange_can_cancel_an_order(desk: Desk) -> None:
    order = desk.place(order_type="LIMIT", price="1000")
    desk.settle()
    desk.book.cancel_by_exchange(order)
    assert (order.status, order.status_message) == ("CANCELLED", "Order cancelled by the exchange.")


def test_the_exchange_cancels_the_rest_some_time_after_a_partial_fill_whatever_is_modified(desk: Desk) -> None:
    order = desk.place(OrderEffects(fill_cap=4, cancel_after_seconds=5))
    desk.clock.advance(4)
    assert (order.status, order.filled_quantity) == ("OPEN", 4)
    desk.book.modify(desk.account, order.order_id, {"order_type": "MARKET", "market_protection": "5"})
    desk.settle()
    desk.tick(1500_00)
    assert (order.status, order.filled_quantity) == ("OPEN", 4)
    desk.clock.advance(1)
    row = order.row()
    assert (row["status"], row["filled_quantity"], row["cancelled_quantity"]) == ("CANCELLED", 4, 6)
    assert desk.updates[-1]["status"] == "CANCEL"


def test_the_cancel_waits_for_the_fill_that_it_follows(desk: Desk) -> None:
    desk.prices.left = 3
    order = desk.place(OrderEffects(fill_cap=4, cancel_after_seconds=0))
    desk.settle()
    assert (order.status, order.filled_quantity) == ("OPEN", 3)
    desk.tick(1500_00, left=100)
    desk.settle()
    assert (order.status, order.filled_quantity) == ("CANCELLED", 4)


def test_an_order_cancelled_by_its_owner_is_not_cancelled_again(desk: Desk) -> None:
    order = desk.place(OrderEffects(fill_cap=0, cancel_after_seconds=5))
    desk.settle()
    desk.book.cancel(desk.account, order.order_id)
    desk.clock.advance(10)
    assert (order.status, order.status_message) == ("CANCELLED", None)


def test_a_triggered_stop_is_cancelled_too(desk: Desk) -> None:
    effects = OrderEffects(fill_cap=0, cancel_after_seconds=1)
    order = desk.place(effects, transaction_type="SELL", order_type="SL-M", trigger_price="1490")
    desk.clock.advance(10)
    assert order.status == "TRIGGER PENDING"
    desk.tick(1490_00)
    desk.clock.advance(2)
    assert (order.status, order.filled_quantity) == ("CANCELLED", 0)


def test_an_order_is_known_as_it_was_at_any_time(desk: Desk) -> None:
    before = desk.clock.now_ns()
    order = desk.place(order_type="LIMIT", price="1400")
    desk.clock.advance(10)
    open_ns = desk.clock.now_ns()
    desk.tick(1399_00)
    desk.clock.advance(10)
    assert order.status == "COMPLETE"
    then = order.row_at(open_ns - 1)
    assert then is not None
    assert (then["status"], then["filled_quantity"]) == ("OPEN", 0)
    assert order.row_at(desk.clock.now_ns()) == order.row()
    assert order.row_at(before - 1) is None


def test_a_stale_book_shows_the_aimed_orders_as_they_were(desk: Desk) -> None:
    desk.place(tag="IN")
    desk.clock.advance(10)
    desk.place(tag="OUT", transaction_type="SELL", order_type="LIMIT", price="1600")
    desk.place(tag="IN2", order_type="LIMIT", price="1400")
    desk.clock.advance(10)
    now = desk.clock.now_ns()

    def seen(match: FaultMatch, seconds: float) -> list[tuple[str, str]]:
        fault = Fault(fault_id=1, kind="stale-book", match=match, seconds=seconds)
        return [(row["tag"], row["status"]) for row in rows_seen(desk.book, "PA1", now, fault)]

    assert seen(FaultMatch(), 15) == [("IN", "COMPLETE")]
    assert seen(FaultMatch(), 20) == [("IN", "PUT ORDER REQ RECEIVED")]
    assert seen(FaultMatch(transaction_type="SELL"), 15) == [("IN", "COMPLETE"), ("IN2", "OPEN")]


def test_an_order_beyond_the_cash_is_refused(desk: Desk) -> None:
    with pytest.raises(KiteError) as refused:
        desk.place(quantity="10000")
    assert (refused.value.status, refused.value.error_type) == (400, "MarginException")
    assert desk.book.orders("PA1") == []


def test_open_orders_block_margin_and_closing_orders_need_none(desk: Desk) -> None:
    desk.place(quantity="3000")
    desk.settle()
    with pytest.raises(KiteError, match="Insufficient funds"):
        desk.place(quantity="3000")
    desk.place(quantity="3000", transaction_type="SELL")
    desk.settle()
    assert desk.book.available_margin(desk.account) == desk.account.cash_paise


def test_cnc_sells_only_what_is_there(desk: Desk) -> None:
    with pytest.raises(KiteError) as refused:
        desk.place(product="CNC", transaction_type="SELL")
    assert (refused.value.status, refused.value.error_type) == (400, "HoldingException")
    desk.place(product="CNC")
    desk.settle()
    desk.place(product="CNC", transaction_type="SELL")
    with pytest.raises(KiteError, match="only 0 available"):
        desk.place(product="CNC", transaction_type="SELL", quantity="1")


def test_mis_may_go_short(desk: Desk) -> None:
    desk.place(transaction_type="SELL")
    desk.settle()
    assert desk.book.portfolio("PA1").position_quantity("NSE", "INFY", "MIS") == -10


def test_the_journal_brings_everything_back_and_orders_go_on(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    before = Desk(journal=Journal(path))
    done, resting = before.place(tag="A"), before.place(order_type="LIMIT", price="1400")
    before.settle()
    in_transit = before.place()
    before.journal.close()

    with path.open("ab") as torn:
        torn.write(b'{"kind":"order","rec')
    after = Desk(clock=before.clock, journal=Journal(path))
    for kind, record in after.journal.replay():
        if kind == "trade":
            after.book.restore_trade(record)
        else:
            after.book.restore_order(record["order"], record["row"])
    after.book.resume()

    assert [o.row() for o in after.book.orders("PA1")] == [o.row() for o in (done, resting, in_transit)]
    assert after.book.order("PA1", done.order_id).history == done.history
    after.settle()
    after.tick(1400_00)
    assert [str(o.status) for o in after.book.orders("PA1")] == ["COMPLETE", "COMPLETE", "COMPLETE"]
    assert after.book.portfolio("PA1").position_quantity("NSE", "INFY", "MIS") == 30
    assert int(after.place().order_id) > int(in_transit.order_id)


def test_a_damaged_journal_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text('{"kind":"trade"\n{"kind":"trade","record":{}}\n')
    with pytest.raises(LedgerCorruptError, match="line 1"):
        list(Journal(path).replay())


def test_every_status_is_in_the_table_and_final_ones_have_no_way_out() -> None:
    assert set(TRANSITIONS) == set(OrderStatus)
    assert {status for status, following in TRANSITIONS.items() if not following} == TERMINAL


def test_an_illegal_step_raises_and_changes_nothing(desk: Desk) -> None:
    order = desk.place()
    with pytest.raises(IllegalTransitionError):
        order.advance(OrderStatus.COMPLETE, 0)
    assert (order.status, len(order.history)) == ("PUT ORDER REQ RECEIVED", 1)
