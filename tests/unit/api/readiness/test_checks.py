"""What facts mean: every check, and the verdict (row N3)."""

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal

import pytest

from api.readiness.checks import find
from api.readiness.findings import (
    Facts,
    Fault,
    Findings,
    Level,
    Login,
    Said,
    SessionDay,
    Trade,
    Verdict,
)
from broker.exchange_time import IST
from broker.kite.account_questions import DayQuote

NOW = datetime(2026, 11, 30, 8, 45, tzinfo=IST)
SESSION = SessionDay(NOW.date(), NOW.replace(hour=9, minute=15), NOW.replace(hour=15, minute=30), special=False)
QUOTE = DayQuote(Decimal(1510), Decimal(1500), Decimal(1350), Decimal(1650))
INFY = Trade(
    strategy_id=1,
    symbol="INFY",
    buy_at=NOW.replace(hour=9, minute=20),
    sell_at=NOW.replace(hour=15, minute=10),
    stop_loss=Decimal(1490),
    judged=True,
    quote=QUOTE,
    needed=Decimal(3000),
)
TCS = replace(INFY, strategy_id=2, symbol="TCS", buy_at=NOW.replace(hour=9, minute=30))
FACTS = Facts(now=NOW, session=SESSION, login=Login.GOOD, trades=(INFY, TCS), free=Decimal(10_000))


def levels(findings: Findings) -> dict[str, Level]:
    return {check.code: check.level for check in findings.checks if check.level is not Level.OK}


def trading(findings: Findings) -> list[bool | None]:
    return [found.will_trade for found in findings.trades]


def test_a_holiday_on_the_next_weekday_is_named_and_keeps_nothing_from_trading() -> None:
    findings = find(replace(FACTS, closed_next=date(2026, 12, 1), next_day=date(2026, 12, 2)))
    assert (findings.verdict, trading(findings)) == (Verdict.READY, [True, True])
    (check,) = [check for check in findings.checks if check.code == "holiday_tomorrow"]
    assert check.detail == (
        "The exchange is closed on Tuesday, 2026-12-01. The next session is on Wednesday, 2026-12-02"
    )


def test_nothing_in_the_way_is_ready() -> None:
    findings = find(FACTS)
    assert (findings.verdict, levels(findings), trading(findings)) == (Verdict.READY, {}, [True, True])
    assert [check.code for check in findings.checks] == ["token_valid", "funds_short"]


@pytest.mark.parametrize(
    ("login", "code", "fix"),
    [
        (Login.MISSING, "broker_connected", "connect"),
        (Login.UNREADABLE, "broker_connected", "connect"),
        (Login.NOT_ALLOWED, "broker_connected", "connect"),
        (Login.ENDED, "token_valid", "login"),
    ],
)
def test_without_a_login_nothing_trades(login: Login, code: str, fix: str) -> None:
    findings = find(replace(FACTS, login=login, free=None))
    assert (findings.verdict, levels(findings), trading(findings)) == (
        Verdict.BLOCKED, {code: Level.BLOCK}, [False, False],
    )  # fmt: skip
    found = findings.checks[0].fix
    assert found is not None
    assert found.kind == fix


def test_a_login_that_ends_before_the_first_buy_is_none() -> None:
    ends_at = NOW.replace(hour=9, minute=20)
    assert levels(find(replace(FACTS, login_ends_at=ends_at))) == {"token_valid": Level.BLOCK}
    assert find(replace(FACTS, login_ends_at=NOW.replace(hour=9, minute=21))).verdict is Verdict.READY


def test_what_could_not_be_checked_is_never_ready() -> None:
    findings = find(replace(FACTS, login=Login.UNCHECKED, free=None, reason="The broker does not answer"))
    assert (findings.verdict, trading(findings)) == (Verdict.ATTENTION, [None, None])
    assert findings.checks[0].detail.endswith(": The broker does not answer")
    for facts in (replace(FACTS, free=None), replace(FACTS, trades=(replace(INFY, needed=None), TCS))):
        assert levels(find(facts)) == {"funds_short": Level.UNKNOWN}
        assert trading(find(facts)) == [None, None]
    asked = replace(INFY, unanswered=(Said("price_unknown", "Your broker could not be asked for the market price"),))
    one = find(replace(FACTS, trades=(asked, TCS)))
    assert (one.verdict, trading(one)) == (Verdict.ATTENTION, [None, True])


def test_a_refused_trade_is_blocked_and_needs_no_money() -> None:
    refused = replace(
        INFY, needed=Decimal(9000), refusals=(Said("stop_loss", "The stop-loss must be below it", "stop_loss"),)
    )
    findings = find(replace(FACTS, trades=(refused, TCS), free=Decimal(3060)))
    assert (findings.verdict, trading(findings)) == (Verdict.BLOCKED, [False, True])
    check = next(check for check in findings.checks if check.code == "stop_loss")
    assert (check.detail, check.strategy_id) == ("INFY 09:20: the stop-loss must be below it", 1)
    assert check.fix is not None
    assert check.fix.url == "/strategy/1"


