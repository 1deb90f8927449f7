"""The noisy tenant as the measurement sees him: a process that is given a line and answers with one."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

REPOSITORY = Path(__file__).parents[2]


class NoiseProcess:
    """`tests.neighbours.noise` in a process, which ends with the block. `about`: what the tenant has (see there)."""

    def __init__(self, told: dict[str, Any]) -> None:
        self._told = told
        self.about: dict[str, Any] = {}

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.neighbours.noise"]
        self._process = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            self.about = self.ask(**self._told)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self._end()

    def ask(self, **line: Any) -> dict[str, Any]:
        """Give it a line; its answer.

        Raises:
            RuntimeError: it has ended, with what it wrote on standard error.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(line) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            asked = line.get("do", "begin")  # nothing else of the line, which has an account's keys
            raise RuntimeError(f"the noise ended with exit code {self._process.wait()} when asked to {asked}")
        found: dict[str, Any] = json.loads(answer)
        return found

    def _end(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def counts_of(answer: dict[str, Any]) -> dict[str, dict[int, int]]:
    """The answers by operation and status; JSON has texts for keys."""
    return {
        name: {int(status): count for status, count in counts.items()} for name, counts in answer["answers"].items()
    }
