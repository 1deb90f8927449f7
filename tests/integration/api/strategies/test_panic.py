"""Panic over REST (row N8), on the real PostgreSQL and Valkey."""

import asyncio
import uuid

import httpx
import pytest
from sqlalchemy import text

from api.strategies.panic import operator
from api.strategies.panic.marks import EntryMarks
from config.settings import Settings
from persistence.database.engine import Sessions, open_database, sessions_of, transaction
from persistence.mirror.mirror import RuntimeMirror
from tests.integration.api_user import PASSWORD, ApiUser
from tests.integration.apps import at, serving
from tests.kit.fakes.strategy_engine import FakeEngine

pytest_plugins = ["tests.integration.fixtures"]

NOWHERE_REDIS = "redis://127.0.0.1:1"
NOWHERE_DATABASE = "postgresql+psycopg://nobody@127.0.0.1:1/none"


async def panicked(user: ApiUser) -> str:
    answer = await user.call("POST", "/panic")
    assert answer.status_code == 202, answer.text
    assert answer.json()["entries_forbidden"] is True
    return str(answer.json()["panic_id"])


async def until_finished(user: ApiUser, panic_id: str) -> dict[str, object]:
    async with asyncio.timeout(20):
        while True:
            answer = await user.call("GET", f"/panic/{panic_id}")
            assert answer.status_code == 200, answer.text
            if answer.json()["state"] == "finished":
                return dict(answer.json())
            await asyncio.sleep(0.1)


async def user_id_of(user: ApiUser) -> int:
    return int((await user.call("GET", "/auth/validate")).json()["user_id"])


async def test_everything_is_stopped_and_what_is_the_users_own_is_named(trader: ApiUser, engine: FakeEngine) -> None:
    engine.shares = {("NSE", "INFY", "CNC"): 20}
    strategies = [await trader.started(symbol=symbol) for symbol in ("INFY", "TCS")]
    panic_id = await panicked(trader)
    finished = await until_finished(trader, panic_id)
    outcomes = finished["strategies"]
    assert isinstance(outcomes, list)
    assert [(o["strategy_id"], o["outcome"]) for o in outcomes] == [(s, "flat") for s in strategies]
    assert finished["not_touched"] == [{"symbol": "INFY", "product": "CNC", "quantity": 20}]
    assert finished["message"] == "All is flat. Not touched: 20 INFY of your own"
    assert await user_id_of(trader) in engine.forbidden


async def notices(user: ApiUser) -> list[str]:
    """What the user has heard of panics, oldest first."""
    answer = await user.call("GET", "/notifications")
    assert answer.status_code == 200, answer.text
    return [notice["text"] for notice in answer.json()["notifications"] if notice["kind"] == "panic"][::-1]


async def test_the_trader_hears_that_it_was_called_and_what_it_has_come_to(trader: ApiUser, engine: FakeEngine) -> None:
    engine.shares = {("NSE", "INFY", "CNC"): 20}
    await trader.started(symbol="INFY")
    panic_id = await panicked(trader)
    await until_finished(trader, panic_id)
    called = (
        "PANIC: nothing more is bought, 1 strategy is being ended, and your schedules are paused until you resume them."
    )
    done = "PANIC is done. All is flat. Not touched: 20 INFY of your own."
    assert await notices(trader) == [called, done]
    assert await panicked(trader) == panic_id  # pressed again, it finds nothing more to end, and says nothing twice
    await until_finished(trader, panic_id)
    assert await notices(trader) == [called, done]


async def test_repeated_and_raced_it_is_one_panic(trader: ApiUser) -> None:
    first = await panicked(trader)
    answers = await asyncio.gather(*(panicked(trader) for _ in range(5)))
    assert set(answers) == {first}


async def test_what_still_sells_is_working_and_asked_for_again(trader: ApiUser, engine: FakeEngine) -> None:
    engine.flat_on_stop = False
    await trader.started()
    panic_id = await panicked(trader)
    async with asyncio.timeout(20):
        while len(engine.stop_timeouts) < 3:  # noqa: ASYNC110 - the engine notifies no caller
            await asyncio.sleep(0.1)
    answer = (await trader.call("GET", f"/panic/{panic_id}")).json()
    assert (answer["state"], answer["strategies"][0]["outcome"], answer["not_touched"]) == ("working", "working", None)
    engine.flat_on_stop = True
    await until_finished(trader, panic_id)


async def test_an_engine_that_comes_back_later_is_asked_then(trader: ApiUser, engine: FakeEngine) -> None:
    await trader.started()
    engine.up = False
    answer = await trader.call("POST", "/panic")
    assert (answer.status_code, len(answer.json()["warnings"])) == (202, 1)
    engine.up = True
    await until_finished(trader, answer.json()["panic_id"])


async def test_start_is_refused_until_entries_are_allowed_with_a_fresh_password(
    trader: ApiUser, sessions: Sessions
) -> None:
    strategy_id = await trader.strategy()
    await until_finished(trader, await panicked(trader))
    for path in ("/strategy/preview", "/strategy/start"):
        refused = await trader.call("POST", path, strategy_id=strategy_id)
        assert (refused.status_code, refused.json()["code"]) == (409, "entries_forbidden")
    long_ago = text("UPDATE logins SET confirmed_at = now() - interval '6 minutes' WHERE user_id = :id")
    async with transaction(sessions) as session:
        await session.execute(long_ago, {"id": await user_id_of(trader)})
    asked = await trader.call("POST", "/risk/unlock")
    assert (asked.status_code, asked.json()["code"]) == (403, "password_needed")
    assert (await trader.call("POST", "/auth/confirm", password=PASSWORD)).status_code == 200
    for _ in range(2):
        unlocked = await trader.call("POST", "/risk/unlock")
        assert (unlocked.status_code, unlocked.json()) == (200, {"entries_forbidden": False})
    assert (await trader.call("POST", "/strategy/start", strategy_id=strategy_id)).status_code == 200


