"""Floods of passwords from many networks at once. Each test is named after the threat that it answers."""

import asyncio
import secrets
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis
from sqlalchemy import func, select
from starlette.types import Message

from api.edge.rate_limit import RateLimits
from api.edge.requests_at_once import RequestsAtOnce
from api.edge.work_budget import WorkBudget
from persistence.database.engine import Sessions, transaction
from persistence.database.models.audit import AuditEntry
from persistence.database.models.users import User
from persistence.database.repositories.users import Users
from persistence.login_throttle import LoginThrottle, ThrottleLimits
from tests.integration.api_user import PASSWORD, ApiUser

pytest_plugins = ["tests.integration.fixtures"]

ASKS_FOR_A_PASSWORD = {
    "/auth/register": {"email": "asha@example.com", "password": PASSWORD},
    "/auth/login": {"email": "asha@example.com", "password": PASSWORD},
    "/auth/password": {"current_password": PASSWORD, "new_password": "a better battery, stapled"},
    "/auth/delete": {"password": PASSWORD},
    "/auth/confirm": {"password": PASSWORD},
    "/auth/reset": {"code": "7KQ2-XWMA-9TBC-4HRP-ZE63-VNJD", "new_password": "a better battery, stapled"},
}


def from_address(app: FastAPI, address: str) -> httpx.AsyncClient:
    """A client whose requests come from an address."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 50_000))
    return httpx.AsyncClient(transport=transport, base_url="http://api")


def a_line() -> str:
    """The first half of the addresses of a customer's line (a /56), which no other test uses."""
    return f"2001:db8:{secrets.randbelow(65536):x}:{secrets.randbelow(256):x}"


async def test_a_flood_of_logins_from_many_networks_is_refused_at_once_and_a_stop_goes_through(
    app: FastAPI, trader: ApiUser
) -> None:
    strategy_id = await trader.started()
    done: list[str] = []
    refused = asyncio.Event()

    async def guess(number: int) -> None:
        body = {"email": f"{secrets.token_hex(8)}@example.com", "password": "a guess"}
        async with from_address(app, f"2001:db8:{number:x}::1") as client:
            answer = await client.post("/auth/login", json=body)
        if answer.status_code == 503:
            assert answer.json()["code"] == "passwords_busy"
            assert int(answer.headers["Retry-After"]) > 0
            refused.set()
        done.append(str(answer.status_code))

    async def stop() -> None:
        await refused.wait()
        answer = await trader.call("POST", "/strategy/stop", strategy_id=strategy_id)
        assert answer.status_code in (200, 202)
        done.append("stopped")

    async with asyncio.timeout(120):
        await asyncio.gather(*(guess(number) for number in range(500)), stop())
    assert set(done) == {"401", "503", "stopped"}
    assert done.count("503") > 300
    served_last = len(done) - 1 - done[::-1].index("401")
    assert done.index("stopped") < served_last, "STOP waits for no queue of passwords"
    refused_last = len(done) - 1 - done[::-1].index("503")
    assert refused_last < served_last, "a refusal waits for none either"


async def test_a_hundred_and_twenty_users_who_log_in_in_the_same_second_are_all_let_in(
    app: FastAPI, user: ApiUser, sessions: Sessions
) -> None:
    emails = [f"{secrets.token_hex(8)}@example.com" for _ in range(120)]
    async with transaction(sessions) as session:
        known = await Users(session).by_email(user.email)
        assert known is not None
        session.add_all(User(email=email, password_hash=known.password_hash) for email in emails)
    refused = 0

    async def log_in(number: int, email: str) -> None:
        """Log in as an app does that keeps to `Retry-After`."""
        nonlocal refused
        body = {"email": email, "password": PASSWORD}
        async with from_address(app, f"198.51.100.{number}") as client:
            while (answer := await client.post("/auth/login", json=body)).status_code == 503:
                refused += 1
                await asyncio.sleep(int(answer.headers["Retry-After"]))
        assert answer.status_code == 200

    async with asyncio.timeout(240):
        await asyncio.gather(*(log_in(number, email) for number, email in enumerate(emails)))
    assert refused > 0, "there are more of them than places"


