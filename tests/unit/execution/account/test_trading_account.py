"""One account: its order book is read once for all who ask, and never before they asked."""

import asyncio
from datetime import timedelta
from itertools import pairwise

import pytest

from actors.domain.orders.order import OrderStage
from actors.execution.account.budget import BudgetLimits, OrderBudget
from actors.execution.account.request_counts import RequestCounts
from actors.execution.account.trading_account import TradingAccount, newest_by_tag, with_tag
from actors.ports.execution import BrokerUnavailable
from tests.kit.builders import NOW, a_report
from tests.kit.fakes.order_gateway import FakeGateway
from tests.kit.virtual_time import FakeClock, in_virtual_time, passing


def a_trading_account() -> tuple[TradingAccount, FakeGateway, FakeClock]:
    clock = FakeClock(NOW)
    gateway = FakeGateway(clock)
    return TradingAccount(gateway, OrderBudget(BudgetLimits(), clock), RequestCounts(clock)), gateway, clock


@in_virtual_time
async def test_all_who_ask_at_the_same_time_share_one_read() -> None:
    account, gateway, _ = a_trading_account()
    gateway.list(a_report("1"))
    books = await asyncio.gather(*(account.read_book() for _ in range(50)))
    assert len(gateway.reads) == 1
    assert all([report.order_id for report in book] == ["1"] for book in books)


@in_virtual_time
async def test_one_who_asks_during_a_read_gets_a_later_one() -> None:
    account, gateway, _ = a_trading_account()
    gateway.read_takes_s = 1.0
    early = asyncio.create_task(account.read_book())
    await passing(0.5)
    asked_at = gateway.clock.now()
    late = [asyncio.create_task(account.read_book()) for _ in range(3)]
    await asyncio.gather(early, *late)
    assert [at - NOW for at in gateway.reads] == [timedelta(0), timedelta(seconds=1)]
    assert gateway.reads[1] >= asked_at


@in_virtual_time
async def test_reads_keep_their_distance() -> None:
    account, gateway, _ = a_trading_account()
    for _ in range(8):
        await account.read_book()
    gaps = [later - earlier for earlier, later in pairwise(gateway.reads)]
    assert min(gaps) >= timedelta(milliseconds=100)  # ten reads a second, all kinds together


@in_virtual_time
async def test_a_read_that_began_after_an_instant_stands_for_as_long_as_no_other_may_begin() -> None:
    account, gateway, _ = a_trading_account()
    loop = asyncio.get_running_loop()
    await account.read_book(loop.time())
    await passing(0.1)
    before = loop.time()
    await account.read_book(0.0)
    assert len(gateway.reads) == 1
    await account.read_book(before)
    assert len(gateway.reads) == 2
    await passing(0.2)
    await account.read_book(before)
    assert len(gateway.reads) == 3


@in_virtual_time
async def test_a_read_that_fails_fails_for_those_who_waited_for_it_and_for_nobody_else() -> None:
    account, gateway, _ = a_trading_account()
    gateway.read_takes_s, gateway.down = 0.5, True
    together = [asyncio.create_task(account.read_book()) for _ in range(2)]
    await passing(0.3)
    later = asyncio.create_task(account.read_book())
    outcomes = await asyncio.gather(*together, return_exceptions=True)
    assert all(isinstance(outcome, BrokerUnavailable) for outcome in outcomes)
    gateway.down = False
    assert await later == []


@in_virtual_time
async def test_one_who_gives_up_does_not_take_the_read_from_the_others() -> None:
    account, gateway, _ = a_trading_account()
    gateway.read_takes_s = 1.0
    gives_up = asyncio.create_task(account.read_book())
    stays = asyncio.create_task(account.read_book())
    await passing(0.5)
    gives_up.cancel()
    assert await stays == []
    assert len(gateway.reads) == 1


def test_orders_are_found_by_their_tag() -> None:
    mine, other = a_report("1", tag="MINE"), a_report("2", tag="OTHER")
    assert with_tag([other, mine, a_report("3")], "MINE") == [mine]


@pytest.mark.parametrize("reverse", [False, True])
def test_of_several_orders_under_a_tag_a_live_one_is_held_on_to(*, reverse: bool) -> None:
    book = [
        a_report("1", OrderStage.REJECTED, filled=0, tag="T"),
        a_report("2", OrderStage.OPEN, filled=0, tag="T"),
        a_report("9", tag="U"),
        a_report("10", tag=None),
    ]
    found = newest_by_tag(book[::-1] if reverse else book, ["T", "U", "ABSENT"])
    assert {tag: report.order_id for tag, report in found.items()} == {"T": "2", "U": "9"}
