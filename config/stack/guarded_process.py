"""Starting, watching and stopping the parts of the stack, each behind a guardian (see `config/stack/guardian.py`)."""

import errno
import fcntl
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from config.files import refusal_of, remedy_of

_GUARDIAN = Path(__file__).with_name("guardian.py")
_POLL_S = 0.02
_LOG_TAIL_LINES = 15
_TIDYING_UP_S = 120.0
_INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StackError(Exception):
    """The stack cannot start or one of its parts has died; the message says which, why, and what to do."""


class StackInterruptedError(StackError):
    """Starting was given up because the stack is being stopped."""


@dataclass(frozen=True)
class Command:
    """How to run one part: `stop_signal` (without SIG) asks it to end, after `grace_s` it is killed.

    `keep` are (source, target) directories to move once it has ended, `remove` directories to delete then.
    `log_stays`: its log is there for a person to read when it has failed. `remedy`: what to do then, as a sentence.
    """

    name: str
    argv: tuple[str, ...]
    log_path: Path
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    user: str | None = None
    stop_signal: str = "TERM"
    grace_s: float = 10.0
    keep: tuple[tuple[Path, Path], ...] = ()
    remove: tuple[Path, ...] = ()
    log_stays: bool = True
    remedy: str = ""


class GuardedProcess:
    """A running part. It dies with this process, however this process dies."""

    def __init__(self, command: Command, held_fds: tuple[int, ...] = ()) -> None:
        """Start it; `held_fds` stay open until the part and all its descendants are gone.

        Raises:
            OSError: the guardian itself cannot be started.
        """
        self.name = command.name
        self.log_path = command.log_path
        self._grace_s = command.grace_s
        self._log_stays = command.log_stays
        self._remedy = command.remedy
        _keep_previous(command.log_path)
        with command.log_path.open("ab") as log:  # at its end, also after `LogKeeper` has emptied it
            self._guardian = subprocess.Popen(  # noqa: S603
                _guardian_command(command, held_fds),
                env={**os.environ, **command.environment},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                # setsid would make an autogroup of it, which Linux weighs against others whatever their niceness
                process_group=0,
                pass_fds=held_fds,
            )

    @property
    def exit_code(self) -> int | None:
        """The exit code of the part, None while it runs."""
        return self._guardian.poll()

    def wait(self, timeout_s: float) -> int:
        """Wait for the part to end by itself and return its exit code.

        Raises:
            StackError: it is still running after `timeout_s`.
        """
        try:
            return self._guardian.wait(timeout_s)
        except subprocess.TimeoutExpired as late:
            raise StackError(f"{self.name} has not finished after {timeout_s:.0f} s.\n{self.log_tail()}") from late

    def request_stop(self) -> None:
        """Order it to stop, without waiting."""
        if self._guardian.stdin is not None:
            self._guardian.stdin.close()

    def stop(self) -> None:
        """Stop it and wait until it and all its descendants are gone. Harmless when it has ended."""
        self.request_stop()
        try:
            self._guardian.wait(self._grace_s + 10)
        except subprocess.TimeoutExpired:
            self._guardian.send_signal(signal.SIGKILL)
            self._guardian.wait()

    def log_tail(self) -> str:
        """The last lines that the part wrote, indented, where its log is, and what to do."""
        try:
            written = self.log_path.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_TAIL_LINES:]
        except OSError as gone:  # it was removed under us, say
            return f"Its log, {self.log_path}, cannot be read: {gone.strerror}."
        where = f"Its log, {self.log_path}, ends with:" if self._log_stays else "It has said at last:"
        lines = [f"  | {line}" for line in written or ["(nothing)"]]
        remedy = remedy_of("\n".join(written)) or (f"\n{self._remedy}" if self._remedy else "")
        return "\n".join([where, *lines]) + remedy

    def wait_until(self, ready: Callable[[], bool], *, timeout_s: float, cancelled: threading.Event) -> None:
        """Wait until `ready()` holds.

        Raises:
            StackError: the part ended first or `timeout_s` passed.
            StackInterruptedError: `cancelled` was set.
        """
        deadline = time.monotonic() + timeout_s
        while not ready():
            if cancelled.wait(_POLL_S):
                raise StackInterruptedError(f"{self.name} was stopped while it started.")
            if self.exit_code is not None:
                raise StackError(f"{self.name} ended with code {self.exit_code} while it started.\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise StackError(
                    f"{self.name} is not ready after {timeout_s:.0f} s. If this machine is busy, start again when it "
                    f"has less to do.\n{self.log_tail()}"
                )


