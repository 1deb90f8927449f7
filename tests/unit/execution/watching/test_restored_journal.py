"""A journal that is older than the account: nothing is sold twice, and nothing that is not the run's own.

The backup is made while a run guards; then life at the broker goes on. Claims are lost with the Redis of then.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from actors.domain.identifiers import Product, Side
from actors.domain.orders.position import PositionStatus
from actors.domain.strategy.snapshot import dump_state
from actors.domain.strategy.state import Phase, StatusDetail
from actors.ports.strategy import LoadedRun
from actors.strategy.held_again import closed_for_good, guarded_again
from tests.kit.builders import INFY, NOW
from tests.kit.fakes.order_claims import FakeClaims
from tests.kit.outside import Incarnation, OutsideBench
from tests.kit.phases import STOP
from tests.kit.virtual_time import in_virtual_time, passing, until

CNC = Product.CNC
OWN = 50
RESTORED_EPOCH = 1_800_000_000


def backup_of(strategy: Incarnation) -> Mapping[str, Any]:
    """The run's snapshot, as a restore marks it."""
    mark = {"backed_up_at": NOW.isoformat(), "provable_until": NOW.date().isoformat()}
    return {**dump_state(strategy.state), "restored": mark}


async def restored(bench: OutsideBench, snapshot: Mapping[str, Any], **run: Any) -> Incarnation:
    """The stack of the backup starts, where everything of the earlier one is gone."""
    bench.claims = FakeClaims()
    await bench.all_die()
    bench.records.states.clear()
    strategy = bench.start(snapshot, RESTORED_EPOCH, **run)
    await until(lambda: strategy.state.restored is None, within_s=60)
    return strategy


async def ended(strategy: Incarnation) -> None:
    await until(lambda: strategy.state.phase is Phase.ENDED, 60)
    await passing(1)


@in_virtual_time
async def test_what_the_stop_loss_sold_after_the_backup_is_not_sold_again_out_of_the_owners_shares() -> None:
    bench = OutsideBench()
    bench.by_hand(Side.BUY, OWN)
    strategy = await bench.guarding()
    backup = backup_of(strategy)
    bench.tick(strategy, STOP)
    await ended(strategy)
    again = await restored(bench, backup)
    bench.tick(again, STOP - 500)
    await ended(again)
    assert (bench.sold, bench.net()) == ([10], OWN)


@in_virtual_time
async def test_what_is_still_there_is_guarded_and_sold_once() -> None:
    bench = OutsideBench()
    bench.by_hand(Side.BUY, OWN)
    strategy = await bench.guarding()
    again = await restored(bench, backup_of(strategy))
    await passing(10)
    assert (again.state.phase, again.alerts) == (Phase.GUARDING, ["restored"])
    bench.tick(again, STOP)
    await ended(again)
    assert (bench.sold, bench.net()) == ([10], OWN)


@in_virtual_time
async def test_on_a_later_day_delivery_waits_for_the_traders_word_before_it_guards_and_sells() -> None:
    bench = OutsideBench()
    strategy = await bench.guarding(product=CNC)
    backup = backup_of(strategy)
    bench.broker.new_day()
    bench.clock.step(timedelta(days=1))
    bench.broker.opening[INFY, CNC] = OWN + 10  # nothing tells whether the ten are among them
    waiting = await restored(bench, backup, product=CNC, late_exit="hold")
    bench.tick(waiting, STOP - 500)
    await ended(waiting)
    assert (bench.sold, waiting.state.detail) == ([], StatusDetail.NEEDS_CONFIRMATION)
    assert waiting.alerts == ["needs_confirmation"]

    loaded = LoadedRun(waiting.state.run, RESTORED_EPOCH, dump_state(waiting.state))
    entry, held = await guarded_again(loaded, bench.order_execution, bench.clock.now())
    assert (held, entry is not None) == (10, True)
    assert entry is not None
    again = bench.start(dump_state(entry.state), RESTORED_EPOCH + 1, product=CNC, late_exit="hold")
    await passing(20)
    assert again.state.phase is Phase.GUARDING
    bench.tick(again, STOP)
    await ended(again)
    assert bench.sold == [10]


