"""The address of an execution actor's orders is found beside its loop, once a minute, however many ask."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from actors.runtime.clients.order_address import OrderAddress
from tests.kit.raw_broker import RawBroker, answer, hang, raw_broker, reply

ROOT = "http://127.0.0.1:9"


@pytest.fixture
def echo() -> Iterator[RawBroker]:
    with raw_broker() as echo:
        echo.script = [reply(answer("3.7.0.9")), reply(answer("3.7.0.10"))]
        yield echo


async def test_all_who_ask_within_a_minute_have_the_same_answer(echo: RawBroker) -> None:
    address = OrderAddress("execution:0")
    seen = await asyncio.gather(*(address.seen(ROOT, echo.url) for _ in range(5)))
    seen.append(await address.seen(ROOT, echo.url))
    assert {(one.where, one.address) for one in seen} == {("execution:0", "3.7.0.9")}
    assert len(echo.seen) == 1


async def test_an_answer_that_is_too_old_is_asked_for_again(echo: RawBroker) -> None:
    address = OrderAddress("execution:0", every_s=0.0)
    assert (await address.seen(ROOT, echo.url)).address == "3.7.0.9"
    assert (await address.seen(ROOT, echo.url)).address == "3.7.0.10"


async def test_another_question_is_asked_at_once(echo: RawBroker) -> None:
    address = OrderAddress("execution:0")
    assert (await address.seen(ROOT, echo.url)).address == "3.7.0.9"
    assert (await address.seen(ROOT, f"{echo.url}/ip")).address == "3.7.0.10"


async def test_an_echo_that_hangs_holds_up_neither_the_loop_nor_who_asks(echo: RawBroker) -> None:
    echo.script = [hang]
    address, longest = OrderAddress("execution:0"), 0.0
    asked = asyncio.create_task(address.seen(ROOT, echo.url))
    while not asked.done():
        before = time.monotonic()
        await asyncio.wait({asked}, timeout=0.05)
        longest = max(longest, time.monotonic() - before)
    assert "no short answer" in asked.result().unknown
    assert longest < 1
    assert "no short answer" in (await address.seen(ROOT, echo.url)).unknown
    assert len(echo.seen) == 1, "a failure is not asked again at once either"
