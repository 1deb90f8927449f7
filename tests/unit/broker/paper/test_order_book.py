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
class BookBench:
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
def bench() -> BookBench:
    return BookBench()


def statuses(order: Order) -> list[str]:
    return [row["status"] for row in order.history]


def test_a_protected_market_order_walks_to_complete_as_a_limit_order(bench: BookBench) -> None:
    order = bench.place(tag="RUN1")
    bench.settle()
    assert statuses(order) == [*WALK, "COMPLETE"]
    row = order.row()
    assert (row["order_type"], row["market_protection"], row["price"]) == ("LIMIT", 0, 1507.5)
    assert (row["tag"], row["tags"]) == ("RUN1", ["RUN1", "mktp", "mktp:0.50"])
    assert (row["filled_quantity"], row["average_price"], row["pending_quantity"]) == (10, 1500.0, 0)
    assert len(row["order_id"]) == 19


def test_each_step_takes_its_time(bench: BookBench) -> None:
    order = bench.place()
    for status in WALK[:-1]:
        assert order.status == status
        bench.clock.advance(bench.config.stage_seconds)
    assert order.status == "COMPLETE"


def test_updates_are_sent_for_fills_but_not_for_the_placement(bench: BookBench) -> None:
    bench.place()
    bench.settle()
    assert [(u["status"], u["checksum"], u["unfilled_quantity"]) for u in bench.updates] == [("COMPLETE", "", 0)]


def test_a_partial_fill_stays_open_until_there_is_liquidity(bench: BookBench) -> None:
    bench.prices.left = 4
    order = bench.place()
    bench.settle()
    assert (order.status, order.filled_quantity, order.remaining) == ("OPEN", 4, 6)
    bench.tick(1501_00, left=100)
    assert (order.status, order.filled_quantity) == ("COMPLETE", 10)
    assert order.row()["average_price"] == 1500.6
    assert [u["status"] for u in bench.updates] == ["UPDATE", "COMPLETE"]


def test_a_market_order_parks_when_the_price_runs_away_and_a_modify_completes_it(bench: BookBench) -> None:
    order = bench.place(transaction_type="SELL")
    bench.clock.advance(bench.config.stage_seconds * 2.5)
    bench.tick(1400_00)
    bench.settle()
    assert (order.status, order.filled_quantity) == ("OPEN", 0)
    bench.book.modify(bench.account, order.order_id, {"order_type": "LIMIT", "price": "1390"})
    bench.settle()
    assert order.status == "COMPLETE"
    assert statuses(order)[4:] == ["MODIFY VALIDATION PENDING", "MODIFY PENDING", "MODIFIED", "OPEN", "COMPLETE"]


def test_a_parked_order_fills_after_a_modify(bench: BookBench) -> None:
    order = bench.place(OrderEffects(fill_cap=3))
    bench.settle()
    bench.tick(1500_00)
    assert (order.status, order.filled_quantity) == ("OPEN", 3)
    bench.book.modify(bench.account, order.order_id, {"order_type": "MARKET", "market_protection": "5"})
    bench.settle()
    assert (order.status, order.filled_quantity) == ("COMPLETE", 10)


def test_cancel_keeps_what_was_filled(bench: BookBench) -> None:
    bench.prices.left = 4
    order = bench.place()
    bench.settle()
    bench.book.cancel(bench.account, order.order_id)
    bench.settle()
    row = order.row()
    assert (row["status"], row["filled_quantity"], row["cancelled_quantity"]) == ("CANCELLED", 4, 6)
    with pytest.raises(KiteError) as refused:
        bench.book.cancel(bench.account, order.order_id)
    assert (refused.value.status, refused.value.error_type) == (400, "OrderException")


def test_an_order_in_transit_cannot_be_changed(bench: BookBench) -> None:
    order = bench.place()
    with pytest.raises(KiteError, match="being processed"):
        bench.book.cancel(bench.account, order.order_id)


def test_the_twenty_sixth_modification_is_refused(bench: BookBench) -> None:
    order = bench.place(order_type="LIMIT", price="1000")
    bench.settle()
    for _ in range(25):
        bench.book.modify(bench.account, order.order_id, {"price": "1001"})
        bench.settle()
    with pytest.raises(KiteError) as refused:
        bench.book.modify(bench.account, order.order_id, {"price": "1001"})
    assert refused.value.message == "Maximum allowed order modifications exceeded."
    assert refused.value.error_type == "NetworkException"


