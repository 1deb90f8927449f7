"""A journal that is older than the account: nothing is sold twice, and nothing that is not the run's own.

The backup is made while a run guards; then life at the broker goes on. Claims are lost with the Redis of then.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from actors.domain.identifiers import Product, Side
from actors.domain.strategy.snapshot import dump_state
from actors.domain.strategy.state import Phase, StatusDetail
from actors.ports.strategy import LoadedRun
from actors.strategy.held_again import guarded_again
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
