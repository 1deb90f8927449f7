"""How large the logs of a stack may become: `up` keeps everything in DATA_DIR/logs below a limit while it runs.

Ray turns the files of a living process over by itself (`RAY_ROTATION_MAX_BYTES`). It never removes those of processes
that have ended, of which each strategy leaves one, and nothing else turns over the logs of the parts.
"""

import contextlib
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LOOK_EVERY_S = 60.0

_OF_PROCESS = re.compile(r"[-_](\d+)\.(?:out|err|log)(?:\.\d+)?$")
"""Ray's name of a worker's log ends with its pid."""


@dataclass(frozen=True, slots=True)
class LogLimits:
    """`part_bytes`: of the log of a part, and again of the one before it. `session_bytes` and `session_files`: of Ray's
    session together, where only files of processes that have ended are removed, the oldest first."""

    part_bytes: int = 64_000_000
    session_bytes: int = 512_000_000
    session_files: int = 6_000


class LogKeeper:
    """Looks after the logs in a directory, of which `ray` is Ray's session's."""

    def __init__(self, directory: Path, limits: LogLimits | None = None) -> None:
        self._directory, self._limits = directory, limits or LogLimits()
        self._looked_at = float("-inf")

    def look(self) -> None:
        """Keep to the limits, at most once a minute. Never fails: a log that cannot be shortened is tried again."""
        now = time.monotonic()
        if now - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = now
            self.keep()

    def keep(self) -> None:
        """Turn over the logs of parts that are too long, and remove the oldest of Ray's ended processes."""
        for log in self._directory.glob("*.log"):
            if not log.name.endswith(".previous.log") and _size(log) > self._limits.part_bytes:
                _turn_over(log)
        self._shorten_session(self._directory / "ray")

    def _shorten_session(self, logs: Path) -> None:
        files = {file: _size(file) for file in logs.glob("*") if file.is_file()}
        total, count = sum(files.values()), len(files)
        for file in sorted(_ended(files), key=_changed_at):
            if total <= self._limits.session_bytes and count <= self._limits.session_files:
                return
            try:
                file.unlink()
            except OSError:
                continue
            total, count = total - files[file], count - 1


def _turn_over(log: Path) -> None:
    """Copy and empty it: its part writes on in the same file, at its end. A line may be lost in between."""
    # On a full disk the copy may fail, and the log is what there is to free; on one that may not be written, both do.
    with contextlib.suppress(OSError):
        shutil.copyfile(log, log.with_suffix(".previous.log"))
    with contextlib.suppress(OSError), log.open("r+b") as opened:
        opened.truncate(0)


def _ended(files: dict[Path, int]) -> Iterator[Path]:
    for file in files:
        named = _OF_PROCESS.search(file.name)
        if named is not None and not Path("/proc", named[1]).exists():
            yield file


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _changed_at(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0
