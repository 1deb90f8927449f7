"""How handles of other actors are found while the head answers, and while it does not."""

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from actors.runtime import handles
from actors.runtime.handles import Handles, HeadSilent, PeerMissing

Sent = list[tuple[Any, int]]


class Head:
    """Answers each lookup when the test says what."""

    def __init__(self) -> None:
        self.asked: queue.Queue[str] = queue.Queue()
        self.answers: queue.Queue[Any] = queue.Queue()
        self.threads: set[int] = set()

    def look_up(self, name: str) -> Any:
        self.threads.add(threading.get_ident())
        self.asked.put(name)
        answer = self.answers.get(timeout=30)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def head() -> Head:
    return Head()


@pytest.fixture
def found(head: Head) -> Handles:
    return Handles(head.look_up)


def noting(sent: Sent, number: int) -> Callable[[Any], None]:
    """A message that says when, and with which handle, it is sent."""
    return lambda handle: sent.append((handle, number))


async def asked(head: Head) -> str:
    """The name that the head is asked for; the loop goes on meanwhile."""
    return await asyncio.to_thread(head.asked.get, timeout=30)


async def test_an_actor_is_looked_up_once_in_another_thread_and_remembered(head: Head, found: Handles) -> None:
    both = asyncio.gather(found.find("ledger:0"), found.find("ledger:0"))
    assert await asked(head) == "ledger:0"
    head.answers.put("handle")
    assert list(await both) == ["handle", "handle"]
    assert await found.find("ledger:0") == "handle"
    assert head.asked.empty()
    assert threading.get_ident() not in head.threads


async def test_a_name_that_no_actor_has_is_looked_up_again_at_the_next_use(head: Head, found: Handles) -> None:
    for answer in (PeerMissing(), PeerMissing()):
        head.answers.put(answer)
        with pytest.raises(PeerMissing):
            await found.find("strategy:7")
    head.answers.put("handle")
    assert await found.find("strategy:7") == "handle"


async def test_a_handle_in_doubt_gives_way_to_what_the_head_answers(head: Head, found: Handles) -> None:
    found.meet("strategy:7", "of the last run")
    found.doubt("strategy:7")
    head.answers.put("of this run")
    assert await found.find("strategy:7") == "of this run"
    found.doubt("strategy:7")
    head.answers.put(PeerMissing())
    with pytest.raises(PeerMissing):
        await found.find("strategy:7")


async def test_without_the_head_a_handle_in_doubt_is_used_after_a_moment_and_then_at_once(
    head: Head, found: Handles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handles, "LOOK_UP_S", 0.05)
    found.meet("execution:0", "handle")
    found.doubt("execution:0")
    assert await found.find("execution:0") == "handle"
    assert await asked(head) == "execution:0"
    head.answers.put(HeadSilent())  # a minute has passed; it is asked again
    assert await asked(head) == "execution:0"
    began = time.monotonic()
    assert await found.find("execution:0") == "handle"
    assert time.monotonic() - began < 1, "it has waited already"
    head.answers.put("another")
    async with asyncio.timeout(30):
        while await found.find("execution:0") != "another":  # noqa: ASYNC110 - there is nothing to wait for
            await asyncio.sleep(0.01)


async def test_a_message_to_an_actor_that_is_not_known_yet_leaves_when_it_is_found_in_order(
    head: Head, found: Handles
) -> None:
    sent: Sent = []
    for number in range(3):
        found.send("ledger:0", noting(sent, number))
    assert (await asked(head), sent) == ("ledger:0", [])
    head.answers.put("handle")
    assert await found.find("ledger:0") == "handle"
    found.send("ledger:0", noting(sent, 3))
    assert sent == [("handle", number) for number in range(4)]


async def test_without_the_head_messages_go_by_the_handle_in_doubt(
    head: Head, found: Handles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handles, "LOOK_UP_S", 0.0)
    sent: Sent = []
    found.meet("ledger:0", "handle")
    found.doubt("ledger:0")
    for number in range(2):
        found.send("ledger:0", noting(sent, number))
    assert sent == [("handle", 0), ("handle", 1)]
    head.answers.put(PeerMissing())


async def test_the_oldest_message_is_lost_when_too_many_wait(
    head: Head, found: Handles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handles, "MOST_WAITING", 2)
    sent: Sent = []
    for number in range(3):
        found.send("router:NSE:INFY", noting(sent, number))
    head.answers.put("handle")
    await found.find("router:NSE:INFY")
    assert sent == [("handle", 1), ("handle", 2)]
