from __future__ import annotations

import dataclasses

import pytest

from broker.paper.base.config import PaperConfig
from broker.paper.base.errors import KiteError
from broker.paper.base.instruments import InstrumentList
from broker.paper.orders.order_form import UNPROTECTED_MARKET, read_new_order

INSTRUMENTS = InstrumentList.load(PaperConfig().instruments_path)
FORM = {
    "exchange": "NSE",
    "tradingsymbol": "INFY",
    "transaction_type": "BUY",
    "quantity": "10",
    "product": "MIS",
    "order_type": "LIMIT",
    "price": "1500.10",
}


def refused(variety: str = "regular", **changes: str) -> KiteError:
    with pytest.raises(KiteError) as error:
        read_new_order(variety, {**FORM, **changes}, INSTRUMENTS)
    assert (error.value.status, error.value.error_type) == (400, "InputException")
    return error.value


def test_a_good_form_becomes_terms_in_paise() -> None:
    terms = read_new_order("regular", {**FORM, "tag": "ABCDEFGHIJ0123456789"}, INSTRUMENTS)
    assert (terms.key, terms.price_paise, terms.quantity, terms.tag) == (
        "NSE:INFY",
        150010,
        10,
        "ABCDEFGHIJ0123456789",
    )


@pytest.mark.parametrize("order_type", ["MARKET", "SL-M"])
@pytest.mark.parametrize("protection", ["", "0", "0.0"])
def test_market_orders_need_protection(order_type: str, protection: str) -> None:
    error = refused(order_type=order_type, market_protection=protection, trigger_price="1490")
    assert error.message == UNPROTECTED_MARKET


def test_a_boolean_protection_is_refused_in_kites_words() -> None:
    message = refused(order_type="MARKET", market_protection="True").message
    expected = "Invalid request (failed to decode market_protection, got: True (expected decimal))"
    assert message == expected


@pytest.mark.parametrize("protection", ["-2", "101", "nan", "inf"])
def test_protection_is_a_percentage_or_minus_one(protection: str) -> None:
    assert "market_protection" in refused(order_type="MARKET", market_protection=protection).message


@pytest.mark.parametrize("price", ["1500.05", "1500.123"])
def test_prices_keep_to_the_tick_size(price: str) -> None:
    assert refused(price=price).message.startswith("Tick size for this script")


@pytest.mark.parametrize("quantity", ["0", "-1", "1.5", "ten", ""])
def test_quantities_are_positive_whole_numbers(quantity: str) -> None:
    assert "quantity" in refused(quantity=quantity).message


def test_futures_come_in_lots() -> None:
    changes = {"exchange": "NFO", "tradingsymbol": "INFY26DECFUT", "product": "NRML", "price": "1500"}
    assert "multiples of 400" in refused(**changes).message
    assert read_new_order("regular", {**FORM, **changes, "quantity": "800"}, INSTRUMENTS).quantity == 800


@pytest.mark.parametrize("symbol", ["NIFTY 50", "NIFTY BANK", "NOSUCH", "infy"])
def test_indices_and_unknown_symbols_cannot_be_ordered(symbol: str) -> None:
    assert "does not exist" in refused(tradingsymbol=symbol).message


def test_trade_to_trade_shares_have_no_intraday_product() -> None:
    assert "trade to trade" in refused(tradingsymbol="RCOM-BE", price="1.35").message


@pytest.mark.parametrize("tag", ["ABCDEFGHIJ01234567890", "with space", "a@b"])
def test_tags_are_twenty_letters_and_digits_at_most(tag: str) -> None:
    assert "`tag`" in refused(tag=tag).message


def test_special_symbols_are_ordinary_ones() -> None:
    terms = read_new_order("regular", {**FORM, "tradingsymbol": "M&M", "price": "3450"}, INSTRUMENTS)
    assert terms.key == "NSE:M&M"


@pytest.mark.parametrize(
    ("name", "value"),
    [("transaction_type", "HOLD"), ("order_type", "FOO"), ("product", "BO"), ("price", "abc"), ("price", "-1")],
)
def test_other_bad_fields_are_named(name: str, value: str) -> None:
    assert name in refused(**{name: value}).message


def test_unknown_varieties_are_refused() -> None:
    assert "variety" in refused("bo").message


@pytest.mark.parametrize(
    ("symbol", "takes"),
    [
        *[(f"X-{series}", False) for series in ("BE", "BZ", "BL", "SM", "ST", "GB", "GS", "IV", "RR", "N8", "NA")],
        *[(symbol, True) for symbol in ("INFY", "BAJAJ-AUTO", "MCDOWELL-N", "M&M", "NAM-INDIA")],
    ],
)
def test_series_without_intraday_trading_are_known_by_their_suffix(symbol: str, *, takes: bool) -> None:
    infy = INSTRUMENTS.find("NSE:INFY")
    assert infy is not None
    assert dataclasses.replace(infy, symbol=symbol).takes_intraday is takes
