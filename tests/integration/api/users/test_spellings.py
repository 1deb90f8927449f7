"""Passwords and e-mail addresses as other keyboards and mail programs write them: one user, and no other one."""

import secrets

import httpx
import pytest
from argon2 import PasswordHasher
from sqlalchemy import select, update
from sqlmodel import col

from api.users import operator
from api.users.passwords.spelling import prepared
from config.settings import Settings
from persistence.database.engine import Sessions, transaction
from persistence.database.models.users import User
from tests.integration.api_user import PASSWORD, ApiUser

pytest_plugins = ["tests.integration.fixtures"]

COMPOSED = "caf\u00e9\u0020au lait"
DECOMPOSED = "cafe\u0301\u0020au lait"
WITH_NO_BREAK_SPACE = "caf\u00e9\u00a0au lait"


OF_TODAY = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
"""With the parameters of the product: only the spelling makes a hash one to be replaced."""


def a_name() -> str:
    return secrets.token_hex(6)


async def log_in(client: httpx.AsyncClient, email: str, password: str) -> int:
    return (await client.post("/auth/login", json={"email": email, "password": password})).status_code


async def store_hash(sessions: Sessions, user: ApiUser, password_hash: str) -> None:
    async with transaction(sessions) as session:
        of_user = update(User).where(col(User.email) == user.email)
        await session.execute(of_user.values(password_hash=password_hash))


async def stored_hash(sessions: Sessions, user: ApiUser) -> str:
    async with transaction(sessions) as session:
        stored = await session.scalar(select(User).where(col(User.email) == user.email))
    assert stored is not None
    return stored.password_hash


# --- passwords ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("registered", [COMPOSED, DECOMPOSED, WITH_NO_BREAK_SPACE])
async def test_a_password_is_the_same_however_a_keyboard_writes_accents_and_spaces(
    client: httpx.AsyncClient, registered: str
) -> None:
    email = f"{a_name()}@example.com"
    assert (await client.post("/auth/register", json={"email": email, "password": registered})).status_code == 201
    assert [await log_in(client, email, typed) for typed in (COMPOSED, DECOMPOSED, WITH_NO_BREAK_SPACE)] == [200] * 3
    assert await log_in(client, email, "cafe au lait") == 401


@pytest.mark.parametrize("old", [DECOMPOSED, WITH_NO_BREAK_SPACE, "cafe\u0301\u00a0au lait"])
async def test_a_hash_of_the_password_as_it_was_typed_stays_good_and_is_replaced(
    client: httpx.AsyncClient, user: ApiUser, sessions: Sessions, old: str
) -> None:
    await store_hash(sessions, user, OF_TODAY.hash(old))
    assert await log_in(client, user.email, COMPOSED) == 401, "of the composed spelling there is no hash yet"
    assert await log_in(client, user.email, old) == 200
    assert OF_TODAY.verify(await stored_hash(sessions, user), prepared(old))
    assert [await log_in(client, user.email, typed) for typed in (COMPOSED, DECOMPOSED)] == [200, 200]


async def test_a_password_that_is_compared_in_several_spellings_is_one_attempt(
    client: httpx.AsyncClient, user: ApiUser
) -> None:
    several = "cafe\u0301\u00a0au lait"
    assert [await log_in(client, user.email, several) for _ in range(11)] == [401] * 10 + [429]


async def test_an_old_hash_is_good_where_the_password_is_asked_for_again(user: ApiUser, sessions: Sessions) -> None:
    await store_hash(sessions, user, OF_TODAY.hash(DECOMPOSED))
    assert (await user.call("POST", "/auth/confirm", password=DECOMPOSED)).status_code == 200
    changed = await user.call("POST", "/auth/password", current_password=DECOMPOSED, new_password=PASSWORD)
    assert changed.status_code == 200


# --- e-mail addresses --------------------------------------------------------------------------------------------


def spellings_of(name: str) -> list[str]:
    return [
        f"{name}@münchen.example",
        f"  {name.upper()}@MÜNCHEN.example\u00a0",
        f"\u200b{name}@mu\u0308nchen.example\u202c",
        f"{name}@xn--mnchen-3ya.example",
        f"{name}@XN--MNCHEN-3YA.EXAMPLE",
    ]


async def test_a_domain_in_its_own_alphabet_and_in_punycode_is_one_address(client: httpx.AsyncClient) -> None:
    first, *others = spellings_of(a_name())
    assert (await client.post("/auth/register", json={"email": first, "password": PASSWORD})).status_code == 201
    for other in others:
        again = await client.post("/auth/register", json={"email": other, "password": PASSWORD})
        assert (again.status_code, again.json()["code"]) == (409, "email_taken")
        assert await log_in(client, other, PASSWORD) == 200


async def test_attempts_on_one_address_are_counted_together_however_it_is_spelled(client: httpx.AsyncClient) -> None:
    spellings = spellings_of(a_name())
    tried = [await log_in(client, spellings[number % len(spellings)], "a guess") for number in range(11)]
    assert tried == [401] * 10 + [429]


async def test_the_operator_finds_a_user_by_any_spelling(client: httpx.AsyncClient, settings: Settings) -> None:
    kept, capitals, marked, punycode, _ = spellings_of(a_name())
    assert await operator.add_user(settings.database_url, punycode, PASSWORD) == kept
    for again in (kept, capitals, marked):
        with pytest.raises(operator.UserRefused, match="already registered"):
            await operator.add_user(settings.database_url, again, PASSWORD)
        with pytest.raises(operator.UserRefused, match="already registered"):
            await operator.invite(settings.database_url, again)
    given = await operator.give_reset_code(settings.database_url, capitals)
    assert given.email == kept
    assert await operator.reset_password(settings.database_url, marked, "a better battery, stapled") == 0
    assert await log_in(client, kept, "a better battery, stapled") == 200


async def test_an_invitation_is_good_for_its_address_in_any_spelling(
    client: httpx.AsyncClient, settings: Settings
) -> None:
    _, capitals, _, punycode, _ = spellings_of(a_name())
    given = await operator.invite(settings.database_url, capitals)
    body = {"email": punycode, "password": PASSWORD, "invitation": given.code}
    assert (await client.post("/auth/register", json=body)).status_code == 201


@pytest.mark.parametrize("letters", ["J\u030c", "\u03aa\u0301"])
async def test_an_address_whose_accents_were_stored_apart_is_found_and_taken(
    client: httpx.AsyncClient, user: ApiUser, sessions: Sessions, settings: Settings, letters: str
) -> None:
    typed = f"{letters}.{a_name()}@example.com"
    async with transaction(sessions) as session:  # as it was stored: small letters, not composed again
        await session.execute(update(User).where(col(User.email) == user.email).values(email=typed.lower()))
    assert [await log_in(client, email, PASSWORD) for email in (typed, typed.lower())] == [200, 200]
    again = await client.post("/auth/register", json={"email": typed, "password": PASSWORD})
    assert (again.status_code, again.json()["code"]) == (409, "email_taken")
    with pytest.raises(operator.UserRefused, match="already registered"):
        await operator.add_user(settings.database_url, typed, PASSWORD)


@pytest.mark.parametrize("one", ["weiß", "ΟΔΟΣ", "İx", "ǅ", "ĲK", "ﬁx", "Ω", "Ꮳ"])
async def test_the_database_takes_every_form_that_is_made(client: httpx.AsyncClient, one: str) -> None:
    email = f"{one}.{a_name()}@example.com"
    answer = await client.post("/auth/register", json={"email": email, "password": PASSWORD})
    assert answer.status_code == 201, answer.text
    assert await log_in(client, email, PASSWORD) == 200
