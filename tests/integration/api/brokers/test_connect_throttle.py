"""How often a user may fail to connect a broker, and what a flood of failures leaves in the records."""

import asyncio

import httpx
from sqlalchemy import text

from persistence.database.engine import Sessions, transaction
from tests.integration.api_user import ApiUser
from tests.kit.paper import PaperExchange

pytest_plugins = ["tests.integration.fixtures"]

REFUSED = {"broker": "kite", "api_key": "key", "api_secret": "secret", "access_token": "x"}
"""Kite is not offered: the broker need not be asked."""


async def flood(user: ApiUser, count: int) -> list[httpx.Response]:
    answers = []
    for _ in range(count // 10):
        answers += await asyncio.gather(*(user.call("POST", "/broker/connect", **REFUSED) for _ in range(10)))
    return answers


async def lines_about_connects(sessions: Sessions, user: ApiUser) -> int:
    user_id = int((await user.call("GET", "/auth/validate")).json()["user_id"])
    count = text("SELECT count(*) FROM audit_log WHERE user_id = :id AND action LIKE 'broker_connect%'")
    async with transaction(sessions) as session:
        return int(await session.scalar(count, {"id": user_id}) or 0)


async def test_a_hundred_refused_connects_are_429_from_the_eleventh_and_fill_no_records(
    user: ApiUser, sessions: Sessions
) -> None:
    answers = await flood(user, 100)
    assert [answer.status_code for answer in answers] == 10 * [409] + 90 * [429]
    for answer in answers[10:]:
        assert answer.json()["code"] == "too_many_attempts"
        assert 0 < int(answer.headers["Retry-After"]) <= 300
    assert await lines_about_connects(sessions, user) == 11


async def test_one_users_failures_refuse_nobody_else(client: httpx.AsyncClient, paper: PaperExchange) -> None:
    clumsy, other = await ApiUser.register(client), await ApiUser.register(client)
    await flood(clumsy, 20)
    clumsy.paper = other.paper = paper.control.new_account()
    assert (await clumsy.connect()).status_code == 429
    assert (await other.connect()).status_code == 200


async def test_failures_are_forgotten_when_a_connect_succeeds(trader: ApiUser) -> None:
    for _ in range(3):
        for _ in range(9):
            assert (await trader.call("POST", "/broker/connect", **REFUSED)).status_code == 409
        assert (await trader.connect()).status_code == 200


async def test_connects_that_succeed_have_an_end_too(trader: ApiUser, sessions: Sessions) -> None:
    answers = [await trader.connect() for _ in range(70)]
    statuses = [answer.status_code for answer in answers]
    assert statuses == sorted(statuses)
    assert (statuses[0], statuses[-1]) == (200, 429)
    assert await lines_about_connects(sessions, trader) <= 62  # one for each of the two limits that refuse


async def test_an_outage_of_the_broker_keeps_nobody_out_after_it(trader: ApiUser, paper: PaperExchange) -> None:
    paper.control.outage(on=True)
    try:
        answers = [await trader.connect() for _ in range(15)]
    finally:
        paper.control.outage(on=False)
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(503, "broker_unreachable")}
    assert (await trader.connect()).status_code == 200
