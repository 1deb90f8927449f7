"""Goes after every panic until no run of it is open; in each process of the API, not only in the one that was called.

A process that dies leaves nothing undone: another finds the same rows. STOP is idempotent, so all of them may ask.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial

import structlog

from actors.ports.engine import EngineUnavailable, StrategyEngine
from api.strategies.panic.marks import EntryMarks
from api.strategies.panic.outcomes import notice_of_end, outcome_of_run, shares_kept
from persistence.database.engine import Sessions, tenant_transaction, transaction
from persistence.database.models.panics import Panic
from persistence.database.repositories.audit import AuditLog
from persistence.database.repositories.brokers import BrokerAccounts
from persistence.database.repositories.notifications import tell
from persistence.database.repositories.panics import Panics
from persistence.errors import PersistenceError
from persistence.notifications.deliveries import database_now

log = structlog.stdlib.get_logger(__name__)

EVERY_S = 1.0
STOP_TIMEOUT_S = 10.0
"""How long one STOP is waited for. The exit works on after it, and the next round asks again."""

PauseSchedules = Callable[[int, str], Awaitable[None]]
"""Pauses all schedules of a user, for a reason. It may be called again for the same panic."""


class PanicPursuit:
    """`kick` makes the next round begin at once. `owe` remembers a panic that a store has not heard of yet."""

    def __init__(
        self, sessions: Sessions, marks: EntryMarks, engine: StrategyEngine, pause_schedules: PauseSchedules
    ) -> None:
        """`sessions`: connections that nothing else can use up."""
        self._sessions, self._marks, self._engine, self._pause_schedules = sessions, marks, engine, pause_schedules
        self._kicked = asyncio.Event()
        self._owed: dict[int, uuid.UUID] = {}
        self._stopping: dict[int, asyncio.Task[None]] = {}
        self._paused: set[uuid.UUID] = set()

    def kick(self) -> None:
        """A panic has just been called."""
        self._kicked.set()

    def owe(self, user_id: int, panic_id: uuid.UUID) -> None:
        """PostgreSQL has not heard of this panic: tell it again, and the strategies directly until then."""
        self._owed[user_id] = panic_id

    def owed(self, user_id: int) -> uuid.UUID | None:
        """The user's panic of which PostgreSQL has not heard, if any: called again, it is the same one."""
        return self._owed.get(user_id)

    async def settle(self, user_id: int) -> bool:
        """Tell PostgreSQL what it is owed of the user; whether it is owed nothing any more."""
        panic_id = self._owed.get(user_id)
        if panic_id is not None and await self._marks.write_down(user_id, panic_id):
            self._owed.pop(user_id, None)
        return user_id not in self._owed

    async def keep_pursuing(self) -> None:
        """Go after panics until cancelled: when one is called, and every second."""
        try:
            while True:
                with suppress(TimeoutError):  # `wait_for` of Python 3.11 forgets a cancellation that meets a kick
                    async with asyncio.timeout(EVERY_S):
                        await self._kicked.wait()
                self._kicked.clear()
                try:
                    await self.round()
                except PersistenceError as error:
                    log.warning("panic_round_failed", error=type(error).__name__, reason=str(error))
                except Exception:  # whatever broke one round must not end all later ones
                    log.exception("panic_round_broke")
        finally:
            for task in list(self._stopping.values()):
                task.cancel()

    async def round(self) -> None:
        """Ask once more for everything that is still open. Raises PersistenceError."""
        for user_id in list(self._owed):
            await self._engine.forbid_entries(user_id)
            await self._engine.stop_all_of(user_id)
            await self.settle(user_id)
        try:
            await self._marks.agree()
        except PersistenceError as error:  # without Redis the panics of PostgreSQL are carried out nevertheless
            log.warning("entry_marks_differ", reason=str(error))
        async with transaction(self._sessions) as session:
            panics = await Panics(session).unfinished()
            runs = {panic.id: await Panics(session).open_runs(panic) for panic in panics}
        for panic in panics:
            try:
                await self._pursue(panic, runs[panic.id])
            except Exception:  # one panic that cannot be pursued must not keep the others from it
                log.exception("panic_not_pursued", user_id=panic.user_id)

    async def _pursue(self, panic: Panic, runs: Sequence[tuple[int, int]]) -> None:
        for run_id, strategy_id in runs:
            if run_id not in self._stopping:
                task = asyncio.create_task(self._stop(run_id, strategy_id), name=f"panic stops {strategy_id}")
                self._stopping[run_id] = task
                task.add_done_callback(partial(self._stopped, run_id))
        if panic.unlocked_at is None:
            await self._engine.forbid_entries(panic.user_id)
        await self._pause(panic)
        if not runs:
            await self._finish(panic)

    def _stopped(self, run_id: int, task: asyncio.Task[None]) -> None:
        self._stopping.pop(run_id, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("panic_stop_broke", run_id=run_id, error=repr(error))

    async def _stop(self, run_id: int, strategy_id: int) -> None:
        try:
            await self._engine.stop(run_id, strategy_id, STOP_TIMEOUT_S)
        except EngineUnavailable as error:
            log.warning("panic_stop_unheard", strategy_id=strategy_id, reason=str(error))
        self._kicked.set()

    async def _pause(self, panic: Panic) -> None:
        if panic.id not in self._paused:
            await self._pause_schedules(panic.user_id, "panic")
            self._paused.add(panic.id)

    async def _finish(self, panic: Panic) -> None:
        async with tenant_transaction(self._sessions, panic.user_id) as session:
            account = await BrokerAccounts(session).of_user(panic.user_id)
        try:
            shares = None if account is None else shares_kept(await self._engine.account_shares(account.id))
        except EngineUnavailable as error:
            log.warning("panic_account_unread", user_id=panic.user_id, reason=str(error))
            shares = None
        async with tenant_transaction(self._sessions, panic.user_id) as session:
            if await Panics(session).finish(panic, shares):
                await AuditLog(session).add("panic_finished", user_id=panic.user_id, subject=str(panic.id))
                outcomes = [outcome_of_run(*found) for found in await Panics(session).runs(panic)]
                over = notice_of_end(panic, outcomes, shares, await database_now(session))
                await tell(session, panic.user_id, over)
