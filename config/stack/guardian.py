"""A tiny process between `tradeactors up` and one of its parts, so that the part never outlives `up`.

Usage: guardian.py [options] -- COMMAND...   (Linux and the standard library only, run by file path: it
starts in some 20 ms)

The guardian runs COMMAND in a process group of its own, away from the terminal's Ctrl-C, and reads a pipe from its
parent on standard input. When the pipe closes (the parent stopped us, or died, even by SIGKILL) or SIGTERM or SIGINT
comes, it sends the stop signal, waits for the grace, kills what is left of the whole process tree, tidies up and
exits with the code of COMMAND (128 + n for signal n).
"""

import argparse
import contextlib
import ctypes
import os
import pwd
import select
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_STRAGGLER_GRACE_S = 1.0
_STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})


def _linux_prctl() -> Callable[[int, int], int]:
    call = ctypes.CDLL(None, use_errno=True).prctl
    return lambda option, value: int(call(option, value, 0, 0, 0))


def _stat_parent(stat: str) -> int:
    """The parent's pid in a line of /proc/PID/stat, whose second field may hold spaces and brackets."""
    return int(stat.rpartition(")")[2].split()[1])


class Guardian:
    """Runs one command and answers for every process that comes of it."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._stop_signal = signal.Signals[f"SIG{options.signal}"]
        self._prctl = _linux_prctl()
        self._stop = False
        self._parent_gone = False
        self._status: int | None = None
        self._wake, wake_writer = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(wake_writer, False)
        for number in (*_STOP_SIGNALS, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(wake_writer, warn_on_full_buffer=False)
        for held in options.hold_fd:
            os.set_inheritable(held, False)
        # Orphans of the command become our children, so that none can escape the final kill.
        self._prctl(_PR_SET_CHILD_SUBREAPER, 1)
        self._child = self._spawn()

    def run(self) -> int:
        """Wait for the command's end or the order to stop, see every process gone, and return the exit code."""
        while self._status is None and not self._stop:
            self._wait(None)
        if self._status is None:
            self._signal(self._child, self._stop_signal)
            self._wait_for(lambda: self._status is not None, self._options.grace)
        self._kill_tree()
        self._tidy_up()
        status = self._status if self._status is not None else 0
        return 128 - status if status < 0 else status

    def _spawn(self) -> int:
        account = pwd.getpwnam(self._options.user) if self._options.user else None
        guardian = os.getpid()
        try:
            child = os.fork()
        except OSError as refused:  # too many processes
            said = f"cannot start {self._options.command[0]}: {refused.strerror}; raise the limit of processes"
            print(f"{said} (ulimit -u, pids of the container)", file=sys.stderr, flush=True)  # noqa: T201
            sys.exit(126)
        if child:
            return child
        try:
            self._become_command(account, guardian)
        except OSError as failed:
            print(f"cannot start {self._options.command[0]}: {failed.strerror}", file=sys.stderr, flush=True)  # noqa: T201
        os._exit(127)

    def _become_command(self, account: pwd.struct_passwd | None, guardian: int) -> None:
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        if account is not None:
            os.chdir("/")
            os.initgroups(account.pw_name, account.pw_gid)
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
        self._prctl(_PR_SET_PDEATHSIG, self._stop_signal)
        if os.getppid() != guardian:
            os._exit(127)
        os.execvp(self._options.command[0], self._options.command)  # noqa: S606

    def _wait(self, timeout: float | None) -> None:
        watched = [self._wake] if self._parent_gone else [self._wake, 0]
        ready, _, _ = select.select(watched, [], [], timeout)
        if 0 in ready and not os.read(0, 4096):
            self._parent_gone = self._stop = True
        if self._wake in ready and _STOP_SIGNALS.intersection(os.read(self._wake, 4096)):
            self._stop = True
        self._reap()

    def _wait_for(self, done: Callable[[], bool], limit_s: float) -> None:
        deadline = time.monotonic() + limit_s
        while not done() and (left := deadline - time.monotonic()) > 0:
            self._wait(left)

    def _reap(self) -> bool:
        """Collect the dead; whether any child is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self._child:
                self._status = os.waitstatus_to_exitcode(status)

    def _children(self) -> list[int]:
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                try:
                    stat = (entry / "stat").read_text(encoding="utf-8", errors="replace")
                except OSError:
                    continue  # it ended while we looked
                if _stat_parent(stat) == os.getpid():
                    found.append(int(entry.name))
        return found

    def _kill_tree(self) -> None:
        """Politely for a moment, then by force, until we have no child at all."""
        deadline = time.monotonic() + _STRAGGLER_GRACE_S
        number = signal.SIGTERM
        while self._reap():
            for pid in self._children():
                self._signal(pid, number)
            left = deadline - time.monotonic()
            if left <= 0:
                number = signal.SIGKILL
            self._wait(max(left, 0.02))

    def _signal(self, pid: int, number: signal.Signals) -> None:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return

    def _tidy_up(self) -> None:
        for source, target in self._options.keep:
            # What cannot be kept, on a full disk or where the place has gone, keeps nothing else from being removed.
            with contextlib.suppress(OSError):
                if Path(source).is_dir():
                    shutil.rmtree(target, ignore_errors=True)
                    Path(target).unlink(missing_ok=True)
                    shutil.move(Path(source).resolve(), target)
        for directory in self._options.remove:
            shutil.rmtree(directory, ignore_errors=True)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="guardian")
    parser.add_argument("--signal", default="TERM", help="stop signal, without SIG")
    parser.add_argument("--grace", type=float, default=10.0, help="seconds from the stop signal to SIGKILL")
    parser.add_argument("--user", help="run the command as this OS user (needs root)")
    parser.add_argument("--hold-fd", type=int, action="append", default=[], help="keep open, away from the command")
    parser.add_argument("--keep", nargs=2, action="append", default=[], metavar=("SOURCE", "TARGET"))
    parser.add_argument("--remove", action="append", default=[], help="directory to remove at the end")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    if options.command[:1] == ["--"]:
        options.command = options.command[1:]
    if not options.command:
        parser.error("no command")
    return options


if __name__ == "__main__":
    sys.exit(Guardian(_parse(sys.argv[1:])).run())
