"""How a chat becomes a channel of a user: by a code that the user gets here and sends there, once.

A chat can stop strategies and sell all that they hold. So a code wants the password of the last five minutes, as it is
what a thief of an access token would ask for; and a notice on every channel says when a chat was connected.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from hashlib import sha256

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncSession

from actors.domain.notices.notice import Notice, NoticeKind
from api.base.errors import ApiError
from api.notifications.sending.addresses import hash_of, seal
from api.notifications.sending.outcomes import NOT_OFFERED, Address
from api.notifications.telegram.bot_api import BotApi, BotRefused, BotUnreachable
from api.notifications.telegram.updates import Said
from api.users.dependencies import HasRecentPassword
from persistence.database.engine import Sessions, tenant_transaction, transaction
from persistence.database.models.notifications import NotificationChannel
from persistence.database.repositories.audit import AuditLog
from persistence.database.repositories.brokers import BrokerAccounts
from persistence.database.repositories.notifications import tell
from persistence.database.repositories.users import Users
from persistence.errors import ConstraintViolated
from persistence.login_throttle import LoginThrottle, ThrottleLimits
from persistence.notifications.channels import MOST_OF_A_USER, Channels
from persistence.notifications.telegram import CODE_LASTS, TelegramCodes
from persistence.secrets.encryption import SecretBox

_CODES_AN_HOUR = 10
_CODE_BYTES = 18
ADDRESS = "telegram"
"""What stands in the audit log in place of a network address."""


class Connected(Enum):
    """What has come of a code that a chat has sent."""

    NEW = "new"
    BEFORE = "before"
    """It was this user's already."""
    ANOTHERS = "anothers"
    """The chat is another user's. The code is still good."""
    BAD_CODE = "bad_code"
    TOO_MANY = "too_many"
    """The user has as many channels as there may be. The code is still good."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """What connects a chat until `expires_at`: the link that opens it, or the code that is sent there."""

    link: str = field(repr=False)
    code: str = field(repr=False)
    expires_at: datetime


class _Undone(Exception):
    def __init__(self, outcome: Connected) -> None:
        super().__init__(outcome)
        self.outcome = outcome


class ChatConnections:
    """Gives codes to users, and connects the chats that send them. `bot` None: there is none."""

    def __init__(
        self, sessions: Sessions, box: SecretBox, bot: BotApi | None, redis: Redis, now: Callable[[], datetime]
    ) -> None:
        self._sessions, self._box, self._bot, self._now = sessions, box, bot, now
        self._throttle = LoginThrottle(redis, ThrottleLimits(per_pair=_CODES_AN_HOUR, windows_s=(3600,)))

    async def invite(self, user_id: int, has_recent_password: HasRecentPassword, client_address: str) -> Invitation:
        """A code for the user, in place of an earlier one.

        Raises:
            ApiError: 403 `password_needed`; 409 `channel_not_offered`; 429 `too_many_attempts`; 503
                `telegram_unavailable`.
        """
        if self._bot is None:
            raise ApiError(409, "channel_not_offered", NOT_OFFERED)
        if not await has_recent_password():
            asked = "Please give your password again (POST /auth/confirm), then connect: a chat can stop and sell"
            raise ApiError(403, "password_needed", asked)
        refusal = await self._throttle.attempt(f"telegram-code:{user_id}", "", known=True)
        if refusal is not None:
            headers = {"Retry-After": str(refusal.wait_s)}
            raise ApiError(429, "too_many_attempts", "Too many attempts. Please wait a little.", headers)
        try:
            name = await self._bot.name()
        except (BotUnreachable, BotRefused) as error:
            sentence = "Telegram does not answer right now. Please try again."
            raise ApiError(503, "telegram_unavailable", sentence) from error
        code = secrets.token_urlsafe(_CODE_BYTES)
        async with tenant_transaction(self._sessions, user_id) as session:
            await TelegramCodes(session).put(user_id, code_hash(code))
            await AuditLog(session).add("telegram_code", user_id=user_id, address=client_address)
        return Invitation(f"https://t.me/{name}?start={code}", code, self._now() + CODE_LASTS)

    async def channel_of(self, chat_id: int) -> NotificationChannel | None:
        """The channel of a chat that is connected."""
        async with transaction(self._sessions) as session:
            return await Channels(session).of_chat(hash_of(str(chat_id)))

    async def connect(self, said: Said, code: str) -> Connected:
        """Connect a chat by a code. A chat of another user stays his until he disconnects it: a user who presses a
        stranger's link loses no notices by it."""
        try:
            async with transaction(self._sessions) as session:
                return await self._connect(session, said, code)
        except _Undone as undone:
            return undone.outcome
        except ConstraintViolated:  # another code has connected the chat in this moment
            return Connected.ANOTHERS

    async def _connect(self, session: AsyncSession, said: Said, code: str) -> Connected:
        user_id = await TelegramCodes(session).use(code_hash(code))
        if user_id is None or await Users(session).lock_live(user_id) is None:
            return Connected.BAD_CODE
        channels, known = Channels(session), hash_of(str(said.chat_id))
        before = await channels.of_chat(known)
        if before is not None and before.user_id != user_id:
            raise _Undone(Connected.ANOTHERS)
        await BrokerAccounts(session).keep_keys()
        self._box.refresh()
        sealed = seal(self._box, user_id, Address(str(said.chat_id)))
        values = {
            "kind": "telegram", "address_hash": known, "hint": hint_of(said.username),
            "address_box": sealed.box, "key_version": sealed.key_version, "failures": 0, "last_failure": None,
            "code_hash": None, "code_expires_at": None, "state": "active", "verified_at": self._now(),
            "muted_until": None,
        }  # fmt: skip
        channel = await channels.put(user_id, values)
        if await channels.count(user_id) > MOST_OF_A_USER:
            raise _Undone(Connected.TOO_MANY)
        if before is not None:
            return Connected.BEFORE
        await AuditLog(session).add("channel_added", user_id=user_id, subject="telegram", address=ADDRESS)
        text = (
            f"A chat of Telegram ({channel.hint}) was connected: it gets your notices and can stop and sell. "
            "If it is not yours, remove it in the app and change your password."
        )
        key = f"channel:{channel.id}:connected:{code_hash(code).hex()[:16]}"
        await tell(session, user_id, Notice(kind=NoticeKind.SECURITY, key=key, text=text, at=self._now()))
        return Connected.NEW

    async def revive(self, channel: NotificationChannel) -> None:
        """The user speaks to the bot again: what was blocked is blocked no longer."""
        async with tenant_transaction(self._sessions, channel.user_id) as session:
            await Channels(session).revive(channel.user_id, channel.id)

    async def disconnect(self, channel: NotificationChannel) -> None:
        """Send nothing to a chat any more, and do nothing for it."""
        user_id = channel.user_id
        async with tenant_transaction(self._sessions, user_id) as session:
            await Channels(session).remove(user_id, channel.id)
            await AuditLog(session).add("channel_removed", user_id=user_id, subject=str(channel.id), address=ADDRESS)


def code_hash(code: str) -> bytes:
    """What the database knows a code or a word by."""
    return sha256(b"tradeactors telegram code" + code.encode(errors="replace")).digest()


def hint_of(username: str) -> str:
    """What a user knows a chat by: @as***."""
    return f"@{username[:2]}***" if username.replace("_", "").isalnum() and username.isascii() else "private chat"
