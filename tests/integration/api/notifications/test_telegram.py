"""Chats of Telegram, over real HTTP to a stand-in of the Bot API: connecting, commands, and who may not (row N1)."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from config.settings import Settings
from persistence.database.engine import Sessions, transaction
from tests.integration.api_user import PASSWORD, ApiUser
from tests.integration.apps import at, serving
from tests.kit.fakes.strategy_engine import FakeEngine
from tests.kit.paper import PaperExchange
from tests.kit.telegram import BOT, TOKEN, TelegramServer, telegram_server

pytest_plugins = ["tests.integration.fixtures"]

INVITE = "/notifications/channels/telegram"
_CHATS = iter(range(5_000_001, 6_000_000))


@pytest.fixture
def telegram() -> Iterator[TelegramServer]:
    with telegram_server() as server:
        yield server


@pytest.fixture
def offering(settings: Settings, telegram: TelegramServer) -> Settings:
    """Settings with a bot."""
    return settings.model_copy(
        update={"telegram_bot_token": SecretStr(TOKEN), "telegram_api": telegram.root, "smtp_host": ""}
    )


@pytest.fixture
async def forgotten(sessions: Sessions) -> None:
    """No test meets the lease and the updates of another."""
    async with transaction(sessions) as session:
        for table in ("telegram_pollers", "telegram_updates"):
            await session.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - two names from here


@pytest.fixture
async def api(offering: Settings, engine: FakeEngine, forgotten: None) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(offering, engine) as client:
        yield client


@pytest.fixture
async def asha(api: httpx.AsyncClient, paper: PaperExchange) -> ApiUser:
    user = await ApiUser.register(api)
    user.paper = paper.control.new_account()
    assert (await user.connect()).status_code == 200
    return user


async def until(what: Callable[[], Any]) -> Any:
    """Wait for something to be so."""
    async with asyncio.timeout(30):
        while not (found := what()):  # noqa: ASYNC110 - no one says
            await asyncio.sleep(0.02)
    return found


def answers(telegram: TelegramServer, chat: int) -> list[str]:
    """What the bot has written to a chat, but for the notice that the chat was connected."""
    return [words for words in telegram.sent(chat) if not words.startswith("A chat of Telegram")]


async def said(telegram: TelegramServer, chat: int, words: str, **more: Any) -> str:
    """What the bot answers to a message."""
    before = len(answers(telegram, chat))
    telegram.write(chat, words, **more)
    await until(lambda: len(answers(telegram, chat)) > before)
    return answers(telegram, chat)[before]


async def code_of(user: ApiUser) -> str:
    """A code to connect with."""
    answer = await user.call("POST", INVITE)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["code"])


async def connected(user: ApiUser, telegram: TelegramServer) -> int:
    """A chat of the user's."""
    chat = next(_CHATS)
    assert "Connected" in await said(telegram, chat, f"/start {await code_of(user)}")
    return chat


async def channels(user: ApiUser) -> list[dict[str, Any]]:
    return list((await user.call("GET", "/notifications/channels")).json()["channels"])


async def inbox(user: ApiUser, kind: str) -> list[str]:
    found = (await user.call("GET", "/notifications")).json()["notifications"]
    return [notice["text"] for notice in found if notice["kind"] == kind]


async def actions(user: ApiUser) -> list[str]:
    return [line["action"] for line in (await user.call("GET", "/auth/activity")).json()["activity"]]


