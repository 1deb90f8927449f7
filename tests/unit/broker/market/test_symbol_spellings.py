"""A symbol as other programs and people write it, taken apart."""

import pytest

from broker.market.symbol_spellings import understood


@pytest.mark.parametrize(
    ("exchange", "written", "where", "symbol"),
    [
        ("NSE", "INFY.NS", "NSE", "INFY"),
        ("NSE", "INFY.BO", "BSE", "INFY"),
        ("NSE", "INFY-EQ", "NSE", "INFY"),
        ("NSE", "NSE_INFY", "NSE", "INFY"),
        ("NSE", "NSE_EQ|INFY", "NSE", "INFY"),
        ("NSE_EQ", "INFY", "NSE", "INFY"),
        ("BOM", "INFY", "BSE", "INFY"),
        ("NSE", "INFY NSE", "NSE", "INFY"),
        ("INFY", "BSE", "BSE", "INFY"),
        ("BSE", "INFY", "BSE", "INFY"),
        ("NSE", "$INFY", "NSE", "INFY"),
        ("NSE", "BAJAJ AUTO", "NSE", "BAJAJAUTO"),
        ("NSE", "M AND M", "NSE", "MM"),
        ("NSE", "BSE.NS", "NSE", "BSE"),
        ("NSE", "BSE", "NSE", "BSE"),
    ],
)
def test_the_share_and_the_exchange_are_found_in_what_was_written(
    exchange: str, written: str, where: str, symbol: str
) -> None:
    asked = understood(exchange, written)
    assert asked is not None
    assert (asked.exchange, asked.symbols[0]) == (where, symbol)


def test_a_series_is_left_out_only_as_the_second_reading() -> None:
    asked = understood("NSE", "RCOM-BZ")
    assert asked is not None
    assert asked.symbols == ("RCOMBZ", "RCOM")


@pytest.mark.parametrize(
    ("exchange", "written"), [("MCX", "GOLD"), ("NFO", "INFY26DECFUT"), ("NSE", "&"), ("NSE", "--")]
)
def test_what_is_no_share_of_an_exchange_is_not_understood(exchange: str, written: str) -> None:
    assert understood(exchange, written) is None
