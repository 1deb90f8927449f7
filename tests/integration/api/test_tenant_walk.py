"""Threat: another tenant's ids (OWASP API1). Every operation of the OpenAPI document is tried with them.

A new operation takes part by itself. One with an id that is not known here fails, until it is.
"""

import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from redis.asyncio import Redis
from sqlalchemy import select
from sqlmodel import col

from api.app import create_app
from api.users.tokens import code_hash, new_code
from broker.exchange_time import IST
from config.settings import Settings
from persistence.database.engine import Sessions, transaction
from persistence.database.models.base import TableModel
from persistence.database.models.panics import Panic
from persistence.database.models.runs import Intent, Run
from persistence.database.models.users import User
from persistence.database.repositories.runs import Runs
from persistence.database.repositories.users import Users
from persistence.mirror.keys import events_key, runtime_key, strategy_key, user_key
from persistence.notifications.channels import Channels
from tests.integration.api_user import PASSWORD, ApiUser
from tests.integration.persistence.journal.test_ledger import bought
from tests.kit.fakes.strategy_engine import FakeEngine
from tests.kit.paper import PaperExchange

pytest_plugins = ["tests.integration.fixtures"]

DOCUMENT = create_app(Settings(_env_file=None)).openapi()
OPERATIONS = {
    operation["operationId"]: (method, path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
IDS = re.compile(r"(^|[_-])ids?$", re.IGNORECASE)
TRIED = ("strategy_id", "run_id", "login_id", "panic_id", "channel_id")
"""Ids of rows: with another tenant's, the answer is 404."""

CHANNEL = {
    "kind": "email", "address_box": b"", "key_version": "", "state": "active",
    "verified_at": datetime(2026, 11, 21, tzinfo=UTC),
}  # fmt: skip

HARMLESS = {"last_event_id": "0-0", "last-event-id": "0-0"}
"""Ids of something else: a place in the caller's own stream of events."""

LISTS_OF_NO_IDS = {"days", "skip"}
"""Lists of days."""

OF_EACH_LOOK = {"looked_at", "next_look_at"}
"""What the API's own looks at schedules move."""

SETTLED = {"follow": "false", "q": "INFY"}
"""Parameters without which an answer would not end, or would be a refusal."""


@dataclass(frozen=True)
class Tenant:
    """A user with a running strategy, an ended one and orders, and what would give this user away."""

    user: ApiUser
    user_id: int
    ids: dict[str, int | str]
    words: tuple[str, ...]
    reset_code: str
    link_code: str

    def own(self, field: str) -> Any:
        """What this user would send in a field of that name, or None."""
        assert self.user.paper is not None
        return {
            "email": self.user.email,
            "password": PASSWORD,
            "current_password": PASSWORD,
            "refresh_token": self.user.tokens["refresh_token"],
            "api_key": self.user.paper.api_key,
            "api_secret": self.user.paper.api_secret,
            "access_token": self.user.paper.access_token,
            "code": self.reset_code,
            "date": coming_day(),
        }.get(field)


def coming_day() -> str:
    """A day that no schedule starts anything for during the walk."""
    return (datetime.now(IST) + timedelta(days=2)).date().isoformat()


async def make_tenant(
    client: httpx.AsyncClient, paper: PaperExchange, engine: FakeEngine, sessions: Sessions, symbol: str
) -> Tenant:
    """A new tenant, who trades this symbol."""
    user = await ApiUser.register(client)
    user.paper = paper.control.new_account()
    assert (await user.connect()).status_code == 200
    await user.strategy(symbol=symbol)
    strategy_id = await user.started(symbol=symbol, stop_loss=None, stop_loss_percent=2)
    schedule = {"days": "every_session", "from": coming_day()}
    assert (await user.call("PUT", f"/strategy/{strategy_id}/schedule", **schedule)).status_code == 200
    user_id = (await user.call("GET", "/auth/validate")).json()["user_id"]
    async with transaction(sessions) as session:
        run = await Runs(session).open_of(user_id, strategy_id)
        code = new_code()
        await Users(session).set_reset_code(user_id, code_hash(code), datetime.now(UTC) + timedelta(hours=1))
        now = datetime.now(UTC)
        panic = Panic(id=uuid.uuid4(), user_id=user_id, asked_by="user", finished_at=now, unlocked_at=now)
        session.add(panic)
    assert run is not None
    assert engine.ledger is not None
    await engine.ledger.record(replace(bought(run), symbol=symbol))
    link = (await user.call("POST", "/broker/login-link")).json()["login_link"]
    logins = (await user.call("GET", "/auth/logins")).json()["logins"]
    async with transaction(sessions) as session:
        channel = await Channels(session).put(user_id, CHANNEL | {"address_hash": code_hash(code), "hint": symbol})
    ids: dict[str, int | str] = {"strategy_id": strategy_id, "run_id": run.id, "login_id": logins[0]["login_id"]}
    ids |= {"panic_id": str(panic.id), "channel_id": channel.id}
    words = (user.email, user.paper.user_id, symbol, str(panic.id))
    return Tenant(user, user_id, ids, words, code, httpx.URL(link).params["code"])


def fields_of(operation: dict[str, Any]) -> dict[str, Any]:
    """The fields of an operation's body, by name."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
    return dict(DOCUMENT["components"]["schemas"].get(name, {}).get("properties", {}))


def ids_of(operation: dict[str, Any]) -> set[str]:
    """The names of all ids that an operation takes, wherever it takes them."""
    names = {parameter["name"] for parameter in operation.get("parameters", ())} | fields_of(operation).keys()
    return {name for name in names if IDS.search(name)}


async def ask(name: str, tenant: Tenant, ids: dict[str, int | str]) -> httpx.Response:
    """One call as a tenant, with these ids wherever it takes one."""
    method, path, operation = OPERATIONS[name]
    query: dict[str, Any] = {}
    headers = {"Authorization": f"Bearer {tenant.user.tokens['access_token']}"}
    for parameter in operation.get("parameters", ()):
        value = (HARMLESS | SETTLED | {"code": tenant.link_code} | ids).get(parameter["name"])
        if value is None or parameter["in"] == "path":
            continue
        (headers if parameter["in"] == "header" else query)[parameter["name"]] = str(value)
    body = None
    if "requestBody" in operation:
        example = operation["requestBody"]["content"]["application/json"]["example"]
        body = {field: ids.get(field, tenant.own(field) or value) for field, value in example.items()}
    return await tenant.user.client.request(method, path.format(**ids), params=query, headers=headers, json=body)


def numbers_of(value: object) -> Iterator[tuple[str, int]]:
    """Every number under a name, anywhere in an answer."""
    match value:
        case dict(fields):
            for name, inner in fields.items():
                if isinstance(inner, int):
                    yield name, inner
                yield from numbers_of(inner)
        case list(items):
            for item in items:
                yield from numbers_of(item)


def tells_of(answer: httpx.Response, tenant: Tenant) -> list[str]:
    """What an answer tells of a tenant."""
    told = [word for word in tenant.words if word in answer.text]
    if answer.headers.get("Content-Type", "").startswith("application/json"):
        known = {*tenant.ids.items(), ("user_id", tenant.user_id)}
        told += [f"{name}={number}" for name, number in numbers_of(answer.json()) if (name, number) in known]
    return told


async def all_of(tenant: Tenant, sessions: Sessions, redis: Redis) -> dict[str, Any]:
    """Every row and key of a tenant."""
    rows: dict[str, Any] = {}
    async with transaction(sessions) as session:
        runs = select(col(Run.id)).where(col(Run.user_id) == tenant.user_id)
        for table in TableModel.metadata.sorted_tables:
            if "user_id" in table.c:
                mine = table.c.user_id == tenant.user_id
            elif table.name in {User.__tablename__, Intent.__tablename__}:
                mine = table.c.id == tenant.user_id if table.name == User.__tablename__ else table.c.run_id.in_(runs)
            else:
                continue
            found = await session.execute(select(table).where(mine).order_by(*table.primary_key))
            rows[table.name] = [
                {name: value for name, value in row._mapping.items() if name not in OF_EACH_LOOK} for row in found
            ]
    strategy_id = int(tenant.ids["strategy_id"])
    for key in (strategy_key(strategy_id), runtime_key(strategy_id), user_key(tenant.user_id)):
        rows[key] = await redis.hgetall(key)
    rows["events"] = await redis.xrange(events_key(tenant.user_id))
    return rows


def test_the_walk_knows_every_id_of_every_operation() -> None:
    for name, (_, path, operation) in OPERATIONS.items():
        assert ids_of(operation) <= {*TRIED, *HARMLESS}, f"{name} takes an id that the walk does not know"
        placeholders = set(re.findall(r"{(.+?)}", path))
        assert placeholders <= set(TRIED), f"{name} has a path that the walk cannot fill"
        for field, schema in fields_of(operation).items():
            assert "array" not in json.dumps(schema) or field in LISTS_OF_NO_IDS, (
                f"{name}: the walk does not look into the list {field}"
            )


async def test_another_tenants_ids_are_404_on_every_operation_and_nothing_of_it_shows(
    client: httpx.AsyncClient, paper: PaperExchange, engine: FakeEngine, sessions: Sessions, redis_url: str
) -> None:
    alice = await make_tenant(client, paper, engine, sessions, "TCS")
    async with Redis.from_url(redis_url, decode_responses=True) as redis:
        before = await all_of(alice, sessions, redis)
        assert all(before[table] for table in ("users", "strategies", "runs", "intents", "order_logs", "events"))
        faults, telling = [], set()
        for name, (method, path, operation) in sorted(OPERATIONS.items()):
            # A new one each time: some operations end a login, a connection or an account.
            bob = await make_tenant(client, paper, engine, sessions, "INFY")
            tried = [{id_name: alice.ids[id_name]} for id_name in ids_of(operation) & set(TRIED)]
            for ids in [bob.ids | foreign for foreign in tried] + [alice.ids] * bool(tried):
                answer = await ask(name, bob, ids)
                if answer.status_code != 404 or not answer.json()["code"].endswith("_not_found"):
                    faults.append(f"{method} {path} with {ids}: {answer.status_code} {answer.text}")
                faults += [f"{method} {path} with {ids} tells of {told}" for told in tells_of(answer, alice)]
            answer = await ask(name, bob, bob.ids)
            if answer.status_code >= 500 or answer.status_code in {401, 404, 422}:
                faults.append(f"{method} {path} is not tried in earnest: {answer.status_code} {answer.text}")
            faults += [f"{method} {path} tells of {told}" for told in tells_of(answer, alice)]
            if tells_of(answer, bob):
                telling.add(name)
        assert faults == []
        assert telling >= {"get_strategy", "strategy_status", "strategy_timeline", "list_strategies", "strategy_events"}
        assert await all_of(alice, sessions, redis) == before
