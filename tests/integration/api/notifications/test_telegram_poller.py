"""The poller on a real database: one process asks, each update once, whatever dies, comes twice or is slow (row N1)."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from api.base.errors import ApiError
from api.brokers.browser_logins import LoginLink
from api.notifications.sending.addresses import unseal
from api.notifications.telegram.bot_api import BotApi, BotRefused, BotUnreachable
from api.notifications.telegram.commands import Commands
from api.notifications.telegram.connecting import ChatConnections, Connected, code_hash
from api.notifications.telegram.poller import TelegramPoller
from api.notifications.telegram.updates import Said
from api.strategies.panic.schemas import PanicTaken
from api.strategies.schemas import StrategyStatus
from persistence.database.engine import Sessions, transaction
from persistence.mirror.mirror import open_redis
from persistence.notifications.telegram import TelegramCodes
from persistence.secrets.encryption import SecretBox, generate_key
from tests.integration.persistence.database.new_database import migrated_database
from tests.integration.rows import new_user
from tests.kit.telegram import TOKEN, TelegramServer, telegram_server

pytest_plugins = ["tests.integration.fixtures"]

BOX = SecretBox.from_texts([generate_key()])
CHAT = 9_001


@dataclass
class Services:
    """What chats command, remembered. `going_on`: a STOP or a panic waits for it."""

    stopped: list[int] = field(default_factory=list)
    panicked: list[int] = field(default_factory=list)
    going_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def stop(self, _user_id: int, strategy_id: int) -> tuple[StrategyStatus, bool]:
        """Waits, then refuses: what a stopped strategy looks like is another test's."""
        self.stopped.append(strategy_id)
        await self.going_on.wait()
        raise ApiError(404, "strategy_not_found", "No such strategy")

    async def status(self, user_id: int, strategy_id: int) -> StrategyStatus:
        """None runs."""
        raise AssertionError((user_id, strategy_id))

    async def panic(self, user_id: int) -> PanicTaken:
        """Taken, once it may go on."""
        self.panicked.append(user_id)
        await self.going_on.wait()
        return PanicTaken(panic_id=uuid.uuid4(), entries_forbidden=True, stopping=[], warnings=[])

    async def ask_for_link(self, user_id: int, address: str) -> LoginLink:
        """None is asked for here."""
        raise AssertionError((user_id, address))


@pytest.fixture
def telegram() -> Iterator[TelegramServer]:
    with telegram_server() as server:
        yield server


@pytest.fixture
async def own(postgres_url: str) -> AsyncIterator[Sessions]:
    async with migrated_database(postgres_url) as sessions:
        yield sessions


@pytest.fixture
def services() -> Services:
    return Services()


@pytest.fixture
async def bot(telegram: TelegramServer) -> AsyncIterator[BotApi]:
    one = BotApi(SecretStr(TOKEN), telegram.root)
    yield one
    await one.aclose()


@pytest.fixture
async def connections(own: Sessions, bot: BotApi, redis_url: str) -> AsyncIterator[ChatConnections]:
    redis = open_redis(redis_url)
    yield ChatConnections(own, BOX, bot, redis, lambda: datetime.now(UTC))
    await redis.aclose()


@pytest.fixture
def process(
    own: Sessions, bot: BotApi, connections: ChatConnections, services: Services
) -> Callable[[], TelegramPoller]:
    """Another process that wants to ask."""

    def new() -> TelegramPoller:
        commands = Commands(own, connections, services, services, services, lambda: datetime.now(UTC))
        return TelegramPoller(own, bot, commands, wait_s=0, every_s=0.05)

    return new


async def code_for(sessions: Sessions, user_id: int, code: str) -> None:
    async with transaction(sessions) as session:
        await TelegramCodes(session).put(user_id, code_hash(code))


@pytest.fixture
async def user_id(own: Sessions, connections: ChatConnections) -> int:
    """A user whose chat is CHAT."""
    user = await new_user(own)
    await code_for(own, user.id, "c")
    said = Said(update_id=1, chat_id=CHAT, is_private=True, text="/start c")
    assert await connections.connect(said, "c") is Connected.NEW
    return user.id


async def sql(sessions: Sessions, statement: str) -> None:
    async with transaction(sessions) as session:
        await session.execute(text(statement))


