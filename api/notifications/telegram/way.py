"""Notices to chats of Telegram."""

import re
import time
from collections.abc import Callable
from datetime import timedelta

import structlog

from api.notifications.sending.outcomes import Address, ChannelBlocked, ChannelGone, Message, NotSent, Refused
from api.notifications.telegram.bot_api import BotApi, BotRefused, BotUnreachable

log = structlog.stdlib.get_logger(__name__)

LONGEST_TEXT = 4096
"""How many characters a message has at most, counted as Telegram counts them: in units of UTF-16."""

_FORBIDDEN, _NOT_FOUND, _TOO_MANY, _FIRST_FAULT = 403, 404, 429, 500
_BLOCKED = ("bot was blocked by the user", "bot was kicked")
_UNAUTHORIZED = 401
_LONGEST_WAIT_S = 3600
_LIVE = re.compile(r"(?<![\w/:])([/@#$])(?=\w)")
_WORD_JOINER = "\u2060"


class TelegramWay:
    """Sends notices by the bot. When Telegram says that there were too many, none is sent before its time is over."""

    def __init__(self, bot: BotApi, clock: Callable[[], float] = time.monotonic) -> None:
        self.bot, self._clock = bot, clock
        self._held_until = 0.0

    async def send(self, address: Address, message: Message) -> None:
        left = self._held_until - self._clock()
        if left > 0:
            raise NotSent("Telegram wants a pause", timedelta(seconds=left), at_fault=False)
        try:
            await self.bot.say(int(address.value), plain(message.text), silent=message.silent)
        except BotUnreachable as error:
            raise NotSent(str(error), at_fault=False) from error
        except BotRefused as refusal:
            raise self._judged(refusal) from refusal

    def _judged(self, refusal: BotRefused) -> Exception:
        """What a refusal means. Of the many that are 403 only some are the user's word: others pass."""
        said = refusal.description.lower()
        if refusal.status == _TOO_MANY:
            wait_s = min(max(refusal.wait_s or 1, 1), _LONGEST_WAIT_S)
            self._held_until = self._clock() + wait_s
            return NotSent("Telegram wants a pause", timedelta(seconds=wait_s), at_fault=False)
        if refusal.status == _FORBIDDEN and any(words in said for words in _BLOCKED):
            return ChannelBlocked("the bot is blocked there")
        if refusal.status == _FORBIDDEN and "user is deactivated" in said:
            return ChannelGone()
        log.warning("telegram_not_sent", status=refusal.status)
        if refusal.status in {_UNAUTHORIZED, _NOT_FOUND}:  # the token: the operator may mend it
            return NotSent("Telegram does not know the bot", at_fault=False)
        if refusal.status == _FORBIDDEN or refusal.status >= _FIRST_FAULT:
            return NotSent(f"Telegram answers {refusal.status}")
        return Refused(f"Telegram answers {refusal.status}")


def plain(text: str) -> str:
    """A text as a chat may have it: nothing in it is a command, a name or a mark, and it is not too long.

    A message is sent without mark-up, but Telegram's programs still make what looks like `/panic` or `@name` something
    to press. Texts come from brokers, too.
    """
    shown = "".join(letter if letter.isprintable() or letter == "\n" else " " for letter in text)
    shown = _LIVE.sub(rf"\1{_WORD_JOINER}", shown)
    return shown if _units(shown) <= LONGEST_TEXT else _cut(shown)


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", errors="replace")) // 2


def _cut(text: str) -> str:
    units = text.encode("utf-16-le", errors="replace")[: 2 * (LONGEST_TEXT - 1)]
    return units.decode("utf-16-le", errors="ignore") + "…"
