"""Errors of the domain core, by whose fault they are.

DomainError
├── InvalidValue      a value that can never be right (a negative quantity, a price off the tick)
├── IllegalEvent      an event that cannot happen in the state it was given to; the state stays as it was
└── BrokenInvariant   the machine reached a state that its own table forbids: a bug in this package
"""


class DomainError(Exception):
    """Root of the errors raised by `actors.domain`."""


class InvalidValue(DomainError, ValueError):
    """A value can never be right, whatever the state."""


class IllegalEvent(DomainError):
    """An event cannot happen in this phase. The caller keeps the state it had."""


class BrokenInvariant(DomainError):
    """The machine would leave its own transition table."""
