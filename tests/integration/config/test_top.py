"""`tradeactors top` in a real terminal: what it shows, that it sees changes, and how it ends."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.integration.config.looked_at import TwoStores, holding

WITHIN_S = 60.0


class Terminal:
    """A terminal of a given size in which a program runs."""

    def __init__(self, master: int, process: "subprocess.Popen[bytes]") -> None:
        self.master, self.process = master, process
        self.output = b""

    def read_until(self, pattern: str, since: int = 0) -> int:
        """Read until the output after `since` has it; where the output ends by then."""
        until = time.monotonic() + WITHIN_S
        while re.search(pattern, self.text(since)) is None:
            assert time.monotonic() < until, self.text(since)[-1500:]
            try:
                self.output += os.read(self.master, 65536)
            except OSError:  # the program has ended, and with it the terminal
                assert re.search(pattern, self.text(since)), self.text(since)
                break
        return len(self.output)

    def read_the_rest(self) -> None:
        """What the program, which has ended, had printed."""
        while select.select([self.master], [], [], 0)[0]:
            self.output += os.read(self.master, 65536)

    def text(self, since: int = 0) -> str:
        """What was printed, without control sequences."""
        plain = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b" ", self.output[since:])
        return " ".join(plain.decode(errors="replace").split())

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


@contextmanager
def top() -> Iterator[Terminal]:
    """`tradeactors top`, twice a second, in a terminal of 24 rows and 80 columns."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    before = termios.tcgetattr(slave)
    argv = [sys.executable, "-P", "-m", "config.commands.cli", "top", "--every", "0.5"]
    environment = os.environ | {"TERM": "xterm-256color"}
    process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True)
    try:
        yield Terminal(master, process)
        assert process.poll() is not None
        assert termios.tcgetattr(slave) == before  # as it was found
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)
        os.close(slave)
        os.close(master)


def test_it_shows_the_verdict_follows_what_changes_and_ends_on_q(two_stores: TwoStores) -> None:
    with top() as terminal:
        seen = terminal.read_until("All well: no strategy runs")
        held = holding(two_stores, "")
        seen = terminal.read_until("1 position is NOT guarded.*NOW.*strategy|Not well", seen)
        seen = terminal.read_until(rf"Strategy {held.strategy_id} \(INFY", 0)
        terminal.resize(40, 100)
        terminal.read_until("Not well", seen)
        os.write(terminal.master, b"q")
        assert terminal.process.wait(20) == 0
        terminal.read_the_rest()
    assert b"\x1b[?1049l" in terminal.output  # the screen of before is shown again
    assert "Traceback" not in terminal.text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_cleanly_on_ctrl_c_and_sigterm(two_stores: TwoStores, number: signal.Signals) -> None:
    with top() as terminal:
        terminal.read_until("All well")
        terminal.process.send_signal(number)
        assert terminal.process.wait(20) == 0
        terminal.read_the_rest()
    assert "Traceback" not in terminal.text()
