"""The instant by which calls to the broker end, for all that a thread does meanwhile."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


@contextmanager
def finished_by(deadline: float) -> Iterator[None]:
    """Calls inside end by this instant of `time.monotonic()`, and nothing is sent after it."""
    before = _deadline.set(deadline)
    try:
        yield
    finally:
        _deadline.reset(before)


def deadline_within(seconds: float) -> float:
    """The instant of `time.monotonic()` by which a call ends: that of `finished_by`, else `seconds` from now."""
    deadline = _deadline.get()
    return deadline if deadline is not None else time.monotonic() + seconds