async def test_a_chat_connects_by_a_code_that_is_good_once(
    asha: ApiUser, telegram: TelegramServer, sessions: Sessions
) -> None:
    answer = (await asha.call("POST", INVITE)).json()
    link = urlsplit(answer["link"])
    assert (link.netloc, link.path, parse_qs(link.query)) == ("t.me", f"/{BOT}", {"start": [answer["code"]]})
    chat, other = next(_CHATS), next(_CHATS)
    assert "not connected" in await said(telegram, chat, "/status")
    assert "wrong" in await said(telegram, chat, "/start guessed")
    assert "Connected" in await said(telegram, chat, f"/start {answer['code']}")
    assert "used" in await said(telegram, other, f"/start {answer['code']}")
    (only,) = await channels(asha)
    assert (only["kind"], only["state"], only["hint"]) == ("telegram", "active", "@as***")
    assert ["@as***" in told for told in await inbox(asha, "security")] == [True]
    async with transaction(sessions) as session:
        rows = (await session.execute(text("SELECT address_box, hint FROM notification_channels"))).all()
        assert all(str(chat).encode() not in row.address_box for row in rows)
    assert {"telegram_code", "channel_added"} <= set(await actions(asha))


async def test_a_code_wants_a_fresh_password(asha: ApiUser, sessions: Sessions) -> None:
    async with transaction(sessions) as session:
        past = {"at": datetime.now(UTC) - timedelta(minutes=6)}
        await session.execute(text("UPDATE logins SET confirmed_at = :at"), past)
    answer = await asha.call("POST", INVITE)
    assert (answer.status_code, answer.json()["code"]) == (403, "password_needed")
    assert (await asha.call("POST", "/auth/confirm", password=PASSWORD)).status_code == 200
    assert (await asha.call("POST", INVITE)).status_code == 201


async def test_an_old_code_and_the_one_before_are_not_good(
    asha: ApiUser, telegram: TelegramServer, sessions: Sessions
) -> None:
    chat, first = next(_CHATS), await code_of(asha)
    second = await code_of(asha)
    assert "wrong" in await said(telegram, chat, f"/start {first}")
    async with transaction(sessions) as session:
        await session.execute(text("UPDATE telegram_codes SET expires_at = now()"))
    assert "wrong" in await said(telegram, chat, f"/start {second}")
    assert await channels(asha) == []


async def test_a_chat_is_one_users_and_no_strangers_link_takes_it(
    asha: ApiUser, api: httpx.AsyncClient, telegram: TelegramServer
) -> None:
    chat, ravi = await connected(asha, telegram), await ApiUser.register(api)
    code = await code_of(ravi)
    assert "belongs to another account" in await said(telegram, chat, f"/start {code}")
    assert (len(await channels(asha)), await channels(ravi)) == (1, [])
    assert "Disconnected" in await said(telegram, chat, "/disconnect")
    assert await channels(asha) == []
    assert "Connected" in await said(telegram, chat, f"/start {code}"), "the code was not used up"
    assert len(await channels(ravi)) == 1


async def test_groups_and_what_nobody_wrote_himself_are_refused(asha: ApiUser, telegram: TelegramServer) -> None:
    group, code = -next(_CHATS), await code_of(asha)
    assert "private" in await said(telegram, group, f"/start {code}", kind="group")
    assert "private" in await said(telegram, group, f"/start@{BOT} {code}", kind="supergroup")
    assert await channels(asha) == []
    chat = await connected(asha, telegram)
    before = len(answers(telegram, chat))
    telegram.write(chat, "/panic", forward_origin={"type": "user"})
    telegram.write(chat, "/panic", via_bot={"id": 9, "is_bot": True})
    telegram.press(chat, "panic 123456", person=99)
    odds: tuple[dict[str, Any], ...] = (
        {"message": "x"},
        {"message": {"chat": 1}},
        {"edited_message": {}},
        {"callback_query": {"id": 1}},
    )
    for odd in odds:
        telegram.add(odd)
    await until(lambda: telegram.left == [])
    assert "Nothing runs" in await said(telegram, chat, "/status")
    assert len(answers(telegram, chat)) == before + 1


