"""What comes from a broker is cleaned and cut at the border, and one row that makes no sense hides no other."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from kiteconnect import exceptions as kite

from actors.domain.identifiers import Instrument
from actors.domain.orders.order import OrderReport, OrderStage
from actors.domain.orders.partly_read import is_listed_unread, is_unread, may_hide
from broker.errors import BrokerRefused
from broker.kite.answers.attempt_outcomes import reason_of
from broker.kite.answers.broker_text import (
    LONGEST_TEXT,
    LONGEST_WORD,
    clean_status,
    clean_text,
    clean_word,
    order_id_of,
)
from broker.kite.answers.exceptions import AnswerLost, NeverSent
from broker.kite.answers.holdings import holdings_of, positions_of
from broker.kite.answers.order_book import book_of
from broker.kite.answers.rows import report_of
from broker.kite.instruments import instrument_table
from broker.kite.login import explain
from broker.kite.quotes import quotes_of, tokens_of

HOSTILE = "".join(map(chr, (0, 10, 27, 0x7F, 0x85, 0xD83D, 0xDC00, 0x200B, 0x202E, 0x2066, 0x2028, 0xFEFF, 0xE000)))
TEXTS = st.text(st.one_of(st.sampled_from(HOSTILE), st.characters()), max_size=40)
TAG = "TA0123456789ABCDEFGH"
GOOD: dict[str, Any] = {
    "order_id": "1900000000000000001",
    "tag": TAG,
    "status": "COMPLETE",
    "quantity": 10,
    "filled_quantity": 10,
    "average_price": 1500.5,
    "status_message": None,
    "exchange": "NSE",
    "tradingsymbol": "INFY",
    "product": "MIS",
    "transaction_type": "BUY",
}
ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)


def is_clean(text: str) -> bool:
    return text.isprintable() and len(text) <= LONGEST_TEXT


def texts_of(value: Any) -> list[str]:
    """Every text inside of a value of ours."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in texts_of(part)]
    if isinstance(value, list | tuple | set | frozenset):
        return [text for part in value for text in texts_of(part)]
    slots = getattr(type(value), "__slots__", ())
    return [text for name in slots if hasattr(value, name) for text in texts_of(getattr(value, name))]


# --- texts ------------------------------------------------------------------------------------------------------------


@given(TEXTS)
def test_a_cleaned_text_can_be_stored_shown_and_logged(text: str) -> None:
    cleaned = clean_text(text)
    assert is_clean(cleaned)
    assert clean_text(cleaned) == cleaned
    cleaned.encode()


@pytest.mark.parametrize(
    ("said", "cleaned"),
    [
        ("RMS: blocked \0 for nse_cm", "RMS: blocked for nse_cm"),
        ("half a pair \ud83d!", "half a pair !"),
        ("two\r\nlines\x1b[31m", "two lines [31m"),
        ("abc\u202edef", "abc def"),
        ("Marge insuffisante: ₹ 1 200 é", "Marge insuffisante: ₹ 1 200 é"),
        (None, ""),
        (17, "17"),
    ],
)
def test_what_is_no_text_is_taken_out_of_a_text(said: Any, cleaned: str) -> None:
    assert clean_text(said) == cleaned


def test_a_text_too_long_is_cut_with_an_ellipsis() -> None:
    cut = clean_text("x" * 10_000_000)
    assert (len(cut), cut[-1]) == (LONGEST_TEXT, "…")
    assert clean_text("x" * LONGEST_TEXT) == "x" * LONGEST_TEXT


@given(TEXTS)
def test_words_are_printable_ascii(text: str) -> None:
    for word in (clean_word(text), clean_status(text).replace(" ", "")):
        assert len(word) <= LONGEST_WORD
        assert all("!" <= character <= "~" for character in word)


@pytest.mark.parametrize("said", ["", "19\0", "１９", "a b", "x" * 65, True, None, 1.5, ["1"], {}])
def test_an_order_id_is_taken_as_it_is_or_not_at_all(said: Any) -> None:
    with pytest.raises(ValueError, match="id"):
        order_id_of(said)


# --- every mapping function -------------------------------------------------------------------------------------------


