"""What `make test` runs: the whole suite, in two steps that share the machine well.

First what needs no running stack, as processes of their own side by side, since much of it waits; two of them give way
to the others, whose clients lose patience with a busy machine. Then the tests on the real stack, which mostly wait for
times of the day: those of acceptance, and those in a browser, of the month and of chaos, each on a stack of its own.
Whatever lies in `tests` and is named nowhere here belongs to the first step. Those on a cluster of several nodes are
`make cluster`: a process can join one Ray only.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).parent
ON_THE_STACK = (("acceptance",), ("web/live", "month", "chaos"))
HANGS_AFTER = "--timeout=600"
"""Seconds: some tests are dozens of cases, and the first of a process starts its stack."""
ON_A_CLUSTER = ("cluster",)
OF_TIMES = ("floods", "neighbours")
"""They compare times, which needs a quiet machine: `make floods` and `make neighbours`."""

GIVES_WAY = (("unit",), ("integration/api/test_schemathesis.py",))
BESIDE = (
    ("contract", "integration/broker"),
    ("integration/config", "integration/persistence"),
    ("integration/api/brokers", "integration/api/edge"),
    ("integration/api/strategies", "integration/api/timeline"),
)


def paths(patterns: tuple[str, ...]) -> list[str]:
    """The files and folders of a part."""
    return [str(path) for pattern in patterns for path in sorted(TESTS.glob(pattern))]


def main() -> int:
    """The first exit code that is not 0, after everything has run."""
    named = [path for part in (*GIVES_WAY, *BESIDE, *ON_THE_STACK, ON_A_CLUSTER, OF_TIMES) for path in paths(part)]
    rest = [str(TESTS), *(f"--ignore={path}" for path in named)]
    first = [_pytest(rest), *(_pytest(paths(part)) for part in BESIDE)]
    first += [["nice", "-n", "5", *_pytest(paths(part))] for part in GIVES_WAY]
    on_the_stack = [_pytest([HANGS_AFTER, *paths(part)]) for part in ON_THE_STACK]
    codes = _side_by_side(first) + _side_by_side(on_the_stack)
    return next((code for code in codes if code), 0)


def _side_by_side(commands: list[list[str]]) -> list[int]:
    """The exit codes. What the first command prints is seen at once, the others' after it."""
    with tempfile.TemporaryDirectory() as directory:
        outputs = [Path(directory) / str(number) for number in range(1, len(commands))]
        beside = [_start(command, output) for command, output in zip(commands[1:], outputs, strict=True)]
        codes = [subprocess.run(commands[0], check=False).returncode, *(process.wait() for process in beside)]
        for output in outputs:
            sys.stdout.write(output.read_text(encoding="utf-8"))
        sys.stdout.flush()
    return codes


def _start(command: list[str], output: Path) -> subprocess.Popen[bytes]:
    with output.open("wb") as stream:
        return subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)


def _pytest(arguments: list[str]) -> list[str]:
    return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]


if __name__ == "__main__":
    sys.exit(main())
