"""What `make test` runs: the whole suite but for `make long`, as processes side by side, since much of it waits.

The tests on the real stack keep time, so all others give way to them, and the unit tests, which have no clients that
lose patience, to everything. What lies in `tests` and has no name here has a process of its own.

`make long` runs, by `python tests/run_all.py long`, what takes longest: those of the stack's tests that are of single
features, or of which `make test` has a cut, beside the fuzz of every operation, the walk of another tenant through all
of them, the tests of backups and two days of the month; then, alone, the app in a browser on the stack, and the
documentation site. Those on a cluster of several nodes are `make cluster`: a process can join one Ray only.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).parent
ON_THE_STACK = ("acceptance", "chaos")
FUZZ = ("integration/api/test_schemathesis.py",)
TENANTS = ("integration/api/test_tenant_walk.py",)
BACKUPS = ("integration/config/test_backup*.py", "integration/config/test_full_disk.py")
LONG_ON_THE_STACK = (
    "acceptance/test_account_addresses.py",
    "acceptance/test_accounts_and_brokers.py",
    "acceptance/test_backup.py",
    "acceptance/test_brokers_apart.py",
    "acceptance/test_odd_texts.py",
    "acceptance/test_one_tap_login.py",
    "acceptance/test_recovery.py",
    "acceptance/test_schedules.py",
    "chaos/test_outside_cut.py",
    "chaos/test_panic.py",
    "chaos/test_panic_without_stores.py",
)
BROWSER = ("web/live", "web/played/test_many.py", "web/test_documentation.py")
MONTH = ("month",)
HANGS_AFTER = "--timeout=600"
"""Seconds: some tests are dozens of cases, and the first of a process starts its stack."""
ON_A_CLUSTER = ("cluster",)
OF_TIMES = ("floods", "neighbours")
"""They compare times, which needs a quiet machine: `make floods` and `make neighbours`."""

OF_MANY_CASES = ("panics",)
"""`make panics`, of which `make long` has a cut."""

BESIDE = (
    ("contract", "integration/broker"),
    ("integration/config", "integration/persistence"),
    ("integration/api/brokers", "integration/api/edge"),
    ("integration/api/strategies", "integration/api/timeline"),
    ("integration/api/users", "integration/api/notifications"),
)
GIVES_WAY = ("unit",)
NICENESS, NICENESS_OF_UNIT_TESTS = 5, 10


def paths(patterns: tuple[str, ...]) -> list[str]:
    """The files and folders of a part."""
    return [str(path) for pattern in patterns for path in sorted(TESTS.glob(pattern))]


def main() -> int:
    """The first exit code that is not 0, after everything has run."""
    steps = _long() if sys.argv[1:] == ["long"] else [_suite()]
    codes = [code for step in steps for code in _side_by_side(step)]
    return next((code for code in codes if code), 0)


def _suite() -> list[list[str]]:
    others = (ON_THE_STACK, FUZZ, TENANTS, BACKUPS, BROWSER, MONTH, ON_A_CLUSTER, OF_TIMES, OF_MANY_CASES)
    apart = [option for part in others for option in _ignoring(part)]
    named = [option for part in (*BESIDE, GIVES_WAY) for option in _ignoring(part)]
    beside = [_nice(NICENESS, _pytest([*paths(part), *apart])) for part in BESIDE]
    return [
        _on_a_stack(ON_THE_STACK, but=LONG_ON_THE_STACK),
        _nice(NICENESS, _pytest([str(TESTS), *apart, *named])),
        *beside,
        _nice(NICENESS_OF_UNIT_TESTS, _pytest(paths(GIVES_WAY))),
    ]


def _long() -> list[list[list[str]]]:
    beside = [_nice(NICENESS, _pytest(paths(part))) for part in (FUZZ, BACKUPS, TENANTS)]
    return [[_on_a_stack(LONG_ON_THE_STACK), *beside, _on_a_stack(MONTH)], [_on_a_stack(BROWSER)]]


def _on_a_stack(part: tuple[str, ...], but: tuple[str, ...] = ()) -> list[str]:
    return _pytest([HANGS_AFTER, "--durations=20", *_ignoring(but), *paths(part)])


def _ignoring(part: tuple[str, ...]) -> list[str]:
    return [f"--ignore={path}" for path in paths(part)]


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


def _nice(niceness: int, command: list[str]) -> list[str]:
    return ["nice", "-n", str(niceness), *command]


def _pytest(arguments: list[str]) -> list[str]:
    return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]


if __name__ == "__main__":
    sys.exit(main())