@given(st.dictionaries(st.sampled_from(sorted(GOOD)), ANYTHING))
def test_whatever_an_order_row_says_nothing_unclean_comes_out(odd: dict[str, Any]) -> None:
    book = book_of([GOOD, GOOD | odd])
    assert book[0] == report_of(GOOD)
    for report in book:
        assert all(is_clean(text) for text in texts_of(report)), report
        assert 0 <= report.filled_quantity <= report.quantity
    assert len(book) == 2 or book.unread_ids or book.unread_tags or book.anonymous


@given(st.lists(ANYTHING, max_size=4), st.dictionaries(st.sampled_from(sorted(GOOD)), ANYTHING))
def test_whatever_positions_and_holdings_say_nothing_unclean_comes_out(rows: list[Any], odd: dict[str, Any]) -> None:
    for held in (positions_of({"net": [*rows, GOOD | odd, GOOD]}), holdings_of([*rows, GOOD | odd, GOOD])):
        assert all(is_clean(text) for text in texts_of([*held, *held.unread]))
        assert any(key[1] == "INFY" for key in held)


@given(TEXTS)
def test_no_exception_carries_an_unclean_text(text: str) -> None:
    for error in (kite.OrderException(text, code=400), NeverSent(text), AnswerLost(text), ValueError(text)):
        assert is_clean(reason_of(error))
    assume("api_key" not in text)  # that is an access token's refusal, which passes no text on
    refused = explain(kite.OrderException(text + "x" * 1000, code=400))
    assert isinstance(refused, BrokerRefused)
    assert is_clean(str(refused))


@given(ANYTHING, st.sampled_from(["last_price", "timestamp", "instrument_token"]))
def test_an_odd_quote_is_left_out(value: Any, name: str) -> None:
    infy, tcs = Instrument("NSE", "INFY", 1), Instrument("NSE", "TCS", 2)
    good = {"last_price": 1500.5, "timestamp": datetime(2026, 11, 27, 10, tzinfo=UTC), "instrument_token": 1}
    found = quotes_of([infy, tcs], {"NSE:INFY": good | {name: value}, "NSE:TCS": good})
    assert found[-1].instrument == tcs
    assert all(quote.price > 0 for quote in found)


@given(
    st.dictionaries(
        st.sampled_from(["exchange", "tradingsymbol", "tick_size", "segment", "instrument_token", "lot_size"]),
        ANYTHING,
        min_size=1,
    )
)
def test_an_odd_instrument_hides_no_other(odd: dict[str, Any]) -> None:
    good = {
        "instrument_token": 408065,
        "exchange": "NSE",
        "tradingsymbol": "INFY",
        "tick_size": 0.05,
        "lot_size": 1,
        "segment": "NSE",
        "instrument_type": "EQ",
    }
    table = instrument_table([good | {"tradingsymbol": "TCS"} | odd, good])
    assert ("NSE", "INFY") in table
    assert all(is_clean(text) for text in texts_of(table))


# --- odd rows ---------------------------------------------------------------------------------------------------------

ODD_ROWS: list[dict[str, Any]] = [
    {"quantity": None},
    {"quantity": 0, "filled_quantity": 0},
    {"quantity": -5},
    {"quantity": 10**40},
    {"quantity": True},
    {"filled_quantity": "many"},
    {"filled_quantity": -1},
    {"average_price": float("nan")},
    {"average_price": "1e999999"},
    {"status": 7},
    {"status": None},
    {"order_id": None},
    {"order_id": "1\0"},
    {"tag": 7},
    {"tag": None, "tags": 7},
    {"tag": None, "tags": [None, 7]},
    {"tag": None, "tags": ["auto", TAG], "quantity": None},
]


@pytest.mark.parametrize("odd", ODD_ROWS)
def test_an_odd_row_hides_no_other_and_does_not_make_its_own_order_absent(odd: dict[str, Any]) -> None:
    told: list[str] = []
    others = [GOOD | {"order_id": str(number), "tag": None} for number in range(3)]
    book = book_of([others[0], GOOD | odd, *others[1:]], told.append)
    assert [report.order_id for report in book if len(report.order_id) == 1] == ["0", "1", "2"]
    assert any(report.tag == TAG for report in book) or may_hide(book, TAG)
    assert len(told) == 1


