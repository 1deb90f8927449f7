"""Rows A1 and A2 over HTTP, on the real database and Redis."""

import asyncio
import secrets
from datetime import UTC, datetime, timedelta

import httpx
import jwt
import pytest
from fastapi import FastAPI
from sqlalchemy import select
from sqlmodel import col

from api.tokens import AccessTokens
from config.settings import Settings
from persistence.database import Sessions, transaction
from persistence.models import User
from tests.integration.api_user import PASSWORD, ApiUser

pytest_plugins = ["tests.integration.fixtures"]


async def test_register_stores_a_hash_and_answers_tokens(client: httpx.AsyncClient, sessions: Sessions) -> None:
    email = f"{secrets.token_hex(6)}@Example.COM"
    answer = await client.post("/auth/register", json={"email": email, "password": PASSWORD})
    assert answer.status_code == 201
    assert answer.json().keys() == {"access_token", "token_type", "expires_in", "refresh_token"}
    assert answer.json()["token_type"] == "bearer"
    async with transaction(sessions) as session:
        user = await session.scalar(select(User).where(col(User.email) == email.lower()))
    assert user is not None
    assert user.password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_an_address_registers_once_however_it_is_raced(client: httpx.AsyncClient) -> None:
    body = {"email": f"{secrets.token_hex(6)}@example.com", "password": PASSWORD}
    answers = await asyncio.gather(*(client.post("/auth/register", json=body) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
    assert (await client.post("/auth/register", json=body)).json()["code"] == "email_taken"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"email": "no-at-sign", "password": PASSWORD}, "email"),
        ({"email": "a@example.com", "password": "short"}, "password"),
        ({"email": "a@example.com", "password": "x" * 10_000_000}, "password"),
        ({"email": "a@example.com"}, "password"),
        ({"email": "a@example.com", "password": PASSWORD, "is_admin": True}, "body"),
    ],
)
async def test_bad_registrations_name_the_field_and_echo_nothing(
    client: httpx.AsyncClient, body: dict[str, object], field: str
) -> None:
    answer = await client.post("/auth/register", json=body)
    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid_request"
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert not any(str(value) in answer.text for value in body.values() if value is not True)
    assert "is_admin" not in answer.text


async def test_login_and_validate(client: httpx.AsyncClient, user: ApiUser) -> None:
    answer = await client.post("/auth/login", json={"email": user.email.upper(), "password": PASSWORD})
    assert answer.status_code == 200
    user.tokens = answer.json()
    validated = await user.call("GET", "/auth/validate")
    assert validated.status_code == 200
    assert validated.json()["valid"] is True
    assert validated.json()["email"] == user.email
    assert datetime.fromisoformat(validated.json()["expires_at"]) > datetime.now(UTC)


async def test_wrong_password_and_unknown_user_get_the_same_answer(client: httpx.AsyncClient, user: ApiUser) -> None:
    wrong = await client.post("/auth/login", json={"email": user.email, "password": "not the password"})
    unknown = await client.post("/auth/login", json={"email": "nobody@example.com", "password": PASSWORD})
    assert (wrong.status_code, wrong.json()) == (unknown.status_code, unknown.json())
    assert wrong.json()["code"] == "invalid_credentials"


async def test_guessing_a_password_is_throttled(client: httpx.AsyncClient, user: ApiUser) -> None:
    body = {"email": user.email, "password": "a guess"}
    answers = [await client.post("/auth/login", json=body) for _ in range(12)]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429] * 2
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 300


def forged(settings: Settings, **changes: object) -> str:
    now = datetime.now(UTC)
    claims = {
        "iss": "tradeactors",
        "aud": "tradeactors-api",
        "sub": "1",
        "iat": now,
        "exp": now + timedelta(minutes=5),
        "jti": "1",
    } | changes
    genuine = AccessTokens(settings.jwt_secret.get_secret_value(), timedelta(minutes=1), lambda: now).issue(1).text
    headers = {"kid": jwt.get_unverified_header(genuine)["kid"]}
    return jwt.encode(
        {k: v for k, v in claims.items() if v is not None},
        settings.jwt_secret.get_secret_value(),
        "HS256",
        headers=headers,
    )


async def test_expired_is_told_apart_from_invalid(user: ApiUser, settings: Settings) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=2)
    secret = settings.jwt_secret.get_secret_value()
    user.tokens["access_token"] = AccessTokens(secret, timedelta(minutes=5), lambda: long_ago).issue(1).text
    answer = await user.call("GET", "/auth/validate")
    assert (answer.status_code, answer.json()["code"]) == (401, "token_expired")


@pytest.mark.parametrize(
    "changes",
    [{"aud": "another-api"}, {"iss": "somebody"}, {"exp": None}, {"jti": None}, {"sub": "robert"}],
)
async def test_tokens_for_something_else_are_invalid(
    user: ApiUser, settings: Settings, changes: dict[str, object]
) -> None:
    user.tokens["access_token"] = forged(settings, **changes)
    answer = await user.call("GET", "/auth/validate")
    assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_unsigned_altered_and_foreign_tokens_are_invalid(user: ApiUser) -> None:
    genuine = user.tokens["access_token"]
    head, payload, signature = genuine.split(".")
    unsigned = jwt.encode({"sub": "1"}, "", "none", headers={"kid": jwt.get_unverified_header(genuine)["kid"]})
    foreign = jwt.encode({"sub": "1"}, "another secret, also long enough for HS256", "HS256")
    for text in (unsigned, foreign, f"{head}.{payload}.{signature[::-1]}", "rubbish", f"{head}.{payload}"):
        user.tokens["access_token"] = text
        assert (await user.call("GET", "/auth/validate")).json()["code"] == "token_invalid"


async def test_refresh_rotates_and_reuse_ends_the_login(client: httpx.AsyncClient, user: ApiUser) -> None:
    first = user.tokens["refresh_token"]
    second = (await client.post("/auth/refresh", json={"refresh_token": first})).json()["refresh_token"]
    assert second != first
    reused = await client.post("/auth/refresh", json={"refresh_token": first})
    assert (reused.status_code, reused.json()["code"]) == (401, "invalid_credentials")
    assert (await client.post("/auth/refresh", json={"refresh_token": second})).status_code == 401


async def test_logout_ends_the_refresh_token(client: httpx.AsyncClient, user: ApiUser) -> None:
    body = {"refresh_token": user.tokens["refresh_token"]}
    assert (await client.post("/auth/logout", json=body)).status_code == 204
    assert (await client.post("/auth/refresh", json=body)).status_code == 401
    assert (await client.post("/auth/logout", json={"refresh_token": "never issued"})).status_code == 204


async def test_every_route_but_the_public_ones_needs_a_token(client: httpx.AsyncClient, app: FastAPI) -> None:
    public = {"/auth/register", "/auth/login", "/auth/refresh", "/auth/logout", "/healthz", "/readyz", "/metrics"}
    for path, operations in app.openapi()["paths"].items():
        for method in operations:
            answer = await client.request(method.upper(), path.replace("{strategy_id}", "1"))
            assert (path in public) == (answer.status_code != 401), (method, path, answer.status_code)
