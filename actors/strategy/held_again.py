"""The trader's word about the shares of a run that has ended.

He still holds what was taken for sold: his run guards again what the account covers of it. Or he has sold what nothing
could prove sold after a restore: then the run has ended for good.
"""

from datetime import datetime

from actors.domain.orders.log_events import LogWord
from actors.domain.strategy import recovery
from actors.domain.strategy.decisions import LogEvent
from actors.domain.strategy.snapshot import load_state
from actors.domain.strategy.state import StatusDetail
from actors.ports.strategy import JournalEntry, LoadedRun, LoggedEvent, OrderExecution
from actors.strategy.holding_reports import holding_of


async def guarded_again(
    loaded: LoadedRun, execution: OrderExecution, now: datetime
) -> tuple[JournalEntry | None, int | None]:
    """What to record so that an ended run goes on, and how many of its shares the account shows.

    None for the first: there is nothing to guard. None for both: the run did not end because its shares seemed to be
    gone.

    Raises:
        PeerUnavailable: the account cannot be read.
    """
    ended = load_state(loaded.run, loaded.snapshot)
    own = ended.open_quantity
    if not ended.closed_outside or own <= 0:
        return None, None
    today = now.astimezone(loaded.run.buy_at.tzinfo).date()
    cover = await execution.cover(holding_of(loaded.run, loaded.epoch, ended.stake(today)))
    held = min(own, cover.held - (cover.staked - own))
    if held <= 0:
        return None, 0
    state = recovery.reopened(ended, ended.stake(today).forgiven + cover.sold_outside, now)
    line = LoggedEvent(now, LogEvent(LogWord.HELD_BY_TRADER, f"{held} of {own} shares are there", quantity=held))
    return JournalEntry(state, loaded.epoch, now, (line,)), held


async def closed_for_good(
    loaded: LoadedRun, execution: OrderExecution, now: datetime
) -> tuple[JournalEntry | None, int | None]:
    """What to record of a run that a restore has left in need of its trader's word, and how many of its shares the
    account still shows for it: it is beyond doubt only where that is none.

    None for both: no word is needed.

    Raises:
        PeerUnavailable: the account cannot be read.
    """
    ended = load_state(loaded.run, loaded.snapshot)
    own = ended.open_quantity
    if ended.detail is not StatusDetail.NEEDS_CONFIRMATION or own <= 0:
        return None, None
    today = now.astimezone(loaded.run.buy_at.tzinfo).date()
    cover = await execution.cover(holding_of(loaded.run, loaded.epoch, ended.stake(today)))
    held = min(own, cover.covered - (cover.staked - own))
    if held > 0:
        return None, held
    line = LoggedEvent(now, LogEvent(LogWord.CLOSED_BY_TRADER, "the trader has closed the position himself"))
    return JournalEntry(recovery.closed_by_word(ended), loaded.epoch, now, (line,), ended=True), 0
