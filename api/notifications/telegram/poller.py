"""Asks Telegram for updates and has them answered: one process of all that want to, each update once.

The lease is in PostgreSQL (`persistence.notifications.telegram`). Telegram is asked to forget updates when they were
answered, or have been in work for `PATIENCE_S`: what a process that dies has not answered comes again, and is answered
with a question to the user, or, if it is a panic that was confirmed, carried out.
"""

import asyncio
import secrets
from collections.abc import Sequence

import structlog

from api.base.leaky_buckets import LeakyBuckets
from api.notifications.telegram.bot_api import BotApi, BotRefused, BotUnreachable
from api.notifications.telegram.commands import Commands, Reply, is_urgent
from api.notifications.telegram.updates import Said, said_in, update_id_of
from persistence.database.engine import Sessions, transaction
from persistence.errors import PersistenceError
from persistence.notifications.telegram import Taken, TelegramUpdates

log = structlog.stdlib.get_logger(__name__)

WAIT_S = 20
"""How long Telegram keeps a question open until something comes."""

EVERY_S = 5.0
"""How often a process asks that does not have the lease, or that got no answer."""

LEAST_PAUSE_S = 0.1
"""How long a process pauses between two questions, also where something between here and Telegram answers at once."""

PATIENCE_S = 2.0
"""How long updates are waited for before the next ones are asked for."""

PER_MINUTE = 30
"""How many commands a chat may send in a minute; as many panics besides. What is more is not answered."""

STRANGERS_PER_MINUTE = 120
"""How many chats that could be anybody's are answered in a minute."""

_AT_ONCE = 8
_BUSY = 409
_PRUNED_EVERY = 500


class TelegramPoller:
    """One process's poller."""

    def __init__(
        self, sessions: Sessions, bot: BotApi, commands: Commands, wait_s: int = WAIT_S, every_s: float = EVERY_S
    ) -> None:
        self._sessions, self._bot, self._commands = sessions, bot, commands
        self._wait_s, self._every_s = wait_s, every_s
        self._me = secrets.token_hex(8)
        self._budgets, self._panics = LeakyBuckets(PER_MINUTE), LeakyBuckets(PER_MINUTE)
        self._groups = LeakyBuckets(STRANGERS_PER_MINUTE)
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._in_work: dict[int, asyncio.Task[None]] = {}
        self._since_pruned = 0

    async def run(self) -> None:
        """Ask until cancelled; then another process may at once."""
        try:
            while True:
                asked = await self._asked()
                await asyncio.sleep(LEAST_PAUSE_S if asked else self._every_s)
        finally:
            answering = self.in_work
            for task in answering:
                task.cancel()
            await asyncio.gather(*answering, return_exceptions=True)
            await self._release()

    async def _asked(self) -> bool:
        try:
            return await self.round()
        except PersistenceError as error:
            log.warning("telegram_waits", error=type(error).__name__)
        except BotUnreachable as error:
            log.warning("telegram_unreachable", reason=str(error))
        except BotRefused as refusal:
            # 409: another deployment uses the same token, or a webhook is set: the operator's to mend
            log.warning("telegram_refuses", status=refusal.status, same_bot_elsewhere=refusal.status == _BUSY)
            if refusal.wait_s:
                await asyncio.sleep(min(refusal.wait_s, 60))
        except Exception:  # whatever broke one round must not end all later ones
            log.exception("telegram_round_broke")
        return False

    async def round(self) -> bool:
        """Ask once and have answered what has come; False if another process has the lease.

        Raises:
            PersistenceError, BotUnreachable, BotRefused: nothing is lost by it.
        """
        async with transaction(self._sessions) as session:
            updates = TelegramUpdates(session)
            if not await updates.lease(self._bot.bot_id, self._me):
                return False
            offset = await updates.offset(self._bot.bot_id)
        found = await self._bot.updates(offset, self._wait_s)
        numbers = [number for update in found if (number := update_id_of(update)) is not None]
        if not numbers:
            return not found  # what has no number would come again at once
        tasks = [task for update in found if (task := await self._begin(update)) is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=PATIENCE_S)
        async with transaction(self._sessions) as session:
            updates = TelegramUpdates(session)
            await updates.keep_offset(self._bot.bot_id, self._me, max(numbers) + 1)
            self._since_pruned += len(numbers)
            if self._since_pruned >= _PRUNED_EVERY:
                self._since_pruned = 0
                await updates.forget_old()
        return True

    async def _begin(self, update: object) -> "asyncio.Task[None] | None":
        number = update_id_of(update)
        if number is None or number in self._in_work:
            return self._in_work.get(number) if number is not None else None
        async with transaction(self._sessions) as session:
            taken = await TelegramUpdates(session).take(self._bot.bot_id, self._me, number)
        if taken in {Taken.DONE, Taken.NOT_OURS}:
            return None
        said = said_in(update)
        if said is None or not self._may(said):
            await self._done(number)
            return None
        task = asyncio.create_task(self._answer(said, interrupted=taken is Taken.AGAIN), name="answer to a chat")
        self._in_work[number] = task
        task.add_done_callback(lambda _: self._in_work.pop(number, None))
        return task

    def _may(self, said: Said) -> bool:
        if not said.is_private:
            return self._groups.pour("groups", 1) == 0
        budget = self._panics if is_urgent(said) else self._budgets
        return budget.pour(said.chat_id, 1) == 0

    async def _answer(self, said: Said, *, interrupted: bool) -> None:
        try:
            if is_urgent(said):
                reply = await self._commands.answer(said, interrupted=interrupted)
            else:
                async with self._places:
                    reply = await self._commands.answer(said, interrupted=interrupted)
            await self._tell(said, reply)
            await self._done(said.update_id)
        except PersistenceError as error:
            log.warning("telegram_not_answered", error=type(error).__name__)
            await self._tell(said, Reply("It may not be done: the service does not answer right now. Use the app."))
        except Exception:  # whatever broke one answer must not end all later ones
            log.exception("telegram_answer_broke")
            await self._tell(said, Reply("It may not be done: something is broken here. Use the app."))

    async def _tell(self, said: Said, reply: Reply | None) -> None:
        try:
            if said.pressed:
                await self._bot.call("answerCallbackQuery", callback_query_id=said.pressed)
            if reply is not None:
                await self._bot.say(said.chat_id, reply.text, *reply.buttons, private=reply.private)
        except (BotUnreachable, BotRefused) as error:
            log.warning("telegram_answer_not_sent", reason=str(error))

    async def _done(self, number: int) -> None:
        async with transaction(self._sessions) as session:
            await TelegramUpdates(session).done(self._bot.bot_id, number)

    async def _release(self) -> None:
        try:
            async with transaction(self._sessions) as session:
                await TelegramUpdates(session).release(self._bot.bot_id, self._me)
        except PersistenceError as error:
            log.info("telegram_lease_runs_out", error=type(error).__name__)

    @property
    def in_work(self) -> Sequence["asyncio.Task[None]"]:
        """Answers that are not done yet."""
        return list(self._in_work.values())
