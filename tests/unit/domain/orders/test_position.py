"""The position of a run, folded from its own fills."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from actors.domain.orders.order import Order, OrderStage
from actors.domain.orders.position import Position, fold_position
from tests.kit.builders import a_report, a_run


def bought(filled: int, price: str = "1500") -> Order:
    return Order(a_run(quantity=1000).entry_intent()).merged(
        a_report("1", OrderStage.OPEN, filled=filled, quantity=1000, price=price)
    )


def sold(filled: int, price: str, seq: int = 1) -> Order:
    return Order(a_run().exit_intent(seq, 1000)).merged(
        a_report(str(seq + 1), OrderStage.CANCELLED, filled=filled, quantity=1000, price=price)
    )


def test_nothing_bought_is_no_position() -> None:
    assert fold_position(bought(0), []) == Position(0, 0, None, None)
    assert fold_position(bought(0), []).pnl is None


def test_bought_and_unsold_has_no_realised_profit() -> None:
    position = fold_position(bought(10), [sold(0, "0")])
    assert (position.open_quantity, position.buy_price, position.sell_price) == (10, Decimal(1500), None)
    assert position.pnl is None


def test_profit_counts_only_what_was_sold() -> None:
    position = fold_position(bought(10), [sold(4, "1510")])
    assert (position.open_quantity, position.pnl) == (6, Decimal("40.00"))


def test_sell_price_is_weighted_over_the_exits() -> None:
    position = fold_position(bought(10), [sold(4, "1400"), sold(6, "1410", seq=2)])
    assert position.sell_price == Decimal(1406)
    assert position.pnl == Decimal("-940.00")


def test_profit_is_rounded_to_the_paisa() -> None:
    position = fold_position(bought(3, "100.333333"), [sold(3, "100.335")])
    assert position.pnl == Decimal("0.01")


def test_selling_more_than_was_bought_is_told_as_a_negative_quantity() -> None:
    assert fold_position(bought(4), [sold(5, "1500")]).open_quantity == -1


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 500_000)), max_size=6), st.integers(1, 500_000))
def test_profit_is_what_came_in_less_what_went_out(parts: list[tuple[int, int]], paid: int) -> None:
    total = sum(quantity for quantity, _ in parts)
    exits = [sold(quantity, str(Decimal(paise) / 100), seq) for seq, (quantity, paise) in enumerate(parts, 1)]
    position = fold_position(bought(max(total, 1), str(Decimal(paid) / 100)), exits)
    if total:
        assert position.pnl == Decimal(sum(q * p for q, p in parts) - total * paid) / 100
    assert position.open_quantity == max(total, 1) - total
