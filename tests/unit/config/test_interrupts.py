"""What signals and closed descriptors do to a command: how shells, services and terminals begin and end one."""

import signal
import subprocess
import sys
from pathlib import Path

INTERRUPTED = """
import os, signal, time
from config.stack.guarded_process import interrupt_on_signals
try:
    with interrupt_on_signals():
        os.kill(os.getpid(), signal.SIGHUP)
        time.sleep(0.01)
        print("goes on")
except KeyboardInterrupt:
    print("is interrupted")
"""
TWICE = """
import os, signal, time
from config.stack.guarded_process import interrupt_on_signals
with interrupt_on_signals():
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)
    except KeyboardInterrupt:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(os.getpid(), number)
            time.sleep(0.01)
        print("has tidied up")
"""
OPENED = """
import os, pathlib, sys
from config.commands.base.failures import open_standard_descriptors
open_standard_descriptors()
opened = os.open("/dev/zero", os.O_RDONLY)
pathlib.Path(sys.argv[1]).write_text(str([opened > 2, *map(os.get_inheritable, range(3))]))
"""


def output_of(code: str, *, hang_up_ignored: bool = False) -> str:
    def prepare() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN if hang_up_ignored else signal.SIG_DFL)

    line = [sys.executable, "-c", code]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, preexec_fn=prepare, check=True)
    return done.stdout.strip()


def test_a_terminal_that_closes_ends_a_command_unless_nohup_was_asked_to_prevent_it() -> None:
    assert output_of(INTERRUPTED) == "is interrupted"
    assert output_of(INTERRUPTED, hang_up_ignored=True) == "goes on"


def test_an_impatient_second_signal_breaks_off_no_tidying_up() -> None:
    assert output_of(TWICE) == "has tidied up"


def test_descriptors_that_were_closed_are_given_to_no_file_of_ours(tmp_path: Path) -> None:
    said = tmp_path / "said"
    line = ["sh", "-c", 'exec "$0" -c "$1" "$2" <&- >&- 2>&-', sys.executable, OPENED, str(said)]
    subprocess.run(line, timeout=60, check=True)
    assert said.read_text() == "[True, True, True, True]"
