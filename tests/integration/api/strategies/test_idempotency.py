"""Requests that are repeated with their Idempotency-Key (D10): a lost answer, or a double tap, buys nothing twice."""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, text
from sqlmodel import col

from actors.ports.engine import WordTaken
from config.settings import Settings
from persistence.database.engine import Sessions, transaction
from persistence.database.models.kept_answers import KeptAnswer
from persistence.database.models.runs import Run
from tests.integration.api_user import PASSWORD, ApiUser
from tests.integration.apps import at, serving
from tests.kit.fakes.strategy_engine import FakeEngine
from tests.kit.paper import PaperExchange

pytest_plugins = ["tests.integration.fixtures"]

WANTED: dict[str, Any] = {
    "symbol": "INFY", "buy_time": "09:30", "sell_time": "15:10", "stop_loss": 1490.5, "quantity": 10,
}  # fmt: skip
REPLAYED = "Idempotent-Replayed"


@pytest.fixture
async def twin(trader: ApiUser, settings: Settings, engine: FakeEngine) -> AsyncIterator[ApiUser]:
    """The trader, at a second process of the API."""
    async with serving(settings, engine) as client:
        yield at(trader, client)


def a_key() -> str:
    return secrets.token_hex(16)


async def create(user: ApiUser, key: str, **changes: Any) -> httpx.Response:
    return await user.keyed(key, "POST", "/strategy/create", **WANTED | changes)


async def start(user: ApiUser, key: str, strategy_id: int) -> httpx.Response:
    return await user.keyed(key, "POST", "/strategy/start", strategy_id=strategy_id)


async def how_many(user: ApiUser) -> int:
    return int((await user.call("GET", "/strategy/list")).json()["total"])


async def runs_of(sessions: Sessions, strategy_id: int) -> list[Run]:
    async with transaction(sessions) as session:
        return list(await session.scalars(select(Run).where(col(Run.strategy_id) == strategy_id)))


async def kept_by(sessions: Sessions, user: ApiUser) -> list[KeptAnswer]:
    user_id = (await user.call("GET", "/auth/validate")).json()["user_id"]
    async with transaction(sessions) as session:
        return list(await session.scalars(select(KeptAnswer).where(col(KeptAnswer.user_id) == user_id)))


@asynccontextmanager
async def kept_answers_held(sessions: Sessions, mode: str) -> AsyncIterator[None]:
    """Another transaction has the table locked."""
    async with transaction(sessions) as session:
        await session.execute(text(f"LOCK TABLE kept_answers IN {mode} MODE"))
        yield


