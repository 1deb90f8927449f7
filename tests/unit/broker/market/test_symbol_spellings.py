"""What a symbol that is not listed may stand for."""

import pytest

from broker.market.symbol_spellings import spellings


@pytest.mark.parametrize(
    ("asked", "first"),
    [
        ("INFY-EQ", "INFY"),
        ("INFY.NS", "INFY"),
        ("INFY.BO", "INFY"),
        ("RCOM", "RCOM-BE"),
        ("BAJAJ-AUTO-EQ", "BAJAJ-AUTO"),
    ],
)
def test_a_symbol_as_other_programs_write_it_is_recognised(asked: str, first: str) -> None:
    assert spellings(asked)[0] == first
    assert asked not in spellings(asked)
