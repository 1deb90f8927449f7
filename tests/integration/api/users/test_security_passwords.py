"""Passwords against who guesses, steals or overloads them. Each test is named after the threat that it answers."""

import asyncio
import dataclasses
import json
import secrets
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import argon2
import httpx
import pytest
from argon2 import Type, extract_parameters
from fastapi import FastAPI
from redis.asyncio import Redis
from sqlalchemy import select
from sqlmodel import col

from api.base.clock import utc_now
from api.edge.rate_limit import RateLimits
from api.edge.requests_at_once import RequestsAtOnce
from api.edge.work_budget import WorkBudget
from api.users.auth_service import AuthService
from api.users.login_tokens import LoginLifetime, LoginTokens
from api.users.passwords.check import PasswordCheck
from api.users.passwords.hashing import Passwords
from persistence.database.engine import Sessions, transaction
from persistence.database.models.audit import AuditEntry
from persistence.database.models.users import User
from persistence.database.repositories.users import Users
from persistence.login_throttle import LoginThrottle, ThrottleLimits
from tests.integration.api_user import PASSWORD, ApiUser

if TYPE_CHECKING:
    from api.bootstrap import Resources

pytest_plugins = ["tests.integration.fixtures"]

THROTTLED = (429, "too_many_attempts")
WRONG = (401, "invalid_credentials")


def from_address(app: FastAPI, address: str) -> httpx.AsyncClient:
    """A client whose requests come from an address."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 50_000))
    return httpx.AsyncClient(transport=transport, base_url="http://api")


def an_address() -> str:
    """An address that no other client uses."""
    return f"2001:db8:{secrets.randbelow(65536):x}:{secrets.randbelow(65536):x}::1"


def an_email() -> str:
    """An e-mail address that no user has registered."""
    return f"{secrets.token_hex(8)}@example.com"


def outcome(answer: httpx.Response) -> tuple[int, str]:
    """Status and code."""
    return answer.status_code, answer.json().get("code", "")


async def stored_user(sessions: Sessions, email: str) -> User:
    async with transaction(sessions) as session:
        user = await Users(session).by_email(email)
    assert user is not None
    return user


async def audit_of(sessions: Sessions, **columns: Any) -> list[tuple[str, str, dict[str, Any]]]:
    """Action, subject and detail (but the request) of the audit log's lines with the given columns, oldest first."""
    async with transaction(sessions) as session:
        lines = await session.scalars(select(AuditEntry).filter_by(**columns).order_by(col(AuditEntry.id)))
        told = [(line.action, line.subject, {**line.detail}) for line in lines]
    for _, _, detail in told:
        detail.pop("request_id", None)
    return told


@pytest.fixture
async def briefly_throttled(app: FastAPI, redis_url: str) -> AsyncIterator[FastAPI]:
    """The application with windows of one second and three attempts, and any number of requests a minute."""
    resources: Resources = app.state.resources
    limits = ThrottleLimits(
        per_pair=3, per_account=3, per_address=3, windows_s=(1,), registrations_per_address=3, registration_window_s=1
    )
    passwords = Passwords()
    async with Redis.from_url(redis_url, decode_responses=True) as redis:
        auth = AuthService(
            resources.sessions,
            passwords,
            LoginTokens(resources.tokens, LoginLifetime(timedelta(days=90), timedelta(days=14)), utc_now),
            resources.logins,
            LoginThrottle(redis, limits),
            utc_now,
        )
        app.state.resources = dataclasses.replace(resources, auth=auth)
        app.state.work_budget = WorkBudget(RateLimits(per_user=0, per_address=0), RequestsAtOnce(0))
        yield app
    passwords.close()


async def test_guessing_the_password_of_an_account_is_throttled_from_any_address(app: FastAPI, user: ApiUser) -> None:
    answers = []
    for _ in range(50):
        async with from_address(app, an_address()) as client:
            answers.append(await client.post("/auth/login", json={"email": user.email, "password": "a guess"}))
    assert [outcome(answer) for answer in answers] == [WRONG] * 30 + [THROTTLED] * 20
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 300
    async with from_address(app, an_address()) as client:  # the right password is not looked at either
        assert outcome(await client.post("/auth/login", json={"email": user.email, "password": PASSWORD})) == THROTTLED


