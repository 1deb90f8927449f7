"""What a round trip costs, beside figures that were reckoned by hand from the rates of kite.md §8.1."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.domain.identifiers import Product
from broker.market.charges import Charges, round_trip_charges


@pytest.mark.parametrize(
    ("exchange", "product", "quantity", "charges"),
    [
        ("NSE", Product.MIS, 10, ("9.00", "3.75", "0.92", "0.03", "0.45", "1.79")),
        ("NSE", Product.MIS, 100, ("40.00", "37.50", "9.21", "0.30", "4.50", "8.91")),
        ("BSE", Product.MIS, 10, ("9.00", "3.75", "1.13", "0.03", "0.45", "1.83")),
        ("NSE", Product.CNC, 10, ("0.00", "30.00", "0.92", "0.03", "2.25", "0.17")),
    ],
)
def test_the_rates_are_those_of_the_schedule(
    exchange: str, product: Product, quantity: int, charges: tuple[str, ...]
) -> None:
    found = round_trip_charges(exchange, product, quantity, Decimal(1500), Decimal(1500))
    assert found == Charges(*map(Decimal, charges))
    assert found.total == sum(map(Decimal, charges))


def test_tax_is_of_the_sale_and_stamp_duty_of_the_purchase_where_the_shares_are_not_delivered() -> None:
    found = round_trip_charges("NSE", Product.MIS, 10, Decimal(1000), Decimal(2000))
    assert (found.transaction_tax, found.stamp_duty) == (Decimal("5.00"), Decimal("0.30"))


prices = st.integers(1, 10_000_000).map(lambda paise: Decimal(paise) / 100)


@given(product=st.sampled_from(Product), quantity=st.integers(1, 10_000), bought=prices, sold=prices)
def test_no_charge_is_negative_and_twice_as_many_shares_never_cost_less(
    product: Product, quantity: int, bought: Decimal, sold: Decimal
) -> None:
    some = round_trip_charges("NSE", product, quantity, bought, sold)
    more = round_trip_charges("NSE", product, 2 * quantity, bought, sold)
    for name in Charges.__slots__:
        assert 0 <= getattr(some, name) <= getattr(more, name)
    assert some.brokerage <= 40
