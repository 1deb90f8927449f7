"""What a chat may ask for, and what is answered. The service that the same call of the API uses does each command.

Nothing is done for a chat that is not one person's, nor for one that no user has connected.
"""

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from actors.domain.notices.notice import without_amounts
from api.base.answers.translations import TRANSLATIONS
from api.base.errors import ApiError
from api.brokers.browser_logins import LoginLink
from api.notifications.sending.preferences import preferences_of
from api.notifications.telegram import words
from api.notifications.telegram.bot_api import Button
from api.notifications.telegram.connecting import ADDRESS, ChatConnections, Connected, code_hash
from api.notifications.telegram.updates import Said
from api.strategies.panic.schemas import PanicTaken
from api.strategies.schemas import StrategyStatus
from persistence.database.engine import Sessions, tenant_transaction
from persistence.database.models.notifications import NotificationChannel
from persistence.database.models.strategies import Strategy
from persistence.database.repositories.audit import AuditLog
from persistence.database.repositories.notifications import Notifications
from persistence.database.repositories.strategies import Strategies
from persistence.mirror.fields import instrument_of
from persistence.notifications.channels import Channels
from persistence.notifications.telegram import TelegramCodes

log = structlog.stdlib.get_logger(__name__)

TOO_OLD = timedelta(minutes=2)
"""How old a command may be that does something. Telegram keeps for a day what was sent and not asked for."""

MOST_SHOWN = 20
"""How many strategies `/status` and `/stop` name."""

USUAL_MUTE_H, LONGEST_MUTE_H = 4, 24
"""How many hours `/mute` lasts, if none are given, and at most."""

_LOOKUPS = 4
_WORD_DIGITS = 6
_COMMAND = re.compile(r"/([a-z]+)(?:@\w+)?(?:\s+(.*))?", re.IGNORECASE | re.DOTALL)
_PANIC_BUTTON = "panic "


class Stops(Protocol):
    """`api.strategies.start_and_stop.LifecycleService`, as far as a chat uses it."""

    async def stop(self, user_id: int, strategy_id: int) -> tuple[StrategyStatus, bool]: ...

    async def status(self, user_id: int, strategy_id: int) -> StrategyStatus: ...


class Panics(Protocol):
    """`api.strategies.panic.service.PanicService`, as far as a chat uses it."""

    async def panic(self, user_id: int) -> PanicTaken: ...


