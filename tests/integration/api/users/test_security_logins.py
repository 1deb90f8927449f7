"""Logins that last too long, are not seen, or do too much. Each test is named after the threat that it answers."""

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
from fastapi import FastAPI
from sqlalchemy import delete, func, select, text, update
from sqlmodel import col

from api.base.client import Client
from api.base.errors import ApiError
from api.users.auth_service import AuthService
from api.users.live_logins import LiveLogins
from api.users.login_tokens import IssuedTokens, LoginLifetime, LoginTokens
from api.users.passwords.hashing import Passwords
from api.users.tokens import AccessTokens, secret_hash
from persistence.database.engine import Sessions, transaction
from persistence.database.models.users import Login, RefreshToken
from persistence.login_throttle import LoginThrottle
from persistence.mirror.mirror import open_redis
from tests.integration.api_user import PASSWORD, ApiUser
from tests.integration.locks import until_waiting

pytest_plugins = ["tests.integration.fixtures"]

FIREFOX = "Mozilla/5.0 (Android 16; Mobile; rv:148.0) Gecko/148.0 Firefox/148.0"
HERE = Client("192.0.2.1")


class Device:
    """A device of a user that refreshes when the test says so, at an API whose days pass likewise."""

    def __init__(self, sessions: Sessions, redis_url: str, email: str) -> None:
        self.now = datetime(2026, 1, 1, 9, tzinfo=UTC)
        lifetime = LoginLifetime(longest=timedelta(days=90), unused=timedelta(days=14))
        access = AccessTokens("tests of logins sign with this secret", timedelta(days=1), lambda: self.now)
        self._passwords = Passwords()
        self._redis = open_redis(redis_url)
        self._auth = AuthService(
            sessions,
            self._passwords,
            LoginTokens(access, lifetime, lambda: self.now),
            LiveLogins(sessions, timedelta(days=1)),
            LoginThrottle(self._redis),
            lambda: self.now,
        )
        self._email = email
        self.tokens = IssuedTokens("", 0, "", 0)

    async def log_in(self) -> None:
        self.tokens = await self._auth.login(self._email, PASSWORD, HERE)

    async def refresh_after(self, days: float) -> int:
        """The status of the answer."""
        self.now += timedelta(days=days)
        try:
            self.tokens = await self._auth.refresh(self.tokens.refresh_token, HERE)
        except ApiError as refusal:
            return refusal.status
        return 200

    async def browse(self, token: str, *, after_s: float = 0) -> str | None:
        """What a browser gets for a refresh token in its cookie; None if it is refused."""
        self.now += timedelta(seconds=after_s)
        try:
            return (await self._auth.refresh(token, HERE, repeatable=True)).refresh_token
        except ApiError:
            return None

    async def close(self) -> None:
        self._passwords.close()
        await self._redis.aclose()


async def test_a_login_ends_ninety_days_after_its_password_however_much_it_is_used(
    user: ApiUser, sessions: Sessions, redis_url: str
) -> None:
    device = Device(sessions, redis_url, user.email)
    await device.log_in()
    assert [await device.refresh_after(days=10) for _ in range(8)] == [200] * 8
    assert await device.refresh_after(days=9.5) == 200
    assert device.tokens.expires_in == 43_200, "an access token does not outlast its login"
    assert await device.refresh_after(days=1.5) == 401, "day 91"
    async with transaction(sessions) as session:
        reasons = select(col(Login.end_reason)).where(col(Login.started_at) == datetime(2026, 1, 1, 9, tzinfo=UTC))
        assert "expired" in set(await session.scalars(reasons))
    await device.log_in()
    assert await device.refresh_after(days=1) == 200
    await device.close()


async def test_a_login_that_is_not_used_ends_after_a_fortnight(
    user: ApiUser, sessions: Sessions, redis_url: str
) -> None:
    device = Device(sessions, redis_url, user.email)
    await device.log_in()
    assert await device.refresh_after(days=13.9) == 200
    assert await device.refresh_after(days=15) == 401
    await device.close()


