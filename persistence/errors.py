"""Errors of persistence, by what the caller may do about them.

PersistenceError
├── DatabaseUnavailable   PostgreSQL does not answer; the call had no effect that can be relied on: call again
│   └── DatabaseBusy      a statement took longer than it may; nothing of the transaction was written
├── MirrorUnavailable     Redis does not answer; what is only mirrored can be written again later
├── ConstraintViolated    the database refuses the row by the named constraint; repeating will not help
├── RecordRefused         the database refuses what was written for its content; the same again is refused again
├── RunNotOpen            the run does not exist or has ended; there is nothing to carry on
├── StaleEpoch            a later incarnation owns the run; the caller must stop acting for it
├── UnreadableSecret      a secret cannot be opened: wrong key, wrong owner or damaged
├── RotationRefused       the keys cannot be changed now
└── SchemaRefused         a migration cannot be made on this database; an administrator must help
"""


class PersistenceError(Exception):
    """Root of the errors raised by `persistence`."""


class DatabaseUnavailable(PersistenceError):
    """PostgreSQL does not answer. Calls are idempotent, so the caller may repeat this one."""


class DatabaseBusy(DatabaseUnavailable):
    """A statement took longer than it may. PostgreSQL has given it up, and nothing of the transaction was written."""


class MirrorUnavailable(PersistenceError):
    """Redis does not answer. The database still holds the truth."""


class ConstraintViolated(PersistenceError):
    """The database refuses what was written; `constraint` names the rule."""

    def __init__(self, constraint: str) -> None:
        super().__init__(constraint)
        self.constraint = constraint

    def __str__(self) -> str:
        return f"refused by {self.constraint}"


class RecordRefused(PersistenceError):
    """The database refuses what was written for its content: a NUL, half a surrogate pair, a number out of range.

    Nothing of the transaction was written.
    """


class RunNotOpen(PersistenceError):
    """The run does not exist or has ended."""

    def __init__(self, run_id: int) -> None:
        super().__init__(run_id)
        self.run_id = run_id

    def __str__(self) -> str:
        return f"run {self.run_id} is not open"


class StaleEpoch(PersistenceError):
    """A later incarnation of the strategy's actor owns the run (mechanism 5)."""

    def __init__(self, run_id: int, epoch: int) -> None:
        super().__init__(run_id, epoch)
        self.run_id = run_id
        self.epoch = epoch

    def __str__(self) -> str:
        return f"epoch {self.epoch} of run {self.run_id} is not the current one"


class UnreadableSecret(PersistenceError):
    """A stored secret cannot be opened with the keys at hand, or it belongs to another user."""


class RotationRefused(PersistenceError):
    """Encryption keys cannot be changed now, for the reason given."""


class SchemaRefused(PersistenceError):
    """A migration lacks a privilege, or finds rows that it may not judge; the text says what to do. Nothing changed."""
