"""The state as JSON for the journal, and as the fields that people read."""

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from actors.domain.orders.order import FailureKind, OrderStage
from actors.domain.strategy.events import FeedLost, StopRequested
from actors.domain.strategy.snapshot import dump_state, load_state, runtime_view
from actors.domain.strategy.state import StrategyState
from tests.kit.builders import NOW, a_run
from tests.kit.events import exit_report
from tests.kit.phases import (
    LATER,
    arming,
    ended,
    entering,
    exit_failed,
    exiting,
    guarding,
    paused,
    play,
    scheduled,
    working,
)

STATES = [
    scheduled(),
    paused(),
    entering(),
    working(filled=4),
    arming(),
    guarding(),
    exiting(),
    play(exiting(), exit_report(OrderStage.CANCELLED, 4), StopRequested()),
    exit_failed(FailureKind.REFUSED),
    ended(),
]


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.phase)
def test_state_survives_its_json_but_for_what_is_watched_again(state: StrategyState) -> None:
    loaded = load_state(state.run, json.loads(json.dumps(dump_state(state))))
    new = {"breach_seen": False, "feed_live": True, "last_tick_at": None, "entry_absent": False}
    new["ask_first"] = False
    assert loaded == replace(state, **new)  # type: ignore[arg-type] # the keywords of the table


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.phase)
def test_people_see_the_same_before_and_after_a_restart(state: StrategyState) -> None:
    assert runtime_view(load_state(state.run, dump_state(state))) == runtime_view(state)


def test_prices_keep_their_every_decimal() -> None:
    exact = replace(guarding(), entry=replace(guarding().entry, average_price=Decimal("1500.0333333333")))
    loaded = load_state(exact.run, json.loads(json.dumps(dump_state(exact))))
    assert loaded.entry.average_price == Decimal("1500.0333333333")


def test_run_without_a_snapshot_is_one_that_has_just_started() -> None:
    run = a_run()
    assert load_state(run, None) == StrategyState.scheduled(run)


def test_snapshot_carries_no_secret() -> None:
    assert a_run().tag_key.decode() not in json.dumps(dump_state(guarding()))


def test_start_tells_when_it_will_buy() -> None:
    assert runtime_view(scheduled()).message == f"Waiting to buy at {scheduled().run.buy_at:%Y-%m-%d %H:%M:%S}"


def test_lost_feed_shows_only_while_a_stop_loss_depends_on_it() -> None:
    assert runtime_view(play(guarding(), FeedLost())).status_detail == "feed_down"
    assert runtime_view(play(scheduled(), FeedLost(), at=NOW)).status_detail == "waiting_for_buy_time"


def test_each_exit_order_shows_under_the_event_that_sent_it() -> None:
    view = runtime_view(play(exiting(), exit_report(OrderStage.OPEN, 4), at=LATER))
    assert (view.last_sl_order, view.last_sell_order) == ("290001", None)
    assert (view.filled_quantity, view.open_quantity) == (10, 6)
