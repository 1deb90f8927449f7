"""How many requests of one user are served at once."""

import asyncio
from contextlib import suppress

import pytest

from api.base.errors import ApiError
from api.edge.requests_at_once import RequestsAtOnce
from tests.kit.virtual_time import in_virtual_time

ASHA, RAVI = 1, 2


async def entered(requests: RequestsAtOnce, user_id: int = ASHA) -> list[int]:
    """Ten requests that never end; after a moment, those that are let in."""
    inside: list[int] = []

    async def request(number: int) -> None:
        await requests.enter(user_id)
        inside.append(number)

    tasks = [asyncio.create_task(request(number)) for number in range(10)]
    await asyncio.sleep(0.01)
    assert all(task.done() for number, task in enumerate(tasks) if number in inside)
    return inside


@in_virtual_time
async def test_a_users_further_requests_wait_and_others_do_not() -> None:
    requests = RequestsAtOnce(4)
    assert await entered(requests) == [0, 1, 2, 3]
    assert await entered(requests, RAVI) == [0, 1, 2, 3]


@in_virtual_time
async def test_the_next_in_line_comes_when_one_ends() -> None:
    requests = RequestsAtOnce(1)
    leave = await requests.enter(ASHA)
    waiting = [asyncio.create_task(requests.enter(ASHA)) for _ in range(3)]
    for number, task in enumerate(waiting):
        await asyncio.sleep(0.01)
        assert [other.done() for other in waiting] == [True] * number + [False] * (3 - number)
        leave()
        leave = await task
    leave()
    (await requests.enter(ASHA))()
    assert not requests._served, "nothing is kept of a user whose requests have ended"


@in_virtual_time
async def test_a_line_has_an_end_and_a_wait_too() -> None:
    requests = RequestsAtOnce(1, line=2, patience_s=5.0)
    leave = await requests.enter(ASHA)
    waiting = [asyncio.create_task(requests.enter(ASHA)) for _ in range(2)]
    await asyncio.sleep(0.01)
    with pytest.raises(ApiError) as refused:
        await requests.enter(ASHA)
    assert (refused.value.status, refused.value.code, refused.value.headers["Retry-After"]) == (
        429,
        "rate_limited",
        "1",
    )
    late = await asyncio.gather(*waiting, return_exceptions=True)
    assert [error.code for error in late if isinstance(error, ApiError)] == ["rate_limited"] * 2
    leave()
    (await requests.enter(ASHA))()
    assert not requests._served


@in_virtual_time
async def test_a_client_that_leaves_the_line_takes_no_turn() -> None:
    for order in ("turn, end", "end, turn", "end"):
        await _leaves_the_line(order)


async def _leaves_the_line(order: str) -> None:
    requests = RequestsAtOnce(1)
    leave = await requests.enter(ASHA)
    first, second = (asyncio.create_task(requests.enter(ASHA)) for _ in range(2))
    await asyncio.sleep(0.01)
    if order == "turn, end":
        leave()
    first.cancel()
    if order == "end, turn":
        leave()
    with suppress(asyncio.CancelledError):
        await first
    if order == "end":
        leave()
    (await asyncio.wait_for(second, 1))()
    assert not requests._served


@in_virtual_time
async def test_a_limit_of_zero_lets_any_number_in() -> None:
    assert len(await entered(RequestsAtOnce(0))) == 10