class Links(Protocol):
    """`api.brokers.browser_logins.BrowserLogins`, as far as a chat uses it."""

    async def ask_for_link(self, user_id: int, address: str) -> LoginLink: ...


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to a chat. `private`: it cannot be forwarded."""

    text: str
    buttons: Sequence[Button] = ()
    private: bool = False


@dataclass(frozen=True, slots=True)
class _Asked:
    channel: NotificationChannel
    argument: str
    update_id: int
    is_button: bool = False


class Commands:
    """Answers chats."""

    def __init__(
        self,
        sessions: Sessions,
        connections: ChatConnections,
        stops: Stops,
        panics: Panics,
        links: Links,
        now: Callable[[], datetime],
    ) -> None:
        self._sessions, self._connections, self._now = sessions, connections, now
        self._stops, self._panics, self._links = stops, panics, links
        self._lookups = asyncio.Semaphore(_LOOKUPS)  # strangers use up no connections that users need
        self._known: Mapping[str, Callable[[_Asked], Awaitable[Reply]]] = {
            "status": self._status,
            "stop": self._stop,
            "panic": self._panic,
            "login": self._login,
            "mute": self._mute,
            "disconnect": self._disconnect,
        }

    async def answer(self, said: Said, *, interrupted: bool = False) -> Reply | None:
        """Do what a chat asks for, and say what came of it; None: nothing is to be said.

        `interrupted`: a process has taken this before, and it is not known what it did. Only a panic is called once
        more, which is the same panic then.
        """
        if not said.is_private:
            return Reply(words.GROUP) if said.text.startswith("/") else None
        async with self._lookups:
            channel = await self._connections.channel_of(said.chat_id)
        command, argument = _read(said)
        if command == "start" and argument:
            outcome = await self._connections.connect(said, argument)
            if outcome is Connected.BAD_CODE and interrupted and channel is not None:
                outcome = Connected.BEFORE
            return Reply(words.CONNECTED[outcome])
        if channel is None:
            return Reply(words.STRANGER)
        if channel.state == "failed":  # who writes does not block
            await self._connections.revive(channel)
        if interrupted and not (command == "panic" and argument):
            return Reply(words.INTERRUPTED)
        if said.at is not None and command != "status" and self._now() - said.at > TOO_OLD:
            return Reply(words.too_late(said.at))
        return await self._done(command, _Asked(channel, argument, said.update_id, bool(said.pressed)))

    async def _done(self, command: str, asked: _Asked) -> Reply:
        try:
            return await self._known.get(command, self._hello)(asked)
        except ApiError as error:
            return Reply(f"Not done: {words.said(error.detail)}")
        except tuple(TRANSLATIONS) as error:
            sentence = TRANSLATIONS.get(type(error), (0, "", None))[2] or str(error)
            log.warning("telegram_command_failed", command=command, error=type(error).__name__)
            return Reply(
                f"It may not be done: {words.said(sentence)} If it is urgent, use the app or your broker's app."
            )

    async def _hello(self, _asked: _Asked) -> Reply:
        return Reply(words.HELP)

    async def _disconnect(self, asked: _Asked) -> Reply:
        await self._connections.disconnect(asked.channel)
        return Reply(words.DISCONNECTED)

    async def _status(self, asked: _Asked) -> Reply:
        user_id = asked.channel.user_id
        await self._audit(asked, "status")
        running, amounts = await self._running(user_id)
        lines = []
        for strategy in running:
            status = await self._stops.status(user_id, strategy.id)
            lines.append(words.status_line(strategy.id, _name(strategy), status.position, status.message))
        text = words.status(lines, capped=len(running) == MOST_SHOWN)
        return Reply(text if amounts else without_amounts(text))

    async def _running(self, user_id: int) -> tuple[Sequence[Strategy], bool]:
        async with tenant_transaction(self._sessions, user_id) as session:
            running = [s for s in await Strategies(session).watched(user_id, 0) if s.status in {"running", "paused"}]
            amounts = preferences_of(await Notifications(session).preferences(user_id)).amounts
        return running[:MOST_SHOWN], amounts

    async def _stop(self, asked: _Asked) -> Reply:
        number = asked.argument.removeprefix("#")
        user_id = asked.channel.user_id
        if not (number.isascii() and number.isdecimal() and len(number) < 19):
            running, _ = await self._running(user_id)
            return Reply(words.which_to_stop([(strategy.id, _name(strategy)) for strategy in running]))
        await self._audit(asked, "stop", strategy_id=number)
        status, flat = await self._stops.stop(user_id, int(number))
        return Reply(without_amounts(words.stopped(status.strategy_id, status.message, flat=flat)))

    async def _panic(self, asked: _Asked) -> Reply:
        channel, word = asked.channel, asked.argument
        if not word:
            word = f"{secrets.randbelow(10**_WORD_DIGITS):0{_WORD_DIGITS}}"
            async with tenant_transaction(self._sessions, channel.user_id) as session:
                await TelegramCodes(session).ask(channel.user_id, channel.id, code_hash(f"{channel.id} {word}"))
            return Reply(words.sure(word), [Button(words.YES, f"{_PANIC_BUTTON}{word}")])
        async with tenant_transaction(self._sessions, channel.user_id) as session:
            right = await TelegramCodes(session).confirm(
                channel.user_id, channel.id, code_hash(f"{channel.id} {word}"), asked.update_id
            )
        if not right:
            return Reply(words.NOT_CONFIRMED)
        await self._audit(asked, "panic", by="button" if asked.is_button else "word")
        taken = await self._panics.panic(channel.user_id)
        return Reply(words.panic_taken(len(taken.stopping), taken.warnings))

    async def _login(self, asked: _Asked) -> Reply:
        link = await self._links.ask_for_link(asked.channel.user_id, ADDRESS)
        return Reply(words.login(link.url), private=True)

    async def _mute(self, asked: _Asked) -> Reply:
        channel, hours = asked.channel, asked.argument.lower()
        if hours in {"off", "0"}:
            until = None
        elif not hours or (hours.isascii() and hours.isdecimal() and len(hours) < 3):
            until = self._now() + timedelta(hours=min(int(hours or USUAL_MUTE_H), LONGEST_MUTE_H))
        else:
            return Reply(words.MUTE_HELP)
        await self._audit(asked, "mute", until="off" if until is None else until.isoformat())
        async with tenant_transaction(self._sessions, channel.user_id) as session:
            await Channels(session).mute(channel.user_id, channel.id, until)
        return Reply(words.muted(until))

    async def _audit(self, asked: _Asked, command: str, **detail: str) -> None:
        """That it was this chat. What it comes to, the service writes down as it does for the API."""
        user_id = asked.channel.user_id
        async with tenant_transaction(self._sessions, user_id) as session:
            await AuditLog(session).add(
                "telegram_command", user_id=user_id, subject=str(asked.channel.id), address=ADDRESS,
                command=command, **detail,
            )  # fmt: skip


def is_urgent(said: Said) -> bool:
    """Whether it ends positions: such a command waits for no other."""
    return said.is_private and _read(said)[0] in {"panic", "stop"}


def _read(said: Said) -> tuple[str, str]:
    """Command and argument; a button says `panic` and a word."""
    if said.pressed:
        name, _, word = said.text.partition(" ")
        return (name, word) if name == "panic" and word else ("", "")
    found = _COMMAND.fullmatch(said.text)
    return (found[1].lower(), (found[2] or "").strip()) if found else ("", "")


def _name(strategy: Strategy) -> str:
    return instrument_of(strategy).symbol
