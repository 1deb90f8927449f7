"""Orders: stages, and reports merged so that what is known never goes backwards."""

from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.domain.errors import InvalidValue
from actors.domain.identifiers import IntentId, Leg, Side
from actors.domain.orders.order import (
    FailureKind,
    Intent,
    Order,
    OrderEvent,
    OrderReport,
    OrderStage,
)
from tests.kit.builders import a_report, a_run

ENTRY = Order(a_run().entry_intent())
EXIT = Order(a_run().exit_intent(1, 10))


def test_only_complete_cancelled_and_rejected_are_final() -> None:
    assert {stage for stage in OrderStage if stage.terminal} == {
        OrderStage.COMPLETE,
        OrderStage.CANCELLED,
        OrderStage.REJECTED,
    }


def test_stop_loss_goes_before_sell_before_buy() -> None:
    assert sorted(OrderEvent, key=lambda event: event.priority) == [
        OrderEvent.STOPLOSS,
        OrderEvent.SELL,
        OrderEvent.BUY,
    ]


def test_first_report_gives_the_order_its_id() -> None:
    order = ENTRY.merged(a_report("42", OrderStage.OPEN, filled=0))
    assert (order.order_id, order.stage, order.sent, order.live) == ("42", OrderStage.OPEN, True, True)


def test_status_never_goes_backwards() -> None:
    done = ENTRY.merged(a_report("42"))
    assert done.merged(a_report("42", OrderStage.OPEN, filled=4)) == done


def test_fill_after_a_cancellation_is_booked() -> None:
    cancelled = ENTRY.merged(a_report("42", OrderStage.CANCELLED, filled=0))
    late = cancelled.merged(a_report("42", OrderStage.CANCELLED, filled=3, price="1499"))
    assert (late.stage, late.filled_quantity, late.average_price) == (OrderStage.CANCELLED, 3, Decimal(1499))
    assert late.merged(a_report("42")).stage is OrderStage.COMPLETE


def test_partial_fill_that_comes_after_the_whole_one_changes_nothing() -> None:
    done = ENTRY.merged(a_report("42", price="1500"))
    assert done.merged(a_report("42", OrderStage.OPEN, filled=4, price="1400")) == done


def test_report_proves_that_an_order_thought_absent_exists() -> None:
    absent = replace(ENTRY, sent=True, failure=FailureKind.EXHAUSTED)
    assert not absent.live
    assert absent.merged(a_report("42", OrderStage.OPEN, filled=0)).live


def test_order_that_was_not_sent_is_not_live() -> None:
    assert not ENTRY.live
    assert replace(ENTRY, sent=True).live


def test_reason_is_that_of_the_furthest_report() -> None:
    opened = ENTRY.merged(a_report("42", OrderStage.OPEN, filled=0, reason="validating"))
    assert opened.merged(a_report("42", OrderStage.REJECTED, filled=0, reason="no margin")).reason == "no margin"


def test_report_of_another_order_is_refused() -> None:
    with pytest.raises(InvalidValue, match="given to order"):
        ENTRY.merged(a_report("42", OrderStage.OPEN, filled=0)).merged(a_report("43"))


def test_exit_takes_the_quantity_the_broker_holds() -> None:
    order = EXIT.merged(a_report("42", OrderStage.OPEN, filled=0, quantity=6))
    assert order.intent == replace(EXIT.intent, quantity=6)


def test_value_is_the_average_over_what_was_filled() -> None:
    assert ENTRY.merged(a_report("42", OrderStage.OPEN, filled=4, price="1500.25")).value == Decimal("6001.00")


@pytest.mark.parametrize(("filled", "quantity"), [(-1, 10), (11, 10)])
def test_report_with_an_impossible_fill_is_refused(filled: int, quantity: int) -> None:
    with pytest.raises(InvalidValue):
        OrderReport("42", None, OrderStage.OPEN, quantity, filled, Decimal(1))


@pytest.mark.parametrize(("leg", "side"), [(Leg.ENTRY, Side.SELL), (Leg.EXIT, Side.BUY)])
def test_intent_cannot_trade_against_its_leg(leg: Leg, side: Side) -> None:
    with pytest.raises(InvalidValue):
        Intent(IntentId(7, leg, 1), "tag", side, 10, OrderEvent.BUY)


@pytest.mark.parametrize("quantity", [0, -1])
def test_intent_wants_at_least_one_share(quantity: int) -> None:
    with pytest.raises(InvalidValue):
        a_run().exit_intent(1, quantity)


def reports() -> st.SearchStrategy[OrderReport]:
    return st.builds(
        lambda stage, filled: a_report("42", stage, filled=filled, price="1500"),
        st.sampled_from([stage for stage in OrderStage if stage is not OrderStage.REJECTED]),
        st.integers(0, 10),
    )


@given(st.lists(reports(), max_size=8), st.randoms())
def test_order_of_arrival_does_not_matter(found: list[OrderReport], random: Random) -> None:
    shuffled = list(found)
    random.shuffle(shuffled)
    one = two = ENTRY
    for report in found:
        one = one.merged(report)
    for report in shuffled:
        two = two.merged(report)
    assert (one.stage, one.filled_quantity, one.order_id) == (two.stage, two.filled_quantity, two.order_id)


@given(st.lists(reports(), max_size=8))
def test_what_is_known_never_goes_backwards(found: list[OrderReport]) -> None:
    states = [ENTRY]
    for report in found:
        states.append(states[-1].merged(report))
        assert states[-1].merged(report) == states[-1]
    for before, after in pairwise(states):
        assert after.filled_quantity >= before.filled_quantity
        assert not before.stage.terminal or after.stage.terminal
