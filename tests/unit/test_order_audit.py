"""What the watcher makes of an account's book, positions and intents, without any I/O."""

from dataclasses import replace
from typing import Any

from actors import order_audit
from actors.domain.identifiers import Leg, Product
from actors.domain.order import OrderReport, OrderStage
from actors.order_audit import Account, ClosedOutside, DuplicateOrders, PositionShort, SharesMissing, UnguardedPosition
from actors.ports import Holding, KnownIntent, position_key
from tests.kit.builders import INFY, a_report

KEY = position_key(INFY, Product.MIS)
ENTRY, EXIT = "ENTRYTAG", "EXITTAG"


def a_holding(quantity: int = 10, **changes: Any) -> Holding:
    holding = Holding(3, 7, 1, 2, 1, INFY, Product.MIS, quantity, exiting=False)
    return replace(holding, **changes)


def known(tag: str = ENTRY, leg: Leg = Leg.ENTRY, run_id: int = 7, *, ended: bool = False) -> KnownIntent:
    return KnownIntent(run_id, 3, 1, leg, tag, "INFY", ended)


def an_order(order_id: str, tag: str | None = ENTRY, **report: Any) -> OrderReport:
    return a_report(order_id, **({"tag": tag, "filled": 10} | report))


def an_account(**changes: Any) -> Account:
    account = Account(
        book=[an_order("1")],
        held={KEY: 10},
        holdings=[a_holding()],
        known=[known(), known(EXIT, Leg.EXIT)],
        moving=frozenset(),
        working=frozenset(),
        exited=frozenset(),
    )
    return replace(account, **changes)


def test_a_position_that_is_held_and_guarded_raises_nothing() -> None:
    assert order_audit.audit(an_account()) == []


def test_two_live_orders_under_one_tag_are_a_duplicate() -> None:
    book = [an_order("1"), an_order("2", stage=OrderStage.OPEN, filled=0)]
    assert order_audit.audit(an_account(book=book)) == [DuplicateOrders(3, 1, ENTRY, ("1", "2"))]


def test_a_dead_order_beside_a_live_one_is_no_duplicate() -> None:
    book = [an_order("1"), an_order("2", stage=OrderStage.REJECTED, filled=0)]
    assert order_audit.audit(an_account(book=book)) == []


def test_orders_of_others_under_one_tag_are_not_ours_to_judge() -> None:
    book = [an_order("1"), an_order("8", "theirs"), an_order("9", "theirs")]
    assert order_audit.audit(an_account(book=book)) == []


def test_an_empty_position_was_closed_outside() -> None:
    assert order_audit.audit(an_account(held={})) == [ClosedOutside(3, 7, 1, "INFY")]


def test_a_short_position_is_said_and_its_run_closed() -> None:
    assert order_audit.audit(an_account(held={KEY: -5})) == [
        PositionShort(3, 1, KEY, -5),
        ClosedOutside(3, 7, 1, "INFY"),
    ]


def test_a_partly_sold_position_misses_shares() -> None:
    assert order_audit.audit(an_account(held={KEY: 4})) == [SharesMissing(3, 1, KEY, 4, 10)]


def test_two_runs_on_one_position_are_judged_by_their_sum() -> None:
    other = a_holding(5, strategy_id=4, run_id=8)
    missing = order_audit.audit(an_account(holdings=[a_holding(), other], held={KEY: 12}))
    assert missing == [SharesMissing(3, 1, KEY, 12, 15), SharesMissing(4, 1, KEY, 12, 15)]
    assert order_audit.audit(an_account(holdings=[a_holding(), other], held={KEY: 15})) == []


def test_a_position_that_our_own_exit_is_selling_is_not_judged() -> None:
    for moving in (
        an_account(held={}, moving=frozenset({KEY})),
        an_account(held={}, exited=frozenset({7})),
        an_account(held={}, holdings=[a_holding(exiting=True)]),
    ):
        assert order_audit.audit(moving) == []


def test_more_than_we_hold_is_the_traders_own() -> None:
    assert order_audit.audit(an_account(held={KEY: 500})) == []


def test_what_was_bought_and_nobody_guards_is_said() -> None:
    assert order_audit.audit(an_account(holdings=[])) == [UnguardedPosition(3, 1, 7, 10, "INFY")]


def test_what_an_ended_run_bought_too_late_is_said() -> None:
    account = an_account(holdings=[], known=[known(ended=True)])
    assert order_audit.audit(account) == [UnguardedPosition(3, 1, 7, 10, "INFY")]


def test_what_was_sold_again_needs_no_guard() -> None:
    book = [an_order("1"), an_order("2", EXIT)]
    assert order_audit.audit(an_account(book=book, holdings=[], held={})) == []


def test_what_is_in_work_or_was_sold_by_hand_needs_no_guard() -> None:
    assert order_audit.audit(an_account(holdings=[], working=frozenset({7}))) == []
    assert order_audit.audit(an_account(holdings=[], held={})) == []
