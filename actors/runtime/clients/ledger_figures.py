"""What a ledger counts of its strategies: every attempt, record, start of an actor and alert passes through it.

So the processes of strategies, of which there are many, and the way of an order carry no metrics of their own.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from actors.domain.orders.placement_policy import AttemptOutcome
from actors.ports.common import PeerUnavailable
from actors.ports.execution import Attempt
from config import metric_names
from persistence import errors
from persistence.mirror.figures import Figures


class LedgerFigures:
    """The figures of one ledger. `unmirrored`: how many runs Redis has missed the last record of."""

    def __init__(self, unmirrored: Callable[[], int]) -> None:
        self.figures = Figures()
        self._waiting = 0
        self.figures.watch(metric_names.LEDGER_WAITING, lambda: self._waiting)
        self.figures.watch(metric_names.UNMIRRORED, unmirrored)

    def attempted(self, attempt: Attempt) -> None:
        """One request to the broker has ended."""
        cause, result = str(attempt.command.intent.event), attempt.result
        self.figures.count(metric_names.ATTEMPTS, cause, str(result.outcome))
        if attempt.number > 1:
            self.figures.count(metric_names.RETRIES, cause)
        elif result.outcome is not AttemptOutcome.NOT_SENT:
            sent = (result.sent_at - attempt.command.triggered_at).total_seconds()
            self.figures.observe(metric_names.SENT, max(0.0, sent), cause)
        if result.outcome is AttemptOutcome.ACCEPTED:
            known = (attempt.at - attempt.command.triggered_at).total_seconds()
            self.figures.observe(metric_names.ACKNOWLEDGED, max(0.0, known), cause)

    def loaded(self, epoch: int) -> None:
        """An actor has taken a run over; the first one of a run has epoch 1."""
        self.figures.count(metric_names.LOADS, "first" if epoch <= 1 else "again")

    def alerted(self, code: str) -> None:
        """An alert was raised."""
        self.figures.count(metric_names.ALERTS, code)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Something waits for PostgreSQL while the block runs."""
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    @contextmanager
    def recording(self) -> Iterator[None]:
        """The block records an entry; how that ended, and how long it took."""
        begun, outcome = time.perf_counter(), "recorded"
        try:
            with self.waiting():
                yield
        except PeerUnavailable:
            outcome = "not_answered"
            raise
        except errors.StaleEpoch:
            outcome = "stale"
            raise
        except (errors.RecordRefused, errors.ConstraintViolated):
            outcome = "refused"
            raise
        finally:
            self.figures.count(metric_names.RECORDS, outcome)
            self.figures.observe(metric_names.RECORD_SECONDS, time.perf_counter() - begun)
