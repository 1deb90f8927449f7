"""The shares that a text may stand for: what people write, and never a share that is not listed."""

import time
from datetime import date
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.market.former_symbols import SymbolChange, former_symbols
from broker.market.instrument_list import InstrumentTable, ListedInstrument
from broker.market.nearest import MOST_NEAREST, NearestShares

SLOWEST_S = 0.010


def listed(key: str, name: str = "", segment: str = "") -> ListedInstrument:
    exchange, _, symbol = key.partition(":")
    return ListedInstrument(exchange, symbol, 1, 5, 1, segment or exchange, "EQ", name=name)


def table_of(*rows: ListedInstrument) -> InstrumentTable:
    return {(row.exchange, row.tradingsymbol): row for row in rows}


TABLE = table_of(
    listed("NSE:INFY", "INFOSYS"),
    listed("BSE:INFY", "INFOSYS LTD"),
    listed("NSE:INFIBEAM", "INFIBEAM AVENUES"),
    listed("NSE:TCS", "TATA CONSULTANCY SERV LT"),
    listed("BSE:TCS", "TATA CONSULTANCY SERVICES"),
    listed("NSE:TATASTEEL", "TATA STEEL"),
    listed("NSE:TATAPOWER", "TATA POWER CO"),
    listed("NSE:RELIANCE", "RELIANCE INDUSTRIES"),
    listed("NSE:HDFCBANK", "HDFC BANK"),
    listed("NSE:HDFCAMC", "HDFC AMC"),
    listed("NSE:VEDL", "VEDANTA"),
    listed("NSE:RCOM-BZ", "RELIANCE COMMUNICATIONS"),
    listed("NSE:M&M", "MAHINDRA & MAHINDRA"),
    listed("NSE:BAJAJ-AUTO", "BAJAJ AUTO"),
    listed("NSE:LT", "LARSEN & TOUBRO"),
    listed("NSE:BSE", "BSE"),
    listed("BSE:ONLYBSE", "ONLY ON BSE"),
    listed("NSE:NIFTY 50", "NIFTY 50", "INDICES"),
    listed("NSE:INFY-BL", "INFOSYS"),
    listed("NSE:752IN30-N1", "INFOSYS BONDS"),
)
SHARES = NearestShares(TABLE, former_symbols())


def nearest(text: str) -> list[str]:
    exchange, _, symbol = text.rpartition(":")
    return [row.instrument.key for row in SHARES.find(exchange or "NSE", symbol).instruments]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("INFY.NS", ["NSE:INFY"]),
        ("INFY.BO", ["BSE:INFY"]),
        ("INFY-EQ", ["NSE:INFY"]),
        ("NSE_INFY", ["NSE:INFY"]),
        ("INFY NSE", ["NSE:INFY"]),
        ("INFY:NSE", ["NSE:INFY"]),
        ("NSE_EQ:INFY", ["NSE:INFY"]),
        ("BSE:INFY-EQ", ["BSE:INFY"]),
        ("INFY-BE", ["NSE:INFY"]),
        ("RCOM", ["NSE:RCOM-BZ"]),
        ("RCOM-BE", ["NSE:RCOM-BZ"]),
        ("MM", ["NSE:M&M"]),
        ("M AND M", ["NSE:M&M"]),
        ("BAJAJ AUTO", ["NSE:BAJAJ-AUTO"]),
        ("L&T", ["NSE:LT"]),
        ("BSE.NS", ["NSE:BSE"]),
        ("ONLYBSE", ["BSE:ONLYBSE"]),
    ],
)
def test_a_symbol_as_other_programs_write_it_is_found(written: str, meant: list[str]) -> None:
    assert nearest(written) == meant


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("INFOSYS", ["NSE:INFY"]),
        ("INFOSYS LIMITED", ["NSE:INFY"]),
        ("INFOSYS LTD.", ["NSE:INFY"]),
        ("BSE:INFOSYS", ["BSE:INFY"]),
        ("TATA CONSULTANCY SERVICES LIMITED", ["NSE:TCS"]),
        ("TATA", ["NSE:TATAPOWER", "NSE:TATASTEEL", "NSE:TCS"]),
        ("LARSEN AND TOUBRO", ["NSE:LT"]),
        ("MAHINDRA", ["NSE:M&M"]),
        ("HDFC BANK LTD", ["NSE:HDFCBANK"]),
    ],
)
def test_the_name_of_a_company_is_found(written: str, meant: list[str]) -> None:
    assert sorted(nearest(written)) == meant