async def test_what_strangers_try_never_keeps_an_owner_out_where_he_has_logged_in_before(
    app: FastAPI, user: ApiUser
) -> None:
    body = {"email": user.email, "password": PASSWORD}
    for _ in range(3):
        async with from_address(app, an_address()) as stranger:
            for _ in range(10):
                await stranger.post("/auth/login", json={"email": user.email, "password": "a guess"})
    answers = [await user.client.post("/auth/login", json=body) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {200}
    async with from_address(app, an_address()) as elsewhere:  # nor are the strangers' attempts forgotten by that
        assert outcome(await elsewhere.post("/auth/login", json=body)) == THROTTLED


async def test_ten_wrong_passwords_of_one_stranger_keep_an_owner_out_nowhere(app: FastAPI, user: ApiUser) -> None:
    async with from_address(app, an_address()) as stranger:
        for _ in range(11):
            last = await stranger.post("/auth/login", json={"email": user.email, "password": "a guess"})
    assert outcome(last) == THROTTLED
    async with from_address(app, an_address()) as elsewhere:
        answer = await elsewhere.post("/auth/login", json={"email": user.email, "password": PASSWORD})
    assert answer.status_code == 200


async def test_an_address_that_the_owner_uses_may_not_guess_without_end(user: ApiUser) -> None:
    body = {"email": user.email, "password": "a guess"}
    answers = [outcome(await user.client.post("/auth/login", json=body)) for _ in range(12)]
    assert answers == [WRONG] * 10 + [THROTTLED] * 2


async def test_a_user_who_goes_on_guessing_waits_longer_each_time(redis_url: str) -> None:
    limits = ThrottleLimits(per_pair=2, per_address=1_000_000, windows_s=(1, 3, 5))
    account, address = an_email(), an_address()
    waits: list[int] = []
    async with Redis.from_url(redis_url, decode_responses=True) as redis, asyncio.timeout(60):
        throttle = LoginThrottle(redis, limits)
        while len(waits) < 3:
            while await throttle.attempt(account, address, known=False) is not None:
                pass
            refusal = None
            while refusal is None:
                refusal = await throttle.attempt(account, address, known=False)
            waits.append(refusal.wait_s)
    assert waits == [1, 3, 5]


async def test_the_waits_of_a_stranger_grow_to_an_hour(redis_url: str) -> None:
    account, address = an_email(), an_address()
    waits: list[int] = []
    async with Redis.from_url(redis_url, decode_responses=True) as redis:
        throttle = LoginThrottle(redis)
        for _ in range(3):
            for _ in range(10):
                assert await throttle.attempt(account, address, known=False) is None
            refusal = await throttle.attempt(account, address, known=False)
            assert refusal is not None
            waits.append(refusal.wait_s)
            async for key in redis.scan_iter("throttle:login:*"):  # the window passes
                if not key.endswith(":refusals"):
                    await redis.delete(key)
    assert waits == [300, 900, 3600]


async def test_while_redis_is_away_a_process_counts_in_its_memory(app: FastAPI, user: ApiUser) -> None:
    resources: Resources = app.state.resources
    gone = Redis.from_url("redis://127.0.0.1:1", socket_connect_timeout=0.1)
    throttle = LoginThrottle(gone)
    check = PasswordCheck(resources.sessions, resources.passwords, throttle)
    auth = resources.auth
    auth._check, auth._throttle = check, throttle
    answers = []
    for _ in range(50):
        async with from_address(app, an_address()) as client:
            answers.append(await client.post("/auth/login", json={"email": user.email, "password": "a guess"}))
    assert [outcome(answer) for answer in answers] == [WRONG] * 30 + [THROTTLED] * 20
    right = {"email": user.email, "password": PASSWORD}
    assert (await user.client.post("/auth/login", json=right)).status_code == 200, "where its owner has logged in"
    await gone.aclose()


async def test_all_ways_to_guess_a_password_share_one_counter(user: ApiUser) -> None:
    ways: list[tuple[str, dict[str, str]]] = [
        ("/auth/login", {"email": user.email, "password": "a guess"}),
        ("/auth/password", {"current_password": "a guess", "new_password": "the thief's own"}),
        ("/auth/delete", {"password": "a guess"}),
        ("/auth/confirm", {"password": "a guess"}),
    ]
    answers = [await user.call("POST", path, **body) for path, body in (ways * 3)[:10]]
    assert [outcome(answer) for answer in answers] == [WRONG] * 10
    for path, body in ways:
        assert outcome(await user.call("POST", path, **body)) == THROTTLED, path


async def test_guessing_many_times_at_once_is_no_way_around_the_throttle(
    client: httpx.AsyncClient, user: ApiUser
) -> None:
    body = {"email": user.email, "password": "a guess"}
    answers = await asyncio.gather(*(client.post("/auth/login", json=body) for _ in range(30)))
    assert sorted(outcome(answer) for answer in answers) == [WRONG] * 10 + [THROTTLED] * 20


async def test_trying_one_password_on_hundred_accounts_is_throttled_by_address(app: FastAPI, user: ApiUser) -> None:
    network = an_address().removesuffix("1")
    answers = []
    for number in range(1, 103):
        async with from_address(app, f"{network}{number:x}") as client:
            answers.append(await client.post("/auth/login", json={"email": an_email(), "password": "Summer2026"}))
    assert [outcome(answer) for answer in answers] == [WRONG] * 100 + [THROTTLED] * 2
    async with from_address(app, f"{network}ffff") as client:  # the right password is not looked at either
        answer = await client.post("/auth/login", json={"email": user.email, "password": PASSWORD})
    assert outcome(answer) == THROTTLED
    answer = await user.client.post("/auth/login", json={"email": user.email, "password": PASSWORD})
    assert answer.status_code == 200


async def test_a_throttled_account_is_open_again_after_the_window(briefly_throttled: FastAPI, user: ApiUser) -> None:
    wrong = {"email": user.email, "password": "a guess"}
    right = {"email": user.email, "password": PASSWORD}
    async with asyncio.timeout(60):
        answers: list[httpx.Response] = []
        while THROTTLED not in map(outcome, answers):  # at once: a window can be over before a third one is counted
            answers = await asyncio.gather(*(user.client.post("/auth/login", json=wrong) for _ in range(8)))
        while outcome(await user.client.post("/auth/login", json=right)) == THROTTLED:
            pass
    assert (await user.client.post("/auth/login", json=right)).status_code == 200


async def test_logging_in_often_with_the_right_password_is_not_throttled(
    client: httpx.AsyncClient, user: ApiUser
) -> None:
    body = {"email": user.email, "password": PASSWORD}
    assert {(await client.post("/auth/login", json=body)).status_code for _ in range(15)} == {200}


async def test_registering_by_the_hundred_is_throttled_by_address(briefly_throttled: FastAPI) -> None:
    async with from_address(briefly_throttled, an_address()) as client:

        async def register() -> httpx.Response:
            return await client.post("/auth/register", json={"email": an_email(), "password": PASSWORD})

        answers = await asyncio.gather(*(register() for _ in range(8)))
        assert sorted(outcome(answer) for answer in answers) == [(201, "")] * 3 + [THROTTLED] * 5
        async with asyncio.timeout(20):
            for _ in range(2):  # each place is free again by itself
                while outcome(await register()) == THROTTLED:
                    pass


async def test_trying_refresh_tokens_counts_against_the_address(briefly_throttled: FastAPI, user: ApiUser) -> None:
    async with from_address(briefly_throttled, an_address()) as client:
        for _ in range(3):
            answer = await client.post("/auth/refresh", json={"refresh_token": secrets.token_urlsafe(32)})
            assert outcome(answer) == WRONG
        assert outcome(await client.post("/auth/login", json={"email": user.email, "password": PASSWORD})) == THROTTLED


async def test_a_stranger_who_keeps_an_account_throttled_does_not_keep_its_owner_from_changing_the_password(
    app: FastAPI, user: ApiUser
) -> None:
    async with from_address(app, an_address()) as stranger:
        for _ in range(11):
            last = await stranger.post("/auth/login", json={"email": user.email, "password": "a guess"})
    assert outcome(last) == THROTTLED
    answer = await user.call("POST", "/auth/password", current_password=PASSWORD, new_password="beyond all guesses")
    assert answer.status_code == 200


@pytest.mark.parametrize(("path", "field"), [("/auth/password", "current_password"), ("/auth/delete", "password")])
async def test_guessing_the_password_with_a_stolen_access_token_is_throttled(
    user: ApiUser, path: str, field: str
) -> None:
    body = {field: "a guess"} | ({"new_password": "the thief's own"} if path == "/auth/password" else {})
    answers = [await user.call("POST", path, **body) for _ in range(11)]
    assert [outcome(answer) for answer in answers] == [WRONG] * 10 + [THROTTLED]
    assert (await user.call("GET", "/auth/validate")).status_code == 200


async def test_an_unknown_address_cannot_be_told_from_a_wrong_password(
    client: httpx.AsyncClient, user: ApiUser, sessions: Sessions
) -> None:
    wrong = await client.post("/auth/login", json={"email": user.email, "password": "not the password"})
    unknown = await client.post("/auth/login", json={"email": an_email(), "password": "not the password"})
    assert (wrong.status_code, wrong.json()) == (unknown.status_code, unknown.json())
    assert wrong.headers.keys() == unknown.headers.keys()
    assert outcome(wrong) == WRONG
    passwords = Passwords()  # and it takes as long: a hash with the same parameters is verified
    stored = await stored_user(sessions, user.email)
    assert extract_parameters(passwords.decoy) == extract_parameters(stored.password_hash)
    assert not await passwords.matches(None, "no user has this password")
    assert await passwords.matches(passwords.decoy, "no user has this password")
    passwords.close()


async def test_a_throttled_unknown_address_cannot_be_told_from_a_known_one(
    client: httpx.AsyncClient, user: ApiUser
) -> None:
    unknown = an_email()
    for _ in range(11):
        for email in (user.email, unknown):
            last = await client.post("/auth/login", json={"email": email, "password": "a guess"})
            assert outcome(last) in (WRONG, THROTTLED)
    known = await client.post("/auth/login", json={"email": user.email, "password": "a guess"})
    other = await client.post("/auth/login", json={"email": unknown, "password": "a guess"})
    assert (known.status_code, known.json()) == (other.status_code, other.json())
    assert outcome(known) == THROTTLED


async def test_a_stolen_database_holds_passwords_that_are_expensive_to_guess(user: ApiUser, sessions: Sessions) -> None:
    parameters = extract_parameters((await stored_user(sessions, user.email)).password_hash)
    # OWASP Password Storage Cheat Sheet: Argon2id with at least 19 MiB, two passes and one lane.
    assert parameters.type is Type.ID
    assert parameters.memory_cost >= 19 * 1024
    assert parameters.time_cost >= 2
    assert parameters.parallelism >= 1
    assert parameters.salt_len >= 16
    assert parameters.hash_len >= 32


async def test_a_hash_that_is_too_weak_is_replaced_at_the_next_login(
    client: httpx.AsyncClient, user: ApiUser, sessions: Sessions
) -> None:
    weak = argon2.PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
    stored = await stored_user(sessions, user.email)
    async with transaction(sessions) as session:
        await Users(session).set_password_hash(stored.id, weak)
    body = {"email": user.email, "password": PASSWORD}
    answers = await asyncio.gather(*(client.post("/auth/login", json=body) for _ in range(3)))
    assert {answer.status_code for answer in answers} == {200}
    after = (await stored_user(sessions, user.email)).password_hash
    assert extract_parameters(after) == extract_parameters(stored.password_hash)
    assert (await client.post("/auth/login", json=body)).status_code == 200


async def test_a_password_of_ten_megabytes_is_refused_before_it_is_hashed(
    client: httpx.AsyncClient, user: ApiUser
) -> None:
    huge = "x" * 10_000_000
    for path in ("/auth/register", "/auth/login"):
        answer = await client.post(path, json={"email": user.email, "password": huge})
        assert answer.status_code in (413, 422)
        assert len(answer.content) < 1000


async def test_a_password_does_not_come_back_in_a_refusal(client: httpx.AsyncClient, user: ApiUser) -> None:
    secret = "Tr0ub4dor"
    long = secret * 40
    for path, body in (
        ("/auth/register", {"email": user.email, "password": long}),
        ("/auth/register", {"email": user.email, "password": {"text": secret}}),
        ("/auth/register", {"email": user.email, "password": [secret]}),
        ("/auth/register", {"email": secret, "password": PASSWORD}),
        ("/auth/login", {"email": user.email, "password": long}),
        ("/auth/login", {"email": user.email, "password": secret, secret: secret}),
        ("/auth/login", secret),
        ("/auth/refresh", {"refresh_token": long}),
        ("/auth/logout", {"refresh_token": long}),
        ("/auth/password", {"current_password": long, "new_password": secret}),
        ("/auth/delete", {"password": long}),
        ("/auth/login", {"email": user.email, "password": f"{secret}\ud800"}),
        ("/auth/refresh", {"refresh_token": f"{secret}\ud800"}),
    ):
        headers = {"Authorization": f"Bearer {user.tokens['access_token']}", "Content-Type": "application/json"}
        answer = await client.post(path, content=json.dumps(body), headers=headers)
        assert answer.status_code == 422, path
        assert secret not in answer.text


async def test_an_attack_on_an_account_is_found_in_the_audit_log(
    client: httpx.AsyncClient, user: ApiUser, sessions: Sessions
) -> None:
    user_id = (await stored_user(sessions, user.email)).id
    for _ in range(14):
        await client.post("/auth/login", json={"email": user.email, "password": "a guess"})
    lines = await audit_of(sessions, user_id=user_id)
    failed = ("login_failed", "login", {"reason": "wrong_password"})
    throttled = ("login_throttled", "login", {"limit": "account"})
    assert lines == [("register", "", {})] + [failed] * 10 + [throttled], "one line a window, not one an attempt"


async def test_an_attack_on_unknown_accounts_is_found_in_the_audit_log(app: FastAPI, sessions: Sessions) -> None:
    address = an_address()
    async with from_address(app, address) as client:
        await client.post("/auth/login", json={"email": an_email(), "password": "a guess"})
    assert await audit_of(sessions, address=address) == [("login_failed", "login", {"reason": "unknown_address"})]