async def test_a_refresh_token_of_before_these_ends_does_not_outlast_them(
    user: ApiUser, client: httpx.AsyncClient, sessions: Sessions
) -> None:
    async with transaction(sessions) as session:
        started = await session.scalar(select(func.max(col(Login.number))))
        old = update(Login).where(col(Login.number) == started)
        await session.execute(old.values(started_at=datetime.now(UTC) - timedelta(days=100)))
    answer = await client.post("/auth/refresh", json={"refresh_token": user.tokens["refresh_token"]})
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")


async def second_device(user: ApiUser) -> ApiUser:
    """The same user, logged in once more."""
    body = {"email": user.email, "password": PASSWORD}
    agent = f"{FIREFOX}\x85{'x' * 500}".encode("latin-1")
    answer = await user.client.post("/auth/login", json=body, headers=[(b"User-Agent", agent)])
    return ApiUser(user.client, user.email, answer.json())


async def logins_of(user: ApiUser) -> list[dict[str, object]]:
    answer = await user.call("GET", "/auth/logins")
    assert answer.status_code == 200
    assert answer.json()["total"] == len(answer.json()["logins"])
    return list(answer.json()["logins"])


async def test_a_login_on_a_lost_device_is_seen_and_ended_by_its_owner(user: ApiUser) -> None:
    phone = await second_device(user)
    lost, own = await logins_of(user)
    assert (lost["current"], own["current"]) == (False, True)
    assert str(lost["user_agent"]).startswith(FIREFOX)
    assert len(str(lost["user_agent"])) <= 120
    assert str(lost["address"]).startswith("2001:db8:")
    assert [login["current"] for login in await logins_of(phone)] == [True, False]
    path = f"/auth/logins/{lost['login_id']}"
    assert (await user.call("DELETE", path)).status_code == 204
    assert (await phone.call("GET", "/auth/validate")).json()["code"] == "token_invalid"
    refreshed = await phone.client.post("/auth/refresh", json={"refresh_token": phone.tokens["refresh_token"]})
    assert refreshed.status_code == 401
    assert await logins_of(user) == [own]
    again = await user.call("DELETE", path)
    assert (again.status_code, again.json()["code"]) == (404, "login_not_found")
    activity = (await user.call("GET", "/auth/activity")).json()["activity"]
    assert (activity[0]["action"], activity[0]["subject"]) == ("login_ended", str(lost["login_id"]))


async def test_a_user_logs_out_everywhere_else(user: ApiUser) -> None:
    others = [await second_device(user) for _ in range(2)]
    answer = await user.call("DELETE", "/auth/logins")
    assert (answer.status_code, answer.json()) == (200, {"ended": 2})
    assert [(await other.call("GET", "/auth/validate")).status_code for other in others] == [401, 401]
    assert (await user.call("GET", "/auth/validate")).status_code == 200
    assert len(await logins_of(user)) == 1


async def test_where_tokens_are_renewed_shows_in_the_list(app: FastAPI, user: ApiUser) -> None:
    transport = httpx.ASGITransport(app, client=("198.51.100.7", 50_000))
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as thief:
        answer = await thief.post("/auth/refresh", json={"refresh_token": user.tokens["refresh_token"]})
    user.tokens = answer.json()
    (login,) = await logins_of(user)
    assert login["address"] == "198.51.100.7"
    assert str(login["last_used_at"]) > str(login["started_at"])


async def test_a_refresh_on_one_device_and_its_end_on_another_do_not_wait_for_each_other(
    user: ApiUser, sessions: Sessions
) -> None:
    phone = await second_device(user)
    (lost, _) = await logins_of(user)
    async with transaction(sessions) as session:
        ending = update(Login).where(col(Login.number) == lost["login_id"])
        await session.execute(ending.values(ended_at=datetime.now(UTC), end_reason="ended_by_user"))
        body = {"refresh_token": phone.tokens["refresh_token"]}
        refreshing = asyncio.create_task(phone.client.post("/auth/refresh", json=body))
        await until_waiting(sessions, 1)
        tokens = delete(RefreshToken).where(col(RefreshToken.token_hash) == secret_hash(body["refresh_token"]))
        await session.execute(text("SET LOCAL lock_timeout = '500ms'"))
        await session.execute(tokens)
    answer = await refreshing
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")