async def test_one_of_many_asks_and_the_next_takes_over_when_the_lease_ends(
    own: Sessions, telegram: TelegramServer, process: Callable[[], TelegramPoller]
) -> None:
    first, *others = [process() for _ in range(4)]
    assert await first.round()
    assert [await other.round() for other in others] == [False] * 3
    assert await first.round(), "its own lease it makes longer"
    assert len(telegram.offsets) == 2
    await sql(own, "UPDATE telegram_pollers SET leased_until = now()")
    assert await others[0].round()
    assert not await first.round()


async def test_many_at_once_are_one(telegram: TelegramServer, process: Callable[[], TelegramPoller]) -> None:
    answers = await asyncio.gather(*(process().round() for _ in range(6)))
    assert sorted(answers) == [False] * 5 + [True]
    assert len(telegram.offsets) == 1


async def test_a_process_that_ends_lets_another_ask_at_once(
    telegram: TelegramServer, process: Callable[[], TelegramPoller]
) -> None:
    running = asyncio.create_task(process().run())
    async with asyncio.timeout(20):
        while not telegram.offsets:  # noqa: ASYNC110 - the server is in another thread
            await asyncio.sleep(0.02)
        while True:
            running.cancel()
            if (await asyncio.wait([running], timeout=0.5))[0]:
                break
    assert await process().round()


async def answered(one: TelegramPoller) -> None:
    """Ask once, and wait until all is answered."""
    assert await one.round()
    await asyncio.gather(*one.in_work)


async def until(what: Callable[[], bool]) -> None:
    """Wait for something to be so."""
    async with asyncio.timeout(60):
        while not what():  # noqa: ASYNC110 - the server is in another thread
            await asyncio.sleep(0.02)


async def test_the_offset_is_kept_and_an_update_that_comes_again_is_not_answered_again(
    own: Sessions, telegram: TelegramServer, process: Callable[[], TelegramPoller], user_id: int
) -> None:
    one = process()
    number = telegram.write(CHAT, "/status")
    await answered(one)
    await answered(one)
    assert telegram.offsets == [None, number + 1]
    assert telegram.sent(CHAT) == ["Nothing runs."]
    telegram.add({"update_id": number + 1, "message": None})
    telegram.write(CHAT, "/status", at=None)
    await sql(own, "UPDATE telegram_pollers SET next_update_id = NULL")
    telegram.add({"update_id": number, **_message("/status")})
    await answered(one)
    assert telegram.sent(CHAT) == ["Nothing runs."] * 2, "the one that was done is not done again"


async def test_after_a_week_of_silence_numbers_may_be_lower(
    own: Sessions, telegram: TelegramServer, process: Callable[[], TelegramPoller], user_id: int
) -> None:
    one = process()
    telegram.write(CHAT, "/status")
    await answered(one)
    await sql(own, "UPDATE telegram_pollers SET heard_at = now() - interval '8 days'")
    telegram.add({"update_id": 12, **_message("/status")})
    await answered(one)
    assert telegram.sent(CHAT) == ["Nothing runs."] * 2


async def test_a_command_of_a_process_that_died_is_asked_for_again_and_not_repeated(
    own: Sessions, telegram: TelegramServer, process: Callable[[], TelegramPoller], user_id: int, services: Services
) -> None:
    number = telegram.write(CHAT, "/stop 5")
    bot_id = int(TOKEN.partition(":")[0])
    await sql(own, f"INSERT INTO telegram_updates (bot_id, update_id) VALUES ({bot_id}, {number})")  # noqa: S608
    await answered(process())
    assert services.stopped == []
    assert [answer.startswith("The answer to your command was lost") for answer in telegram.sent(CHAT)] == [True]


async def test_a_confirmed_panic_of_a_process_that_died_is_carried_out(
    own: Sessions, telegram: TelegramServer, process: Callable[[], TelegramPoller], user_id: int, services: Services
) -> None:
    services.going_on.set()
    telegram.write(CHAT, "/panic")
    await answered(process())
    word = telegram.sent(CHAT)[-1].split()[-1]
    await sql(own, "UPDATE telegram_pollers SET leased_until = now()")
    number = telegram.press(CHAT, f"panic {word}")
    bot_id = int(TOKEN.partition(":")[0])
    await sql(own, f"INSERT INTO telegram_updates (bot_id, update_id) VALUES ({bot_id}, {number})")  # noqa: S608
    await sql(own, f"UPDATE telegram_confirmations SET used_by = {number}")  # noqa: S608
    await answered(process())
    assert services.panicked == [user_id]
    assert telegram.sent(CHAT)[-1].startswith("PANIC:")


