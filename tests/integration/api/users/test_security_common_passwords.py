"""Passwords that are guessed first. Each test is named after the threat that it answers."""

import argon2
import httpx
import pytest

from persistence.database.engine import Sessions, transaction
from persistence.database.repositories.users import Users
from tests.integration.api.users.test_security_passwords import an_email, outcome, stored_user
from tests.integration.api_user import PASSWORD, ApiUser

pytest_plugins = ["tests.integration.fixtures"]


@pytest.mark.parametrize("password", ["password1", "Password123", "tradeactors", "12345678", "aaaaaaaaaa"])
async def test_a_password_that_is_guessed_first_is_refused(
    client: httpx.AsyncClient, user: ApiUser, password: str
) -> None:
    answers = [
        await client.post("/auth/register", json={"email": an_email(), "password": password}),
        await user.call("POST", "/auth/password", current_password=PASSWORD, new_password=password),
    ]
    for answer, field in zip(answers, ("password", "new_password"), strict=True):
        assert outcome(answer) == (422, "invalid_request")
        assert [error["field"] for error in answer.json()["errors"]] == [field]
        assert password not in answer.text


async def test_a_password_of_older_rules_stays_good(
    client: httpx.AsyncClient, user: ApiUser, sessions: Sessions
) -> None:
    stored = await stored_user(sessions, user.email)
    async with transaction(sessions) as session:
        await Users(session).set_password_hash(stored.id, argon2.PasswordHasher().hash("password"))
    answer = await client.post("/auth/login", json={"email": user.email, "password": "password"})
    assert answer.status_code == 200
