"""Changing the password, deleting the account and looking at what was done with it, on the real stack."""

import asyncio
from datetime import UTC, datetime

import httpx
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis
from sqlalchemy import func, select, text
from sqlmodel import col

from api.app import create_app
from config.settings import Settings
from persistence.database.engine import Sessions, transaction
from persistence.database.models.audit import AuditEntry
from persistence.database.models.brokers import BrokerAccount
from persistence.database.models.order_logs import OrderLog
from persistence.database.models.runs import Run
from persistence.database.models.strategies import Strategy
from persistence.database.models.users import Login, RefreshToken, User
from persistence.errors import ConstraintViolated
from persistence.mirror.mirror import RuntimeMirror
from tests.integration.api_user import PASSWORD, ApiUser
from tests.integration.rows import new_run
from tests.kit.fakes.strategy_engine import FakeEngine

pytest_plugins = ["tests.integration.fixtures"]

NEW_PASSWORD = "a better battery, stapled"


async def id_of(user: ApiUser) -> int:
    answer = await user.call("GET", "/auth/validate")
    assert answer.status_code == 200
    return int(answer.json()["user_id"])


async def count(sessions: Sessions, table: type, user_id: int) -> int:
    """The rows of a user."""
    async with transaction(sessions) as session:
        return await session.scalar(select(func.count()).select_from(table).filter_by(user_id=user_id)) or 0


async def delete(user: ApiUser) -> httpx.Response:
    return await user.call("POST", "/auth/delete", password=PASSWORD)


async def test_changing_the_password_ends_every_login_and_begins_a_new_one(
    client: httpx.AsyncClient, user: ApiUser
) -> None:
    second = await client.post("/auth/login", json={"email": user.email, "password": PASSWORD})
    answer = await user.call("POST", "/auth/password", current_password=PASSWORD, new_password=NEW_PASSWORD)
    assert answer.status_code == 200
    for tokens in (user.tokens, second.json()):
        headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        assert (await client.get("/auth/validate", headers=headers)).json()["code"] == "token_invalid"
        refreshed = await client.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
        assert refreshed.json()["code"] == "invalid_credentials"
    user.tokens = answer.json()
    assert (await user.call("GET", "/auth/validate")).status_code == 200
    old = await client.post("/auth/login", json={"email": user.email, "password": PASSWORD})
    assert old.json()["code"] == "invalid_credentials"
    new = await client.post("/auth/login", json={"email": user.email, "password": NEW_PASSWORD})
    assert new.status_code == 200


async def test_a_login_with_the_old_password_does_not_outlive_the_change_that_it_races(
    client: httpx.AsyncClient, user: ApiUser
) -> None:
    async def log_in() -> httpx.Response:
        return await client.post("/auth/login", json={"email": user.email, "password": PASSWORD})

    changed, *logins = await asyncio.gather(
        user.call("POST", "/auth/password", current_password=PASSWORD, new_password=NEW_PASSWORD),
        *(log_in() for _ in range(6)),
    )
    assert changed.status_code == 200
    for login in logins:
        if login.status_code == 200:
            user.tokens = login.json()
            assert (await user.call("GET", "/auth/validate")).json()["code"] == "token_invalid"
        else:
            assert login.json()["code"] == "invalid_credentials"


async def test_a_wrong_current_password_changes_nothing(client: httpx.AsyncClient, user: ApiUser) -> None:
    answer = await user.call("POST", "/auth/password", current_password="not mine", new_password=NEW_PASSWORD)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")
    assert (await user.call("GET", "/auth/validate")).status_code == 200
    assert (await client.post("/auth/login", json={"email": user.email, "password": PASSWORD})).status_code == 200


@pytest.mark.parametrize("part", ["whole", "local"])
async def test_the_address_is_no_new_password(user: ApiUser, part: str) -> None:
    wanted = user.email if part == "whole" else user.email.partition("@")[0]
    answer = await user.call("POST", "/auth/password", current_password=PASSWORD, new_password=wanted)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["new_password"]
    assert (await user.call("GET", "/auth/validate")).status_code == 200


