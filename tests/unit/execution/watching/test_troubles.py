"""A trouble of an account is called over once it has been gone for a while, and never on a guess (row N1)."""

from dataclasses import replace
from typing import Any

import pytest

from actors.domain.identifiers import Leg, Product, Side
from actors.domain.orders.cover import AccountPosition, position_key
from actors.domain.orders.partly_read import PartlyRead
from actors.execution.watching.audit import Account
from actors.execution.watching.troubles import OF_HOLDERS, Trouble, Troubles, judged
from actors.ports.common import CALM
from actors.ports.execution import KnownIntent
from tests.kit.builders import INFY
from tests.kit.execution import BUY, HOLDING, ExecutionBench, guarded
from tests.kit.fakes.attempt_log import FakeAttemptLog
from tests.kit.outside import OutsideBench
from tests.kit.virtual_time import in_virtual_time, passing, until
from tests.unit.execution.watching.test_account_watcher import renewing
from tests.unit.execution.watching.test_sold_outside import ended

CALM_S = CALM.total_seconds()
KEY = position_key(INFY, Product.MIS)
SHORT = Trouble(1, "position_short", "position:2:NSE:INFY:MIS", 3)
MISSING = ("shares_missing", "strategy:3")
OF_POSITION = ("position_short", "position:2:NSE:INFY:MIS")


@pytest.fixture
def attempts() -> FakeAttemptLog:
    return FakeAttemptLog()


def over_once_calm(troubles: Troubles, begin: float) -> None:
    troubles.looked({SHORT}, set(), begin)
    troubles.looked({SHORT}, set(), begin + CALM_S)


def test_it_is_over_after_the_calm_and_once(attempts: FakeAttemptLog) -> None:
    troubles = Troubles(attempts)
    troubles.reported(SHORT)
    troubles.looked({SHORT}, {SHORT}, 0)
    troubles.looked({SHORT}, set(), 10)
    troubles.looked({SHORT}, set(), 10 + CALM_S - 1)
    assert attempts.over == []
    troubles.looked({SHORT}, set(), 10 + CALM_S)
    troubles.looked({SHORT}, set(), 20 + CALM_S)
    assert attempts.over == [OF_POSITION]


def test_one_that_comes_and_goes_is_one_trouble(attempts: FakeAttemptLog) -> None:
    troubles = Troubles(attempts)
    for at in range(0, 1000, 50):
        troubles.reported(SHORT)
        troubles.looked({SHORT}, {SHORT}, at)
        troubles.looked({SHORT}, set(), at + 25)
    assert attempts.over == []
    over_once_calm(troubles, 2000)
    troubles.reported(SHORT)
    over_once_calm(troubles, 3000)
    assert attempts.over == [OF_POSITION] * 2, "the second occurrence has its own end"


@pytest.mark.parametrize("blind", ["not judged", "cannot look"])
def test_what_is_not_looked_at_is_not_known_to_be_over(attempts: FakeAttemptLog, blind: str) -> None:
    troubles = Troubles(attempts)
    troubles.reported(SHORT)
    troubles.looked({SHORT}, set(), 0)
    if blind == "cannot look":
        troubles.cannot_look()
    else:
        troubles.looked(set(), set(), CALM_S - 1)
    troubles.looked({SHORT}, set(), CALM_S)
    assert attempts.over == []
    troubles.looked({SHORT}, set(), 2 * CALM_S)
    assert attempts.over == [OF_POSITION]


def test_a_watcher_that_starts_calls_over_what_an_earlier_one_may_have_reported(attempts: FakeAttemptLog) -> None:
    troubles = Troubles(attempts)
    troubles.looked({SHORT}, set(), 0)
    over_once_calm(troubles, 1)
    assert attempts.over == [OF_POSITION]


def an_account(**changes: Any) -> Account:
    entry = KnownIntent(7, 3, 1, Leg.ENTRY, BUY.tag, KEY, ended=False)
    facts: dict[str, Any] = {
        "book": (), "positions": {}, "covers": {}, "holdings": (HOLDING,), "known": (entry,), "is_own": str.isupper,
        "read_at": 0.0, "unsettled": frozenset(), "working": frozenset(),
    }  # fmt: skip
    return Account(**facts | changes)


def unread() -> PartlyRead[AccountPosition]:
    positions: PartlyRead[AccountPosition] = PartlyRead()
    positions.unread.add((None, "INFY", None))
    return positions


@pytest.mark.parametrize(
    ("changes", "not_judged"),
    [
        ({}, set()),
        ({"working": frozenset({7})}, {"shares_missing", "unguarded_position"}),
        ({"unsettled": frozenset({KEY})}, {"shares_missing"}),
        ({"holdings": (replace(HOLDING, exiting=True),)}, {"shares_missing"}),
        ({"holdings": ()}, {"shares_missing", "sale_by_hand_waits", "account_unreadable"}),
        ({"positions": unread()}, {"position_short"}),
        ({"known": ()}, {"position_short", "unguarded_position"}),
    ],
)
def test_what_a_look_cannot_find_it_does_not_judge(changes: dict[str, Any], not_judged: set[str]) -> None:
    everything = {*OF_HOLDERS, "position_short", "unguarded_position"}
    assert {trouble.code for trouble in judged(2, an_account(**changes))} == everything - not_judged


@in_virtual_time
async def test_shares_that_are_back_are_said_to_be() -> None:
    bench = await guarded(ExecutionBench())
    bench.broker.net[INFY, Product.MIS] = 4
    await renewing(bench, 200)
    assert MISSING not in bench.attempts.over
    bench.broker.net[INFY, Product.MIS] = 10
    await renewing(bench, 140)
    assert bench.attempts.over.count(MISSING) == 1


@in_virtual_time
async def test_of_a_strategy_that_says_no_longer_what_it_holds_nothing_is_over() -> None:
    bench = await guarded(ExecutionBench())
    bench.broker.net[INFY, Product.MIS] = 4
    await renewing(bench, 20)
    await passing(400)
    assert MISSING not in bench.attempts.over
    await bench.actor.guard(HOLDING)
    await renewing(bench, 400)
    assert MISSING not in bench.attempts.over, "they are still missing"


@in_virtual_time
async def test_an_account_that_can_be_read_again_is_said_to_be() -> None:
    bench = await guarded(ExecutionBench())
    bench.broker.down = True
    await renewing(bench, 60)
    bench.broker.down = False
    await renewing(bench, 100)
    assert ("account_unreadable", "strategy:3") not in bench.attempts.over
    await renewing(bench, 60)
    assert bench.attempts.over.count(("account_unreadable", "strategy:3")) == 1


@in_virtual_time
async def test_a_short_that_is_bought_back_is_said_to_be_gone_though_its_run_has_ended() -> None:
    bench = OutsideBench()
    strategy = await bench.guarding()
    bench.stop(strategy)
    await ended(strategy)
    bench.by_hand(Side.SELL, 10)
    await until(lambda: bench.attempts.alerts, within_s=60)
    begun = bench.attempts.over.count(OF_POSITION)
    await passing(600)
    assert bench.attempts.over.count(OF_POSITION) == begun
    bench.by_hand(Side.BUY, 10)
    await passing(300)
    assert bench.attempts.over.count(OF_POSITION) == begun + 1
