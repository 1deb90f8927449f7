"""Rows A1 and A2 over HTTP, on the real database and Redis."""

import asyncio
import json
import re
import secrets
from datetime import UTC, datetime

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select
from sqlmodel import col

from persistence.database.engine import Sessions, transaction
from persistence.database.models.users import User
from tests.integration.api_user import PASSWORD, ApiUser

pytest_plugins = ["tests.integration.fixtures"]

JSON = {"Content-Type": "application/json"}


async def test_register_stores_a_hash_and_answers_tokens(client: httpx.AsyncClient, sessions: Sessions) -> None:
    email = f"{secrets.token_hex(6)}@Example.COM"
    answer = await client.post("/auth/register", json={"email": email, "password": PASSWORD})
    assert answer.status_code == 201
    assert answer.json().keys() == {"access_token", "token_type", "expires_in", "refresh_token"}
    assert (answer.json()["token_type"], answer.json()["expires_in"]) == ("bearer", 900)
    async with transaction(sessions) as session:
        user = await session.scalar(select(User).where(col(User.email) == email.lower()))
    assert user is not None
    assert PASSWORD not in user.password_hash


async def test_an_address_registers_once_however_it_is_raced(client: httpx.AsyncClient) -> None:
    body = {"email": f"{secrets.token_hex(6)}@example.com", "password": PASSWORD}
    answers = await asyncio.gather(*(client.post("/auth/register", json=body) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
    assert (await client.post("/auth/register", json=body)).json()["code"] == "email_taken"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"email": "no-at-sign", "password": PASSWORD}, "email"),
        ({"email": "deleted-7@deleted.invalid", "password": PASSWORD}, "email"),
        ({"email": "a@example.com", "password": "short"}, "password"),
        ({"email": "a@example.com", "password": "x" * 257}, "password"),
        ({"email": "a@example.com", "password": "horses \ud800 horses"}, "password"),
        ({"email": "horse.battery@example.com", "password": "Horse.Battery"}, "password"),
        ({"email": "a@example.com"}, "password"),
        ({"email": "a@example.com", "password": PASSWORD, "is_admin": True}, "body"),
    ],
)
async def test_bad_registrations_name_the_field_and_echo_nothing(
    client: httpx.AsyncClient, body: dict[str, object], field: str
) -> None:
    answer = await client.post("/auth/register", content=json.dumps(body), headers=JSON)
    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid_request"
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert not any(str(value) in answer.text for value in body.values() if value is not True)
    assert "is_admin" not in answer.text


@pytest.mark.parametrize("password", ["short", "blue tram" * 29, "e\u0301te\u0301 x"])
async def test_the_length_of_a_password_is_told_in_plain_words(client: httpx.AsyncClient, password: str) -> None:
    answer = await client.post("/auth/register", json={"email": "a@example.com", "password": password})
    message = "must have at least 8 characters, at most 256"
    assert answer.json()["errors"] == [{"field": "password", "message": message}]


async def test_a_password_with_an_accent_is_the_same_on_every_device(client: httpx.AsyncClient) -> None:
    composed, decomposed = "caf\u00e9 au lait", "cafe\u0301 au lait"
    for registered, typed in ((composed, decomposed), (decomposed, composed)):
        email = f"{secrets.token_hex(6)}@example.com"
        answer = await client.post("/auth/register", json={"email": email, "password": registered})
        assert answer.status_code == 201
        for password in (typed, registered):
            body = {"email": f"  {email} ", "password": password}  # a keyboard adds a space after a completed address
            assert (await client.post("/auth/login", json=body)).status_code == 200
        wrong = await client.post("/auth/login", json={"email": email, "password": "cafe au lait"})
        assert wrong.status_code == 401


async def test_login_and_validate(client: httpx.AsyncClient, user: ApiUser) -> None:
    answer = await client.post("/auth/login", json={"email": user.email.upper(), "password": PASSWORD})
    assert answer.status_code == 200
    user.tokens = answer.json()
    validated = await user.call("GET", "/auth/validate")
    assert validated.status_code == 200
    assert validated.json()["valid"] is True
    assert validated.json()["email"] == user.email
    assert datetime.fromisoformat(validated.json()["expires_at"]) > datetime.now(UTC)


async def test_refresh_goes_on_with_the_same_login(client: httpx.AsyncClient, user: ApiUser) -> None:
    before = dict(user.tokens)
    answer = await client.post("/auth/refresh", json={"refresh_token": before["refresh_token"]})
    assert answer.status_code == 200
    user.tokens = answer.json()
    assert user.tokens["refresh_token"] != before["refresh_token"]
    assert (await user.call("GET", "/auth/validate")).status_code == 200
    user.tokens = before  # an access token outlives the refresh that replaced it, until it expires
    assert (await user.call("GET", "/auth/validate")).status_code == 200


async def test_logout_ends_the_refresh_token(client: httpx.AsyncClient, user: ApiUser) -> None:
    body = {"refresh_token": user.tokens["refresh_token"]}
    assert (await client.post("/auth/logout", json=body)).status_code == 204
    assert (await client.post("/auth/refresh", json=body)).status_code == 401
    assert (await client.post("/auth/logout", json=body)).status_code == 204
    assert (await client.post("/auth/logout", json={"refresh_token": "never issued"})).status_code == 204


async def test_two_tokens_in_one_request_are_none(client: httpx.AsyncClient, user: ApiUser) -> None:
    another = await ApiUser.register(client)
    both = [("Authorization", f"Bearer {one.tokens['access_token']}") for one in (user, another)]
    answer = await client.get("/strategy/list", headers=both)
    assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid")
    assert "twice" in answer.json()["detail"]


async def test_every_route_but_the_public_ones_needs_a_token(client: httpx.AsyncClient, app: FastAPI) -> None:
    public = {
        "/auth/register",
        "/auth/login",
        "/auth/refresh",
        "/auth/logout",
        "/app/config",
        "/auth/reset",
        "/broker/callback",
        "/broker/login",
        "/healthz",
        "/readyz",
        "/metrics",
    }
    for path, operations in app.openapi()["paths"].items():
        for method in operations:
            answer = await client.request(method.upper(), re.sub("{.+?}", "1", path))
            assert (path in public) == (answer.status_code != 401), (method, path, answer.status_code)