def test_an_order_rejected_later_never_reaches_the_exchange(bench: BookBench) -> None:
    order = bench.place(OrderEffects(reject_message="RMS:Blocked"))
    bench.settle()
    row = order.row()
    assert (row["status"], row["status_message"], row["exchange_order_id"]) == ("REJECTED", "RMS:Blocked", None)
    assert (row["pending_quantity"], bench.updates[-1]["status"]) == (0, "REJECTED")


def test_immediate_or_cancel_leaves_nothing_resting(bench: BookBench) -> None:
    bench.prices.left = 4
    order = bench.place(validity="IOC", order_type="LIMIT", price="1500")
    bench.settle()
    assert (order.status, order.filled_quantity) == ("CANCELLED", 4)


def test_a_stop_waits_for_its_trigger_and_then_sells(bench: BookBench) -> None:
    order = bench.place(transaction_type="SELL", order_type="SL-M", trigger_price="1490")
    bench.settle()
    assert order.status == "TRIGGER PENDING"
    bench.tick(1490_00)
    assert order.status == "COMPLETE"


def test_a_hidden_order_trades_before_it_is_listed(bench: BookBench) -> None:
    order = bench.place(OrderEffects(hidden_seconds=30))
    bench.settle()
    assert order.status == "COMPLETE"
    assert bench.book.orders("PA1") == []
    with pytest.raises(KiteError) as unknown:
        bench.book.order("PA1", order.order_id)
    assert unknown.value.status == 404
    bench.clock.advance(30)
    assert bench.book.orders("PA1") == [order]


def test_a_stalled_order_stays_received(bench: BookBench) -> None:
    order = bench.place(OrderEffects(hidden_seconds=83, stalled_seconds=83))
    bench.clock.advance(82)
    assert order.status == "PUT ORDER REQ RECEIVED"
    bench.clock.advance(2)
    assert order.status == "COMPLETE"


def test_the_exchange_can_cancel_an_order(bench: BookBench) -> None:
    order = bench.place(order_type="LIMIT", price="1000")
    bench.settle()
    bench.book.cancel_by_exchange(order)
    assert (order.status, order.status_message) == ("CANCELLED", "Order cancelled by the exchange.")


def test_the_exchange_cancels_the_rest_some_time_after_a_partial_fill_whatever_is_modified(bench: BookBench) -> None:
    order = bench.place(OrderEffects(fill_cap=4, cancel_after_seconds=5))
    bench.clock.advance(4)
    assert (order.status, order.filled_quantity) == ("OPEN", 4)
    bench.book.modify(bench.account, order.order_id, {"order_type": "MARKET", "market_protection": "5"})
    bench.settle()
    bench.tick(1500_00)
    assert (order.status, order.filled_quantity) == ("OPEN", 4)
    bench.clock.advance(1)
    row = order.row()
    assert (row["status"], row["filled_quantity"], row["cancelled_quantity"]) == ("CANCELLED", 4, 6)
    assert bench.updates[-1]["status"] == "CANCEL"


def test_the_cancel_waits_for_the_fill_that_it_follows(bench: BookBench) -> None:
    bench.prices.left = 3
    order = bench.place(OrderEffects(fill_cap=4, cancel_after_seconds=0))
    bench.settle()
    assert (order.status, order.filled_quantity) == ("OPEN", 3)
    bench.tick(1500_00, left=100)
    bench.settle()
    assert (order.status, order.filled_quantity) == ("CANCELLED", 4)


def test_an_order_cancelled_by_its_owner_is_not_cancelled_again(bench: BookBench) -> None:
    order = bench.place(OrderEffects(fill_cap=0, cancel_after_seconds=5))
    bench.settle()
    bench.book.cancel(bench.account, order.order_id)
    bench.clock.advance(10)
    assert (order.status, order.status_message) == ("CANCELLED", None)


def test_a_triggered_stop_is_cancelled_too(bench: BookBench) -> None:
    effects = OrderEffects(fill_cap=0, cancel_after_seconds=1)
    order = bench.place(effects, transaction_type="SELL", order_type="SL-M", trigger_price="1490")
    bench.clock.advance(10)
    assert order.status == "TRIGGER PENDING"
    bench.tick(1490_00)
    bench.clock.advance(2)
    assert (order.status, order.filled_quantity) == ("CANCELLED", 0)