async def test_a_panic_after_the_unlock_is_another_one(trader: ApiUser) -> None:
    first = await panicked(trader)
    await trader.call("POST", "/risk/unlock")
    assert await panicked(trader) != first
    assert (await trader.call("GET", f"/panic/{first}")).json()["entries_forbidden"] is False


async def test_a_panic_of_another_user_or_of_nobody_is_not_found(trader: ApiUser, client: httpx.AsyncClient) -> None:
    panic_id = await panicked(trader)
    other = await ApiUser.register(client)
    for asked in (panic_id, str(uuid.uuid4())):
        answer = await other.call("GET", f"/panic/{asked}")
        assert (answer.status_code, answer.json()["code"]) == (404, "panic_not_found")
    assert (await other.call("GET", "/panic/1")).status_code == 422


async def test_a_flood_of_other_requests_keeps_nobody_from_a_panic(
    settings: Settings, engine: FakeEngine, client: httpx.AsyncClient
) -> None:
    async with serving(settings, engine, api_rate_per_minute=10) as small:
        user = at(await ApiUser.register(client), small)
        while (await user.call("GET", "/strategy/list")).status_code == 200:
            pass
        assert (await user.call("POST", "/panic")).status_code == 202


async def test_without_redis_it_is_carried_out_and_said(
    settings: Settings, engine: FakeEngine, trader: ApiUser, mirror: RuntimeMirror
) -> None:
    await trader.started()
    async with serving(settings, engine, redis_url=NOWHERE_REDIS) as without:
        answer = await at(trader, without).call("POST", "/panic")
        assert answer.status_code == 202, answer.text
        assert "Redis does not answer" in answer.json()["warnings"][0]
        finished = await until_finished(at(trader, without), answer.json()["panic_id"])
    assert isinstance(finished["strategies"], list)
    assert len(finished["strategies"]) == 1
    user_id = await user_id_of(trader)
    async with asyncio.timeout(20):
        while user_id not in await mirror.users_without_entries():  # noqa: ASYNC110 - Redis notifies no caller
            await asyncio.sleep(0.1)


async def test_without_postgresql_redis_keeps_the_mark_and_the_panic_is_written_down_later(
    trader: ApiUser, mirror: RuntimeMirror, sessions: Sessions
) -> None:
    user_id = await user_id_of(trader)
    absent = open_database(NOWHERE_DATABASE)
    marked = await EntryMarks(sessions_of(absent), mirror).forbid(user_id, uuid.uuid4())
    await absent.dispose()
    assert (marked.in_postgresql, marked.in_redis) == (False, True)
    strategy_id = await trader.strategy()
    refused = await trader.call("POST", "/strategy/start", strategy_id=strategy_id)
    assert refused.json()["code"] == "entries_forbidden"
    await EntryMarks(sessions, mirror).agree()
    assert (await trader.call("GET", f"/panic/{marked.panic_id}")).status_code == 200
    await until_finished(trader, str(marked.panic_id))


async def test_a_mark_that_redis_kept_after_the_unlock_goes(
    trader: ApiUser, mirror: RuntimeMirror, sessions: Sessions
) -> None:
    user_id, panic_id = await user_id_of(trader), await panicked(trader)
    await trader.call("POST", "/risk/unlock")
    await mirror.put_entry_ban(user_id, panic_id)
    await EntryMarks(sessions, mirror).agree()
    assert user_id not in await mirror.users_without_entries()


async def test_a_redis_that_lost_its_keys_allows_nothing(trader: ApiUser, mirror: RuntimeMirror) -> None:
    strategy_id, panic_id = await trader.strategy(), await panicked(trader)
    await mirror.allow_entries(await user_id_of(trader), panic_id)
    refused = await trader.call("POST", "/strategy/start", strategy_id=strategy_id)
    assert refused.json()["code"] == "entries_forbidden"


async def test_a_start_that_raced_the_panic_is_ended_as_well(trader: ApiUser, sessions: Sessions) -> None:
    await trader.started()
    panic_id = await panicked(trader)
    await until_finished(trader, panic_id)
    later = text("UPDATE runs SET ended_at = NULL, status = 'running', started_at = now() WHERE user_id = :id")
    async with transaction(sessions) as session:
        await session.execute(later, {"id": await user_id_of(trader)})
    assert await panicked(trader) == panic_id
    await until_finished(trader, panic_id)
    assert (await trader.call("GET", "/strategy/list?status=running")).json()["total"] == 0


async def test_the_operator_panics_for_a_user_and_the_api_goes_after_it(
    trader: ApiUser, sessions: Sessions, postgres_url: str, redis_url: str
) -> None:
    strategy_id = await trader.started()
    done = await operator.panic(postgres_url, redis_url, trader.email)
    assert (done.users, done.open_runs, done.in_redis) == (1, 1, True)
    whose = text("select p.id from panics p join strategies s on s.user_id = p.user_id where s.id = :id")
    async with transaction(sessions) as session:  # not by pressing it, too: the operator's may be over by then
        panic_id = (await session.execute(whose, {"id": strategy_id})).scalar_one()
    finished = await until_finished(trader, panic_id)
    assert finished["asked_by"] == "operator"
    assert (await notices(trader))[0].startswith("PANIC by the operator of TradeActors: nothing more is bought")
    refused = await trader.call("POST", "/strategy/start", strategy_id=strategy_id)
    assert refused.json()["code"] == "entries_forbidden"
    with pytest.raises(operator.UnknownUser):
        await operator.panic(postgres_url, redis_url, "nobody@example.com")