def test_a_row_without_its_key_is_as_odd() -> None:
    for name in ("quantity", "status", "order_id"):
        row = {key: value for key, value in GOOD.items() if key != name}
        book = book_of([row])
        assert [report.tag for report in book] == [TAG] or may_hide(book, TAG)


@pytest.mark.parametrize("row", [None, 7, "x", [], {}])
def test_what_is_no_row_may_be_any_order(row: Any) -> None:
    book = book_of([row])
    assert (list(book), may_hide(book, TAG)) == ([], True)
    assert not may_hide(book, TAG, anonymous=False)


def test_fills_are_believed_and_an_end_without_fills_is_not() -> None:
    def only(**odd: Any) -> OrderReport:
        (report,) = book_of([GOOD | odd])
        return report

    bought = only(average_price=float("nan"))
    assert (bought.stage, bought.filled_quantity, bought.average_price) == (OrderStage.COMPLETE, 10, Decimal(0))
    assert (only(status=7).stage, only(status=7).filled_quantity) == (OrderStage.PENDING, 10)
    assert (only(quantity=None).quantity, only(quantity=None).stage) == (10, OrderStage.PENDING)
    assert (only(filled_quantity="x").stage, only(filled_quantity="x").filled_quantity) == (OrderStage.PENDING, 0)


def test_an_order_without_a_number_of_shares_is_listed_but_not_read() -> None:
    book = book_of([GOOD | {"quantity": 0, "filled_quantity": 0}])
    assert not book
    assert is_listed_unread(book, GOOD["order_id"])
    assert may_hide(book, TAG)
    assert not may_hide(book, "TA" + "0" * 18)


def test_a_book_that_is_no_list_is_no_book() -> None:
    with pytest.raises(TypeError):
        book_of({"1": GOOD})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("odd", "unread", "others"),
    [
        ({"quantity": None}, ("NSE", "INFY", "MIS"), [("NSE", "INFY", "CNC"), ("NSE", "TCS", "MIS")]),
        ({"quantity": "many"}, ("NSE", "INFY", "MIS"), [("BSE", "INFY", "MIS")]),
        ({"product": 7}, ("NSE", "INFY", "CNC"), [("NSE", "TCS", "CNC")]),
        ({"tradingsymbol": None}, ("NSE", "TCS", "MIS"), [("NSE", "TCS", "CNC")]),
    ],
)
def test_of_an_odd_position_the_shares_are_unknown_not_none(odd: Any, unread: Any, others: list[Any]) -> None:
    held = positions_of({"net": [GOOD | odd, GOOD | {"tradingsymbol": "SBIN", "quantity": -3}]})
    assert held["NSE", "SBIN", "MIS"].held == -3
    assert is_unread(held, unread)
    assert not any(is_unread(held, key) for key in others)


def test_of_an_odd_holding_the_shares_are_unknown_on_either_exchange() -> None:
    held = holdings_of([GOOD | {"quantity": "x"}, GOOD | {"tradingsymbol": "SBIN", "t1_quantity": 2}])
    assert held["BSE", "SBIN", "CNC"] == 12
    assert is_unread(held, ("NSE", "INFY", "CNC"))
    assert is_unread(held, ("BSE", "INFY", "CNC"))
    assert not is_unread(held, ("NSE", "INFY", "MIS"))


def test_a_row_as_json_brings_it_is_taken_like_any_other() -> None:
    row = json.loads(json.dumps(GOOD).replace("null", '"RMS: blocked \\u0000 for \\ud83d nse_cm"'))
    assert report_of(row).reason == "RMS: blocked for nse_cm"


@pytest.mark.parametrize("token", [0, -1, None, "408065", 2.5, True])
def test_a_token_that_makes_no_sense_replaces_none(token: Any) -> None:
    infy, tcs, sbin = Instrument("NSE", "INFY", 1), Instrument("NSE", "TCS", 2), Instrument("NSE", "SBIN", 3)
    rows = {"NSE:INFY": {"instrument_token": token}, "NSE:TCS": {"instrument_token": 7}}
    assert tokens_of([infy, tcs, sbin], rows) == {"NSE:INFY": 1, "NSE:TCS": 7}