async def test_status_and_stop_are_those_of_the_api(
    asha: ApiUser, api: httpx.AsyncClient, telegram: TelegramServer, engine: FakeEngine
) -> None:
    chat, strategy_id = await connected(asha, telegram), await asha.started()
    status = await said(telegram, chat, "/status")
    assert f"{strategy_id} INFY: none." in status
    assert (await actions(asha))[0] == "telegram_command", "each command leaves a line, also one that only asks"
    assert f"/stop {strategy_id} ends" in await said(telegram, chat, "/stop")
    assert engine.stop_timeouts == [], "/stop alone stops nothing"
    ravi = await ApiUser.register(api)
    foreign = await connected(ravi, telegram)
    assert "No such strategy" in await said(telegram, foreign, f"/stop {strategy_id}")
    assert engine.stop_timeouts == []
    assert f"STOP of {strategy_id}" in await said(telegram, chat, f"/stop {strategy_id}")
    assert len(engine.stop_timeouts) == 1
    assert {"telegram_command", "strategy_stop"} <= set(await actions(asha))
    assert "Nothing runs" in await said(telegram, chat, "/stop")


async def test_a_stop_that_is_still_selling_says_so(
    asha: ApiUser, telegram: TelegramServer, engine: FakeEngine
) -> None:
    chat, strategy_id = await connected(asha, telegram), await asha.started()
    engine.flat_on_stop = False
    assert "NOT sold yet" in await said(telegram, chat, f"/stop {strategy_id}")
    engine.up = False
    assert "may not be done" in await said(telegram, chat, f"/stop {strategy_id}")


async def test_a_panic_asks_back_and_a_word_is_good_once_and_for_a_minute(
    asha: ApiUser, telegram: TelegramServer, engine: FakeEngine, sessions: Sessions
) -> None:
    chat = await connected(asha, telegram)
    question = await said(telegram, chat, "/panic")
    assert engine.panicked == []
    (((button,),),) = [message["reply_markup"]["inline_keyboard"] for message in telegram.messages(chat)[-1:]]
    word = question.split()[-1]
    assert button["callback_data"] == f"panic {word}"
    async with transaction(sessions) as session:
        await session.execute(text("UPDATE telegram_confirmations SET expires_at = now()"))
    assert "nothing was done" in await said(telegram, chat, f"/panic {word}")
    word = (await said(telegram, chat, "/panic")).split()[-1]
    assert "nothing was done" in await said(telegram, chat, f"/panic {(int(word) + 1) % 10**6:06}")
    before = len(answers(telegram, chat))
    telegram.press(chat, f"panic {word}")
    await until(lambda: len(answers(telegram, chat)) > before)
    assert answers(telegram, chat)[-1].startswith("PANIC:")
    assert "answerCallbackQuery" in [method for method, _ in telegram.calls]
    called = len(engine.panicked)
    assert called >= 1
    assert "used" in await said(telegram, chat, f"/panic {word}")
    answer = await asha.call("POST", "/strategy/start", strategy_id=await asha.strategy())
    assert answer.json()["code"] == "entries_forbidden"
    assert {"telegram_command", "panic"} <= set(await actions(asha))


async def test_words_that_are_guessed_end_with_the_third(
    asha: ApiUser, telegram: TelegramServer, engine: FakeEngine
) -> None:
    chat = await connected(asha, telegram)
    word = (await said(telegram, chat, "/panic")).split()[-1]
    for guess in range(1, 4):
        await said(telegram, chat, f"/panic {(int(word) + guess) % 10**6:06}")
    assert "nothing was done" in await said(telegram, chat, f"/panic {word}")
    assert engine.panicked == []


async def test_a_command_that_comes_too_late_is_not_carried_out(
    asha: ApiUser, telegram: TelegramServer, engine: FakeEngine
) -> None:
    chat, strategy_id = await connected(asha, telegram), await asha.started()
    answer = await said(telegram, chat, f"/stop {strategy_id}", at=time.time() - 180)
    assert "too late" in answer
    assert engine.stop_timeouts == []


