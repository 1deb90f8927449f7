"""A flood of logins: a short queue, the rest refused at once, and no work for clients that have left."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from api.base.client import stays
from api.base.errors import ApiError, ClientLeft
from api.users.passwords.hashing import MOST_WAITING, SERVED, Passwords

THREADS = 2


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    passwords = Passwords()
    yield passwords
    passwords.close()


async def test_of_five_hundred_at_once_forty_wait_and_the_rest_are_refused_before_any_is_served(
    passwords: Passwords,
) -> None:
    answers: list[str] = []
    refusals: list[ApiError] = []

    async def log_in() -> None:
        try:
            async with passwords.place():
                await passwords.matches(None, "a guess")
                answers.append("compared")
        except ApiError as refusal:
            refusals.append(refusal)
            answers.append("refused")

    await asyncio.gather(*(log_in() for _ in range(500)))
    served = MOST_WAITING + SERVED
    assert answers == ["refused"] * (500 - served) + ["compared"] * served
    assert {(refusal.status, refusal.code) for refusal in refusals} == {(503, "passwords_busy")}
    waits = {int(refusal.headers["Retry-After"]) for refusal in refusals}
    assert waits == {2, 3, 4, 5, 6}, "those who are refused in one instant do not all come back in one"
    answers.clear()
    await asyncio.gather(*(log_in() for _ in range(served)))
    assert answers == ["compared"] * served, "every place is free again"


async def test_a_place_is_free_again_however_its_request_ends(passwords: Passwords) -> None:
    narrow = Passwords(most_waiting=1 - SERVED)  # one place
    for error in (ValueError(), asyncio.CancelledError()):
        with pytest.raises(type(error)):
            async with narrow.place():
                raise error
    async with narrow.place():
        with pytest.raises(ApiError):
            async with narrow.place():
                pytest.fail("there is no second place")
    narrow.close()


async def test_nothing_is_hashed_for_a_client_that_has_left_when_its_turn_comes(passwords: Passwords) -> None:
    asked, released = 0, threading.Event()
    busy = [asyncio.create_task(passwords._in_turn(released.wait, stays)) for _ in range(THREADS)]
    await asyncio.sleep(0)

    async def has_left() -> bool:
        nonlocal asked
        asked += 1
        assert released.is_set(), "it is asked when its turn comes, not when it begins to wait"
        return True

    waiting = asyncio.create_task(passwords.hash("a secret", has_left))
    await asyncio.sleep(0)
    released.set()
    with pytest.raises(ClientLeft):
        await waiting
    await asyncio.gather(*busy)
    assert asked == 1
