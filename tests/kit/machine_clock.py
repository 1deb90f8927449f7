"""The wall clock of a whole stack, moved without touching the machine's: a small library that its processes load.

Databases, Ray, the exchange and the API see a clock that jumps, as on a machine that was suspended or whose time was
set. What counts seconds on the monotonic clock counts real ones. Needs Linux and a C compiler.

libfaketime was tried first. Version 0.9.10 breaks `time.sleep` of Python 3.11 (EINVAL), makes reading the monotonic
clock 200 times dearer, and processes that cache its file disagree about the time for as long as they do so.
"""

import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

SOURCE = Path(__file__).with_name("machine_clock.c")
_SECOND = 1_000_000_000


@dataclass(frozen=True)
class MachineClock:
    """The clock of the processes that have `variables` in their environment. This process keeps the real one."""

    library: Path
    file: Path

    @property
    def variables(self) -> dict[str, str]:
        """What a process, and all that it starts, must have in its environment."""
        return {"LD_PRELOAD": str(self.library), "MACHINE_CLOCK": str(self.file)}

    def now(self) -> datetime:
        """What time it is for those processes."""
        (ahead,) = struct.unpack("q", self.file.read_bytes())
        return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=(time.time_ns() + ahead) // 1000)

    def jump(self, to: datetime) -> None:
        """From now on it is `to`, and goes on from there, for all of them in the same instant."""
        since_1970 = to - datetime.fromtimestamp(0, UTC)
        with self.file.open("r+b") as file:  # written into, never replaced: they have it mapped
            wanted = since_1970 // timedelta(microseconds=1) * 1000
            file.write(struct.pack("q", wanted - time.time_ns()))


def compiler() -> str | None:
    """The machine's C compiler, if it has one."""
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


CANNOT = (
    None
    if sys.platform.startswith("linux") and compiler()
    else "a clock that jumps needs Linux and a C compiler (gcc or clang)"
)
"""Why no such clock can be made here, for tests that are skipped then."""


@contextmanager
def machine_clock() -> Iterator[MachineClock]:
    """A clock that is right until it jumps.

    Raises:
        RuntimeError: it cannot be made on this machine.
    """
    cc = compiler()
    if CANNOT or cc is None:
        raise RuntimeError(CANNOT)
    with tempfile.TemporaryDirectory(prefix="ta-clock-") as directory:
        clock = MachineClock(Path(directory, "machine_clock.so"), Path(directory, "ahead"))
        Path(directory).chmod(0o755)  # the database's OS user reads both
        options = ["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
        subprocess.run([cc, *options, "-o", clock.library, SOURCE, "-ldl", "-lpthread"], check=True)
        clock.file.write_bytes(struct.pack("q", 0))
        clock.file.chmod(0o644)
        yield clock
