"""Portfolios, accounts, request caps and the fault registry."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.paper.accounts.accounts import Accounts, credentials_of, default_account
from broker.paper.accounts.ledger import Journal, RequestLog
from broker.paper.accounts.portfolio import Portfolio
from broker.paper.accounts.rate_limit import OrderRequestCaps
from broker.paper.base.clock import ist_text
from broker.paper.base.errors import KiteError
from broker.paper.faults.faults import Fault, FaultMatch, FaultRegistry, RequestContext, effects_of
from broker.paper.faults.kinds import KINDS, Stage
from broker.paper.orders.order import Trade
from tests.kit.paper import ManualClock

DAY_NS = 24 * 3600 * 10**9
START_NS = 1_795_000_000 * 10**9


def trade(side: str, quantity: int, price: int, product: str = "MIS", day: int = 0) -> Trade:
    return Trade(
        trade_id="1",
        order_id="1",
        exchange_order_id="1",
        user_id="PA1",
        exchange="NSE",
        symbol="INFY",
        instrument_token=408065,
        product=product,
        transaction_type=side,
        quantity=quantity,
        price_paise=price,
        filled_ns=START_NS + day * DAY_NS,
    )


trades = st.lists(
    st.tuples(st.sampled_from(["BUY", "SELL"]), st.integers(1, 500), st.integers(1, 10**6), st.integers(0, 3)),
    max_size=20,
)


@given(fills=trades, last=st.integers(1, 10**6), product=st.sampled_from(["MIS", "CNC"]))
def test_money_and_shares_are_conserved(fills: list[tuple[str, int, int, int]], last: int, product: str) -> None:
    portfolio = Portfolio()
    cash = shares = 0
    for side, quantity, price, day in sorted(fills, key=lambda fill: fill[3]):
        portfolio.apply(trade(side, quantity, price, product, day))
        sign = 1 if side == "BUY" else -1
        cash -= sign * quantity * price
        shares += sign * quantity
    positions = portfolio.positions.values()
    held = sum(p.quantity for p in positions) + sum(h.quantity for h in portfolio.holdings.values())
    assert held == shares
    if product == "CNC":
        assert portfolio.cash_change() == cash
    else:
        open_cost = sum(p.open_value for p in positions)
        # Averages are rounded to a paisa once a day at most.
        assert abs(portfolio.cash_change() - open_cost - cash) <= 4


def test_a_closed_trade_shows_its_profit() -> None:
    portfolio = Portfolio()
    portfolio.apply(trade("BUY", 100, 92_00))
    portfolio.apply(trade("SELL", 100, 91_50))
    (position,) = portfolio.positions.values()
    assert (position.quantity, position.realised, position.pnl(80_00)) == (0, -50_00, -50_00)


def test_deliveries_become_holdings_overnight_and_the_rest_is_carried() -> None:
    portfolio = Portfolio()
    portfolio.apply(trade("BUY", 10, 100_00, "CNC"))
    portfolio.apply(trade("SELL", 5, 100_00, "MIS"))
    portfolio.roll("2099-01-01")
    assert portfolio.sellable_delivery("NSE", "INFY") == 10
    assert portfolio.position_quantity("NSE", "INFY", "CNC") == 0
    (carried,) = portfolio.positions.values()
    assert (carried.overnight_quantity, carried.quantity) == (-5, -5)


def test_ist_texts_are_naive_and_five_and_a_half_hours_ahead() -> None:
    assert ist_text(0) == "1970-01-01 05:30:00"


def test_the_eleventh_request_of_a_calendar_second_waits_for_the_next() -> None:
    caps = OrderRequestCaps(per_second=10, per_minute=0, per_day=0)
    late = START_NS + 990_000_000
    assert [caps.admit(late) for _ in range(10)] == [None] * 10
    refused = caps.admit(late)
    assert refused is not None
    assert (refused.status, refused.error_type) == (429, "NetworkException")
    assert caps.admit(START_NS + 10**9) is None


def test_the_day_has_a_cap_of_its_own() -> None:
    caps = OrderRequestCaps(per_second=0, per_minute=0, per_day=2)
    caps.admit(START_NS)
    caps.admit(START_NS + 10**9)
    refused = caps.admit(START_NS + 2 * 10**9)
    assert refused is not None
    assert refused.message == "Maximum allowed order requests exceeded."


@pytest.mark.parametrize("header", [None, "", "token", "token abc", "token a:", "token :b", "Bearer a:b"])
def test_malformed_credentials_are_none(header: str | None) -> None:
    assert credentials_of(header) is None


class TestAccounts:
    def setup_method(self) -> None:
        self.clock = ManualClock()
        self.accounts = Accounts(Journal(None), self.clock, 120)
        self.account = default_account(0)
        self.accounts.add(self.account)

    def open(self, token: str, secret: str | None = None) -> None:
        signed = f"paper{token}{secret or self.account.api_secret}"
        checksum = hashlib.sha256(signed.encode()).hexdigest()
        self.accounts.open_session("paper", token, checksum)

    def test_a_session_replaces_the_former_token(self) -> None:
        self.open(self.accounts.issue_request_token(self.account))
        assert self.account.access_token != "paper-token"
        with pytest.raises(KiteError, match="Incorrect `api_key` or `access_token`"):
            self.accounts.authenticate("paper", "paper-token")

    def test_request_tokens_are_good_once(self) -> None:
        token = self.accounts.issue_request_token(self.account)
        self.open(token)
        with pytest.raises(KiteError, match="Token is invalid or has expired"):
            self.open(token)

    def test_request_tokens_grow_stale(self) -> None:
        token = self.accounts.issue_request_token(self.account)
        self.clock.advance(121)
        with pytest.raises(KiteError, match="Token is invalid or has expired"):
            self.open(token)

    def test_a_wrong_secret_shows_as_a_bad_checksum(self) -> None:
        with pytest.raises(KiteError, match="Invalid `checksum`"):
            self.open(self.accounts.issue_request_token(self.account), secret="wrong")

    def test_wrong_and_expired_tokens_have_different_texts(self) -> None:
        with pytest.raises(KiteError, match="Incorrect"):
            self.accounts.authenticate("paper", "guess")
        self.accounts.expire_token(self.account)
        with pytest.raises(KiteError, match="has expired"):
            self.accounts.authenticate("paper", "paper-token")


def fault(kind: str, remaining: int | None = 1) -> Fault:
    return Fault(fault_id=1, kind=kind, match=FaultMatch(), remaining=remaining)


PLACE = RequestContext(method="POST", path="/orders/regular", transaction_type="SELL", tag="X1", user_id="PA1")


@pytest.mark.parametrize(
    ("match", "hits"),
    [
        ({}, True),
        ({"method": "POST", "route": "/orders"}, True),
        ({"transaction_type": "SELL", "tag": "X1", "user_id": "PA1"}, True),
        ({"method": "GET"}, False),
        ({"route": "/quote"}, False),
        ({"transaction_type": "BUY"}, False),
        ({"tag": "X2"}, False),
        ({"user_id": "PA2"}, False),
    ],
)
def test_faults_hit_what_they_are_aimed_at(match: dict[str, str], hits: bool) -> None:
    registry = FaultRegistry()
    registry.arm(Fault(fault_id=1, kind="accepted-drop", match=FaultMatch(**match)))
    assert (registry.take(Stage.AFTER, PLACE) is not None) is hits


def test_faults_are_used_up() -> None:
    registry = FaultRegistry()
    registry.arm(fault("accepted-drop", remaining=2))
    registry.arm(fault("park", remaining=None))
    assert [registry.take(Stage.AFTER, PLACE) is not None for _ in range(3)] == [True, True, False]
    assert [len(registry.take_all(Stage.ORDER, PLACE)) for _ in range(3)] == [1, 1, 1]
    assert registry.disarm() == 1


def test_order_faults_combine() -> None:
    late = fault("late-visibility")
    late.seconds, late.stall = 7, True
    effects = effects_of([late, fault("park")])
    assert (effects.hidden_seconds, effects.stalled_seconds, effects.fill_cap) == (7, 7, 0)


def test_of_several_caps_the_least_holds_and_a_cancel_keeps_its_time() -> None:
    partial, cancel = fault("partial-fill"), fault("exchange-cancel")
    partial.quantity, cancel.quantity, cancel.seconds = 5, 3, 2
    effects = effects_of([partial, cancel])
    assert (effects.fill_cap, effects.cancel_after_seconds) == (3, 2)
    assert effects_of([]).cancel_after_seconds is None


@pytest.mark.parametrize(
    ("match", "hits"),
    [
        ({}, True),
        ({"transaction_type": "SELL"}, True),
        ({"transaction_type": "SELL", "tag": "OUT"}, True),
        ({"transaction_type": "BUY", "tag": "OUT"}, False),
        ({"tag": "LATER"}, False),
    ],
)
def test_a_read_is_aimed_at_by_the_orders_of_its_account(match: dict[str, str], hits: bool) -> None:
    orders = (("BUY", "IN"), ("SELL", "OUT"))
    read = RequestContext(method="GET", path="/orders", user_id="PA1", among=orders)
    assert FaultMatch(**match).hits(read) is hits


def test_book_faults_hit_no_other_read() -> None:
    history = RequestContext(method="GET", path="/orders/123", user_id="PA1")
    assert not fault("stale-book").is_due(Stage.BOOK, history)
    assert not fault("book-error").is_due(Stage.BEFORE, history)
    assert fault("book-error").is_due(Stage.BEFORE, RequestContext(method="GET", path="/orders"))


def test_every_stage_has_a_kind_and_every_kind_reads_fields_that_exist() -> None:
    assert {kind.stage for kind in KINDS.values()} == set(Stage)
    assert {name for kind in KINDS.values() for name in kind.fields} <= {f.name for f in dataclasses.fields(Fault)}


def test_every_kind_is_documented() -> None:
    text = (Path(__file__).parents[4] / "docs" / "api.md").read_text(encoding="utf-8")
    assert [kind for kind in KINDS if f"`{kind}`" not in text] == []


def test_requests_journalled_without_a_tag_of_their_own_have_that_of_the_form() -> None:
    log = RequestLog(Journal(None))
    old = {"received_ns": 1, "method": "POST", "path": "/orders/regular", "user_id": "PA1"}
    log.restore({**old, "form": {"tag": "T1", "transaction_type": "BUY"}, "order_id": "7"})
    (row,) = log.matching("PA1", "T1", frozenset())
    assert (row["tag"], row["transaction_type"], row["outcome"]) == ("T1", "BUY", "accepted")