def test_an_order_is_known_as_it_was_at_any_time(bench: BookBench) -> None:
    before = bench.clock.now_ns()
    order = bench.place(order_type="LIMIT", price="1400")
    bench.clock.advance(10)
    open_ns = bench.clock.now_ns()
    bench.tick(1399_00)
    bench.clock.advance(10)
    assert order.status == "COMPLETE"
    then = order.row_at(open_ns - 1)
    assert then is not None
    assert (then["status"], then["filled_quantity"]) == ("OPEN", 0)
    assert order.row_at(bench.clock.now_ns()) == order.row()
    assert order.row_at(before - 1) is None


def test_a_stale_book_shows_the_aimed_orders_as_they_were(bench: BookBench) -> None:
    bench.place(tag="IN")
    bench.clock.advance(10)
    bench.place(tag="OUT", transaction_type="SELL", order_type="LIMIT", price="1600")
    bench.place(tag="IN2", order_type="LIMIT", price="1400")
    bench.clock.advance(10)
    now = bench.clock.now_ns()

    def seen(match: FaultMatch, seconds: float) -> list[tuple[str, str]]:
        fault = Fault(fault_id=1, kind="stale-book", match=match, seconds=seconds)
        return [(row["tag"], row["status"]) for row in rows_seen(bench.book, "PA1", now, fault)]

    assert seen(FaultMatch(), 15) == [("IN", "COMPLETE")]
    assert seen(FaultMatch(), 20) == [("IN", "PUT ORDER REQ RECEIVED")]
    assert seen(FaultMatch(transaction_type="SELL"), 15) == [("IN", "COMPLETE"), ("IN2", "OPEN")]


def test_an_order_beyond_the_cash_is_refused(bench: BookBench) -> None:
    with pytest.raises(KiteError) as refused:
        bench.place(quantity="10000")
    assert (refused.value.status, refused.value.error_type) == (400, "MarginException")
    assert bench.book.orders("PA1") == []


def test_open_orders_block_margin_and_closing_orders_need_none(bench: BookBench) -> None:
    bench.place(quantity="3000")
    bench.settle()
    with pytest.raises(KiteError, match="Insufficient funds"):
        bench.place(quantity="3000")
    bench.place(quantity="3000", transaction_type="SELL")
    bench.settle()
    assert bench.book.available_margin(bench.account) == bench.account.cash_paise


def test_cnc_sells_only_what_is_there(bench: BookBench) -> None:
    with pytest.raises(KiteError) as refused:
        bench.place(product="CNC", transaction_type="SELL")
    assert (refused.value.status, refused.value.error_type) == (400, "HoldingException")
    bench.place(product="CNC")
    bench.settle()
    bench.place(product="CNC", transaction_type="SELL")
    with pytest.raises(KiteError, match="only 0 available"):
        bench.place(product="CNC", transaction_type="SELL", quantity="1")


def test_mis_may_go_short(bench: BookBench) -> None:
    bench.place(transaction_type="SELL")
    bench.settle()
    assert bench.book.portfolio("PA1").position_quantity("NSE", "INFY", "MIS") == -10


def test_the_journal_brings_everything_back_and_orders_go_on(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    before = BookBench(journal=Journal(path))
    done, resting = before.place(tag="A"), before.place(order_type="LIMIT", price="1400")
    before.settle()
    in_transit = before.place()
    before.journal.close()

    with path.open("ab") as torn:
        torn.write(b'{"kind":"order","rec')
    after = BookBench(clock=before.clock, journal=Journal(path))
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
    with pytest.raises(
        LedgerCorruptError, match=r"ledger\.jsonl, line 1 is damaged .*; restore a backup, or move it away"
    ):
        list(Journal(path).replay())


def test_every_status_is_in_the_table_and_final_ones_have_no_way_out() -> None:
    assert set(TRANSITIONS) == set(OrderStatus)
    assert {status for status, following in TRANSITIONS.items() if not following} == TERMINAL


def test_an_illegal_step_raises_and_changes_nothing(bench: BookBench) -> None:
    order = bench.place()
    with pytest.raises(IllegalTransitionError):
        order.advance(OrderStatus.COMPLETE, 0)
    assert (order.status, len(order.history)) == ("PUT ORDER REQ RECEIVED", 1)
