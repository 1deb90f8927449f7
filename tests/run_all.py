"""What `make test` runs: the whole suite, in two steps that share the machine well.

First what needs no running stack, as two processes, of which one gives way to the other, whose clients lose
patience with a busy machine; then the tests on the real stack, alone,
since they keep time. Nothing is left out: whatever lies in `tests` belongs to one of the parts.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).parent
ON_THE_STACK = ("acceptance", "chaos")
BESIDE = ("unit", "contract", "integration/test_schemathesis.py")


def parts() -> tuple[list[str], list[str], list[str]]:
    """Arguments of pytest: beside the rest, the rest, on the stack."""
    beside = [str(TESTS / name) for name in BESIDE]
    stack = [str(TESTS / name) for name in ON_THE_STACK]
    rest = [str(TESTS), *(f"--ignore={path}" for path in [*beside, *stack])]
    return beside, rest, stack


def main() -> int:
    """The first exit code that is not 0, after everything has run."""
    beside, rest, stack = parts()
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        gives_way = ["nice", "-n", "10", *_pytest(beside)]
        background = subprocess.Popen(gives_way, stdout=output, stderr=subprocess.STDOUT)
        codes = [subprocess.run(_pytest(rest), check=False).returncode, background.wait()]
        output.seek(0)
        sys.stdout.write(output.read())
        sys.stdout.flush()
    codes.append(subprocess.run(_pytest(stack), check=False).returncode)
    return next((code for code in codes if code), 0)


def _pytest(arguments: list[str]) -> list[str]:
    return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]


if __name__ == "__main__":
    sys.exit(main())
