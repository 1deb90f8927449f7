"""A strategy that crashes again and again: it restarts more slowly, and says so once, not at each start.

Whatever the cause, the position is guarded between two crashes. So the pauses stay short, and only what crashes soon
after its start is slowed down: the machine belongs to other tenants, too.
"""

import logging
from collections.abc import Callable, Sequence

from actors.ports.strategy import Journal, JournalEntry, LoadedRun

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 8.0
"""How long a position is without its guard at most."""

STEADY_AFTER_S = 30.0
"""An incarnation that lasted this long was not ended by what ended the one before."""

WINDOW_S = 300.0
"""How long an alert that has been given is not given again by the next incarnations."""

CRASHES_OF_A_PROCESS = 40
"""Then the process ends too, for the cause may be in it; Ray starts another."""


class CrashPauses:
    """How long to wait after each crash; seconds."""

    def __init__(self) -> None:
        self._pause_s = 0.0
        self.crashes = 0

    @property
    def in_a_row(self) -> bool:
        """Whether the last crash came soon after the one before."""
        return self._pause_s > FIRST_PAUSE_S

    def after(self, lasted_s: float) -> float:
        """The pause after an incarnation that ended in a crash when it had lasted `lasted_s`."""
        steady = lasted_s >= STEADY_AFTER_S or not self._pause_s
        self._pause_s = FIRST_PAUSE_S if steady else min(2 * self._pause_s, LONGEST_PAUSE_S)
        self.crashes += 1
        return self._pause_s


class AlertsOnce:
    """`Journal` in which the incarnations of one process give the same alert once per window."""

    def __init__(self, journal: Journal, monotonic: Callable[[], float]) -> None:
        self._journal, self._monotonic = journal, monotonic
        self._given: dict[tuple[str, str], float] = {}
        self._earlier: dict[tuple[str, str], float] = {}

    async def load(self, run_id: int) -> LoadedRun | None:
        """The run for a new incarnation, which gives no alert again that an earlier one gave shortly before."""
        loaded = await self._journal.load(run_id)
        self._earlier = dict(self._given)
        return loaded

    async def record(self, entry: JournalEntry) -> None:
        await self._journal.record(entry)

    async def alert(self, user_id: int, strategy_id: int, code: str, message: str, about: str = "") -> None:
        """Alert, unless an earlier incarnation gave the same alert within `WINDOW_S`. Raises PeerUnavailable."""
        alert, now = (code, message), self._monotonic()
        earlier = self._earlier.get(alert)
        if earlier is not None and now - earlier < WINDOW_S:
            log.info("strategy.alert_given_before", extra={"strategy_id": strategy_id, "code": code})
            return
        await self._journal.alert(user_id, strategy_id, code, message, about)
        self._given[alert] = now
        self._earlier.pop(alert, None)

    async def alert_over(self, user_id: int, strategy_id: int, codes: Sequence[str], about: str = "") -> None:
        """Pass it on, and give what is over again when it comes back. Raises PeerUnavailable."""
        await self._journal.alert_over(user_id, strategy_id, codes, about)
        for given in (self._given, self._earlier):
            for alert in [alert for alert in given if alert[0] in codes]:
                del given[alert]
