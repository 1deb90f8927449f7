"""How many requests the orders of each run have cost today: the bound that no loop, however it came about, passes."""

from collections import Counter

from actors.domain.identifiers import IntentId, Leg
from actors.domain.orders.placement_policy import AttemptOutcome
from actors.ports.common import Clock

MOST_REQUESTS = 100
"""Requests to place the orders of one leg of one run in a day. The slow retries of an exit stay far below it."""

_UNCOUNTED = frozenset({AttemptOutcome.NOT_SENT, AttemptOutcome.RATE_LIMITED})
"""What the broker has not taken on."""


class RequestCounts:
    """Counts of one account, by run and leg. They begin at zero with the day of the budget, and with the process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._day = clock.now().date()
        self._sent: Counter[tuple[int, Leg]] = Counter()

    def add(self, intent_id: IntentId, outcome: AttemptOutcome) -> None:
        """One more request was answered, or was not."""
        self._roll()
        if outcome not in _UNCOUNTED:
            self._sent[intent_id.run_id, intent_id.leg] += 1

    def any_of(self, intent_id: IntentId) -> bool:
        """Whether the leg has cost a request today."""
        self._roll()
        return self._sent[intent_id.run_id, intent_id.leg] > 0

    def used_up(self, intent_id: IntentId) -> bool:
        """Whether nothing more may be sent for the leg today."""
        self._roll()
        return self._sent[intent_id.run_id, intent_id.leg] >= MOST_REQUESTS

    def _roll(self) -> None:
        today = self._clock.now().date()
        if today != self._day:
            self._day = today
            self._sent.clear()
