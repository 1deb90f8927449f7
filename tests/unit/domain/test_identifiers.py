"""Instruments, intents and the tags of their orders."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.domain.errors import InvalidValue
from actors.domain.identifiers import TAG_LENGTH, Instrument, IntentId, Leg, order_tag, split_symbol
from tests.kit.builders import INFY

KEY = b"0123456789abcdef"
intent_ids = st.builds(IntentId, st.integers(1, 10**12), st.sampled_from(Leg), st.integers(1, 10**6))


@pytest.mark.parametrize(
    ("symbol", "parts"),
    [
        ("INFY", ("NSE", "INFY")),
        (" infy ", ("NSE", "INFY")),
        ("BSE:infy", ("BSE", "INFY")),
        ("M&M", ("NSE", "M&M")),
        ("NSE:BAJAJ-AUTO", ("NSE", "BAJAJ-AUTO")),
        ("NIFTY 50", ("NSE", "NIFTY 50")),
    ],
)
def test_symbol_is_split_into_exchange_and_tradingsymbol(symbol: str, parts: tuple[str, str]) -> None:
    assert split_symbol(symbol) == parts


@pytest.mark.parametrize("symbol", ["", "  ", ":", "NSE:", ":INFY", "NSE:INFY:X", "a:b:c:d"])
def test_text_that_is_no_symbol_is_refused(symbol: str) -> None:
    with pytest.raises(InvalidValue, match="is not a symbol"):
        split_symbol(symbol)


def test_symbol_of_the_default_exchange_is_short() -> None:
    assert (INFY.symbol, INFY.key) == ("INFY", "NSE:INFY")
    assert Instrument("BSE", "INFY", 1).symbol == "BSE:INFY"


@given(intent_ids)
def test_intent_id_survives_its_text(intent_id: IntentId) -> None:
    assert IntentId.parse(str(intent_id)) == intent_id


@pytest.mark.parametrize(
    "text", ["", "7", "7-ENTRY", "7-entry-1", "x-ENTRY-1", "7-ENTRY-x", "7-ENTRY-1-1", "-7-ENTRY-1"]
)
def test_text_that_is_no_intent_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="is not an intent id"):
        IntentId.parse(text)


def test_exit_may_take_the_lock_over_from_an_entry_never_the_other_way_round() -> None:
    entry, exits = IntentId(7, Leg.ENTRY, 9), [IntentId(7, Leg.EXIT, 1), IntentId(7, Leg.EXIT, 2)]
    assert sorted([*reversed(exits), entry]) == [entry, *exits]
    assert IntentId(7, Leg.EXIT, 99) < IntentId(8, Leg.ENTRY, 1)


@given(st.binary(min_size=1, max_size=64), intent_ids)
def test_tag_is_twenty_capital_letters_and_digits(key: bytes, intent_id: IntentId) -> None:
    tag = order_tag(key, intent_id)
    assert len(tag) == TAG_LENGTH == 20
    assert re.fullmatch(r"[A-Z0-9]{20}", tag)


@given(intent_ids)
def test_tag_is_the_same_on_every_attempt(intent_id: IntentId) -> None:
    assert order_tag(KEY, intent_id) == order_tag(bytes(KEY), IntentId.parse(str(intent_id)))


@given(intent_ids, intent_ids)
def test_tags_differ_by_run_leg_and_sequence(one: IntentId, other: IntentId) -> None:
    assert (order_tag(KEY, one) == order_tag(KEY, other)) == (one == other)


def test_tags_of_neighbours_differ() -> None:
    wishes = [IntentId(run, leg, seq) for run in range(1, 40) for leg in Leg for seq in range(1, 40)]
    assert len({order_tag(KEY, wish) for wish in wishes}) == len(wishes)


def test_tags_of_another_key_cannot_be_guessed() -> None:
    wish = IntentId(7, Leg.EXIT, 1)
    assert order_tag(KEY, wish) != order_tag(b"another key", wish)


def test_leg_can_be_told_from_a_tag() -> None:
    assert order_tag(KEY, IntentId(7, Leg.ENTRY, 1))[0] == "N"
    assert order_tag(KEY, IntentId(7, Leg.EXIT, 1))[0] == "X"


def test_tag_does_not_change_between_releases() -> None:
    assert order_tag(KEY, IntentId(7, Leg.ENTRY, 1)) == "NTAC3YIBI7AQWP64JTHW"
