"""DATA_DIR as the property of one running stack: the lock, and what a second process may learn from it."""

import fcntl
import json
import os
import pwd
import re
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from config.files import refusal_of
from config.secret_store import SECRETS_FILE, make_data_directory, refuse_what_others_may_write
from config.stack.guarded_process import StackError

LOCK_FILE = "stack.lock"
NO_SOCKETS = (
    "Sockets of the stack are gone, as after a clean-up of /tmp; strategies go on, but what crashes cannot be started "
    "again, and no command reaches the databases"
)
"""How it is with a stack whose sockets were removed; which ones stands behind it."""

_SOCKETS = re.compile(r"(?:host=|@)(/[^?&]*?/ta-(?:pg|vk)-[^/?&]+)")
"""Where the directory of its sockets stands in the address of an embedded database."""

_TAKEOVER_TIMEOUT_S = 45.0
_POLL_S = 0.05
_LAST_PID = 2**31 - 1
_KINDS = {"pid": int, "urls": dict, "environment": dict}


@dataclass(frozen=True)
class RunningStack:
    """A stack that holds a data directory; `environment` lets another process join it (it has no secrets).

    While it starts, and once it has begun to end, nothing is said but its process. `pid` 0: that is not known.
    """

    pid: int
    urls: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        places = "".join(f", {name} {url}" for name, url in self.urls.items())
        return f"already running: pid {self.pid}{places or ', which is starting or ending'}"

    @property
    def lost_sockets(self) -> list[str]:
        """The directories of sockets of its databases that are not there any more."""
        found = [match[1] for address in self.environment.values() for match in _SOCKETS.finditer(address)]
        return [directory for directory in dict.fromkeys(found) if not Path(directory).exists()]

    def refuse_lost_sockets(self) -> None:
        """Raises StackError where its databases cannot be reached any more, for a command that wants to."""
        if lost := self.lost_sockets:
            raise StackError(
                f"{NO_SOCKETS}: {', '.join(lost)}. Stop the stack (Ctrl-C, or `kill {self.pid}`) and start it again."
            )

    @property
    def stands_still(self) -> bool:
        """Whether its process was stopped, as Ctrl-Z does: its parts go on without it."""
        try:
            status = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return False
        return status.rpartition(")")[2].split()[0] in {"T", "t"}


class AlreadyRunningError(StackError):
    """Another process runs a stack on the same data directory; `running` says which."""

    def __init__(self, running: RunningStack) -> None:
        pid = running.pid
        still = f" It stands still, as after Ctrl-Z: `kill -CONT {pid}` lets it go on." if running.stands_still else ""
        stop = f"Ctrl-C, or `kill {pid}`" if pid else "Ctrl-C"
        super().__init__(
            f"A stack is {running}.{still} Use it, or stop it first ({stop}); a second one needs another directory "
            "(--data-dir) and other ports."
        )
        self.running = running


