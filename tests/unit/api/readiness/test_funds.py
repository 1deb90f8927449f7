"""Is there money enough? The purchases of the day in the order of time (row N3)."""

from datetime import datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from api.readiness.findings import Held
from api.readiness.funds import RESERVE, Buying, Shortfall, shortfalls
from broker.exchange_time import IST

NINE = datetime(2026, 11, 30, 9, 0, tzinfo=IST)


def at(minute: int) -> datetime:
    return NINE + timedelta(minutes=minute)


def buying(number: int, begins: int, ends: int, needed: int) -> Buying:
    return Buying(number, at(begins), at(ends), Decimal(needed))


def test_money_comes_back_with_the_sale() -> None:
    one, two = buying(1, 20, 60, 1000), buying(2, 61, 90, 1000)
    assert shortfalls(Decimal(1020), [one, two]) == {}
    assert shortfalls(Decimal(1019), [one]) == {1: Shortfall(Decimal("1020.00"), Decimal(1019))}


def test_a_sale_at_the_instant_of_a_buy_is_too_late_for_it() -> None:
    assert shortfalls(Decimal(1020), [buying(1, 20, 60, 1000), buying(2, 60, 90, 1000)]).keys() == {2}


def test_what_does_not_fit_takes_nothing_from_those_after_it() -> None:
    plans = [buying(1, 20, 90, 1000), buying(2, 30, 90, 5000), buying(3, 40, 90, 900)]
    assert shortfalls(Decimal(2000), plans).keys() == {2}


def test_what_is_held_is_free_after_its_sale() -> None:
    later = [buying(1, 61, 90, 1000)]
    assert shortfalls(Decimal(20), later, [Held(at(60), Decimal(1000))]) == {}
    assert shortfalls(Decimal(20), later, [Held(at(70), Decimal(1000))]).keys() == {1}


def test_an_account_in_debt_has_nothing_free() -> None:
    assert shortfalls(Decimal(-500), [buying(1, 20, 60, 1000)]) == {1: Shortfall(Decimal("1020.00"), Decimal(0))}


PLANS = st.lists(st.tuples(st.integers(0, 300), st.integers(1, 60), st.integers(1, 5000)), min_size=1, max_size=12).map(
    lambda rows: [buying(n, begins, begins + length, needed) for n, (begins, length, needed) in enumerate(rows)]
)


@given(plans=PLANS, free=st.integers(0, 20_000))
def test_those_that_fit_never_need_more_than_is_free(plans: list[Buying], free: int) -> None:
    short = shortfalls(Decimal(free), plans)
    fitting = [plan for plan in plans if plan.strategy_id not in short]
    for plan in fitting:
        open_then = [one for one in fitting if one.buy_at <= plan.buy_at <= one.sell_at]
        assert sum(one.needed * RESERVE for one in open_then) <= free


@given(plans=PLANS, free=st.integers(0, 20_000), more=st.integers(0, 20_000))
def test_with_money_for_all_of_them_nothing_is_short(plans: list[Buying], free: int, more: int) -> None:
    del free
    enough = sum((plan.needed * RESERVE for plan in plans), Decimal(0)) + more
    assert shortfalls(enough, plans) == {}