async def test_a_login_link_cannot_be_forwarded_and_opens_the_brokers_page(
    asha: ApiUser, api: httpx.AsyncClient, telegram: TelegramServer
) -> None:
    chat = await connected(asha, telegram)
    answer = await said(telegram, chat, "/login")
    message = telegram.messages(chat)[-1]
    assert (message["protect_content"], message["link_preview_options"]) == (True, {"is_disabled": True})
    found = re.search(r"http\S+", answer)
    assert found is not None
    address = urlsplit(found[0])
    opened = await api.get(f"{address.path}?{address.query}")
    assert opened.status_code in {302, 303, 307}
    assert "broker_login_link" in await actions(asha)


async def test_a_muted_chat_gets_only_what_money_may_depend_on(
    asha: ApiUser, telegram: TelegramServer, sessions: Sessions
) -> None:
    chat = await connected(asha, telegram)
    assert "only what money may depend on" in await said(telegram, chat, "/mute 2")
    async with transaction(sessions) as session:
        row = (
            await session.execute(
                text("SELECT muted_until - now() AS left FROM notification_channels ORDER BY id DESC")
            )
        ).first()
    assert row is not None
    assert timedelta(minutes=119) < row.left < timedelta(minutes=121)
    assert "All notices" in await said(telegram, chat, "/mute off")
    assert (await actions(asha)).count("telegram_command") == 2
    assert "/mute off" in await said(telegram, chat, "/mute forever")


async def test_a_test_reaches_the_chat_and_a_removed_chat_does_nothing_more(
    asha: ApiUser, telegram: TelegramServer
) -> None:
    chat = await connected(asha, telegram)
    (channel,) = await channels(asha)
    assert (await asha.call("POST", f"/notifications/channels/{channel['channel_id']}/test")).status_code == 202
    await until(lambda: "This is a test: notices reach you here." in telegram.sent(chat))
    removed = await asha.call("DELETE", f"/notifications/channels/{channel['channel_id']}")
    assert removed.status_code == 204, removed.text
    assert "not connected" in await said(telegram, chat, "/status")


async def test_without_a_bot_it_is_not_offered_and_without_telegram_it_says_so(
    client: httpx.AsyncClient, offering: Settings, engine: FakeEngine, forgotten: None
) -> None:
    user = await ApiUser.register(client)
    answer = await user.call("POST", INVITE)
    assert (answer.status_code, answer.json()["code"]) == (409, "channel_not_offered")
    async with serving(offering, engine, telegram_api="http://127.0.0.1:9") as other:
        answer = await at(user, other).call("POST", INVITE)
        assert (answer.status_code, answer.json()["code"]) == (503, "telegram_unavailable")
        assert TOKEN not in answer.text


async def test_two_processes_answer_each_command_once(
    asha: ApiUser, offering: Settings, telegram: TelegramServer, engine: FakeEngine
) -> None:
    async with serving(offering, engine):
        chat = await connected(asha, telegram)
        for number in range(5):
            telegram.write(chat, f"/mute {number + 1}")
        await until(lambda: len(answers(telegram, chat)) >= 6)
        await until(lambda: telegram.left == [])
        assert len(answers(telegram, chat)) == 6
        assert "Nothing runs" in await said(telegram, chat, "/status")


async def test_a_flood_is_answered_up_to_its_limit(asha: ApiUser, telegram: TelegramServer) -> None:
    chat = await connected(asha, telegram)
    for _ in range(60):
        telegram.write(chat, "/help")
    await until(lambda: telegram.left == [])
    assert len(answers(telegram, chat)) < 30
    assert "Sell everything" in await said(telegram, chat, "/panic"), "a panic has a limit of its own"


def test_a_token_that_is_none_stops_the_start_and_is_not_quoted() -> None:
    for wrong in ("nonsense", "12:short", f"{TOKEN}\n", f"x{TOKEN}"):
        with pytest.raises(ValueError, match="BotFather") as error:
            Settings(_env_file=None, telegram_bot_token=SecretStr(wrong))
        assert wrong.strip() not in str(error.value)
    with pytest.raises(ValueError, match="encrypted"):
        Settings(_env_file=None, telegram_api="http://api.telegram.example.com")
