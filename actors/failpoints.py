"""Where a process of the engine can be killed on purpose, for the chaos suite; off unless a directory is named.

A failpoint is armed by a file in that directory, `name@strategy_id` or `name@any`. The first process that comes by
removes the file and kills itself with SIGKILL: one file, one death. Off, a failpoint costs one comparison.
"""

import contextlib
import os
import signal
from pathlib import Path

NAMES = frozenset(
    {
        "decide.before", "decide.after", "arm.before",  # the strategy
        "claim.before", "claim.after", "send.before", "send.after", "reply.after",  # execution
        "record.before", "record.after",  # the ledger
    }
)  # fmt: skip
VARIABLE = "TRADEACTORS_FAILPOINTS"
ANY = "any"

_BROKERS = "TRADEACTORS_BROKERS"

_directory: Path | None = None
if os.environ.get(VARIABLE) and os.environ.get(_BROKERS, "paper") == "paper":
    # strategies and routers read no settings, which would refuse failpoints beside a real broker
    _directory = Path(os.environ[VARIABLE])


def hit(name: str, strategy_id: int) -> None:
    """Die here and now if this failpoint is armed for the strategy, or for any.

    Raises:
        ValueError: there is no failpoint of this name (found out only where failpoints are on).
    """
    if _directory is None:
        return
    if name not in NAMES:
        raise ValueError(f"{name!r} is not a failpoint")
    for target in (str(strategy_id), ANY):
        with contextlib.suppress(FileNotFoundError):
            (_directory / f"{name}@{target}").unlink()
            os.kill(os.getpid(), signal.SIGKILL)


def arm(directory: Path, name: str, strategy_id: int | None = None) -> Path:
    """Let the next process that comes by die; the file that says so, which is gone once one has."""
    if name not in NAMES:
        raise ValueError(f"{name!r} is not a failpoint")
    armed = directory / f"{name}@{ANY if strategy_id is None else strategy_id}"
    armed.touch()
    return armed
