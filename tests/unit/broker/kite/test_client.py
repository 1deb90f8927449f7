"""The client over our own wire: what it shares with the stock client, and the lists that come packed."""

import gzip

import pytest
from kiteconnect import KiteConnect
from kiteconnect import exceptions as kite_errors

from broker.kite.client import data_of
from broker.kite.connection import Answer
from broker.kite.login import login_url


def a_list(body: bytes) -> Answer:
    return Answer(200, "text/csv", body)


@pytest.mark.parametrize("api_key", ["abc", "a0b1c2d3"])
def test_the_login_page_is_the_one_that_the_stock_client_names(api_key: str) -> None:
    assert login_url(api_key) == KiteConnect(api_key).login_url()


def test_a_list_is_read_packed_or_not() -> None:
    rows = b"instrument_token,tradingsymbol\n408065,INFY\n"
    assert data_of(a_list(rows), "") == rows
    assert data_of(a_list(gzip.compress(rows)), "") == rows


@pytest.mark.parametrize(
    "spoilt",
    [gzip.compress(b"x" * 100)[:-12], b"\x1f\x8bno gzip", gzip.compress(bytes(80_000_000))],
    ids=["cut off", "no gzip", "endless"],
)
def test_a_packed_list_that_is_cut_off_or_grows_without_end_is_none(spoilt: bytes) -> None:
    with pytest.raises(kite_errors.DataException):
        data_of(a_list(spoilt), "")
