"""A run out of a backup that is older than what has happened at the broker since (mechanism 12).

The order book is the proof of what the broker did, for one day. Of what the trader did there is no proof at all.
"""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from actors.domain.identifiers import Product
from actors.domain.orders.order import FailureKind, OrderStage
from actors.domain.orders.position import PositionStatus
from actors.domain.strategy.decisions import Decision, EndRun, RaiseAlert, SendOrder, WatchPrice
from actors.domain.strategy.events import OrderReported, TickReceived
from actors.domain.strategy.machine import step
from actors.domain.strategy.recovery import reopened
from actors.domain.strategy.snapshot import dump_state, load_state
from actors.domain.strategy.spec import Restored
from actors.domain.strategy.state import Phase, StatusDetail, StrategyState
from tests.kit.builders import BUY_AT, NOW, a_run, a_tick
from tests.kit.decisions import alerts, logged, of
from tests.kit.events import entry_report, exit_report
from tests.kit.phases import (
    BELOW,
    LATER,
    STOP,
    arming,
    entering,
    exit_failed,
    exiting,
    guarding,
    paused,
    play,
    recover,
    scheduled,
    working,
)

NEXT_DAY = LATER + timedelta(days=1)


def restored(state: StrategyState) -> StrategyState:
    """As `tradeactors restore` leaves the run: a backup of the same session, loaded from its journal."""
    mark = Restored(LATER - timedelta(minutes=1), LATER.date())
    return replace(load_state(state.run, dump_state(state)), restored=mark)


def brought_back(
    state: StrategyState, *reports: OrderReported, at: datetime = LATER
) -> tuple[StrategyState, tuple[Decision, ...]]:
    return recover(restored(state), *reports, at=at)


@pytest.mark.parametrize("before", [scheduled(), paused(), entering()], ids=lambda state: state.phase)
@pytest.mark.parametrize("at", [NOW, BUY_AT, LATER, NEXT_DAY])
def test_a_restored_run_whose_buy_is_not_in_the_book_never_sends_it(before: StrategyState, at: datetime) -> None:
    """Its trader may have stopped it after the backup was made."""
    state, decisions = brought_back(before, at=at)
    assert of(decisions, SendOrder) == []
    assert (state.phase, state.detail) == (Phase.ENDED, StatusDetail.RESTORED)
    assert alerts(decisions) == ["restored"]
    assert of(decisions, EndRun)


def test_it_says_that_nothing_was_bought_only_where_that_is_certain() -> None:
    certain, _ = brought_back(scheduled(), at=LATER)
    assert "start the strategy again if you still want it" in certain.message
    not_due, _ = brought_back(scheduled(buy_at=NEXT_DAY + timedelta(1), sell_at=NEXT_DAY + timedelta(2)), at=NEXT_DAY)
    assert "start the strategy again if you still want it" in not_due.message
    doubtful, _ = brought_back(scheduled(), at=NEXT_DAY)
    assert "Whether it has bought 10 " in doubtful.message


@pytest.mark.parametrize("before", [scheduled(), paused(), entering(), arming(), guarding()], ids=lambda s: s.phase)
def test_a_buy_that_was_made_after_the_backup_is_adopted_and_guarded(before: StrategyState) -> None:
    state, decisions = brought_back(before, entry_report())
    assert state.phase in {Phase.ARMING, Phase.GUARDING}
    assert WatchPrice(STOP) in decisions
    assert of(decisions, SendOrder) == []


def test_a_position_goes_on_under_the_stop_loss_of_the_backup_and_its_trader_hears_that() -> None:
    state, decisions = brought_back(guarding(), entry_report())
    assert state.phase is Phase.GUARDING
    (alert,) = [alert for alert in of(decisions, RaiseAlert) if alert.code == "restored"]
    assert "stop-loss ₹1450" in alert.message
    assert "RESTORED" in logged(decisions)
    touched, sent = step(state, TickReceived(a_tick(BELOW, LATER)), LATER)
    assert touched.phase is Phase.EXITING
    assert [send.check_position for send in of(sent, SendOrder)] == [True]


@pytest.mark.parametrize("before", [arming(), guarding(), exiting()], ids=lambda state: state.phase)
def test_a_sale_after_the_backup_ends_the_run_and_nothing_is_sold_again(before: StrategyState) -> None:
    state, decisions = brought_back(before, entry_report(), exit_report())
    assert (state.phase, state.open_quantity) == (Phase.ENDED, 0)
    assert of(decisions, SendOrder) == []
    assert "restored" not in alerts(decisions)


@pytest.mark.parametrize(
    "before",
    [arming(), guarding(), guarding(product=Product.CNC), exiting(), exit_failed(FailureKind.REFUSED), working(4)],
    ids=lambda state: f"{state.phase}-{state.run.product}",
)
def test_after_a_session_that_no_book_shows_the_shares_wait_for_the_traders_word(before: StrategyState) -> None:
    """They may have been sold in it, and what the account shows may be shares of its owner."""
    state, decisions = brought_back(before, at=NEXT_DAY)
    assert of(decisions, SendOrder) == []
    assert (state.phase, state.detail) == (Phase.ENDED, StatusDetail.NEEDS_CONFIRMATION)
    assert (state.closed_outside, state.position_status) == (True, PositionStatus.BOUGHT)
    assert alerts(decisions) == ["needs_confirmation"]
    assert "until you say that you still hold them" in state.message


def test_a_run_that_had_sold_everything_by_its_own_journal_needs_no_word() -> None:
    sold = play(exiting(), exit_report(OrderStage.COMPLETE))
    state, decisions = brought_back(replace(sold, phase=Phase.EXITING), at=NEXT_DAY)
    assert (state.phase, state.detail) == (Phase.ENDED, StatusDetail.NONE)
    assert of(decisions, SendOrder) == []


def test_after_the_traders_word_it_guards_as_any_other_run() -> None:
    waiting, _ = brought_back(guarding(product=Product.CNC), at=NEXT_DAY)
    again = reopened(load_state(waiting.run, dump_state(waiting)), 0, NEXT_DAY)
    state, decisions = recover(again, at=NEXT_DAY)
    assert (state.phase, state.detail) == (Phase.GUARDING, StatusDetail.NONE)
    assert WatchPrice(STOP) in decisions
    assert "restored" not in alerts(decisions)


def test_the_next_incarnation_goes_on_as_after_any_crash() -> None:
    found, _ = brought_back(guarding(), entry_report())
    assert found.restored is None
    _, decisions = recover(load_state(found.run, dump_state(found)), entry_report())
    assert alerts(decisions) == []


def test_the_mark_is_read_from_a_run_that_had_no_snapshot_yet() -> None:
    mark = {"restored": {"backed_up_at": LATER.isoformat(), "provable_until": LATER.date().isoformat()}}
    state = load_state(a_run(), mark)
    assert (state.phase, state.restored) == (Phase.SCHEDULED, Restored(LATER, LATER.date()))
    assert load_state(a_run(), dump_state(state)) == state