class DataDirectoryLock:
    """Held by `up`, and through an inherited descriptor by the guardians until their parts are gone."""

    def __init__(self, data_dir: Path) -> None:
        """Take the lock; wait for the parts of a stack that was killed a moment ago to end.

        Raises:
            AlreadyRunningError: a living process holds it.
            StackError: the directory cannot be used or is another user's, or parts of a killed stack do not end.
        """
        self._path, self._said, self._again = data_dir / LOCK_FILE, b"", -1
        try:
            _make(data_dir)
            _refuse_what_others_own(data_dir)
            self.descriptor = _opened(self._path)
        except OSError as refused:
            where = refused.filename or data_dir
            raise StackError(f"Cannot use {where} (TRADEACTORS_DATA_DIR): {refusal_of(refused)}.") from refused
        try:
            self._acquire()
            self.publish({}, {})
        except BaseException:
            self.release()
            raise

    def publish(self, urls: dict[str, str], environment: dict[str, str]) -> None:
        """Write down for other processes what runs here; nothing of it may be secret."""
        self._said = json.dumps(asdict(RunningStack(os.getpid(), urls, environment))).encode()
        _write(self.descriptor, self._said)

    def put_back(self) -> None:
        """Make the lock's file again if it was removed, as by a person who took it for one that a crash had left.

        Until then nothing would be found to run here. Never fails: what cannot be done now is tried at the next look.
        """
        try:
            if self._is_in_place():
                return
            fresh = _opened(self._path)
        except OSError:  # the whole directory has gone, or its disk
            return
        try:
            if not _try_lock(fresh, fcntl.LOCK_EX):  # a command has just come that takes nothing to run here
                return
            _write(fresh, self._said)
        except OSError:
            return
        else:
            self._again, fresh = fresh, self._again
        finally:
            if fresh >= 0:
                os.close(fresh)

    def _is_in_place(self) -> bool:
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        ours = [os.fstat(held) for held in (self.descriptor, self._again) if held >= 0]
        return any(os.path.samestat(there, held) for held in ours)

    def release(self) -> None:
        """Give up our share of the lock."""
        os.close(self.descriptor)
        if self._again >= 0:
            os.close(self._again)

    def _acquire(self) -> None:
        deadline = time.monotonic() + _TAKEOVER_TIMEOUT_S
        while not _try_lock(self.descriptor, fcntl.LOCK_EX):
            holder = _read(self.descriptor)
            if holder is None or _is_alive(holder.pid):
                raise AlreadyRunningError(holder or RunningStack(0))
            if time.monotonic() > deadline:
                raise StackError(
                    f"The process {holder.pid} is not to be seen here, and something of its stack still uses this "
                    "directory: stop it by hand, also in a container that shares the directory."
                )
            time.sleep(_POLL_S)


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def _write(descriptor: int, line: bytes) -> None:
    os.pwrite(descriptor, line, 0)
    os.ftruncate(descriptor, len(line))


def _make(data_dir: Path) -> None:
    try:
        make_data_directory(data_dir)
    except ValueError as refused:
        raise StackError(f"TRADEACTORS_DATA_DIR: {refused}.") from refused


def _refuse_what_others_own(data_dir: Path) -> None:
    try:
        refuse_what_others_may_write(data_dir)
    except ValueError as refused:
        raise StackError(f"TRADEACTORS_DATA_DIR: {refused}.") from refused
    owner = data_dir.stat().st_uid
    if owner != os.geteuid():  # even for root, which may look after the directory of a user but starts nothing on it
        raise StackError(
            f"TRADEACTORS_DATA_DIR: {data_dir} belongs to the user with the id {owner}, who may have put secrets "
            "there; start as that user, or use another directory."
        )


def refuse_what_is_hidden(data_dir: Path) -> None:
    """Let no command say that nothing runs on a directory into which it may not look, nor go on without its secrets.

    Raises:
        StackError: the directory, one above it, the lock or the secrets are closed to us; whose they are, and what to
            do.
    """
    for name in (LOCK_FILE, SECRETS_FILE):
        try:
            os.close(os.open(data_dir / name, os.O_RDONLY))
        except PermissionError as refused:
            raise StackError(_hidden(data_dir)) from refused
        except OSError:
            continue


def _hidden(data_dir: Path) -> str:
    closed = f"TRADEACTORS_DATA_DIR: {data_dir} may not be read"
    try:
        owner = data_dir.stat().st_uid
    except PermissionError:
        return f"{closed}, as a directory above it is closed to others; run this command as the user who runs `up`."
    if owner == os.geteuid():
        return f"{closed}, though it is yours: chmod -R u+rwX '{data_dir}'"
    try:
        name = pwd.getpwuid(owner).pw_name
    except KeyError:
        return f"{closed}: it belongs to the user with the id {owner}; run this command as that user."
    return f"{closed}: it belongs to the user {name}; run this command as that user (sudo -u {name} ...)."


def find_running_stack(data_dir: Path) -> RunningStack | None:
    """The stack that runs on a data directory now, or None.

    Without places while it is still starting: what a stack that was killed has written down is not its successor's.
    """
    try:
        descriptor = os.open(data_dir / LOCK_FILE, os.O_RDONLY)
    except OSError:
        return None
    try:
        if _try_lock(descriptor, fcntl.LOCK_SH):
            return None
        running = _read(descriptor)
        return running if running is None or _is_alive(running.pid) else RunningStack(running.pid)
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(descriptor: int) -> RunningStack | None:
    try:
        content = json.loads(os.pread(descriptor, 65536, 0))
        sound = {name: type(value) for name, value in content.items()} == _KINDS
        return RunningStack(**content) if sound and 0 <= content["pid"] <= _LAST_PID else None
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
