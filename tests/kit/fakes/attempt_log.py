"""A record of attempts, notes and alerts."""

from dataclasses import dataclass, field

from actors.ports.execution import Attempt, OrderNote


@dataclass
class FakeAttemptLog:
    """`AttemptLog`."""

    attempts: list[Attempt] = field(default_factory=list)
    notes: list[OrderNote] = field(default_factory=list)
    alerts: list[str] = field(default_factory=list)

    def log_attempt(self, attempt: Attempt) -> None:
        """See `AttemptLog.log_attempt`."""
        self.attempts.append(attempt)

    def log_note(self, note: OrderNote) -> None:
        """See `AttemptLog.log_note`."""
        self.notes.append(note)

    def alert(self, user_id: int, strategy_id: int, code: str, message: str) -> None:
        """See `AttemptLog.alert`."""
        self.alerts.append(code)
