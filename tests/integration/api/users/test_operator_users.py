"""`tradeactors add-user`, `invite` and `reset-password` as an operator runs them, and registration that is closed."""

import asyncio
import os
import secrets
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from config.settings import PREFIX, Settings
from config.stack.stack import Part, Stack
from persistence.database.engine import Sessions, transaction
from tests.integration.api_user import PASSWORD, ApiUser
from tests.integration.apps import serving
from tests.kit.fakes.strategy_engine import FakeEngine
from tests.kit.stack import stack_settings, temporary_data_dir

pytest_plugins = ["tests.integration.fixtures"]

NEW_PASSWORD = "a better battery, stapled"
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


async def operator(settings: Settings, *arguments: str, given: str = "", **more: str) -> tuple[int, str, str]:
    """The same, at the database of the settings."""
    variables = {
        "DATABASE_URL": settings.database_url,
        "DATA_DIR": str(settings.data_dir),
        "JWT_SECRET": settings.jwt_secret.get_secret_value(),
        "ENCRYPTION_KEYS": settings.encryption_keys[0].get_secret_value(),
    }
    return await asyncio.to_thread(lambda: tradeactors(*arguments, given=given, **variables, **more))


def an_email() -> str:
    return f"{secrets.token_hex(8)}@example.com"


async def log_in(client: httpx.AsyncClient, email: str, password: str) -> int:
    return (await client.post("/auth/login", json={"email": email, "password": password})).status_code


def printed(stdout: str) -> str:
    return stdout.partition("Password: ")[2].strip()


def given_code(stdout: str) -> str:
    return stdout.partition("Code: ")[2].strip()


async def assert_that_tokens_are_refused(user: ApiUser, settings: Settings, engine: FakeEngine) -> None:
    async with serving(settings, engine) as client:  # a process that has not seen the old token yet
        headers = {"Authorization": f"Bearer {user.tokens['access_token']}"}
        assert (await client.get("/auth/validate", headers=headers)).status_code == 401
        refresh = {"refresh_token": user.tokens["refresh_token"]}
        assert (await client.post("/auth/refresh", json=refresh)).status_code == 401


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
        invited = {"email": email, "password": PASSWORD, "invitation": "7KQ2-XWMA-9TBC-4HRP-ZE63-VNJD"}
        answer = await client.post("/auth/register", json=invited)
        assert (answer.status_code, answer.json()["code"]) == (403, "registration_closed"), "with a code, too"
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
        ("not-an-address", PASSWORD, "Email must be an e-mail address such as asha@example.com."),
        ("asha@example.com", "short", "Password must have at least 8 characters, at most 256."),
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
    assert (code, out, err) == (
        1,
        "",
        f"{user.email} is already registered: `tradeactors reset-password` lets him in again.\n",
    )


async def test_the_operator_sets_a_password_at_once_and_ends_every_login(
    user: ApiUser, settings: Settings, engine: FakeEngine, sessions: Sessions
) -> None:
    assert await log_in(user.client, user.email, PASSWORD) == 200
    code, out, _ = await operator(settings, "reset-password", user.email, "--ask", given=f"{NEW_PASSWORD}\n")
    assert (code, out) == (0, "The password is changed; logins that ended: 2.\n")
    assert await log_in(user.client, user.email, PASSWORD) == 401
    assert await log_in(user.client, user.email, NEW_PASSWORD) == 200
    await assert_that_tokens_are_refused(user, settings, engine)
    assert ("password_reset", "operator") in await actions_of(sessions, user.email)


async def test_a_user_who_forgot_the_password_comes_back_in_with_a_code_that_is_good_once(
    user: ApiUser, settings: Settings, engine: FakeEngine, sessions: Sessions
) -> None:
    code, out, _ = await operator(settings, "reset-password", user.email.upper())
    assert (code, f"{user.email} may set a new password, once, until" in out) == (0, True)
    assert (await user.call("GET", "/auth/validate")).status_code == 200, "nothing ends before it is used"
    body = {"code": given_code(out).lower().replace("-", " "), "new_password": NEW_PASSWORD}
    answer = await user.client.post("/auth/reset", json=body)
    assert answer.status_code == 200, answer.text
    assert (await ApiUser(user.client, user.email, answer.json()).call("GET", "/auth/validate")).status_code == 200
    assert await log_in(user.client, user.email, PASSWORD) == 401
    assert await log_in(user.client, user.email, NEW_PASSWORD) == 200
    await assert_that_tokens_are_refused(user, settings, engine)
    again = await user.client.post("/auth/reset", json=body)
    assert (again.status_code, again.json()["code"]) == (401, "reset_code_invalid")
    done = await actions_of(sessions, user.email)
    assert done[1:3] == [("password_reset_code", "operator"), ("password_reset", "")]