async def in_doubt(bench: OutsideBench, *, opening: int) -> LoadedRun:
    """A run whose backup no book proves any more; the account shows `opening` shares on the day after."""
    strategy = await bench.guarding(product=CNC)
    backup = backup_of(strategy)
    bench.broker.new_day()
    bench.clock.step(timedelta(days=1))
    bench.broker.opening[INFY, CNC] = opening
    waiting = await restored(bench, backup, product=CNC, late_exit="hold")
    await ended(waiting)
    assert waiting.state.detail is StatusDetail.NEEDS_CONFIRMATION
    return LoadedRun(waiting.state.run, RESTORED_EPOCH, dump_state(waiting.state))


@in_virtual_time
async def test_by_the_word_that_its_shares_are_sold_the_doubt_about_a_run_ends() -> None:
    bench = OutsideBench()
    loaded = await in_doubt(bench, opening=0)
    entry, held = await closed_for_good(loaded, bench.order_execution, bench.clock.now())
    assert entry is not None
    assert (held, entry.ended, entry.state.detail) == (0, True, StatusDetail.CLOSED_OUTSIDE)
    assert entry.state.position_status is PositionStatus.SOLD
    assert entry.state.message == "Position was closed outside TradeActors"
    assert [line.event.event for line in entry.logs] == ["CLOSED_BY_TRADER"]
    settled = LoadedRun(loaded.run, loaded.epoch, dump_state(entry.state))
    assert await closed_for_good(settled, bench.order_execution, bench.clock.now()) == (None, None)
    bench.broker.opening[INFY, CNC] = 10  # the word was wrong: he may take it back
    again, held = await guarded_again(settled, bench.order_execution, bench.clock.now())
    assert (again is not None, held) == (True, 10)


@in_virtual_time
async def test_shares_that_the_account_shows_are_not_taken_for_sold() -> None:
    bench = OutsideBench()
    loaded = await in_doubt(bench, opening=4)
    assert await closed_for_good(loaded, bench.order_execution, bench.clock.now()) == (None, 4)
    bench.by_hand(Side.SELL, 4, product=CNC)
    entry, held = await closed_for_good(loaded, bench.order_execution, bench.clock.now())
    assert (entry is not None, held) == (True, 0)


@in_virtual_time
async def test_a_sale_by_hand_of_today_counts_though_older_shares_are_left() -> None:
    bench = OutsideBench()
    loaded = await in_doubt(bench, opening=OWN + 10)
    assert await closed_for_good(loaded, bench.order_execution, bench.clock.now()) == (None, 10)
    bench.by_hand(Side.SELL, 10, product=CNC)
    entry, held = await closed_for_good(loaded, bench.order_execution, bench.clock.now())
    assert (entry is not None, held) == (True, 0)


@in_virtual_time
async def test_a_run_that_ended_otherwise_needs_no_word() -> None:
    bench = OutsideBench()
    strategy = await bench.guarding()
    bench.tick(strategy, STOP)
    await ended(strategy)
    loaded = LoadedRun(strategy.state.run, 1, dump_state(strategy.state))
    assert await closed_for_good(loaded, bench.order_execution, bench.clock.now()) == (None, None)


@in_virtual_time
async def test_orders_of_a_run_that_the_journal_does_not_know_are_taken_for_the_owners() -> None:
    """Started after the backup: its sale counts against the run that is known, which then sells nothing."""
    bench = OutsideBench()
    strategy = await bench.guarding()
    backup = backup_of(strategy)
    unknown = await bench.guarding(run_id=8, strategy_id=4)
    bench.tick(unknown, STOP)
    await ended(unknown)
    assert (bench.sold, bench.net()) == ([10], 10)
    again = await restored(bench, backup)
    bench.tick(again, STOP)
    await ended(again)
    assert (bench.sold, bench.net()) == ([10], 10)
    assert again.state.detail is StatusDetail.CLOSED_OUTSIDE
