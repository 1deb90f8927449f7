"""What the watcher makes of an account's book, positions and intents, without any I/O."""

from dataclasses import replace
from typing import Any

from actors.domain.identifiers import Leg, Product, Side
from actors.domain.orders.cover import AccountPosition, PositionKey, Stake, judge, position_key
from actors.domain.orders.order import OrderReport, OrderStage, OrderTerms
from actors.execution.watching import audit
from actors.execution.watching.audit import (
    Account,
    ClosedOutside,
    DuplicateOrders,
    ExitUncovered,
    PositionShort,
    SaleByHandWaits,
    SharesMissing,
    UnguardedPosition,
)
from actors.ports.execution import KnownIntent
from actors.ports.strategy import Holding
from tests.kit.builders import INFY, NOW, a_report

KEY = position_key(INFY, Product.MIS)
ENTRY, EXIT = "ENTRYTAG", "EXITTAG"
TERMS = OrderTerms("NSE", "INFY", "MIS", Side.SELL, NOW, NOW)


def a_holding(quantity: int = 10, **changes: Any) -> Holding:
    stake = Stake(changes.get("run_id", 7), quantity, ENTRY, (EXIT,))
    holding = Holding(3, 7, 1, 2, 1, INFY, Product.MIS, quantity, exiting=False, stake=stake)
    return replace(holding, **changes)


def known(tag: str = ENTRY, leg: Leg = Leg.ENTRY, run_id: int = 7, *, ended: bool = False) -> KnownIntent:
    return KnownIntent(run_id, 3, 1, leg, tag, KEY, ended)


def an_order(order_id: str, tag: str | None = ENTRY, **report: Any) -> OrderReport:
    return a_report(order_id, **({"tag": tag, "filled": 10} | report))


def by_hand(order_id: str = "77", stage: OrderStage = OrderStage.COMPLETE, filled: int = 10) -> OrderReport:
    return replace(an_order(order_id, None, stage=stage, filled=filled), terms=TERMS)


def an_account(held: dict[PositionKey, int] | None = None, **changes: Any) -> Account:
    """What the watcher makes of a reading, the judgement included."""
    positions = {key: AccountPosition(shares) for key, shares in ({KEY: 10} if held is None else held).items()}
    account = Account(
        book=[an_order("1")],
        positions=positions,
        covers={},
        holdings=[a_holding()],
        known=[known(), known(EXIT, Leg.EXIT)],
        is_own=frozenset({ENTRY, EXIT, "ENTRY8"}).__contains__,
        read_at=1000.0,
        unsettled=frozenset(),
        working=frozenset(),
    )
    account = replace(account, **changes)
    stakes = [holding.stake for holding in account.holdings]
    own = [intent.own for intent in account.known]
    position = positions.get(KEY, AccountPosition())
    cover = judge(KEY, stakes, position, account.book, own, account.is_own, 1000.0)
    return replace(account, covers={KEY: cover} if stakes else {})


def test_a_position_that_is_held_and_guarded_raises_nothing() -> None:
    assert audit.audit(an_account()) == []


def test_two_live_orders_under_one_tag_are_a_duplicate() -> None:
    book = [an_order("1"), an_order("2", stage=OrderStage.OPEN, filled=0)]
    assert audit.audit(an_account(book=book)) == [DuplicateOrders(3, 1, ENTRY, ("1", "2"))]


def test_a_dead_order_beside_a_live_one_is_no_duplicate() -> None:
    book = [an_order("1"), an_order("2", stage=OrderStage.REJECTED, filled=0)]
    assert audit.audit(an_account(book=book)) == []


def test_orders_of_others_under_one_tag_are_not_ours_to_judge() -> None:
    book = [an_order("1"), an_order("8", "theirs"), an_order("9", "theirs")]
    assert audit.audit(an_account(book=book)) == []


def test_an_empty_position_was_closed_outside() -> None:
    assert audit.audit(an_account(held={})) == [ClosedOutside(3, 7, 1, KEY, "")]


def test_a_short_position_is_said_and_its_run_closed() -> None:
    assert audit.audit(an_account(held={KEY: -5})) == [
        PositionShort(3, 1, KEY, -5),
        ClosedOutside(3, 7, 1, KEY, ""),
    ]


