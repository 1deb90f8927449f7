"""What of our runs' shares an account still holds, as a pure judgement (row M1)."""

from datetime import datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from actors.domain.identifiers import Leg, Side
from actors.domain.orders.cover import AccountPosition, Cover, OwnIntent, PositionKey, Stake, judge
from actors.domain.orders.order import OrderReport, OrderStage, OrderTerms
from tests.kit.builders import NOW

MIS: PositionKey = ("NSE", "INFY", "MIS")
CNC: PositionKey = ("NSE", "INFY", "CNC")


def at(second: int) -> datetime:
    return NOW + timedelta(seconds=second)


def an_order(
    side: Side, quantity: int, second: int, tag: str | None = None, key: PositionKey = MIS, filled: int | None = None
) -> OrderReport:
    done = quantity if filled is None else filled
    stage = OrderStage.COMPLETE if done == quantity else OrderStage.OPEN
    terms = OrderTerms(*key, side.value, at(second), at(second))
    return OrderReport(f"{side}{second}{tag}", tag, stage, quantity, done, Decimal(1500), "", terms)


def bought(run_id: int = 7, quantity: int = 10, second: int = 0, key: PositionKey = MIS) -> OrderReport:
    return an_order(Side.BUY, quantity, second, f"N{run_id}", key)


def sold(quantity: int, second: int, key: PositionKey = MIS) -> OrderReport:
    return an_order(Side.SELL, quantity, second, None, key)


def a_stake(run_id: int = 7, quantity: int = 10, forgiven: int = 0) -> Stake:
    return Stake(run_id, quantity, f"N{run_id}", (f"X{run_id}",), forgiven)


def judged(
    stakes: list[Stake],
    position: AccountPosition,
    book: list[OrderReport],
    intents: tuple[OwnIntent, ...] = (),
    key: PositionKey = MIS,
) -> Cover:
    return judge(key, stakes, position, book, intents, lambda tag: tag[0] in "NX", 1000.0)


def test_what_was_bought_and_is_there_is_covered() -> None:
    cover = judged([a_stake()], AccountPosition(10), [bought()])
    assert (cover.covered, cover.lacking, cover.sold_outside) == (10, 0, 0)


def test_a_sale_by_hand_counts_against_the_run_however_much_else_is_there() -> None:
    cover = judged([a_stake()], AccountPosition(50), [bought(), sold(10, 5)])
    assert (cover.covered, cover.sold_outside) == (0, 10)
    assert "counts against the strategy first" in cover.reason()


def test_a_sale_of_before_the_run_had_anything_is_the_traders_own() -> None:
    assert judged([a_stake()], AccountPosition(10), [sold(60, 1), bought(second=5)]).covered == 10


def test_a_sale_in_the_very_second_of_the_buy_counts_against_the_run() -> None:
    assert judged([a_stake()], AccountPosition(50), [bought(second=5), sold(10, 5)]).covered == 0


def test_a_sale_without_a_time_counts_against_the_run() -> None:
    unstamped = OrderReport(
        "9", None, OrderStage.COMPLETE, 10, 10, Decimal(1500), "", OrderTerms(*MIS, Side.SELL.value)
    )
    assert judged([a_stake()], AccountPosition(50), [bought(second=5), unstamped]).covered == 0


def test_of_an_earlier_day_every_sale_of_today_counts() -> None:
    position = AccountPosition(-4, opening=110)
    assert judged([a_stake()], position, [sold(4, 1, CNC)], key=CNC).covered == 6


def test_a_sale_on_the_other_exchange_is_of_the_same_delivery_and_not_of_the_same_intraday_shares() -> None:
    for product, left in (("CNC", 0), ("MIS", 10)):
        key = ("NSE", "INFY", product)
        book = [bought(key=key), sold(10, 5, ("BSE", "INFY", product))]
        assert judged([a_stake()], AccountPosition(10, opening=100), book, key=key).covered == left


def test_what_was_sold_by_hand_of_an_ended_run_is_not_taken_from_another() -> None:
    ended = (OwnIntent(6, Leg.ENTRY, "N6", MIS), OwnIntent(6, Leg.EXIT, "X6", MIS))
    book = [bought(6, second=0), bought(7, second=1), sold(10, 5)]
    assert judged([a_stake(7)], AccountPosition(10), book, ended).covered == 10
    assert judged([a_stake(7)], AccountPosition(10), [*book, sold(10, 6)], ended).covered == 0


def test_what_our_own_exits_have_sold_is_no_sale_of_others() -> None:
    book = [bought(), an_order(Side.SELL, 10, 5, "X7", filled=4)]
    cover = judged([a_stake(quantity=10)], AccountPosition(6), book)
    assert (cover.staked, cover.covered, cover.sold_outside) == (6, 6, 0)


def test_what_the_trader_has_forgiven_is_spared_and_what_comes_later_is_not() -> None:
    book = [bought(), sold(10, 5)]
    assert judged([a_stake(forgiven=10)], AccountPosition(50), book).covered == 10
    assert judged([a_stake(forgiven=10)], AccountPosition(46), [*book, sold(4, 8)]).covered == 6


hand_trades = st.lists(st.tuples(st.sampled_from(list(Side)), st.integers(1, 30), st.integers(0, 20)), max_size=6)


@given(
    own=st.integers(0, 60),
    runs=st.lists(st.tuples(st.integers(1, 20), st.integers(0, 20)), max_size=4),
    trades=hand_trades,
)
def test_selling_what_is_covered_never_opens_a_short_and_leaves_the_trader_what_he_did_not_sell(
    own: int, runs: list[tuple[int, int]], trades: list[tuple[Side, int, int]]
) -> None:
    stakes = [a_stake(run_id, quantity) for run_id, (quantity, _) in enumerate(runs)]
    book = [bought(run_id, quantity, second) for run_id, (quantity, second) in enumerate(runs)]
    book += [an_order(side, quantity, second) for side, quantity, second in trades]
    by_hand = sum(quantity if side is Side.BUY else -quantity for side, quantity, _ in trades)
    staked = sum(quantity for quantity, _ in runs)
    held = own + by_hand + staked
    cover = judged(stakes, AccountPosition(held), book)
    assert 0 <= cover.covered <= max(held, 0)
    assert cover.covered <= staked
    sold_after_all = sum(q for side, q, at_ in trades if side is Side.SELL and all(at_ >= since for _, since in runs))
    assert cover.covered <= max(0, staked - sold_after_all)
    if not any(side is Side.SELL for side, _, _ in trades):
        assert cover.covered == staked