def is_reused(answer: httpx.Response) -> bool:
    return (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")


# --- create ------------------------------------------------------------------------------------------------------


async def test_a_create_that_is_repeated_with_its_key_makes_one_strategy_and_gets_the_same_answer(
    trader: ApiUser, twin: ApiUser
) -> None:
    key = a_key()
    first = await create(trader, key)
    again = [await create(trader, key), await create(twin, key)]
    assert (first.status_code, REPLAYED in first.headers) == (201, False)
    for answer in again:
        assert (answer.status_code, answer.content, answer.headers[REPLAYED]) == (201, first.content, "true")
        assert answer.headers["Content-Type"] == first.headers["Content-Type"]
    assert await how_many(trader) == 1


async def test_a_double_tap_in_two_processes_makes_one_strategy(trader: ApiUser, twin: ApiUser) -> None:
    key = a_key()
    answers = await asyncio.gather(*(create(user, key) for _ in range(10) for user in (trader, twin)))
    assert {(answer.status_code, answer.text) for answer in answers} == {(201, answers[0].text)}
    assert Counter(answer.headers.get(REPLAYED) for answer in answers) == {None: 1, "true": 19}
    assert await how_many(trader) == 1


async def test_without_a_key_or_with_another_one_it_is_another_strategy(trader: ApiUser) -> None:
    ids = {(await create(trader, a_key())).json()["strategy_id"] for _ in range(2)}
    ids |= {await trader.strategy() for _ in range(2)}
    assert len(ids) == 4


async def test_the_order_of_the_fields_makes_no_other_request(trader: ApiUser) -> None:
    key = a_key()
    first = await create(trader, key)
    turned = await trader.keyed(key, "POST", "/strategy/create", **dict(reversed(WANTED.items())))
    assert (turned.status_code, turned.text) == (201, first.text)


async def test_a_key_belongs_to_one_request(trader: ApiUser) -> None:
    key = a_key()
    strategy_id = (await create(trader, key)).json()["strategy_id"]
    assert is_reused(await create(trader, key, quantity=11))
    assert is_reused(await start(trader, key, strategy_id))
    assert is_reused(await trader.keyed(key, "POST", f"/strategy/{strategy_id}/closed"))
    assert await how_many(trader) == 1
    assert (await trader.call("GET", f"/strategy/{strategy_id}")).json()["strategy_status"] == "created"


async def test_racing_requests_with_one_key_that_want_different_things_are_one_and_a_refusal(
    trader: ApiUser, twin: ApiUser
) -> None:
    key = a_key()
    answers = await asyncio.gather(create(trader, key, quantity=10), create(twin, key, quantity=11))
    assert sorted(answer.status_code for answer in answers) == [201, 422]
    assert await how_many(trader) == 1


async def test_two_users_may_have_the_same_key(
    trader: ApiUser, client: httpx.AsyncClient, paper: PaperExchange
) -> None:
    other = await ApiUser.register(client)
    other.paper = paper.control.new_account()
    await other.connect()
    key = a_key()
    first, second = await create(trader, key), await create(other, key)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() != second.json()
    assert REPLAYED not in second.headers


async def test_what_failed_before_anything_was_done_is_carried_out_when_it_is_repeated(trader: ApiUser) -> None:
    key = a_key()
    assert (await create(trader, key, stop_loss=0.01, quantity=10_000_000)).status_code == 422
    await trader.call("DELETE", "/broker")
    assert (await create(trader, key)).json()["code"] == "broker_not_connected"
    good = trader.tokens["access_token"]
    trader.tokens["access_token"] = "none"
    assert (await create(trader, key)).status_code == 401
    trader.tokens["access_token"] = good
    await trader.connect()
    done = await create(trader, key)
    assert (done.status_code, REPLAYED in done.headers) == (201, False)


async def test_a_repetition_is_answered_though_it_would_be_refused_by_now(trader: ApiUser) -> None:
    key = a_key()
    first = await create(trader, key)
    await trader.call("DELETE", "/broker")
    again = await create(trader, key)
    assert (again.status_code, again.text) == (201, first.text)


async def test_a_strategy_whose_answer_cannot_be_kept_is_not_made_and_the_repetition_makes_it(
    trader: ApiUser, settings: Settings, engine: FakeEngine, sessions: Sessions
) -> None:
    """Both are one transaction, which ends here between the two, as it would if the process ended."""
    key = a_key()
    async with (
        kept_answers_held(sessions, "EXCLUSIVE"),  # which may be read, and not be written
        serving(settings, engine, api_statement_timeout_s=0.2) as client,
    ):
        busy = await create(at(trader, client), key)
    assert (busy.status_code, busy.json()["code"], busy.headers["Retry-After"]) == (503, "database_busy", "5")
    assert (await how_many(trader), await kept_by(sessions, trader)) == (0, [])
    done = await create(trader, key)
    assert (done.status_code, REPLAYED in done.headers) == (201, False)
    assert await how_many(trader) == 1


# --- keys --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["", " ", "a key", "k" * 256, "key\t1", "schlüssel"], ids=repr)
async def test_a_key_that_is_none_is_refused_with_a_sentence(trader: ApiUser, key: str) -> None:
    headers = [
        (b"Authorization", f"Bearer {trader.tokens['access_token']}".encode()),
        (b"Idempotency-Key", key.encode("latin-1")),
    ]
    answer = await trader.client.post("/strategy/create", json=WANTED, headers=headers)
    assert (answer.status_code, answer.json()["errors"]) == (
        422,
        [
            {
                "field": "Idempotency-Key",
                "message": "must have 1 to 255 visible characters of ASCII, and no space",
            }
        ],
    )
    assert await how_many(trader) == 0


async def test_a_request_with_two_keys_is_refused(trader: ApiUser) -> None:
    headers = [("Authorization", f"Bearer {trader.tokens['access_token']}")]
    headers += [("Idempotency-Key", "one"), ("Idempotency-Key", "two")]
    answer = await trader.client.post("/strategy/create", json=WANTED, headers=headers)
    assert (answer.status_code, answer.json()["detail"]) == (422, "Idempotency-Key: stands twice: send it once")


@pytest.mark.parametrize("key", ["k", "k" * 255, '"8e03978e-40d5-43dd-bc93-6894a57f9324"', "!~'%00"], ids=len)
async def test_any_visible_characters_are_a_key(trader: ApiUser, key: str) -> None:
    assert (await create(trader, key)).text == (await create(trader, key)).text


async def test_without_a_login_a_key_says_nothing(client: httpx.AsyncClient) -> None:
    answer = await client.post("/strategy/create", json=WANTED, headers={"Idempotency-Key": " "})
    assert answer.status_code == 401


# --- START -------------------------------------------------------------------------------------------------------


async def test_a_start_that_is_repeated_after_its_run_has_ended_arms_no_second_run(
    trader: ApiUser, twin: ApiUser, sessions: Sessions
) -> None:
    """The answer was lost, the strategy has bought and sold, and the app asks again by itself."""
    strategy_id, key = await trader.strategy(), a_key()
    first = await start(trader, key, strategy_id)
    await trader.call("POST", "/strategy/stop", strategy_id=strategy_id)
    again = await start(twin, key, strategy_id)
    assert (again.status_code, again.content, again.headers[REPLAYED]) == (200, first.content, "true")
    assert len(await runs_of(sessions, strategy_id)) == 1
    assert (await start(trader, a_key(), strategy_id)).status_code == 200
    assert len(await runs_of(sessions, strategy_id)) == 2


async def test_a_start_that_failed_at_the_engine_gets_its_actor_when_it_is_repeated(
    trader: ApiUser, engine: FakeEngine, sessions: Sessions
) -> None:
    strategy_id, key = await trader.strategy(), a_key()
    engine.up = False
    assert (await start(trader, key, strategy_id)).status_code == 503
    assert (await start(trader, key, strategy_id)).status_code == 503
    engine.up = True
    assert (await start(trader, key, strategy_id)).status_code == 200
    (run,) = await runs_of(sessions, strategy_id)
    assert engine.running == {strategy_id: run.id}


async def test_a_start_that_finds_a_run_keeps_its_answer_too(trader: ApiUser, sessions: Sessions) -> None:
    strategy_id, key = await trader.started(), a_key()
    assert (await start(trader, key, strategy_id)).status_code == 200
    await trader.call("POST", "/strategy/stop", strategy_id=strategy_id)
    assert (await start(trader, key, strategy_id)).headers[REPLAYED] == "true"
    assert len(await runs_of(sessions, strategy_id)) == 1


async def test_many_starts_with_one_key_in_two_processes_are_one_run(
    trader: ApiUser, twin: ApiUser, sessions: Sessions
) -> None:
    strategy_id, key = await trader.strategy(), a_key()
    answers = await asyncio.gather(*(start(user, key, strategy_id) for _ in range(10) for user in (trader, twin)))
    assert {(answer.status_code, answer.text) for answer in answers} == {(200, answers[0].text)}
    assert len(await runs_of(sessions, strategy_id)) == 1


async def test_a_key_of_one_start_starts_no_other_strategy(trader: ApiUser, twin: ApiUser, sessions: Sessions) -> None:
    one, two, key = await trader.strategy(), await trader.strategy(), a_key()
    answers = await asyncio.gather(start(trader, key, one), start(twin, key, two))
    assert sorted(answer.status_code for answer in answers) == [200, 422]
    assert len(await runs_of(sessions, one)) + len(await runs_of(sessions, two)) == 1


# --- STOP --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["a-key", "no key at all", "k" * 300])
async def test_a_stop_is_carried_out_whatever_its_key_is_and_though_the_kept_answers_are_locked(
    trader: ApiUser, sessions: Sessions, key: str
) -> None:
    strategy_id = await trader.started()
    async with kept_answers_held(sessions, "ACCESS EXCLUSIVE"), asyncio.timeout(30):
        answer = await trader.keyed(key, "POST", "/strategy/stop", strategy_id=strategy_id)
    assert (answer.status_code, answer.json()["strategy_status"]) == (200, "stopped")
    assert await kept_by(sessions, trader) == []


async def test_a_stop_with_a_key_of_before_stops_the_next_run_as_well(
    trader: ApiUser, engine: FakeEngine, sessions: Sessions
) -> None:
    strategy_id = await trader.strategy()
    for _ in range(2):
        await trader.call("POST", "/strategy/start", strategy_id=strategy_id)
        answer = await trader.keyed("the same", "POST", "/strategy/stop", strategy_id=strategy_id)
        assert (answer.status_code, REPLAYED in answer.headers) == (200, False)
    assert [run.ended_at is not None for run in await runs_of(sessions, strategy_id)] == [True, True]


# --- the trader's word -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["closed", "held"])
async def test_a_word_that_is_repeated_with_its_key_gets_its_answer_again(
    trader: ApiUser, twin: ApiUser, engine: FakeEngine, word: str
) -> None:
    strategy_id, key = await trader.started(), a_key()
    if word == "held":
        await trader.call("POST", f"/strategy/{strategy_id}/closed")
    said_before = len(engine.words)
    first = await trader.keyed(key, "POST", f"/strategy/{strategy_id}/{word}")
    again = await twin.keyed(key, "POST", f"/strategy/{strategy_id}/{word}")
    assert (first.status_code, again.status_code, again.headers[REPLAYED]) == (200, 200, "true")
    assert again.content == first.content
    assert len(engine.words) == said_before + 1


async def test_a_word_that_was_not_taken_is_asked_again(trader: ApiUser, engine: FakeEngine) -> None:
    strategy_id, key = await trader.started(), a_key()
    engine.word = WordTaken(done=False, held=7)
    assert (await trader.keyed(key, "POST", f"/strategy/{strategy_id}/closed")).status_code == 409
    engine.word = WordTaken(done=True)
    assert (await trader.keyed(key, "POST", f"/strategy/{strategy_id}/closed")).status_code == 200


# --- what is kept, and for how long ------------------------------------------------------------------------------


async def test_neither_the_key_nor_anything_secret_is_kept(trader: ApiUser, sessions: Sessions) -> None:
    key = a_key()
    strategy_id = (await create(trader, key)).json()["strategy_id"]
    (kept,) = await kept_by(sessions, trader)
    assert (kept.status, kept.answer) == (201, f'{{"strategy_id":{strategy_id}}}')
    assert key.encode() not in kept.key_hash
    assert (len(kept.key_hash), len(kept.request_hash)) == (32, 32)


async def age(sessions: Sessions, user: ApiUser, hours: str) -> None:
    (kept,) = await kept_by(sessions, user)
    async with transaction(sessions) as session:
        statement = text("UPDATE kept_answers SET kept_at = now() - cast(:age AS interval) WHERE user_id = :user")
        await session.execute(statement, {"age": hours, "user": kept.user_id})


async def test_a_key_is_known_for_a_day(trader: ApiUser, sessions: Sessions) -> None:
    key = a_key()
    first = await create(trader, key)
    await age(sessions, trader, "23 h 59 min")
    assert (await create(trader, key)).text == first.text
    await age(sessions, trader, "24 h")
    another = await create(trader, key, quantity=11)
    assert (another.status_code, another.text == first.text) == (201, False)
    assert (await create(trader, key, quantity=11)).text == another.text


async def test_of_a_user_the_newest_answers_are_kept(trader: ApiUser, sessions: Sessions) -> None:
    first, last = a_key(), a_key()
    await create(trader, first)
    (kept,) = await kept_by(sessions, trader)
    more = text(
        "INSERT INTO kept_answers (user_id, key_hash, request_hash, status, answer, kept_at) "
        "SELECT :user, sha256(n::text::bytea), sha256(''), 201, '{}', now() + n * interval '1 ms' "
        "FROM generate_series(1, 998) AS n"
    )
    async with transaction(sessions) as session:
        await session.execute(more, {"user": kept.user_id})
    assert len(await kept_by(sessions, trader)) == 999
    await create(trader, last)
    assert len(await kept_by(sessions, trader)) == 1000
    assert (await create(trader, first)).headers[REPLAYED] == "true"
    await create(trader, a_key())
    assert len(await kept_by(sessions, trader)) == 1000
    assert REPLAYED not in (await create(trader, first)).headers
    assert (await create(trader, last)).headers[REPLAYED] == "true"


async def test_with_the_user_the_answers_are_gone(trader: ApiUser, sessions: Sessions) -> None:
    await create(trader, a_key())
    (kept,) = await kept_by(sessions, trader)
    assert (await trader.call("POST", "/auth/delete", password=PASSWORD)).status_code == 204
    async with transaction(sessions) as session:
        left = await session.scalar(select(func.count()).where(col(KeptAnswer.user_id) == kept.user_id))
    assert left == 0