async def test_of_two_who_use_one_code_at_once_one_wins(user: ApiUser, settings: Settings) -> None:
    _, out, _ = await operator(settings, "reset-password", user.email)
    body = {"code": given_code(out), "new_password": NEW_PASSWORD}
    answers = await asyncio.gather(*(user.client.post("/auth/reset", json=body) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401]


@pytest.mark.parametrize("why", ["ended", "replaced", "password changed", "never given"])
async def test_a_code_that_is_not_good_says_the_same_whatever_is_wrong(
    user: ApiUser, settings: Settings, sessions: Sessions, why: str
) -> None:
    _, out, _ = await operator(settings, "reset-password", user.email)
    code = given_code(out)
    if why == "ended":
        async with transaction(sessions) as session:
            late = text("UPDATE users SET reset_code_expires_at = now() WHERE email = :email")
            await session.execute(late, {"email": user.email})
    elif why == "replaced":
        await operator(settings, "reset-password", user.email)
    elif why == "password changed":
        changed = await user.call("POST", "/auth/password", current_password=PASSWORD, new_password=NEW_PASSWORD)
        assert changed.status_code == 200
    else:
        code = "7KQ2-XWMA-9TBC-4HRP-ZE63-VNJD"
    answer = await user.client.post("/auth/reset", json={"code": code, "new_password": "yet another battery"})
    expected = {
        "code": "reset_code_invalid",
        "detail": "This code is not good or was used: ask the operator for another",
    }
    assert (answer.status_code, answer.json()) == (401, expected)


@pytest.mark.parametrize("registration", ["invited", "closed"])
async def test_where_not_all_may_register_the_answer_says_not_who_has_an_account(
    user: ApiUser, settings: Settings, engine: FakeEngine, registration: str
) -> None:
    _, out, _ = await operator(settings, "invite", an_email())
    async with serving(settings, engine, registration=registration) as client:
        for invitation in ({}, {"invitation": given_code(out)}, {"invitation": "7KQ2-XWMA-9TBC-4HRP-ZE63-VNJD"}):
            answers = [
                await client.post("/auth/register", json={"email": email, "password": PASSWORD} | invitation)
                for email in (user.email, an_email())
            ]
            known, unknown = ((answer.status_code, answer.json()) for answer in answers)
            assert known == unknown
            assert known[0] == 403


async def test_an_invitation_opens_registration_once_and_for_its_own_address(
    settings: Settings, engine: FakeEngine, sessions: Sessions
) -> None:
    email = an_email()
    code, out, _ = await operator(settings, "invite", email.upper())
    assert (code, f"{email} may register with this invitation, once, until" in out) == (0, True)
    invited = {"email": email, "password": PASSWORD, "invitation": given_code(out)}
    async with serving(settings, engine, registration="invited") as client:
        without = await client.post("/auth/register", json={"email": email, "password": PASSWORD})
        assert (without.status_code, without.json()["code"]) == (403, "invitation_needed")
        for changes in ({"email": an_email()}, {"invitation": "7KQ2-XWMA-9TBC-4HRP-ZE63-VNJD"}):
            answer = await client.post("/auth/register", json=invited | changes)
            assert (answer.status_code, answer.json()["code"]) == (403, "invitation_invalid")
        answers = await asyncio.gather(*(client.post("/auth/register", json=invited) for _ in range(3)))
        assert sorted(answer.status_code for answer in answers) == [201, 403, 403]
        assert await log_in(client, email, PASSWORD) == 200
    assert await actions_of(sessions, email) == [("register", ""), ("login", "")]


async def test_an_invitation_that_has_ended_or_was_replaced_is_refused(
    settings: Settings, engine: FakeEngine, sessions: Sessions
) -> None:
    ended, replaced = an_email(), an_email()
    codes = {email: given_code((await operator(settings, "invite", email))[1]) for email in (ended, replaced)}
    await operator(settings, "invite", replaced)
    async with transaction(sessions) as session:
        late = "UPDATE invitations SET invited_at = now() - interval '8 days', expires_at = now() WHERE email = :email"
        await session.execute(text(late), {"email": ended})
    async with serving(settings, engine, registration="invited") as client:
        for email, code in codes.items():
            body = {"email": email, "password": PASSWORD, "invitation": code}
            answer = await client.post("/auth/register", json=body)
            assert (answer.status_code, answer.json()["code"]) == (403, "invitation_invalid")


async def test_codes_are_not_kept_as_they_are(user: ApiUser, settings: Settings, sessions: Sessions) -> None:
    email = an_email()
    codes = [
        given_code((await operator(settings, command, whom))[1])
        for command, whom in (("invite", email), ("reset-password", user.email))
    ]
    assert all(len(code) == 29 for code in codes)
    async with transaction(sessions) as session:
        rows = await session.execute(
            text(
                "SELECT invitations::text FROM invitations UNION ALL SELECT users::text FROM users "
                "UNION ALL SELECT audit_log::text FROM audit_log"
            )
        )
        stored = " ".join(rows.scalars())
    for code in codes:
        assert code not in stored
        assert code.replace("-", "") not in stored


async def test_who_is_registered_is_not_invited(user: ApiUser, settings: Settings) -> None:
    code, out, err = await operator(settings, "invite", user.email)
    assert (code, out, err) == (
        1,
        "",
        f"{user.email} is already registered: `tradeactors reset-password` lets him in again.\n",
    )
    code, out, err = await operator(settings, "invite", "not-an-address")
    assert (code, out, err) == (1, "", "Email must be an e-mail address such as asha@example.com.\n")


async def test_no_code_is_given_that_would_open_no_account(settings: Settings, sessions: Sessions) -> None:
    email = an_email()
    code, out, err = await operator(settings, "invite", email, REGISTRATION="closed")
    assert (code, out) == (1, "")
    assert err.startswith("REGISTRATION is closed")
    async with transaction(sessions) as session:
        kept = text("SELECT count(*) FROM invitations WHERE email = :email")
        assert await session.scalar(kept, {"email": email}) == 0


async def test_the_audit_log_names_an_invitation_and_no_address(
    client: httpx.AsyncClient, settings: Settings, sessions: Sessions
) -> None:
    email = an_email()
    _, out, _ = await operator(settings, "invite", email)
    body = {"email": email, "password": PASSWORD, "invitation": given_code(out)}
    assert (await client.post("/auth/register", json=body)).status_code == 201
    lines = text(
        "SELECT action, subject FROM audit_log WHERE detail ->> 'invitation' = (SELECT detail ->> 'invitation' "
        "FROM audit_log JOIN users ON users.id = user_id WHERE email = :email) ORDER BY audit_log.id"
    )
    async with transaction(sessions) as session:
        assert [tuple(line) for line in await session.execute(lines, {"email": email})] == [
            ("invitation", "operator"), ("register", ""),
        ]  # fmt: skip
        named = text("SELECT count(*) FROM audit_log WHERE audit_log::text LIKE :email")
        assert await session.scalar(named, {"email": f"%{email}%"}) == 0, "it is kept when the user is deleted"


async def test_who_guessed_too_often_and_was_let_in_with_a_code_can_log_in_with_the_new_password(
    app: FastAPI, user: ApiUser, settings: Settings
) -> None:
    transport = httpx.ASGITransport(app, client=("203.0.113.77", 50_000))
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as elsewhere:
        assert [await log_in(elsewhere, user.email, "forgotten") for _ in range(11)] == [401] * 10 + [429]
        _, out, _ = await operator(settings, "reset-password", user.email)
        answer = await elsewhere.post("/auth/reset", json={"code": given_code(out), "new_password": NEW_PASSWORD})
        assert answer.status_code == 200
        assert await log_in(elsewhere, user.email, NEW_PASSWORD) == 200


async def test_nobody_is_reset_who_is_not_there(settings: Settings) -> None:
    email = an_email()
    code, out, err = await operator(settings, "reset-password", email)
    assert (code, out, err) == (1, "", f"Nobody has registered as {email}: correct the address.\n")


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
            assert printed(out) != given_code(again) != ""
        code, out, err = tradeactors("reset-password", email, "--data-dir", str(data_dir))
        assert (code, out) == (1, "")
        assert err == (
            f"{PREFIX}DATABASE_URL is empty and no `tradeactors up` runs here: set it, start `tradeactors up`, or name "
            "the directory on which it runs (--data-dir).\n"
        )
