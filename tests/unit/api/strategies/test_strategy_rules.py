"""Row C1 without a database: each rule, its boundary, and the field and sentence of its refusal."""

from dataclasses import replace
from datetime import date, datetime, time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.base.errors import InvalidField
from api.strategies.strategy_rules import (
    Terms,
    check_listed,
    check_market_price,
    check_moved_stop,
    check_terms,
    start_message,
)
from broker.exchange_time import IST
from broker.market.former_symbols import SymbolChange
from broker.market.instrument_list import ListedInstrument
from broker.market.nearest import Nearest
from broker.market.trading_calendar import AlwaysOpen, NseCalendar, TradingCalendar
from config.settings import Settings

NOW = datetime(2026, 11, 23, 7, 0, tzinfo=IST)
SETTINGS = Settings(max_quantity=1000, max_notional=1_000_000)
TERMS = Terms(buy_time=time(9, 30), sell_time=time(15, 10), stop_loss=149_050, quantity=10, product="MIS")
INFY = ListedInstrument("NSE", "INFY", 408065, 10, 1, "NSE", "EQ", has_derivatives=True)
RCOM = ListedInstrument("NSE", "RCOM-BE", 3375873, 1, 1, "NSE", "EQ")
LOTS = replace(RCOM, tradingsymbol="ANYSME-SM", lot_size=50)


def refusal(
    terms: Terms, listed: ListedInstrument | None = INFY, calendar: TradingCalendar | None = None
) -> tuple[str, str] | None:
    try:
        check_terms(terms, listed, calendar or AlwaysOpen(), NOW, SETTINGS)
    except InvalidField as error:
        return error.field, error.message
    return None


def test_a_strategy_that_keeps_every_rule_is_given_its_session() -> None:
    times = check_terms(TERMS, INFY, NseCalendar(), NOW, SETTINGS)
    assert times.buy_at == datetime(2026, 11, 23, 9, 30, tzinfo=IST)


@pytest.mark.parametrize(
    ("terms", "listed", "expected"),
    [
        (replace(TERMS, stop_loss=149_055), INFY, ("stop_loss", "must be a multiple of the tick size 0.10")),
        (replace(TERMS, quantity=1001), INFY, ("quantity", "must be at most 1000")),
        (TERMS, RCOM, ("product", "must be CNC: RCOM-BE is not traded intraday")),
        (replace(TERMS, product="CNC"), RCOM, None),
        (replace(TERMS, product="CNC", quantity=75), LOTS, ("quantity", "must be a multiple of the lot size 50")),
        (replace(TERMS, product="CNC", quantity=100), LOTS, None),
        (
            replace(TERMS, quantity=671),
            INFY,
            (
                "quantity",
                "is worth 1000125.50 rupees at the stop-loss price; an order may be worth 1000000 rupees",
            ),
        ),
        (replace(TERMS, quantity=670), INFY, None),
        (
            replace(TERMS, quantity=101),
            replace(INFY, freeze_quantity=100),
            ("quantity", "must be at most 100: above its freeze quantity the exchange takes no order"),
        ),
        (replace(TERMS, quantity=100), replace(INFY, freeze_quantity=100), None),
        (replace(TERMS, sell_time=time(9, 30)), INFY, ("sell_time", "must be after buy_time")),
    ],
)
def test_each_rule_refuses_its_field(terms: Terms, listed: ListedInstrument, expected: tuple[str, str] | None) -> None:
    assert refusal(terms, listed) == expected


@pytest.mark.parametrize(
    ("product", "listed", "last"),
    [
        ("CNC", RCOM, time(15, 29, 59)),
        ("MIS", replace(INFY, has_derivatives=False), time(15, 19, 59)),
        ("MIS", INFY, time(15, 14, 59)),
        ("CNC", INFY, time(15, 14, 59)),
    ],
)
def test_product_and_derivatives_decide_how_late_may_be_sold(
    product: str, listed: ListedInstrument, last: time
) -> None:
    terms = replace(TERMS, product=product, sell_time=last)
    assert refusal(terms, listed, NseCalendar()) is None
    late = refusal(replace(terms, sell_time=time(last.hour, last.minute + 1)), listed, NseCalendar())
    assert late is not None
    assert late[0] == "sell_time"


def test_without_the_brokers_list_the_rules_about_the_instrument_wait() -> None:
    assert refusal(replace(TERMS, stop_loss=149_055), listed=None) is None
    assert refusal(replace(TERMS, quantity=1001), listed=None) == ("quantity", "must be at most 1000")


@pytest.mark.parametrize(
    ("listed", "exchange", "message"),
    [
        (
            None,
            "NSE",
            "NSE:INFY is not known to your broker. Write it as the exchange does, such as NSE:INFY",
        ),
        (None, "NFO", "must be on NSE or BSE"),
        (replace(INFY, segment="INDICES", tradingsymbol="NIFTY 50"), "NSE", "is an index, which cannot be traded"),
        (replace(INFY, tradingsymbol="INFY-BL"), "NSE", "is not a share that can be bought in the ordinary market"),
    ],
)
def test_what_cannot_be_bought_is_refused_as_a_symbol(
    listed: ListedInstrument | None, exchange: str, message: str
) -> None:
    with pytest.raises(InvalidField) as refused:
        check_listed(listed, exchange, "INFY")
    assert (refused.value.field, refused.value.message, refused.value.suggestions) == ("symbol", message, ())
    assert check_listed(INFY, "NSE", "INFY") is INFY


MERGED = SymbolChange("HDFC", "HDFCBANK", date(2023, 7, 1), "merged", "a test")
RENAMED = SymbolChange("ZOMATO", "ETERNAL", date(2025, 4, 9), "renamed", "a test")