async def test_a_panic_does_not_wait_for_the_stop_before_it(
    telegram: TelegramServer, process: Callable[[], TelegramPoller], user_id: int, services: Services
) -> None:
    one = process()
    telegram.write(CHAT, "/stop 5")
    await one.round()
    await until(lambda: services.stopped == [5])
    telegram.write(CHAT, "/panic")
    await one.round()
    await until(lambda: any(words.startswith("Sell everything") for words in telegram.sent(CHAT)))
    services.going_on.set()
    await asyncio.gather(*one.in_work)
    assert telegram.sent(CHAT)[-1] == "Not done: No such strategy"
    await one.round()
    assert telegram.left == []


async def test_a_telegram_that_is_slow_or_away_loses_no_command(
    telegram: TelegramServer, process: Callable[[], TelegramPoller], bot: BotApi, user_id: int
) -> None:
    one = process()
    telegram.slow_s = 3.0
    telegram.write(CHAT, "/status")
    await one.round()
    telegram.write(CHAT, "/mute 1")
    await one.round()
    await asyncio.gather(*one.in_work)
    assert len(telegram.sent(CHAT)) == 2
    away = BotApi(SecretStr(TOKEN), "http://127.0.0.1:9")
    with pytest.raises(BotUnreachable) as unreachable:
        await away.updates(None, 0)
    assert TOKEN not in repr(unreachable.value)
    assert unreachable.value.__cause__ is None
    foreign = BotApi(SecretStr(f"1{TOKEN}"), telegram.root)
    with pytest.raises(BotRefused) as refused:
        await foreign.updates(None, 0)
    assert refused.value.status == 401
    await asyncio.gather(away.aclose(), foreign.aclose())


async def test_two_deployments_with_one_bot_are_told_so(telegram: TelegramServer, bot: BotApi) -> None:
    waiting = asyncio.create_task(bot.updates(None, 20))
    async with asyncio.timeout(20):
        while not telegram.offsets:  # noqa: ASYNC110 - the server is in another thread
            await asyncio.sleep(0.02)
    await bot.updates(None, 0)
    with pytest.raises(BotRefused) as refused:
        await waiting
    assert refused.value.status == 409


async def test_what_is_no_update_stops_nobody(
    telegram: TelegramServer, process: Callable[[], TelegramPoller], user_id: int
) -> None:
    odds: list[dict[str, Any]] = [
        _message("/status", chat={}),
        _message(7),
        {"callback_query": []},
        {"message": {"date": 10**20}},
    ]
    for odd in odds:
        telegram.add(odd)
    telegram.write(CHAT, "\0 /status \ud800".encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    telegram.write(CHAT, "/status")
    await answered(process())
    assert telegram.sent(CHAT)[-1] == "Nothing runs."


async def test_two_chats_that_send_one_code_are_one(own: Sessions, connections: ChatConnections) -> None:
    user = await new_user(own)
    await code_for(own, user.id, "x")
    both = [Said(update_id=n, chat_id=100 + n, is_private=True, text="") for n in range(2)]
    outcomes = await asyncio.gather(*(connections.connect(said, "x") for said in both))
    assert {outcome.value for outcome in outcomes} == {"new", "bad_code"}


async def test_two_users_codes_in_one_chat_at_once_are_one_users(own: Sessions, connections: ChatConnections) -> None:
    users = [await new_user(own) for _ in range(2)]
    for number, user in enumerate(users):
        await code_for(own, user.id, f"code {number}")
    said = Said(update_id=1, chat_id=77, is_private=True, text="")
    outcomes = await asyncio.gather(*(connections.connect(said, f"code {number}") for number in range(2)))
    assert sorted(outcome.value for outcome in outcomes) == ["anothers", "new"]
    channel = await connections.channel_of(77)
    assert channel is not None
    assert unseal(BOX, channel).value == "77"
    assert "77" not in repr(unseal(BOX, channel))


def _message(words: object, **changes: Any) -> dict[str, Any]:
    person = {"id": CHAT, "is_bot": False}
    message = {"message_id": 1, "date": int(datetime.now(UTC).timestamp()), "from": person, "text": words}
    return {"message": message | {"chat": {"id": CHAT, "type": "private"}} | changes}
