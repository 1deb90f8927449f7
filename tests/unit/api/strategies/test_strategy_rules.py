"""Row C1 without a database: each rule, its boundary, and the field and sentence of its refusal."""

from dataclasses import replace
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.base.errors import InvalidField
from api.strategies.strategy_rules import (
    AccountFacts,
    Case,
    Terms,
    check_listed,
    check_moved_stop,
    judge,
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
CASE = Case(terms=TERMS, listed=INFY, calendar=AlwaysOpen(), now=NOW)
LOTS = replace(RCOM, tradingsymbol="ANYSME-SM", lot_size=50)


def refusal(
    terms: Terms, listed: ListedInstrument | None = INFY, calendar: TradingCalendar | None = None
) -> tuple[str, str] | None:
    return first(replace(CASE, terms=terms, listed=listed, calendar=calendar or AlwaysOpen()))


def first(case: Case) -> tuple[str, str] | None:
    """Field and message of the first refusal."""
    try:
        judge(case, SETTINGS).permitted()
    except InvalidField as error:
        return error.field, error.message
    return None


def test_a_strategy_that_keeps_every_rule_is_given_its_session() -> None:
    times = judge(replace(CASE, calendar=NseCalendar()), SETTINGS).permitted()
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
        (
            replace(INFY, segment="INDICES", tradingsymbol="NIFTY 50"),
            "NSE",
            "is an index, which cannot be traded: choose a share",
        ),
        (
            replace(INFY, tradingsymbol="INFY-BL"),
            "NSE",
            "is not a share that can be bought in the ordinary market: choose another one",
        ),
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
    price = Decimal(paise) / 100
    case = replace(CASE, terms=replace(TERMS, stop_loss=stop, quantity=1), listed=None, last_price=price)
    expected = None if stop < paise else ("stop_loss", f"must be below the market price {price:.2f}")
    assert first(case) == expected


def test_the_market_price_decides_the_worth_of_the_order() -> None:
    cheap_stop = replace(CASE, terms=replace(TERMS, stop_loss=100, quantity=1000), last_price=Decimal("1000.00"))
    assert first(cheap_stop) is None
    dear = "is worth 1000050.00 rupees at the market price; an order may be worth 1000000 rupees"
    assert first(replace(cheap_stop, last_price=Decimal("1000.05"))) == ("quantity", dear)


@pytest.mark.parametrize(
    ("account", "code"),
    [
        (AccountFacts(), None),
        (AccountFacts(connected=False), "broker_not_connected"),
        (AccountFacts(token_accepted=False), "broker_token_expired"),
        (AccountFacts(owed="10 INFY (MIS)"), "account_short"),
        (AccountFacts(kept=SETTINGS.max_strategies), "too_many_strategies"),
        (AccountFacts(kept=SETTINGS.max_strategies - 1), None),
        (AccountFacts(running=2, may_run=2), "too_many_running"),
        (AccountFacts(running=1, may_run=2), None),
    ],
)
def test_the_account_must_be_fit_for_it(account: AccountFacts, code: str | None) -> None:
    verdict = judge(replace(CASE, account=account), SETTINGS)
    assert [refusal.code for refusal in verdict.refusals] == ([] if code is None else [code])


def test_all_that_is_wrong_is_said_and_the_first_is_what_is_refused_with() -> None:
    terms = replace(TERMS, stop_loss=149_055, quantity=2000, sell_time=time(9, 0))
    account = AccountFacts(owed="10 INFY (MIS)", running=1, may_run=1)
    verdict = judge(replace(CASE, terms=terms, account=account, last_price=Decimal(1)), SETTINGS)
    fields = [r.field if isinstance(r, InvalidField) else r.code for r in verdict.refusals]
    assert fields == [
        "stop_loss", "quantity", "quantity", "sell_time", "account_short", "too_many_running", "stop_loss",
    ]  # fmt: skip
    assert verdict.warnings == ()
    with pytest.raises(InvalidField, match="tick size"):
        verdict.permitted()


TIMES = st.sampled_from([time(9, 14), time(9, 15), time(9, 30), time(15, 14), time(15, 15), time(15, 20)]) | st.times()
CASES = st.builds(
    Case,
    terms=st.builds(
        Terms,
        buy_time=TIMES,
        sell_time=TIMES,
        stop_loss=st.sampled_from([100, 149_050, 149_055]) | st.integers(1, 300_000),
        quantity=st.integers(1, 1100),
        product=st.sampled_from(["MIS", "CNC"]),
    ),
    listed=st.none() | st.sampled_from([INFY, RCOM, LOTS, replace(INFY, freeze_quantity=100)]),
    calendar=st.sampled_from([AlwaysOpen(), NseCalendar()]),
    now=st.datetimes(datetime(2026, 11, 20), datetime(2026, 11, 30), timezones=st.just(IST)),  # noqa: DTZ001
    account=st.builds(
        AccountFacts,
        owed=st.none() | st.just("10 INFY (MIS)"),
        kept=st.integers(SETTINGS.max_strategies - 3, SETTINGS.max_strategies),
        running=st.integers(0, 3),
        may_run=st.integers(1, 3),
    ),
    last_price=st.none() | st.integers(1, 300_000).map(lambda paise: Decimal(paise) / 100),
    unanswered=st.sets(st.sampled_from(["instrument", "price", "position"])).map(frozenset),
)


def said(case: Case) -> list[tuple[str, str]]:
    return [(refusal.code, str(refusal)) for refusal in judge(case, SETTINGS).refusals]


@given(CASES)
def test_a_preview_refuses_what_create_or_start_refuses_in_the_same_words_and_nothing_else(case: Case) -> None:
    created = replace(case, account=AccountFacts(kept=case.account.kept), last_price=None, unanswered=frozenset())
    started = replace(case, account=replace(case.account, kept=None))
    of_create, of_start, of_preview = said(created), said(started), said(case)
    assert set(of_preview) == {*of_create, *of_start}
    if of_preview:  # what create lets pass, START refuses first with what the preview names first
        assert of_preview[0] == (of_create or of_start)[0]
    else:
        verdict, later = judge(case, SETTINGS), judge(started, SETTINGS)
        assert verdict == later
        assert verdict.permitted() == judge(created, SETTINGS).permitted()


WAITING = "Waiting to buy at 2026-11-24 09:30:00"
AGAIN = "Log in to your broker again before that: its login ends at 2026-11-24 06:00"
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
    case = replace(
        CASE,
        terms=replace(TERMS, buy_time=buy_at.time()),
        now=datetime(2026, 11, 23, 16, 0, tzinfo=IST),
        account=AccountFacts(token_ends_at=datetime(2026, 11, 24, 6, 0, tzinfo=IST)),
        unanswered=frozenset() if asked else frozenset({"price", "position"}),
    )
    verdict = judge(case, SETTINGS)
    assert start_message(verdict.permitted().buy_at, verdict.warnings) == message


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({}, []),
        ({"now": datetime(2026, 11, 23, 9, 30, 4, tzinfo=IST)}, []),
        ({"now": datetime(2026, 11, 23, 9, 30, 5, tzinfo=IST)}, ["not_today"]),
        ({"unanswered": frozenset({"price"})}, ["price_unknown"]),
        ({"unanswered": frozenset({"position", "instrument"})}, ["instrument_unchecked", "position_unchecked"]),
    ],
)
def test_what_hinders_nothing_is_a_warning(changes: dict[str, Any], codes: list[str]) -> None:
    verdict = judge(replace(CASE, **changes), SETTINGS)
    assert [warned.code for warned in verdict.warnings] == codes


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
    case = replace(CASE, terms=replace(TERMS, quantity=101), listed=replace(INFY, freeze_quantity=100))
    assert [refusal.code for refusal in judge(case, SETTINGS).refusals] == ["quantity_above_freeze"]
