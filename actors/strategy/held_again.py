"""The trader's word that he still holds what was taken for sold: his run guards again what the account covers of it."""

from datetime import datetime

from actors.domain.orders.log_events import LogWord
from actors.domain.strategy import recovery
from actors.domain.strategy.decisions import LogEvent
from actors.domain.strategy.snapshot import load_state
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
