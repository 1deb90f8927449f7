"""The stack of the month: all parts on the clock that jumps, and an API that can be killed and started again."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from config.stack.guarded_process import answers_ok
from config.stack.paper import paper_token
from config.stack.stack import Part, Stack
from tests.kit.machine_clock import MachineClock, machine_clock
from tests.kit.mail_server import MailServer, mail_server
from tests.kit.paper import PaperControl, eventually
from tests.kit.stack import running_stack, temporary_data_dir
from tests.month.plan import Month

WITHOUT_API = frozenset(Part) - {Part.API}
_READY_WITHIN_S, _ENDS_WITHIN_S = 60, 20


@dataclass
class Api:
    """One API process of the stack, as an operator's service manager keeps it."""

    stack: Stack
    log: Path
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Where it listens, also while it does not run."""
        return f"http://127.0.0.1:{self.stack.settings.api_port}"

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        command = [sys.executable, "-P", "-m", "config.commands.cli", "api"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, env={**os.environ, **self.stack.environment}, stdout=log, stderr=log
            )
        port = self.stack.settings.api_port
        eventually(
            lambda: self._is_running() and answers_ok("127.0.0.1", port, "/readyz"), _READY_WITHIN_S, "the API is ready"
        )

    def kill(self) -> None:
        """End it as `kill -9` does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_ENDS_WITHIN_S)
            self._process = None

    def _is_running(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text(encoding="utf-8")[-2000:]
        return True


@dataclass
class Deployed:
    """What the month runs on. `overrides`: the operator's file of days on which the calendar is wrong. `post`: the mail
    server, which goes by the machine's own clock.
    """

    clock: MachineClock
    stack: Stack
    api: Api
    exchange: PaperControl
    overrides: Path
    post: MailServer


@contextmanager
def deployed(month: Month, logs: Path | None = None) -> Iterator[Deployed]:
    """The stack, at six in the morning of the first day, without its API. `logs`: where its logs are left."""
    with machine_clock() as clock, temporary_data_dir() as directory, mail_server() as post:
        overrides = directory / "overrides.toml"
        overrides.write_text(sessions_text(month), encoding="utf-8")
        directory.chmod(0o755)
        clock.jump(month.at(month.days[0], 6, 0))
        settings: dict[str, Any] = {"calendar": "XNSE", "execution_actors": 1, "calendar_overrides": overrides}
        settings |= {"smtp_host": "127.0.0.1", "smtp_port": post.port, "smtp_security": "none"}
        settings |= {"smtp_from": "alerts@example.com"}
        with running_stack(WITHOUT_API, secrets=clock.variables, **settings) as stack:
            api = Api(stack, stack.log_directory / "api.log")
            token = paper_token(stack.settings.data_dir)
            exchange = PaperControl(stack.urls["paper exchange"], token)
            try:
                yield Deployed(clock, stack, api, exchange, overrides, post)
            finally:
                api.kill()
                if logs is not None:
                    shutil.copytree(stack.log_directory, logs, dirs_exist_ok=True, ignore=_no_use)


def _no_use(directory: str, names: list[str]) -> list[str]:
    """Of Ray's logs only those of our actors are of use."""
    return [name for name in names if Path(directory).name == "ray" and not fnmatch(name, "worker-*.err")]


def sessions_text(month: Month) -> str:
    """The operator's file before anything was announced."""
    return "".join(
        f'{day} = "{opens:%H:%M}-{closes:%H:%M}"\n' for day, (opens, closes) in sorted(month.special.items())
    )