def test_the_first_that_does_not_fit_is_named_with_what_is_missing() -> None:
    findings = find(replace(FACTS, free=Decimal(6119)))
    assert trading(findings) == [True, False]
    (check,) = [check for check in findings.checks if check.code == "funds_short"]
    assert check.detail == (
        "TCS 09:30: it needs ₹3,060.00 with a reserve of 2 %, and ₹3,059.00 will be free: add ₹1.00, or buy less"
    )
    assert find(replace(FACTS, free=Decimal(6120))).verdict is Verdict.READY


@pytest.mark.parametrize(
    ("quote", "stop", "code"),
    [
        (replace(QUOTE, previous_close=Decimal(3020)), 1490, "price_jump"),
        (replace(QUOTE, previous_close=Decimal(1300)), 1490, "price_jump"),
        (QUOTE, 1349, "band"),
        (replace(QUOTE, last=Decimal(1650)), 1490, "band"),
    ],
)
def test_prices_that_should_be_looked_at(quote: DayQuote, stop: int, code: str) -> None:
    findings = find(replace(FACTS, trades=(replace(INFY, quote=quote, stop_loss=Decimal(stop)),)))
    assert (findings.verdict, levels(findings)) == (Verdict.ATTENTION, {code: Level.WARN})
    assert (trading(findings), findings.trades[0].because) == ([True], (code,))


def test_a_stop_loss_in_percent_whose_price_is_not_known_is_in_no_band() -> None:
    assert find(replace(FACTS, trades=(replace(INFY, stop_loss=None),))).verdict is Verdict.READY


def test_a_price_that_has_moved_by_fifteen_per_cent_is_no_split() -> None:
    quote = replace(QUOTE, last=Decimal(1150), previous_close=Decimal(1000))
    assert find(replace(FACTS, trades=(replace(INFY, quote=quote),))).verdict is Verdict.READY


def test_a_panic_and_the_deployment_stand_in_the_way_of_all() -> None:
    assert levels(find(replace(FACTS, entries_forbidden=True))) == {"entries_forbidden": Level.BLOCK}
    down, slow = Fault("readiness_redis", "Redis", blocks=True), Fault("readiness_clock", "Clock", blocks=False)
    findings = find(replace(FACTS, faults=(slow, down)))
    assert (levels(findings), trading(findings)) == ({"operator": Level.BLOCK}, [False, False])
    findings = find(replace(FACTS, faults=(slow,)))
    assert (levels(findings), trading(findings)) == ({"operator": Level.WARN}, [True, True])


def test_orders_from_another_address_are_said_without_it_unless_more_is_broken() -> None:
    elsewhere = Fault("readiness_address", "Orders leave from 3.7.0.10", blocks=True, of_address=True)
    findings = find(replace(FACTS, faults=(elsewhere,)))
    assert (levels(findings), trading(findings)) == ({"operator": Level.BLOCK}, [False, False])
    (check,) = [check for check in findings.checks if check.code == "operator"]
    assert check.detail == (
        "Your orders would leave from an address that is not registered at your broker, and be refused. The operator "
        "of TradeActors has been notified"
    )
    down = Fault("readiness_redis", "Redis", blocks=True)
    (check,) = [check for check in find(replace(FACTS, faults=(elsewhere, down))).checks if check.code == "operator"]
    assert check.detail.startswith("A part of TradeActors does not work, and no orders are taken on")


def test_nothing_to_trade_is_said_unless_something_was_traded() -> None:
    assert levels(find(replace(FACTS, trades=()))) == {"planned": Level.WARN}
    assert find(replace(FACTS, trades=(), traded=True)).verdict is Verdict.READY


def test_without_a_session_nothing_else_is_said() -> None:
    closed = find(replace(FACTS, session=None, trades=(), next_day=date(2026, 12, 1), login=Login.UNCHECKED))
    assert (closed.verdict, [check.detail for check in closed.checks]) == (
        Verdict.NO_SESSION, ["There is no trade today. The next session is on Tuesday, 2026-12-01"],
    )  # fmt: skip
    assert levels(closed) == {}
    assert trading(find(replace(FACTS, session=None))) == [False, False]


def test_a_look_at_the_login_alone_says_nothing_of_money() -> None:
    unjudged = replace(INFY, judged=False, quote=None, needed=None)
    findings = find(replace(FACTS, trades=(unjudged,), free=None, whole=False))
    assert [check.code for check in findings.checks] == ["token_valid"]