def test_a_partly_sold_position_misses_shares() -> None:
    assert audit.audit(an_account(held={KEY: 4})) == [SharesMissing(3, 1, KEY, 4, 10, "")]


def test_two_runs_on_one_position_are_judged_by_their_sum() -> None:
    other = a_holding(5, strategy_id=4, run_id=8, stake=Stake(8, 5, "ENTRY8"))
    missing = audit.audit(an_account(holdings=[a_holding(), other], held={KEY: 12}))
    assert missing == [SharesMissing(3, 1, KEY, 12, 15, ""), SharesMissing(4, 1, KEY, 12, 15, "")]
    assert audit.audit(an_account(holdings=[a_holding(), other], held={KEY: 15})) == []


def test_a_position_that_our_own_exit_is_selling_is_not_said_to_be_gone() -> None:
    for moving in (
        an_account(held={}, unsettled=frozenset({KEY})),
        an_account(held={}, working=frozenset({7})),
        an_account(held={}, holdings=[a_holding(exiting=True)]),
        an_account(held={}, book=[an_order("1"), an_order("2", EXIT)]),
    ):
        assert audit.audit(moving) == []


def test_a_failed_exit_whose_shares_were_sold_by_hand_is_closed() -> None:
    refused = an_order("2", EXIT, stage=OrderStage.REJECTED, filled=0)
    account = an_account(held={}, book=[an_order("1"), refused, by_hand()])
    assert audit.audit(account) == [ClosedOutside(3, 7, 1, KEY, "")]


def test_an_exit_that_waits_while_the_trader_sells_its_shares_is_uncovered() -> None:
    parked = an_order("2", EXIT, stage=OrderStage.OPEN, filled=0)
    exiting: dict[str, Any] = {"holdings": [a_holding(exiting=True)], "working": frozenset({7})}
    assert audit.audit(an_account(book=[an_order("1"), parked], **exiting)) == []
    account = an_account(held={}, book=[an_order("1"), parked, by_hand()], **exiting)
    assert audit.audit(account) == [ExitUncovered(3, 7, 1, KEY, "")]


def test_an_exit_that_would_sell_the_traders_own_shares_is_uncovered_too() -> None:
    parked = an_order("2", EXIT, stage=OrderStage.OPEN, filled=0)
    account = an_account(held={KEY: 50}, book=[an_order("1"), parked, by_hand()], working=frozenset({7}))
    assert audit.audit(account) == [ExitUncovered(3, 7, 1, KEY, "")]


def test_a_short_is_said_though_the_run_has_ended() -> None:
    account = an_account(held={KEY: -10}, holdings=[], known=[known(ended=True), known(EXIT, Leg.EXIT, ended=True)])
    assert audit.audit(account) == [PositionShort(3, 1, KEY, -10)]


def test_a_sell_order_of_the_trader_that_would_open_a_short_is_said() -> None:
    waiting = by_hand(stage=OrderStage.OPEN, filled=0)
    assert audit.audit(an_account(book=[an_order("1"), waiting])) == [SaleByHandWaits(3, 1, KEY, 10)]
    assert audit.audit(an_account(held={KEY: 20}, book=[an_order("1"), waiting])) == []


def test_more_than_we_hold_is_the_traders_own() -> None:
    assert audit.audit(an_account(held={KEY: 500})) == []


def test_what_was_bought_and_nobody_guards_is_said() -> None:
    assert audit.audit(an_account(holdings=[])) == [UnguardedPosition(3, 1, 7, 10, KEY)]


def test_what_an_ended_run_bought_too_late_is_said() -> None:
    account = an_account(holdings=[], known=[known(ended=True)])
    assert audit.audit(account) == [UnguardedPosition(3, 1, 7, 10, KEY)]


def test_what_was_sold_again_needs_no_guard() -> None:
    book = [an_order("1"), an_order("2", EXIT)]
    assert audit.audit(an_account(book=book, holdings=[], held={})) == []


def test_what_is_working_or_was_sold_by_hand_needs_no_guard() -> None:
    assert audit.audit(an_account(holdings=[], working=frozenset({7}))) == []
    assert audit.audit(an_account(holdings=[], held={})) == []