@contextmanager
def plain_os_errors(data_dir: Path) -> Iterator[None]:
    """Say what the machine refuses while something starts on a data directory: a full disk, a file in the way.

    Raises:
        StackError: in place of an OSError.
    """
    try:
        yield
    except OSError as refused:
        where = f"{refused.filename}: " if refused.filename else ""
        raise StackError(
            f"Cannot start on {data_dir} (TRADEACTORS_DATA_DIR): {where}{refusal_of(refused)}."
        ) from refused


def free_ports(count: int) -> list[int]:
    """Different TCP ports of 127.0.0.1 that are free now."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for listener in sockets:
            listener.bind(("127.0.0.1", 0))
        return [int(listener.getsockname()[1]) for listener in sockets]


def require_free_port(host: str, port: int, variable: str, purpose: str) -> None:
    """Check that a server may listen on a port.

    Raises:
        StackError: another program has it, or the address is not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen()
        except OSError as refused:
            if refused.errno == errno.EADDRINUSE:
                raise StackError(
                    f"Port {port} of {host}, meant for the {purpose}, is taken by another program; "
                    f"stop that program or set {variable} to another port."
                ) from refused
            raise StackError(
                f"Cannot listen on {host}:{port} for the {purpose}: {refused.strerror}; {_where_to_listen(refused)}."
            ) from refused


def _where_to_listen(refused: OSError) -> str:
    if refused.errno == errno.EACCES:
        return "take a port of 1024 or above, which every user may have"
    return "listen on an address that this machine has, such as 127.0.0.1"


def answers_ok(host: str, port: int, path: str) -> bool:
    """Whether an HTTP server answers GET `path` with 200."""
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@contextmanager
def interrupt_on_signals() -> Iterator[None]:
    """Treat SIGTERM and SIGHUP like Ctrl-C while the block runs, and Ctrl-C so even in a background job.

    A SIGHUP that is ignored stays so: `nohup` was asked to let the command outlive its terminal. Another signal within
    two minutes of the first changes nothing, so that an impatient second Ctrl-C breaks off no tidying up. Main thread
    only.
    """
    heard_at = float("-inf")

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal heard_at
        if time.monotonic() - heard_at > _TIDYING_UP_S:
            heard_at = time.monotonic()
            raise KeyboardInterrupt

    wanted = [n for n in _INTERRUPTS if n != signal.SIGHUP or signal.getsignal(n) is not signal.SIG_IGN]
    previous = {number: signal.signal(number, interrupt) for number in wanted}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _guardian_command(command: Command, held_fds: tuple[int, ...]) -> list[str]:
    # -I -S: nothing of the virtual environment is imported, which makes it fast and independent of it.
    line = [sys.executable, "-I", "-S", str(_GUARDIAN), f"--signal={command.stop_signal}", f"--grace={command.grace_s}"]
    line += [f"--user={command.user}"] if command.user else []
    line += [f"--hold-fd={number}" for number in held_fds]
    for source, target in command.keep:
        line += ["--keep", str(source), str(target)]
    line += [f"--remove={directory}" for directory in command.remove]
    return [*line, "--", *command.argv]


def _keep_previous(log_path: Path) -> None:
    log_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if log_path.exists():
        log_path.replace(log_path.with_suffix(".previous.log"))


def kept_from_cleaners(directory: Path) -> int:
    """Keep programs that remove what is old in /tmp (systemd-tmpfiles: after ten days) from a directory of ours.

    They pass over a directory that is locked, and all in it (systemd's documents of tmpfiles.d). Returns a descriptor
    that holds the lock until it is closed.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def short_temporary_directory() -> str:
    """A directory for unix sockets, whose whole path may not exceed some 107 bytes, whatever TMPDIR says."""
    return "/tmp" if os.access("/tmp", os.W_OK | os.X_OK) else tempfile.gettempdir()  # noqa: S108
