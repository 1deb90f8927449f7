"""How a run is recorded: one entry at a time, each with all that has happened since the last."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace

from actors.domain.strategy.decisions import EndRun, LogEvent
from actors.domain.strategy.state import StrategyState
from actors.ports.common import Clock, EntryRefused, PeerUnavailable
from actors.ports.strategy import Journal, JournalEntry, LoggedEvent
from actors.strategy.execution_calls import PEER_RETRY_S
from actors.strategy.order_first import OrderFirst
from actors.waiting import until_answered

log = logging.getLogger(__name__)

LONGEST_REFUSAL_PAUSE_S = 30.0
"""Between two tries to record what the journal refuses for its content."""


class RunRecorder:
    """The records of one run. Nothing is lost: what the journal does not take is in the next entry.

    `state` gives the state of the moment; `raise_alert` takes the code and the sentence of an alert; `about` stands in
    each log line.
    """

    def __init__(
        self,
        journal: Journal,
        epoch: int,
        clock: Clock,
        orders: OrderFirst,
        *,
        state: Callable[[], StrategyState],
        raise_alert: Callable[[str, str], None],
        about: Mapping[str, object],
    ) -> None:
        self._journal, self._epoch, self._clock, self._orders = journal, epoch, clock, orders
        self._state, self._raise_alert, self._about = state, raise_alert, about
        self._lines: list[LoggedEvent] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._ended: EndRun | None = None
        self._dirty = asyncio.Event()
        self._writing = False
        self._refusals = 0

    def log(self, line: LogEvent) -> None:
        """One line of the order log, of this instant."""
        self._lines.append(LoggedEvent(self._clock.now(), line))

    def end(self, decision: EndRun) -> None:
        """The run is over; `run` returns when that is recorded."""
        self._ended = decision

    def changed(self) -> None:
        """There is something to record."""
        self._dirty.set()

    @property
    def at_rest(self) -> bool:
        """Whether the journal has everything that has happened."""
        return not (self._writing or self._lines or self._dirty.is_set())

    def next_record(self) -> asyncio.Future[None]:
        """Done with a record that is made after now."""
        recorded = asyncio.get_running_loop().create_future()
        self._waiting.append(recorded)
        self._dirty.set()
        return recorded

    async def run(self) -> None:
        """Record until the run's end is recorded. What happens while a record is on its way is in the next one.

        Raises:
            StaleEpoch: a newer incarnation owns the run.
        """
        while True:
            await self._dirty.wait()
            await self._orders.wait()
            self._dirty.clear()
            self._writing = True
            lines, self._lines = tuple(self._lines), []
            waiting, self._waiting = self._waiting, []
            end, now = self._ended, self._clock.now()
            manual = end is not None and end.manual
            entry = JournalEntry(self._state(), self._epoch, now, lines, ended=end is not None, manual=manual)
            try:
                await self._record(entry)
            except EntryRefused as error:
                # nothing is lost: the next entry has these lines, and the state of then
                self._lines, self._waiting = [*lines, *self._lines], [*waiting, *self._waiting]
                self._dirty.set()
                await self._await_next_try(error)
                continue
            self._refusals, self._writing = 0, False
            for recorded in waiting:
                if not recorded.done():
                    recorded.set_result(None)
            if end is not None:
                return

    async def _await_next_try(self, error: EntryRefused) -> None:
        """The journal refuses the content of an entry. The position is guarded all the same."""
        self._refusals += 1
        if self._refusals == 1:
            self._raise_alert("record_refused", f"What happens cannot be recorded; the strategy goes on: {error}")
        about = {**self._about, "reason": str(error), "times": self._refusals}
        log.error("strategy.record_refused", extra=about)
        await asyncio.sleep(min(2.0 ** (self._refusals - 1), LONGEST_REFUSAL_PAUSE_S))

    async def _record(self, entry: JournalEntry) -> None:
        def say(error: PeerUnavailable) -> None:
            log.warning("strategy.record_waits", extra={**self._about, "reason": str(error)})

        await until_answered(lambda: self._journal.record(entry), PEER_RETRY_S, say)


def only_price_moved(before: StrategyState, after: StrategyState) -> bool:
    """That is mirrored by the router, not journalled."""
    return replace(after, last_price=before.last_price, last_tick_at=before.last_tick_at) == before
