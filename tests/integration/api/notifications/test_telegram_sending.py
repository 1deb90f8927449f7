"""Notices to chats: what Telegram's refusals come to, and what a text may not become there (row N1)."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import select
from sqlmodel import col

from actors.domain.notices.notice import NoticeKind
from api.notifications.telegram.bot_api import BotApi
from api.notifications.telegram.way import TelegramWay
from persistence.database.engine import Sessions, transaction
from persistence.database.models.notifications import Notification, NotificationChannel
from persistence.notifications.channels import Channels
from tests.integration.api.notifications.test_sender import channel_of, mailer, make_due, own, say, sender, states
from tests.kit.mail_server import mail_server
from tests.kit.telegram import TOKEN, TelegramServer, telegram_server

__all__ = ["own"]
pytest_plugins = ["tests.integration.fixtures"]

CHAT = 8_001


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def telegram() -> Iterator[TelegramServer]:
    with telegram_server() as server:
        server.write(CHAT, "hello")
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def way(telegram: TelegramServer, clock: Clock) -> AsyncIterator[TelegramWay]:
    bot = BotApi(SecretStr(TOKEN), telegram.root)
    yield TelegramWay(bot, clock)
    await bot.aclose()


async def chat_of(sessions: Sessions, chat: int = CHAT) -> NotificationChannel:
    return await channel_of(sessions, "telegram", value=str(chat))


async def state(sessions: Sessions, channel: NotificationChannel) -> tuple[str, str | None]:
    async with transaction(sessions) as session:
        stored = await Channels(session).get(channel.user_id, channel.id)
        assert stored is not None
        return stored.state, stored.last_failure


async def told(sessions: Sessions, user_id: int) -> list[str]:
    async with transaction(sessions) as session:
        mine = (col(Notification.user_id) == user_id, col(Notification.kind) == "security")
        return [row.text for row in await session.scalars(select(Notification).where(*mine))]


async def test_a_notice_is_sent_as_text_and_nothing_in_it_can_be_pressed(
    own: Sessions, telegram: TelegramServer, way: TelegramWay
) -> None:
    channel = await chat_of(own)
    hostile = (
        "NOT bought: <b>INFY</b> [x](http://evil). /panic @admin *bold* `code` #tag $INFY\u202e https://a.example/b/c"
    )
    await say(own, channel.user_id, text=hostile, brief=hostile)
    await sender(own, telegram=way).step()
    (message,) = telegram.messages(CHAT)
    assert "parse_mode" not in message
    assert message["text"] == (
        "NOT bought: <b>INFY</\u2060b> [x](http://evil). /\u2060panic @\u2060admin *bold* `code` #\u2060tag "
        "$\u2060INFY  https://a.example/b/c"
    )
    assert message["link_preview_options"] == {"is_disabled": True}
    assert await states(own) == [("sent", 1, None)]


async def test_a_text_is_no_longer_than_telegram_takes(
    own: Sessions, telegram: TelegramServer, way: TelegramWay
) -> None:
    channel = await chat_of(own)
    await say(own, channel.user_id, text="😀" * 1000, brief="😀" * 1000)
    await sender(own, telegram=way).step()
    assert await states(own) == [("sent", 1, None)]
    await way.send(_address(), _message("😀" * 3000))
    assert telegram.sent(CHAT)[-1].endswith("😀…")


async def test_a_bot_that_is_blocked_fails_the_channel_and_another_channel_says_so(
    own: Sessions, telegram: TelegramServer, way: TelegramWay
) -> None:
    channel = await chat_of(own)
    telegram.blocked.add(CHAT)
    with mail_server() as mails:
        async with transaction(own) as session:
            await Channels(session).put(channel.user_id, await _mail_values(own, channel))
        one = sender(own, telegram=way, email=mailer(mails))
        await say(own, channel.user_id)
        await say(own, channel.user_id)
        for _ in range(3):
            await one.step()
        assert await state(own, channel) == ("failed", "the bot is blocked there")
        assert len(await told(own, channel.user_id)) == 1, "it is said once"
        subjects = [mail["Subject"] for _, mail in mails.mails]
    assert sum("Notices do not reach you" in subject for subject in subjects) == 1


async def test_other_refusals_to_a_user_pass(own: Sessions, telegram: TelegramServer, way: TelegramWay) -> None:
    """Telegram says 403 to all for minutes now and then: no user has blocked the bot by that."""
    channel = await chat_of(own)
    telegram.refusals = [(403, "Forbidden: bot can't send messages to the user", {})]
    await say(own, channel.user_id)
    await sender(own, telegram=way).step()
    assert (await state(own, channel))[0] == "active"
    await make_due(own)
    await sender(own, telegram=way).step()
    assert await states(own) == [("sent", 2, None)]


async def test_a_deleted_account_of_telegram_is_forgotten(
    own: Sessions, telegram: TelegramServer, way: TelegramWay
) -> None:
    channel = await chat_of(own)
    telegram.refusals = [(403, "Forbidden: user is deactivated", {})]
    await say(own, channel.user_id)
    await sender(own, telegram=way).step()
    async with transaction(own) as session:
        assert await Channels(session).of_user(channel.user_id) == []


async def test_a_pause_that_telegram_wants_holds_all_chats_and_counts_against_none(
    own: Sessions, telegram: TelegramServer, way: TelegramWay, clock: Clock
) -> None:
    first, second = await chat_of(own), await chat_of(own, CHAT + 1)
    telegram.write(CHAT + 1, "hello")
    telegram.refusals = [(429, "Too Many Requests: retry after 35", {"retry_after": 35})]
    await say(own, first.user_id)
    one = sender(own, telegram=way)
    await one.step()
    await say(own, second.user_id)
    await make_due(own)
    calls = len(telegram.calls)
    await one.step()
    assert len(telegram.calls) == calls, "nothing is sent before its time is over"
    for channel in (first, second):
        async with transaction(own) as session:
            stored = await Channels(session).get(channel.user_id, channel.id)
            assert stored is not None
            assert stored.failures == 0
    clock.seconds += 36
    await make_due(own)
    await one.step()
    assert [outcome for outcome, _, _ in await states(own)] == ["sent", "sent"]


async def test_a_telegram_that_is_away_counts_against_no_chat(own: Sessions) -> None:
    channel = await chat_of(own)
    await say(own, channel.user_id)
    for root, token in (("http://127.0.0.1:9", TOKEN), ("http://127.0.0.1:9", f"1{TOKEN}")):
        bot = BotApi(SecretStr(token), root)
        await make_due(own)
        await sender(own, telegram=TelegramWay(bot)).step()
        await bot.aclose()
    ((outcome, attempts, _),) = await states(own)
    assert (outcome, attempts) == (None, 2)
    async with transaction(own) as session:
        stored = await Channels(session).get(channel.user_id, channel.id)
        assert stored is not None
        assert stored.failures == 0


async def test_a_muted_chat_gets_only_what_money_may_depend_on(
    own: Sessions, telegram: TelegramServer, way: TelegramWay
) -> None:
    channel = await chat_of(own)
    async with transaction(own) as session:
        from persistence.notifications.deliveries import database_now

        until = await database_now(session) + timedelta(hours=1)
        await Channels(session).mute(channel.user_id, channel.id, until)
    await say(own, channel.user_id, NoticeKind.TEST, text="small")
    await say(own, channel.user_id, NoticeKind.EXIT_TROUBLE, text="large")
    await sender(own, telegram=way).step()
    assert telegram.sent(CHAT) == ["large"]


def _address() -> Any:
    from api.notifications.sending.outcomes import Address

    return Address(str(CHAT))


def _message(text: str) -> Any:
    from api.notifications.sending.outcomes import Message

    return Message("name", text)


async def _mail_values(sessions: Sessions, channel: NotificationChannel) -> dict[str, Any]:
    mail = await channel_of(sessions)
    from api.notifications.sending.addresses import seal, unseal
    from tests.integration.api.notifications.test_sender import BOX

    sealed = seal(BOX, channel.user_id, unseal(BOX, mail))
    return {
        "kind": "email", "hint": "x", "address_box": sealed.box, "key_version": sealed.key_version,
        "address_hash": mail.address_hash, "state": "active", "verified_at": mail.verified_at,
    }  # fmt: skip
