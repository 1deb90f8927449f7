"""Shares that are found while a person types, and how fast."""

import time
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.market.former_symbols import former_symbols
from broker.market.nearest import NearestShares
from broker.market.share_search import FoundShares, ShareSearch
from tests.unit.broker.market.test_nearest import SHARES, SLOWEST_S, TABLE, listed, table_of

SEARCH = ShareSearch(TABLE, SHARES)


def keys(found: FoundShares) -> list[str]:
    return [row.instrument.key for row in found.instruments]


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("inf", ["NSE:INFY", "NSE:INFIBEAM", "BSE:INFY"]),
        ("INFY", ["NSE:INFY", "BSE:INFY"]),
        ("bse:inf", ["BSE:INFY"]),
        ("BSE : INFY", ["BSE:INFY"]),
        ("lt", ["NSE:LT"]),
        ("tata st", ["NSE:TATASTEEL"]),
        ("steel", ["NSE:TATASTEEL"]),
        ("toubro lar", ["NSE:LT"]),
        ("m&m", ["NSE:M&M"]),
        ("mm", ["NSE:M&M"]),
        ("bajaj-a", ["NSE:BAJAJ-AUTO"]),
        ("rcom", ["NSE:RCOM-BZ"]),
        ("consult", ["NSE:TCS", "BSE:TCS"]),
        ("only", ["BSE:ONLYBSE"]),
    ],
)
def test_what_begins_so_is_found_and_the_symbol_itself_goes_first(typed: str, first: list[str]) -> None:
    found = SEARCH.find(typed, 10)
    assert keys(found)[: len(first)] == first
    assert not found.nearest


def test_symbols_go_before_names_and_there_are_no_more_than_wanted() -> None:
    assert keys(SEARCH.find("tata", 10)) == ["NSE:TATAPOWER", "NSE:TATASTEEL", "NSE:TCS", "BSE:TCS"]
    assert keys(SEARCH.find("tata", 1)) == ["NSE:TATAPOWER"]


@pytest.mark.parametrize("typed", ["nifty", "infy-bl", " ", "…", "&"])
def test_what_cannot_be_bought_and_what_is_no_text_finds_no_such_share(typed: str) -> None:
    assert not {"NSE:NIFTY 50", "NSE:INFY-BL"} & set(keys(SEARCH.find(typed, 20)))


@pytest.mark.parametrize(
    ("typed", "meant"), [("RELAINCE", "NSE:RELIANCE"), ("INFY.NS", "NSE:INFY"), ("nse:infosis", "NSE:INFY")]
)
def test_where_nothing_begins_so_the_nearest_spelling_is_found(typed: str, meant: str) -> None:
    found = SEARCH.find(typed, 10)
    assert keys(found)[0] == meant
    assert found.nearest


def test_a_symbol_of_before_a_merger_says_what_happened() -> None:
    table = table_of(listed("NSE:HDFCBANK", "HDFC BANK"))
    found = ShareSearch(table, NearestShares(table, former_symbols())).find("NSE:ZEEL1", 5)
    assert found == FoundShares()
    table = table_of(listed("NSE:ETERNAL", "ETERNAL"))
    found = ShareSearch(table, NearestShares(table, former_symbols())).find("zomato", 5)
    assert (keys(found), found.nearest) == (["NSE:ETERNAL"], True)
    assert found.change is not None
    assert found.change.sentence.endswith("it was renamed ETERNAL")


@given(st.text(max_size=64), st.integers(1, 20))
def test_any_text_finds_shares_of_the_list_or_none(typed: str, most: int) -> None:
    found = SEARCH.find(typed, most)
    assert len(found.instruments) <= most
    assert all(TABLE[row.exchange, row.tradingsymbol] is row and row.tradable for row in found.instruments)
    assert len(set(keys(found))) == len(found.instruments)


@given(st.sampled_from([row for row in TABLE.values() if row.tradable]), st.data())
def test_every_beginning_of_a_symbol_finds_it(row: object, data: st.DataObject) -> None:
    symbol = row.tradingsymbol  # type: ignore[attr-defined]
    length = data.draw(st.integers(1, len(symbol)))
    assert row in SEARCH.find(symbol[:length], len(TABLE)).instruments


def test_ten_thousand_shares_are_searched_in_less_than_ten_milliseconds() -> None:
    random = Random(19)  # noqa: S311 - a list to search, the same each time
    letters, words = "ABCDEFGHIJKLMNOPRSTUV", ["STEEL", "POWER", "BANK", "INFRA", "FOODS", "CHEM", "TEXTILES", "INDIA"]
    symbols = {"".join(random.choices(letters, k=random.randint(3, 10))) for _ in range(10_500)}
    rows = [listed(f"NSE:{symbol}", f"{symbol[:6]} {random.choice(words)} LTD") for symbol in sorted(symbols)[:10_000]]
    table = table_of(*rows)
    search = ShareSearch(table, NearestShares(table, former_symbols()))
    for typed in ("A", "s", "AB", "bank", "india pow", "a b", rows[5000].tradingsymbol, "ZZZZQQ", "STEELE WORKS"):
        times = []
        for _ in range(7):
            began = time.process_time()
            search.find(typed, 20)
            times.append(time.process_time() - began)
        assert min(times) < SLOWEST_S, typed
