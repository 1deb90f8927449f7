"""`tradeactors add-user` and `reset-password` as an operator runs them, and registration that is closed."""

import asyncio
import os
import secrets
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from config.settings import PREFIX, Settings
from config.stack.stack import Part, Stack
from persistence.database.engine import Sessions, transaction
from tests.integration.api_user import PASSWORD, ApiUser
from tests.integration.apps import serving
from tests.kit.fakes.strategy_engine import FakeEngine
from tests.kit.stack import stack_settings, temporary_data_dir

pytest_plugins = ["tests.integration.fixtures"]

REPOSITORY = Path(__file__).parents[4]


def tradeactors(*arguments: str, given: str = "", **variables: str) -> tuple[int, str, str]:
    """The command in a process of its own, with nothing in its environment but `variables` of ours."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    environment |= {PREFIX + name: value for name, value in variables.items()} | {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "config.commands.cli", *arguments],
        input=given, env=environment, cwd="/", capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


async def operator(settings: Settings, *arguments: str, given: str = "") -> tuple[int, str, str]:
    """The same, at the database of the settings."""
    variables = {
        "DATABASE_URL": settings.database_url,
        "DATA_DIR": str(settings.data_dir),
        "JWT_SECRET": settings.jwt_secret.get_secret_value(),
        "ENCRYPTION_KEYS": settings.encryption_keys[0].get_secret_value(),
    }
    return await asyncio.to_thread(lambda: tradeactors(*arguments, given=given, **variables))


def an_email() -> str:
    return f"{secrets.token_hex(8)}@example.com"


async def log_in(client: httpx.AsyncClient, email: str, password: str) -> int:
    return (await client.post("/auth/login", json={"email": email, "password": password})).status_code


def printed(stdout: str) -> str:
    return stdout.partition("Password: ")[2].strip()


async def actions_of(sessions: Sessions, email: str) -> list[tuple[str, str]]:
    found = text(
        "SELECT action, subject FROM audit_log JOIN users ON users.id = user_id WHERE email = :email "
        "ORDER BY audit_log.id"
    )
    async with transaction(sessions) as session:
        return [(row.action, row.subject) for row in await session.execute(found, {"email": email})]


async def test_registration_closes_and_the_operator_opens_accounts_nevertheless(
    settings: Settings, engine: FakeEngine, sessions: Sessions
) -> None:
    email = an_email()
    async with serving(settings, engine, registration="closed") as client:
        answer = await client.post("/auth/register", json={"email": email, "password": PASSWORD})
        assert (answer.status_code, answer.json()["code"]) == (403, "registration_closed")
        code, out, _ = await operator(settings, "add-user", email.upper())
        assert code == 0
        assert email in out
        assert len(printed(out)) == 20
        assert await log_in(client, email, printed(out)) == 200
    assert await actions_of(sessions, email) == [("register", "operator"), ("login", "")]


async def test_a_password_comes_from_standard_input_and_is_not_printed(
    client: httpx.AsyncClient, settings: Settings
) -> None:
    email = an_email()
    code, out, err = await operator(settings, "add-user", email, "--ask", given=f"{PASSWORD}\n")
    assert (code, err) == (0, "")
    assert PASSWORD not in out
    assert await log_in(client, email, PASSWORD) == 200


@pytest.mark.parametrize(
    ("email", "given", "sentence"),
    [
        ("not-an-address", PASSWORD, "Email is not a valid e-mail address."),
        ("asha@example.com", "short", "Password value should have at least 10 items"),
        ("asha@example.com", "asha@example.com", "Password must not be your e-mail address."),
    ],
)
async def test_the_rules_of_registration_hold_for_the_operator(
    settings: Settings, email: str, given: str, sentence: str
) -> None:
    code, out, err = await operator(settings, "add-user", email, "--ask", given=given)
    assert (code, out) == (1, "")
    assert err.startswith(sentence)
    assert "Traceback" not in err


async def test_an_address_that_is_registered_is_refused(user: ApiUser, settings: Settings) -> None:
    code, out, err = await operator(settings, "add-user", user.email)
    assert (code, out, err) == (1, "", f"{user.email} is already registered.\n")


async def test_a_reset_password_lets_the_owner_in_and_ends_every_login(
    user: ApiUser, settings: Settings, engine: FakeEngine, sessions: Sessions
) -> None:
    assert await log_in(user.client, user.email, PASSWORD) == 200
    code, out, _ = await operator(settings, "reset-password", user.email)
    assert (code, "logins that ended: 2" in out) == (0, True)
    assert await log_in(user.client, user.email, PASSWORD) == 401
    assert await log_in(user.client, user.email, printed(out)) == 200
    async with serving(settings, engine) as client:  # a process that has not seen the old token yet
        headers = {"Authorization": f"Bearer {user.tokens['access_token']}"}
        assert (await client.get("/auth/validate", headers=headers)).status_code == 401
        refresh = {"refresh_token": user.tokens["refresh_token"]}
        assert (await client.post("/auth/refresh", json=refresh)).status_code == 401
    assert ("password_reset", "operator") in await actions_of(sessions, user.email)


async def test_nobody_is_reset_who_is_not_there(settings: Settings) -> None:
    email = an_email()
    code, out, err = await operator(settings, "reset-password", email)
    assert (code, out, err) == (1, "", f"Nobody has registered as {email}.\n")


@pytest.mark.stack
def test_the_commands_find_the_database_of_the_up_that_runs_here() -> None:
    with temporary_data_dir() as data_dir:
        databases = (Part.POSTGRES, Part.VALKEY)
        with Stack(stack_settings(data_dir), parts=databases, migrate=True):
            email = an_email()
            code, out, err = tradeactors("add-user", email, "--data-dir", str(data_dir))
            assert (code, err) == (0, "")
            code, again, err = tradeactors("reset-password", email, "--data-dir", str(data_dir))
            assert (code, err) == (0, "")
            assert printed(out) != printed(again) != ""
        code, out, err = tradeactors("reset-password", email, "--data-dir", str(data_dir))
        assert (code, out) == (1, "")
        assert err == f"{PREFIX}DATABASE_URL is empty and no `tradeactors up` runs here.\n"
