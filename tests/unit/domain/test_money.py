"""Prices are whole paise, never a float."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.domain.errors import InvalidValue
from actors.domain.money import round_rupees, round_to_paise, to_paise, to_rupees

paise = st.integers(-(10**12), 10**12)


@pytest.mark.parametrize(
    ("rupees", "expected"), [("1450.05", 145005), (1450, 145000), (Decimal("0.01"), 1), ("1.50", 150), ("1E+2", 10000)]
)
def test_rupees_become_paise_exactly(rupees: Decimal | int | str, expected: int) -> None:
    assert to_paise(rupees) == expected


@pytest.mark.parametrize("rupees", ["0.001", Decimal("1450.055"), "NaN", "Infinity", "-Infinity"])
def test_what_is_no_whole_number_of_paise_is_refused(rupees: Decimal | str) -> None:
    with pytest.raises(InvalidValue):
        to_paise(rupees)


@given(paise)
def test_paise_survive_rupees(amount: int) -> None:
    assert to_paise(to_rupees(amount)) == amount
    assert to_rupees(amount).as_tuple().exponent == -2


@given(st.integers(0, 10**9))
def test_float_of_the_brokers_json_is_the_paise_it_means(amount: int) -> None:
    assert round_to_paise(amount / 100) == amount


@pytest.mark.parametrize(
    ("rupees", "expected"),
    [(1450.05, 145005), (0.29, 29), (1.005, 101), (0.004, 0), (Decimal("2.675"), 268), (-1.005, -101)],
)
def test_amount_is_rounded_to_the_nearest_paisa(rupees: float | Decimal, expected: int) -> None:
    assert round_to_paise(rupees) == expected


@pytest.mark.parametrize("rupees", [float("nan"), float("inf"), float("-inf"), Decimal("NaN")])
def test_price_that_is_no_number_is_refused(rupees: float | Decimal) -> None:
    with pytest.raises(InvalidValue):
        round_to_paise(rupees)


def test_averages_are_shown_with_two_decimals() -> None:
    assert round_rupees(Decimal("1450.005")) == Decimal("1450.01")
    assert str(round_rupees(Decimal(3))) == "3.00"
