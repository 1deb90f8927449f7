"""Row N5, its first part: a stop-loss as a share of the fill, on the exchange's grid and never at the price itself."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.domain.errors import InvalidValue
from actors.domain.prices.stop_share import is_too_near, stop_below, to_hundredths, to_percent

PRICES = st.decimals("0.05", "99999", places=2)
SHARES = st.integers(1, 9000)
TICKS = st.sampled_from([0, 1, 5, 10, 100])


@pytest.mark.parametrize(
    ("price", "hundredths", "tick", "level"),
    [
        ("1500", 200, 5, 147000),
        ("1510.35", 250, 5, 147260),  # 1472.59125: up
        ("1510.35", 250, 0, 147260),
        ("1510.35", 250, 100, 147300),
        ("100", 1, 5, 9995),  # a paisa is no tick
        ("0.05", 100, 5, 1),
    ],
)
def test_level_of_a_fill(price: str, hundredths: int, tick: int, level: int) -> None:
    assert stop_below(Decimal(price), hundredths, tick) == level


@given(PRICES, SHARES, TICKS)
def test_a_level_is_rounded_up_by_less_than_a_tick_and_is_below_the_fill(
    price: Decimal, hundredths: int, tick: int
) -> None:
    level, exact = stop_below(price, hundredths, tick), price * 100 * (10_000 - hundredths) / 10_000
    if price * 100 > max(tick, 1):
        assert 0 < level < price * 100
        assert level % max(tick, 1) == 0
        assert level - exact < max(tick, 1)
        assert is_too_near(price, hundredths, tick) is (level < exact)


@given(PRICES, SHARES, SHARES, TICKS)
def test_a_larger_share_never_has_the_higher_level(price: Decimal, one: int, other: int, tick: int) -> None:
    near, far = sorted((one, other))
    assert stop_below(price, near, tick) >= stop_below(price, far, tick)


@pytest.mark.parametrize("percent", ["0", "-1", "90.01", "2.555", "NaN", "Infinity"])
def test_a_share_that_is_none_is_refused(percent: str) -> None:
    with pytest.raises(InvalidValue, match="must"):
        to_hundredths(Decimal(percent))


@given(SHARES)
def test_hundredths_and_percent_are_inverse(hundredths: int) -> None:
    assert to_hundredths(to_percent(hundredths)) == hundredths
    assert "E" not in str(to_percent(hundredths))
