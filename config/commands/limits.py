"""What a command inherits of its shell, its service or its machine and cannot do without: limits, umask and clock.

Looked at before anything is made: PostgreSQL, Valkey and Ray would end in the middle of something, each with words of
its own.
"""

import os
import resource
import stat
from dataclasses import dataclass
from datetime import UTC, datetime

OPEN_FILES = 1024
"""How many files a process may have open at least: what common Linux systems give. PostgreSQL begins with some 60."""

EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)
"""Before it there was no TradeActors: a clock that says so has not been set since its machine was switched on."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit of processes (`setrlimit(2)`). `option` is that of `ulimit`, `of_service` the setting of systemd."""

    number: int
    least: int
    what: str
    why: str
    option: str
    of_service: str

    def refusal(self) -> str | None:
        """Why the limit does not do, and what to do, as a sentence; None if it does."""
        given, hard = resource.getrlimit(self.number)
        if _reaches(given, self.least):
            return None
        wanted = "unlimited" if self.least == resource.RLIM_INFINITY else str(self.least)
        beyond = "" if _reaches(hard, self.least) else " (as root: the hard limit is too low as well)"
        return (
            f"The limit of {self.what} is {given} here, and {self.why}: run `ulimit {self.option} {wanted}` "
            f"before{beyond}, or set {self.of_service}={wanted.replace('unlimited', 'infinity')} in the unit of a "
            "service."
        )


_FILES = Limit(
    resource.RLIMIT_NOFILE, OPEN_FILES, "open files", f"at least {OPEN_FILES} are needed", "-n", "LimitNOFILE"
)
_SIZE = Limit(
    resource.RLIMIT_FSIZE,
    resource.RLIM_INFINITY,
    "the bytes of a file",
    "databases grow beyond any",
    "-f",
    "LimitFSIZE",
)
_TIME = Limit(
    resource.RLIMIT_CPU,
    resource.RLIM_INFINITY,
    "a process's seconds of CPU time",
    "strategies would be killed when they are used up",
    "-t",
    "LimitCPU",
)
_SPACE = Limit(
    resource.RLIMIT_AS,
    resource.RLIM_INFINITY,
    "the bytes of a process's address space",
    "Ray reserves far more than it uses",
    "-v",
    "LimitAS",
)
TO_ASK = (_FILES,)
"""The limits that matter to a command that only asks others."""

TO_KEEP = (_FILES, _SIZE)
"""The limits that matter where a database is started or a backup is written."""

TO_RUN = (_FILES, _SIZE, _TIME, _SPACE)
"""The limits that matter to a whole stack, which runs for days."""


def refuse_limits(limits: tuple[Limit, ...]) -> None:
    """Go on only where a command can do its work.

    Raises:
        StackError: a limit is too low, the umask takes from us what we write, or the clock is not set; all of them, a
            sentence a line.
    """
    from config.stack.guarded_process import StackError

    refusals = [refusal for limit in limits if (refusal := limit.refusal())]
    if (mask := _umask()) & stat.S_IRWXU:
        refusals.append(
            f"The umask is {mask:04o}, with which nobody may read what is written, not even its owner: "
            "run `umask 077` before, or set UMask=0077 in the unit of a service."
        )
    refusals += clock_refusals(datetime.now(UTC))
    if refusals:
        raise StackError("\n".join(refusals))


def clock_refusals(now: datetime) -> list[str]:
    """What is wrong with the clock, if it says a time before there was a TradeActors."""
    sentence = (
        f"The clock of this machine says {now:%Y-%m-%d %H:%M} UTC, and by it everything is timed: set it, best by NTP "
        "(`timedatectl set-ntp true`), and wait until it is right."
    )
    return [sentence] if now < EARLIEST else []


def _reaches(given: int, least: int) -> bool:
    if least == resource.RLIM_INFINITY:
        return given == resource.RLIM_INFINITY
    return given == resource.RLIM_INFINITY or given >= least


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
