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
        self.attempts.append(attempt)

    def log_note(self, note: OrderNote) -> None:
        self.notes.append(note)

    def alert(self, user_id: int, strategy_id: int, code: str, message: str) -> None:
        self.alerts.append(code)
