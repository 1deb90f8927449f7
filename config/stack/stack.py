"""The whole stack on one machine: what is not external is started, watched and stopped here."""

import concurrent.futures
import os
import shutil
import sys
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

from config.ray_settings import ray_environment
from config.secret_store import create_secrets
from config.settings import PREFIX, Settings
from config.stack.completeness import refuse_incomplete, remember
from config.stack.data_directory import NO_SOCKETS, DataDirectoryLock
from config.stack.guarded_process import (
    Command,
    GuardedProcess,
    StackError,
    StackInterruptedError,
    answers_ok,
    free_ports,
    kept_from_cleaners,
    plain_os_errors,
    require_free_port,
)
from config.stack.log_keeping import LogKeeper
from config.stack.paper import paper_command
from config.stack.postgres import (
    PostgresPlan,
    await_postgres,
    forget_variables_of_libpq,
    hold_database,
    initialise_postgres,
    plan_postgres,
    postgres_command,
)
from config.stack.ray import RayPlan, await_ray, plan_ray, ray_command
from config.stack.valkey import ValkeyPlan, await_valkey, plan_valkey, valkey_command
from config.values import host_in_url

__all__ = ["Part", "Stack", "StackError"]

_WATCH_S = 0.5
_ANSWER_S = 180.0
"""How long the API and the paper exchange may take until they answer; on a busy machine it may be minutes."""
_LOOKS_UNTIL_LOST = 4
"""How many looks find a directory of sockets gone before it is said: that of a part that dies goes just before it."""


class Part(StrEnum):
    """A part of the stack; each is skipped when its URL names an external one."""

    POSTGRES = "PostgreSQL"
    VALKEY = "Valkey"
    RAY = "Ray"
    PAPER = "paper exchange"
    API = "API"


_STOP_ORDER = ((Part.API,), (Part.RAY,), (Part.PAPER, Part.VALKEY, Part.POSTGRES))