@pytest.mark.parametrize(
    ("asked", "near", "sentence"),
    [
        ("INFY.NS", ["INFY"], "NSE:INFY.NS is not known to your broker. Did you mean NSE:INFY?"),
        ("TATA", ["TCS", "TITAN"], "NSE:TATA is not known to your broker. Did you mean NSE:TCS or NSE:TITAN?"),
        (
            "TATA",
            ["A", "B", "C", "D"],
            "NSE:TATA is not known to your broker. Did you mean NSE:A, NSE:B or NSE:C?",
        ),
        ("<IMG SRC=X>", ["INFY"], "this symbol is not known to your broker. Did you mean NSE:INFY?"),
        ("IN\u202eFY", ["INFY"], "this symbol is not known to your broker. Did you mean NSE:INFY?"),
    ],
)
def test_a_symbol_that_is_not_listed_is_answered_with_what_may_have_been_meant(
    asked: str, near: list[str], sentence: str
) -> None:
    rows = tuple(replace(INFY, tradingsymbol=symbol) for symbol in near)
    with pytest.raises(InvalidField) as refused:
        check_listed(None, "NSE", asked, Nearest(rows))
    assert refused.value.message == sentence
    assert refused.value.suggestions == tuple(f"NSE:{symbol}" for symbol in near)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (MERGED, ": on 2023-07-01 it was merged into HDFCBANK. Did you mean NSE:HDFCBANK?"),
        (RENAMED, ": on 2025-04-09 it was renamed ETERNAL. Did you mean NSE:ETERNAL?"),
    ],
)
def test_a_symbol_of_before_a_merger_or_a_new_name_is_answered_with_the_reason(
    change: SymbolChange, reason: str
) -> None:
    near = Nearest((replace(INFY, tradingsymbol=change.successor),), change)
    with pytest.raises(InvalidField) as refused:
        check_listed(None, "NSE", change.symbol, near)
    assert refused.value.message == f"NSE:{change.symbol} is not known to your broker{reason}"


@given(paise=st.integers(1, 10_000_000), stop=st.integers(1, 10_000_000))
def test_the_stop_loss_must_be_below_the_market_price(paise: int, stop: int) -> None:
    terms, price = replace(TERMS, stop_loss=stop, quantity=1), Decimal(paise) / 100
    if stop < paise:
        check_market_price(terms, price, SETTINGS)
        return
    with pytest.raises(InvalidField, match=f"stop_loss: must be below the market price {price:.2f}"):
        check_market_price(terms, price, SETTINGS)


def test_the_market_price_decides_the_worth_of_the_order() -> None:
    cheap_stop = replace(TERMS, stop_loss=100, quantity=1000)
    assert refusal(cheap_stop) is None
    check_market_price(cheap_stop, Decimal("1000.00"), SETTINGS)
    with pytest.raises(InvalidField, match=r"quantity: is worth 1000050\.00 rupees at the market price"):
        check_market_price(cheap_stop, Decimal("1000.05"), SETTINGS)


WAITING = "Waiting to buy at 2026-11-24 09:30:00"
AGAIN = "Log in to your broker again before that: its session ends at 2026-11-24 06:00"
NOT_ASKED = "Your broker could not be asked for the market price"


@pytest.mark.parametrize(
    ("buy_at", "asked", "message"),
    [
        (datetime(2026, 11, 24, 5, 59, 59, tzinfo=IST), True, "Waiting to buy at 2026-11-24 05:59:59"),
        (datetime(2026, 11, 24, 6, 0, tzinfo=IST), True, f"Waiting to buy at 2026-11-24 06:00:00. {AGAIN}"),
        (datetime(2026, 11, 24, 9, 30, tzinfo=IST), True, f"{WAITING}. {AGAIN}"),
        (datetime(2026, 11, 24, 9, 30, tzinfo=IST), False, f"{WAITING}. {AGAIN}. {NOT_ASKED}"),
    ],
)
def test_start_says_when_the_broker_session_ends_too_soon_and_when_nobody_was_asked(
    buy_at: datetime, asked: bool, message: str
) -> None:
    assert start_message(buy_at, datetime(2026, 11, 24, 6, 0, tzinfo=IST), asked=asked) == message


@pytest.mark.parametrize(
    ("stop_loss", "price", "code"),
    [
        (1_550_000, Decimal(1560), "stop_not_below_price"),  # 15500 typed for 1550
        (156_000, Decimal(1560), "stop_not_below_price"),
        (155_995, Decimal(1560), None),
        (149_000, Decimal(1480), "stop_not_below_price"),  # lowered, and still above
        (149_051, None, "stop_price_unknown"),
        (149_050, None, None),
        (100, None, None),
    ],
)
def test_a_moved_stop_must_be_below_the_price_and_may_only_fall_where_none_is_known(
    stop_loss: int, price: Decimal | None, code: str | None
) -> None:
    if code is None:
        check_moved_stop(stop_loss, TERMS.stop_loss, price)
        return
    with pytest.raises(InvalidField) as refused:
        check_moved_stop(stop_loss, TERMS.stop_loss, price)
    assert (refused.value.field, refused.value.code) == ("stop_loss", code)


def test_an_order_above_the_freeze_quantity_has_a_code_of_its_own() -> None:
    with pytest.raises(InvalidField) as refused:
        check_terms(replace(TERMS, quantity=101), replace(INFY, freeze_quantity=100), AlwaysOpen(), NOW, SETTINGS)
    assert refused.value.code == "quantity_above_freeze"