async def test_every_request_that_a_password_decides_about_takes_a_place_in_the_queue(
    app: FastAPI, user: ApiUser
) -> None:
    passwords = app.state.resources.passwords
    free, passwords._places = passwords._places, 0
    for path, body in ASKS_FOR_A_PASSWORD.items():
        answer = await user.call("POST", path, **body)
        assert (answer.status_code, answer.json()["code"]) == (503, "passwords_busy"), path
    passwords._places = free
    described = {
        path
        for path, methods in app.openapi()["paths"].items()
        for operation in methods.values()
        if "requestBody" in operation and "assword" in str(operation["requestBody"])
    }
    assert described == set(ASKS_FOR_A_PASSWORD)


async def test_a_client_that_hangs_up_costs_no_hash_and_its_attempt_counts(
    app: FastAPI, user: ApiUser, sessions: Sessions
) -> None:
    address, body = a_line() + "::1", f'{{"email": "{user.email}", "password": "a guess"}}'.encode()

    async def guess_and_hang_up() -> list[Message]:
        messages: list[Message] = [{"type": "http.request", "body": body}]
        sent: list[Message] = []

        async def receive() -> Message:
            return messages.pop() if messages else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        scope: dict[str, Any] = {
            "type": "http", "method": "POST", "path": "/auth/login", "query_string": b"", "scheme": "http",
            "headers": [(b"content-type", b"application/json")], "client": (address, 50_000), "server": ("api", 80),
        }  # fmt: skip
        await app(scope, receive, send)
        return sent

    for _ in range(10):
        sent = await guess_and_hang_up()
        assert sent[0]["status"] == 499
    async with transaction(sessions) as session:
        compared = select(func.count()).select_from(AuditEntry).filter_by(action="login_failed", address=address)
        assert await session.scalar(compared) == 0
    async with from_address(app, address) as client:
        answer = await client.post("/auth/login", json={"email": user.email, "password": PASSWORD})
    assert answer.status_code == 429, "to hang up is no way around the throttle"


async def test_the_many_networks_of_one_customer_are_counted_together(redis_url: str) -> None:
    limits = ThrottleLimits(per_address=5, registrations_per_address=5)
    async with Redis.from_url(redis_url, decode_responses=True) as redis:
        throttle, line = LoginThrottle(redis, limits), a_line()
        let_through = 0
        for network in range(256):
            account, address = f"{secrets.token_hex(8)}@example.com", f"{line}{network:02x}::1"
            let_through += await throttle.attempt(account, address, known=False) is None
        assert let_through == 2 * limits.per_address, "of the 256 networks of a line"
        line = a_line()
        waits = [await throttle.registration(f"{line}{network:02x}::1") for network in range(256)]
        assert waits.count(0) == 2 * limits.registrations_per_address


async def test_registrations_from_many_networks_are_limited_in_all(redis_url: str) -> None:
    async with Redis.from_url(redis_url, decode_responses=True) as redis:
        await redis.delete("throttle:register:all")
        throttle = LoginThrottle(redis, ThrottleLimits(registrations_in_all=20))
        waits = [await throttle.registration(f"2001:db8:{number:x}:ffff::1") for number in range(50)]
        await redis.delete("throttle:register:all")
    assert waits[:20] == [0] * 20
    assert all(0 < wait <= 60 for wait in waits[20:])


@pytest.mark.parametrize("prefix", [64, 56, 48])
async def test_requests_without_a_token_are_counted_for_the_larger_networks_too(app: FastAPI, prefix: int) -> None:
    app.state.work_budget = WorkBudget(RateLimits(0, 5), RequestsAtOnce(0))
    most = {64: 5, 56: 10, 48: 20}[prefix]
    head = f"2001:db8:{secrets.randbelow(65536):x}"
    addresses = {
        64: [f"{head}:1::{n:x}" for n in range(40)],
        56: [f"{head}:1{n:02x}::1" for n in range(40)],
        48: [f"{head}:{n:x}00::1" for n in range(40)],
    }[prefix]
    statuses = []
    for address in addresses:
        async with from_address(app, address) as client:
            statuses.append((await client.post("/auth/logout", json={"refresh_token": "never issued"})).status_code)
    assert statuses == [204] * most + [429] * (40 - most)
