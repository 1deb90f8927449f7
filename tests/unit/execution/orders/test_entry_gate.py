"""Entries that their user has forbidden (row N8): at the claim, between claim and instant, and with stores away."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from actors.domain.orders.order import FailureKind
from actors.execution.orders.entry_gate import FORBIDDEN, TOLD_STANDS_S, EntryGate
from actors.ports.execution import ClaimsUnavailable, EntryBans
from actors.ports.strategy import OrderCommand
from tests.kit.builders import NOW, a_report
from tests.kit.execution import BUY, ExecutionBench, a_command, a_sell
from tests.kit.fakes.order_claims import FakeClaims
from tests.kit.virtual_time import in_virtual_time, passing

INSTANT = NOW + timedelta(seconds=1)
USER = a_command().user_id


def handed_over() -> OrderCommand:
    return a_command(not_before=INSTANT)


@in_virtual_time
async def test_a_buy_of_a_user_without_entries_gets_no_claim() -> None:
    bench = ExecutionBench()
    bench.claims.forbidden.add(USER)
    failure = await bench.failed(a_command())
    assert (failure.kind, failure.reason) == (FailureKind.FORBIDDEN, FORBIDDEN)
    assert (bench.posted, bench.claims.claims) == ([], [])


@in_virtual_time
async def test_the_ban_of_another_user_changes_nothing() -> None:
    bench = ExecutionBench()
    bench.claims.forbidden.add(USER + 1)
    await bench.filled(a_command())
    assert len(bench.posted) == 1


@in_virtual_time
async def test_an_exit_leaves_and_asks_nobody() -> None:
    bench = ExecutionBench()
    bench.claims.forbidden.add(USER)
    bench.actor.entries.forbid(USER)
    await bench.filled(a_command(a_sell()))
    assert (len(bench.posted), bench.claims.bans_read) == (1, 0)


@pytest.mark.parametrize("before_s", [0.9, 0.5, 0.15])
def test_a_ban_that_is_stored_between_claim_and_instant_keeps_the_buy_back(before_s: float) -> None:
    @in_virtual_time
    async def scenario() -> None:
        bench = ExecutionBench()
        working = bench.start(handed_over())
        await passing(1 - before_s)
        assert bench.claims.held == [BUY.id]
        bench.claims.forbidden.add(USER)
        assert getattr(await working, "kind", None) is FailureKind.FORBIDDEN
        assert (bench.posted, bench.claims.held) == ([], [])

    scenario()


@in_virtual_time
async def test_a_ban_that_execution_is_told_a_millisecond_before_the_instant_keeps_the_buy_back() -> None:
    bench = ExecutionBench()
    working = bench.start(handed_over())
    await passing(0.999)
    bench.actor.entries.forbid(USER)
    assert getattr(await working, "kind", None) is FailureKind.FORBIDDEN
    assert bench.posted == []


@in_virtual_time
async def test_nothing_is_read_once_no_buy_is_in_work() -> None:
    bench = ExecutionBench()
    await bench.filled(a_command())
    await passing(1)
    readings = bench.claims.bans_read
    await passing(10)
    assert bench.claims.bans_read == readings


@in_virtual_time
async def test_a_buy_is_halted_while_it_cannot_be_read_whether_entries_are_forbidden() -> None:
    bench = ExecutionBench()
    bench.claims.bans_known = False
    assert (await bench.failed(a_command())).kind is FailureKind.HALTED
    assert bench.posted == []


@in_virtual_time
async def test_a_ban_in_one_store_is_enough_while_the_other_does_not_answer() -> None:
    bench = ExecutionBench()
    bench.claims.bans_known = False
    bench.claims.forbidden.add(USER)
    assert (await bench.failed(a_command())).kind is FailureKind.FORBIDDEN


@in_virtual_time
async def test_what_may_have_been_sent_before_is_found_out_and_never_sent_again() -> None:
    bench = ExecutionBench()
    bench.claims.forbidden.add(USER)
    bench.broker.list(replace(a_report("0", filled=10, tag=BUY.tag)))
    report = await bench.filled(a_command(look_up_first=True))
    assert (report.filled_quantity, bench.posted) == (10, [])


@in_virtual_time
async def test_what_execution_was_told_stands_until_both_stores_show_that_it_is_over() -> None:
    bans = FakeClaims(bans_known=False)
    gate = EntryGate(bans)
    gate.forbid(USER)
    assert await gate.asked(a_command())
    bans.bans_known = True
    bans.forbidden.add(USER)
    assert await gate.asked(a_command())
    bans.forbidden.clear()
    assert await gate.asked(a_command()), "the marks may come after what it was told"
    await passing(TOLD_STANDS_S)
    assert not await gate.asked(a_command())
    assert not gate.bars(a_command())


@in_virtual_time
async def test_a_store_that_falls_silent_takes_no_ban_back() -> None:
    bans = FakeClaims(forbidden={USER})
    gate = EntryGate(bans)
    assert await gate.asked(a_command())
    bans.forbidden, bans.bans_known = set(), False
    assert await gate.asked(a_command())
    with pytest.raises(ClaimsUnavailable):
        await gate.asked(a_command(user_id=USER + 1))


class _Slow(FakeClaims):
    """Its first answer comes after its second."""

    def __init__(self) -> None:
        super().__init__()
        self.first: asyncio.Future[EntryBans] = asyncio.get_running_loop().create_future()

    async def entry_bans(self) -> EntryBans:
        self.bans_read += 1
        return await self.first if self.bans_read == 1 else EntryBans(frozenset({USER}), complete=True)


@in_virtual_time
async def test_a_reading_that_was_overtaken_takes_no_ban_back() -> None:
    reader = _Slow()
    gate = EntryGate(reader)
    early = asyncio.create_task(gate.asked(a_command()))
    await passing(0.01)
    assert await gate.asked(a_command())
    reader.first.set_result(EntryBans(frozenset(), complete=True))
    assert await early
