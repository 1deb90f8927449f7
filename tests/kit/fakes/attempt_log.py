"""A record of attempts, notes and alerts."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from actors.ports.execution import Attempt, OrderNote


@dataclass
class FakeAttemptLog:
    """`AttemptLog`."""

    attempts: list[Attempt] = field(default_factory=list)
    notes: list[OrderNote] = field(default_factory=list)
    alerts: list[str] = field(default_factory=list)
    over: list[tuple[str, str]] = field(default_factory=list)
    """Code and subject of each trouble that was called over."""

    def log_attempt(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)

    def log_note(self, note: OrderNote) -> None:
        self.notes.append(note)

    def alert(self, user_id: int, strategy_id: int, code: str, message: str, about: str = "") -> None:
        self.alerts.append(code)

    def alert_over(self, user_id: int, strategy_id: int, codes: Sequence[str], about: str = "") -> None:
        self.over += [(code, about) for code in codes]