async def test_a_refresh_token_used_by_many_at_once_succeeds_at_most_once(
    client: httpx.AsyncClient, user: ApiUser
) -> None:
    body = {"refresh_token": user.tokens["refresh_token"]}
    answers = await asyncio.gather(*(client.post("/auth/refresh", json=body) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 5
    assert (await user.call("GET", "/auth/validate")).json()["code"] == "token_invalid", "it counts as stolen"


async def test_a_refresh_that_races_a_logout_leaves_no_login(client: httpx.AsyncClient, user: ApiUser) -> None:
    body = {"refresh_token": user.tokens["refresh_token"]}
    refreshed, out = await asyncio.gather(
        client.post("/auth/refresh", json=body), client.post("/auth/logout", json=body)
    )
    assert out.status_code == 204
    assert refreshed.status_code in (200, 401)
    assert (await user.call("GET", "/auth/validate")).json()["code"] == "token_invalid"
    if refreshed.status_code == 200:
        again = await client.post("/auth/refresh", json={"refresh_token": refreshed.json()["refresh_token"]})
        assert again.status_code == 401


async def test_an_account_with_a_running_strategy_is_not_deleted(trader: ApiUser, sessions: Sessions) -> None:
    strategy_id = await trader.started()
    answer = await delete(trader)
    assert (answer.status_code, answer.json()["code"]) == (409, "strategies_running")
    assert (await trader.call("GET", f"/strategy/{strategy_id}")).status_code == 200
    assert await count(sessions, BrokerAccount, await id_of(trader)) == 1
    assert (await trader.call("POST", "/strategy/stop", strategy_id=strategy_id)).status_code == 200
    assert (await delete(trader)).status_code == 204


async def test_a_wrong_password_deletes_nothing(trader: ApiUser) -> None:
    answer = await trader.call("POST", "/auth/delete", password="not mine")
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")
    assert (await trader.call("GET", "/auth/validate")).status_code == 200


async def test_a_deleted_account_leaves_the_records_of_trades_and_nothing_else(
    trader: ApiUser, sessions: Sessions, mirror: RuntimeMirror, redis_url: str
) -> None:
    user_id, idle, traded = await id_of(trader), await trader.strategy(), await trader.started()
    assert (await trader.call("POST", "/strategy/stop", strategy_id=traded)).status_code == 200
    shown = {"user_id": str(user_id), "status": "stopped"}
    await mirror.put_run(traded, "INFY", shown, shown)
    kept = [await count(sessions, table, user_id) for table in (OrderLog, Run)]
    lines = await count(sessions, AuditEntry, user_id)
    assert (await delete(trader)).status_code == 204

    assert [await count(sessions, table, user_id) for table in (OrderLog, Run)] == kept
    assert await count(sessions, AuditEntry, user_id) == lines + 1
    assert await count(sessions, BrokerAccount, user_id) == 0
    assert await count(sessions, RefreshToken, user_id) == 0
    async with transaction(sessions) as session:
        logins = (await session.scalars(select(Login).filter_by(user_id=user_id))).all()
        strategies = (await session.scalars(select(Strategy).filter_by(user_id=user_id))).all()
        user = await session.get_one(User, user_id)
    assert {login.end_reason for login in logins} == {"account_deleted"}
    assert {strategy.id for strategy in strategies if strategy.deleted_at} == {idle, traded}
    assert (user.email, user.deleted_at is not None) == (f"deleted-{user_id}@deleted.invalid", True)
    assert not user.password_hash.startswith("$argon2")
    async with Redis.from_url(redis_url, decode_responses=True) as redis:
        assert await redis.exists(f"strategy:{traded}", f"runtime:{traded}", f"lock_state:{traded}") == 0
        assert str(traded) not in await redis.smembers("symbol:INFY:strategies")
        assert await redis.hget(f"user:{user_id}", "broker_connected") == "false"
        assert await redis.exists(f"events:{user_id}") == 0


async def test_a_deleted_account_cannot_log_in_and_its_address_can_register_again(
    client: httpx.AsyncClient, user: ApiUser
) -> None:
    before, body = await id_of(user), {"email": user.email, "password": PASSWORD}
    assert (await delete(user)).status_code == 204
    assert (await client.post("/auth/login", json=body)).json()["code"] == "invalid_credentials"
    refreshed = await client.post("/auth/refresh", json={"refresh_token": user.tokens["refresh_token"]})
    assert refreshed.status_code == 401
    again = await client.post("/auth/register", json=body)
    assert again.status_code == 201
    user.tokens = again.json()
    assert await id_of(user) != before
    assert (await user.call("GET", "/strategy/list")).json()["total"] == 0
    assert [line["action"] for line in (await user.call("GET", "/auth/activity")).json()["activity"]] == ["register"]


async def test_a_start_that_races_the_deletion_leaves_no_run_of_a_deleted_user(
    trader: ApiUser, sessions: Sessions
) -> None:
    user_id, strategy_id = await id_of(trader), await trader.strategy()
    deleted, *starts = await asyncio.gather(
        delete(trader), *(trader.call("POST", "/strategy/start", strategy_id=strategy_id) for _ in range(4))
    )
    async with transaction(sessions) as session:
        open_runs = (
            select(func.count()).select_from(Run).where(col(Run.user_id) == user_id, col(Run.ended_at).is_(None))
        )
        running = await session.scalar(open_runs)
    assert (deleted.status_code, running) in [(204, 0), (409, 1)]
    assert all(answer.status_code < 500 for answer in starts), [answer.text for answer in starts]


@pytest.mark.parametrize("table", ["logins", "broker_accounts", "strategies", "runs"])
async def test_the_database_refuses_rows_of_a_deleted_user(sessions: Sessions, table: str) -> None:
    run = await new_run(sessions)
    columns = {
        "logins": "id, user_id, started_at",
        "broker_accounts": "user_id, broker, broker_user_id, api_key_hint, secrets_box, key_version, token_obtained_at",
        "strategies": "user_id, exchange, tradingsymbol, instrument_token, product, buy_time, sell_time, "
        "stop_loss_paise, quantity",
        "runs": "strategy_id, user_id, tag_key, buy_at, sell_at, stop_loss_paise, quantity, product, ended_at",
    }[table]
    chosen = columns.replace("id, user_id, started_at", "gen_random_uuid(), user_id, now()")
    chosen = chosen.replace("ended_at", "now()")
    source = "runs" if table == "logins" else table
    copy = text(f"INSERT INTO {table} ({columns}) SELECT {chosen} FROM {source} WHERE user_id = :user")  # noqa: S608
    async with transaction(sessions) as session:
        await session.execute(text("UPDATE runs SET ended_at = now() WHERE user_id = :user"), {"user": run.user_id})
        if table != "broker_accounts":  # of which a user may have only one
            await session.execute(copy, {"user": run.user_id})
        await session.execute(text("UPDATE users SET deleted_at = now() WHERE id = :user"), {"user": run.user_id})
    with pytest.raises(ConstraintViolated, match=f"{table}_of_live_user"):
        async with transaction(sessions) as session:
            await session.execute(copy, {"user": run.user_id})


async def test_a_user_sees_what_was_done_with_the_account_and_from_where(app: FastAPI, trader: ApiUser) -> None:
    strategy_id = await trader.strategy()
    transport = httpx.ASGITransport(app, client=("198.51.100.7", 50_000))
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as elsewhere:
        await elsewhere.post("/auth/login", json={"email": trader.email, "password": "a guess"})
        answer = await elsewhere.post("/auth/login", json={"email": trader.email, "password": PASSWORD})
        await elsewhere.post("/auth/logout", json={"refresh_token": answer.json()["refresh_token"]})
    seen = (await trader.call("GET", "/auth/activity")).json()
    assert seen.keys() == {"activity", "total", "total_capped", "limit", "offset"}
    assert all(line.keys() == {"at", "action", "subject", "address"} for line in seen["activity"])
    done = [(line["action"], line["subject"]) for line in seen["activity"]]
    assert done[:3] == [("logout", ""), ("login", ""), ("login_failed", "login")]
    assert ("strategy_create", str(strategy_id)) in done[3:-1]
    assert (done[-1], seen["total"]) == (("register", ""), len(done))
    assert [line["address"] for line in seen["activity"][:3]] == ["198.51.100.7"] * 3
    assert seen["activity"][0]["at"].endswith("+05:30")
    assert abs(datetime.now(UTC) - datetime.fromisoformat(seen["activity"][0]["at"])).total_seconds() < 60
    page = (await trader.call("GET", "/auth/activity?limit=2&offset=1")).json()
    assert page == {
        "activity": seen["activity"][1:3],
        "total": seen["total"],
        "total_capped": False,
        "limit": 2,
        "offset": 1,
    }


async def test_another_tenant_does_not_see_it(client: httpx.AsyncClient, user: ApiUser) -> None:
    stranger = await ApiUser.register(client)
    await client.post("/auth/login", json={"email": user.email, "password": "a guess"})
    seen = (await stranger.call("GET", "/auth/activity")).json()
    assert ([line["action"] for line in seen["activity"]], seen["total"]) == (["register"], 1)


async def test_an_account_is_deleted_though_redis_is_down(
    settings: Settings, engine: FakeEngine, trader: ApiUser, sessions: Sessions
) -> None:
    user_id = await id_of(trader)
    app = create_app(settings.model_copy(update={"redis_url": "redis://127.0.0.1:1"}), engine)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://api") as client,
    ):
        trader.client = client
        assert (await delete(trader)).status_code == 204
    assert await count(sessions, BrokerAccount, user_id) == 0