class Stack:
    """Runs the parts while its `with` block is open.

    On entry every part is ready (it answered a real request) and the database is migrated. On exit, also by an
    exception, and when a part fails to start, all that was started has been stopped and no process of it is left;
    should this process be killed, the guardians see to the same.
    """

    def __init__(self, settings: Settings, *, parts: Collection[Part] = tuple(Part), migrate: bool = True) -> None:
        """`settings` should come from `load_settings(secrets="create")`; `parts` limits what is started."""
        self.settings = settings
        self._parts = _embedded(settings).intersection(parts)
        self._migrate = migrate and Part.POSTGRES in parts
        self._processes: dict[Part, GuardedProcess] = {}
        self._launching = threading.Lock()
        self._stopping = threading.Event()
        self._postgres: PostgresPlan | None = None
        self._valkey: ValkeyPlan | None = None
        self._ray: RayPlan | None = None
        self._database_in_use: int | None = None
        self._kept: list[int] = []

    def __enter__(self) -> Self:
        """Start the parts.

        Raises:
            AlreadyRunningError: a living process runs a stack on this DATA_DIR.
            StackError: a part cannot start; its last log lines are in the message.
        """
        if Part.POSTGRES in self._parts:
            forget_variables_of_libpq()
        with plain_os_errors(self.settings.data_dir):
            self._lock = DataDirectoryLock(self.settings.data_dir)
            try:
                self._plan()
                self._start()
                self._lock.publish(self.urls, self.environment)
            except BaseException:
                self._stop()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def urls(self) -> dict[str, str]:
        """Where people find the parts that have an address, by name."""
        urls = {}
        if Part.API in self._parts:
            urls["API"] = f"http://{host_in_url(_reachable(self.settings.api_host))}:{self.settings.api_port}"
        if Part.RAY in self._parts:
            urls["dashboard"] = f"http://127.0.0.1:{self.settings.dashboard_port}"
        if Part.PAPER in self._parts:
            urls["paper exchange"] = self.settings.broker_root("paper")
        return urls

    @property
    def environment(self) -> dict[str, str]:
        """The variables, none of them secret, with which another process joins this stack."""
        settings = self.settings
        variables = {
            **settings.environment(),
            f"{PREFIX}DATA_DIR": str(settings.data_dir),
            f"{PREFIX}RAY_ADDRESS": settings.ray_address,
            f"{PREFIX}PAPER_ROOT": settings.broker_root("paper") if "paper" in settings.brokers else "",
            f"{PREFIX}PAPER_WS_ROOT": settings.broker_ws_root("paper") if "paper" in settings.brokers else "",
        }
        if self._postgres is not None:
            variables[f"{PREFIX}DATABASE_URL"] = self._postgres.url()
        if self._valkey is not None:
            variables[f"{PREFIX}REDIS_URL"] = self._valkey.url
        if self._ray is not None:
            variables |= ray_environment(settings)
        return variables

    @property
    def log_directory(self) -> Path:
        """Where each part writes its log, and Ray its session's logs."""
        return self.settings.data_dir / "logs"

    def watch(self, say: Callable[[str], None] = lambda _: None) -> None:
        """Block for as long as all parts run; `say` takes a sentence about what a person must do meanwhile.

        Raises:
            StackError: one of them has died.
        """
        logs, missed = LogKeeper(self.log_directory), 0
        while not self._stopping.wait(_WATCH_S):
            logs.look()
            self._lock.put_back()
            lost = [directory for directory in self._temporary_directories() if not directory.exists()]
            missed = missed + 1 if lost else 0
            if missed == _LOOKS_UNTIL_LOST:
                say(f"{NO_SOCKETS}: {', '.join(map(str, lost))}. Stop this (Ctrl-C) and start it again.")
            for part, process in self._processes.items():
                if process.exit_code is not None:
                    raise StackError(
                        f"The {part} has died with code {process.exit_code}, so all is stopped: start it again with "
                        f"`tradeactors up`, and strategies go on.\n{process.log_tail()}"
                    )

    def _plan(self) -> None:
        """Choose ports and places, so that every part can know all the others before any runs."""
        self._check_ports()
        settings, logs = self.settings, self.log_directory
        logs.mkdir(mode=0o700, exist_ok=True)
        gcs, api, paper, dashboard = free_ports(4)
        update: dict[str, object] = {
            "api_port": settings.api_port or api,
            "paper_port": settings.paper_port or paper,
            "dashboard_port": settings.dashboard_port or dashboard,
        }
        if Part.POSTGRES in self._parts:
            refuse_incomplete(settings.data_dir)
            if (data := settings.data_dir / "postgres").is_dir():  # before a part touches files of a stack that runs
                os.close(hold_database(data))
            self._postgres = plan_postgres(settings.data_dir, logs)
            update["database_url"] = self._postgres.url()
        if Part.VALKEY in self._parts:
            self._valkey = plan_valkey(settings.data_dir, self._redis_password(), logs)
            update["redis_url"] = self._valkey.url_with_password
        if Part.RAY in self._parts:
            self._ray = plan_ray(gcs, settings.dashboard_port or dashboard, logs)
            update["ray_address"] = self._ray.address
        self._kept = [kept_from_cleaners(directory) for directory in self._temporary_directories()]
        self.settings = settings.model_copy(update=update)

    def _redis_password(self) -> str:
        try:
            return create_secrets(self.settings.data_dir, keys_elsewhere=True).redis_password
        except ValueError as refused:
            raise StackError(f"{refused}.") from refused

    def _check_ports(self) -> None:
        settings = self.settings
        wanted = (
            (Part.API, settings.api_host, settings.api_port, "API_PORT"),
            (Part.PAPER, "127.0.0.1", settings.paper_port, "PAPER_PORT"),
            (Part.RAY, "127.0.0.1", settings.dashboard_port, "DASHBOARD_PORT"),
        )
        taken: dict[int, str] = {}
        for part, host, port, variable in wanted:
            if part in self._parts and port:
                if port in taken:
                    both = f"{PREFIX}{taken[port]} and {PREFIX}{variable} are both {port}"
                    raise StackError(f"{both}: give each a port of its own, or 0 for one that is free.")
                taken[port] = variable
                purpose = "Ray dashboard" if part is Part.RAY else str(part)
                require_free_port(host, port, PREFIX + variable, purpose)

    def _start(self) -> None:
        starters: dict[Part, Callable[[], None]] = {
            Part.RAY: self._start_ray,
            Part.POSTGRES: self._start_database,
            Part.VALKEY: self._start_valkey,
            Part.PAPER: self._start_paper,
        }
        chosen = [start for part, start in starters.items() if part in self._parts]
        if Part.POSTGRES not in self._parts and self._migrate:
            chosen.append(self._migrate_database)
        with concurrent.futures.ThreadPoolExecutor(max_workers=len(starters) + 1) as pool:
            started = [pool.submit(start) for start in chosen]
            try:
                concurrent.futures.wait(started, return_when=concurrent.futures.FIRST_EXCEPTION)
            finally:
                if not all(future.done() and future.exception() is None for future in started):
                    self._stopping.set()
        _raise_first([error for future in started if (error := future.exception())])
        if Part.API in self._parts:
            self._start_api()

    def _start_database(self) -> None:
        assert self._postgres is not None  # noqa: S101
        self._database_in_use = initialise_postgres(self._postgres, (self._lock.descriptor,))
        server = self._launch(Part.POSTGRES, postgres_command(self._postgres))
        await_postgres(self._postgres, server, self._stopping)
        remember(self.settings.data_dir)
        if self._migrate:
            self._migrate_database()

    def _migrate_database(self) -> None:
        from persistence.database.engine import migrate

        try:
            migrate(self.settings.database_url)
        except Exception as failed:
            raise StackError(
                f"The database cannot be migrated, and is as it was: {failed}\nStart the version that you had, or "
                "restore a backup."
            ) from failed

    def _start_valkey(self) -> None:
        assert self._valkey is not None  # noqa: S101
        await_valkey(self._valkey, self._launch(Part.VALKEY, valkey_command(self._valkey)), self._stopping)

    def _start_ray(self) -> None:
        assert self._ray is not None  # noqa: S101
        head = self._launch(Part.RAY, ray_command(self._ray, self.settings, self.environment))
        await_ray(self._ray, head, self._stopping)

    def _start_paper(self) -> None:
        process = self._launch(Part.PAPER, paper_command(self.settings, self.log_directory, self.environment))
        self._await_answer(process, "127.0.0.1", self.settings.paper_port, "/paper/health")

    def _start_api(self) -> None:
        argv = (sys.executable, "-P", "-m", "config.commands.cli", "api")
        # SIGINT: a Ray driver's handler takes SIGTERM away from uvicorn, which would then not stop gracefully.
        log, grace_s = self.log_directory / "api.log", 15.0
        command = Command("The API", argv, log, self.environment, stop_signal="INT", grace_s=grace_s)
        process = self._launch(Part.API, command)
        # With the wrong keys it serves nevertheless, so that users can connect their brokers again.
        ready = "/readyz?exclude=encryption_keys"
        self._await_answer(process, _reachable(self.settings.api_host), self.settings.api_port, ready)

    def _await_answer(self, process: GuardedProcess, host: str, port: int, path: str) -> None:
        process.wait_until(lambda: answers_ok(host, port, path), timeout_s=_ANSWER_S, cancelled=self._stopping)

    def _launch(self, part: Part, command: Command) -> GuardedProcess:
        # The lock makes sure that nothing starts after `_stop` has begun to stop what runs.
        with self._launching:
            if self._stopping.is_set():
                raise StackInterruptedError(f"The {part} was not started.")
            process = GuardedProcess(command, (self._lock.descriptor,))
            self._processes[part] = process
            return process

    def _stop(self) -> None:
        self._stopping.set()
        with suppress(OSError):  # a full disk, say; what is written there is for others only
            self._lock.publish({}, {})
        with self._launching:
            processes = dict(self._processes)
        for group in _STOP_ORDER:
            running = [processes[part] for part in group if part in processes]
            for process in running:
                process.request_stop()
            for process in running:
                process.stop()
        self._let_go_of_the_database()
        for directory in self._temporary_directories():  # planned but never handed to a guardian, which removes them
            shutil.rmtree(directory, ignore_errors=True)
        while self._kept:
            os.close(self._kept.pop())
        self._lock.release()

    def _let_go_of_the_database(self) -> None:
        if self._database_in_use is not None:
            os.close(self._database_in_use)
            self._database_in_use = None

    def _temporary_directories(self) -> list[Path]:
        sockets = [plan.sockets for plan in (self._postgres, self._valkey) if plan]
        return [*sockets, *(plan.session_root for plan in (self._ray,) if plan)]


def _embedded(settings: Settings) -> set[Part]:
    parts = {Part.API}
    if not settings.database_url:
        parts.add(Part.POSTGRES)
    if not settings.redis_url:
        parts.add(Part.VALKEY)
    if not settings.ray_address:
        parts.add(Part.RAY)
    if settings.paper_embedded:
        parts.add(Part.PAPER)
    return parts


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104


def _raise_first(errors: list[BaseException]) -> None:
    """Raise the error that made the others give up."""
    for error in errors:
        if not isinstance(error, StackInterruptedError):
            raise error
    if errors:
        raise errors[0]