@pytest.mark.parametrize(
    ("written", "first"),
    [
        ("INFFY", "NSE:INFY"),
        ("IFNY", "NSE:INFY"),
        ("TSC", "NSE:TCS"),
        ("RELAINCE", "NSE:RELIANCE"),
        ("INFOSIS", "NSE:INFY"),
        ("TATASTEL", "NSE:TATASTEEL"),
        ("HDFCB", "NSE:HDFCBANK"),
        ("INFI", "NSE:INFIBEAM"),
    ],
)
def test_a_slip_of_the_finger_and_a_beginning_are_found(written: str, first: str) -> None:
    assert nearest(written)[0] == first


def test_a_former_symbol_leads_to_the_one_of_today_with_the_reason() -> None:
    found = SHARES.find("NSE", "HDFC")
    assert [row.instrument.key for row in found.instruments] == ["NSE:HDFCBANK"]
    assert found.change is not None
    assert (found.change.change, found.change.on) == ("merged", date(2023, 7, 1))


def test_a_symbol_that_was_changed_twice_leads_to_the_last() -> None:
    assert nearest("SESAGOA-EQ") == ["NSE:VEDL"]
    assert SHARES.find("NSE", "SESAGOA").change is None, "the first change does not name the share of today"


def test_a_former_symbol_whose_successor_is_not_listed_suggests_nothing_that_is_not_there() -> None:
    gone = SymbolChange("ABCDE", "ZYXWV", date(2024, 1, 1), "renamed", "a test")
    assert NearestShares(TABLE, {"ABCDE": gone}).find("NSE", "ABCDE").instruments == ()


def test_on_bse_a_former_symbol_of_nse_may_have_been_another_company() -> None:
    assert nearest("BSE:HDFC") != ["NSE:HDFCBANK"]
    assert SHARES.find("BSE", "HDFC").change is None


@pytest.mark.parametrize("written", ["ZZQXJ", "MCX:GOLD", "NFO:INFY26DECFUT", "Q", "&", "1", "NIFTY 5O"])
def test_what_is_near_to_nothing_suggests_nothing(written: str) -> None:
    assert nearest(written) == []


@given(exchange=st.sampled_from(["NSE", "BSE", "MCX", "", "ns"]), text=st.text(max_size=64))
def test_whatever_is_written_only_shares_of_the_list_are_suggested(exchange: str, text: str) -> None:
    found = SHARES.find(exchange, text).instruments
    assert len(found) <= MOST_NEAREST
    assert all(row.tradable and TABLE[row.exchange, row.tradingsymbol] is row for row in found)
    assert len(set(found)) == len(found)


def test_a_list_without_shares_suggests_nothing() -> None:
    assert NearestShares({}, former_symbols()).find("NSE", "INFY.NS").instruments == ()


def test_among_ten_thousand_shares_a_search_takes_less_than_ten_milliseconds() -> None:
    random = Random(7)  # noqa: S311 - names for a list

    def word() -> str:
        return "".join(random.choices("AAAEEIIRRSSTTLLNNMMOOCDPBGHKUVY", k=random.randint(3, 10)))

    rows = [listed(f"{random.choice(('NSE', 'BSE'))}:{word()}", f"{word()} {word()} {word()}") for _ in range(12_000)]
    shares = NearestShares(table_of(*rows), former_symbols())
    longest = "SENSATIONAL MEDICAL CORPORATION OF ASIA AND OF PERSIA"
    for text in ("RELIANCEE", "STERLITE TECHNOLOGIES", "TATAMOTORS", longest):
        spent = []
        for _ in range(3):  # of the thread: others may have the processor meanwhile
            began = time.thread_time()
            shares.find("NSE", text)
            spent.append(time.thread_time() - began)
        assert min(spent) < SLOWEST_S, text
