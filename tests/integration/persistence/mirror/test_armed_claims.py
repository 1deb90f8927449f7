"""What an armed stop needs of Redis: a claim foreseen, one that leaves at once, the lease, and the guards shown."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator

import pytest

from actors.runtime.clients.execution_lease import LEASE_S, ExecutionLease
from persistence.errors import MirrorUnavailable
from persistence.mirror.claims import Claim
from persistence.mirror.event_stream import EventStream
from persistence.mirror.mirror import RuntimeMirror
from tests.kit.databases import PATIENT_S
from tests.kit.mirrored import runtime_of

pytest_plugins = ["tests.integration.fixtures"]

_ids = itertools.count(970_000)


@pytest.fixture
def strategy_id() -> int:
    return next(_ids)


@pytest.fixture
async def quick(redis_url: str) -> AsyncIterator[RuntimeMirror]:
    """A mirror with its connection for claims, which the first call has made."""
    mirror = RuntimeMirror.connect(redis_url, quick_claims=True, timeout_s=PATIENT_S)
    with pytest.raises(MirrorUnavailable):
        await mirror.take_lease("execution_lease:nobody", "1", 1)
    assert mirror._claims is not None
    assert mirror._claims._connecting is not None
    await mirror._claims._connecting
    yield mirror
    await mirror.close()


async def test_a_claim_is_foreseen_and_none_is_made(mirror: RuntimeMirror, strategy_id: int) -> None:
    entry, exit_ = f"{strategy_id}-ENTRY-1", f"{strategy_id}-EXIT-1"
    assert [await mirror.foresee(strategy_id, 1, exit_) for _ in range(2)] == [Claim.GRANTED] * 2
    assert await mirror.claim(strategy_id, 2, entry, "{}", 30) is Claim.GRANTED
    assert await mirror.foresee(strategy_id, 2, exit_) is Claim.GRANTED
    assert await mirror.foresee(strategy_id, 1, exit_) is Claim.REFUSED
    assert await mirror.claim(strategy_id, 2, exit_, "{}", 30) is Claim.GRANTED
    assert await mirror.foresee(strategy_id, 2, exit_) is Claim.HELD_BY_ME
    assert await mirror.foresee(strategy_id, 3, exit_) is Claim.HELD_BY_ME
    assert await mirror.foresee(strategy_id, 1, exit_) is Claim.REFUSED


async def test_a_claim_leaves_in_the_call_that_makes_it(quick: RuntimeMirror, strategy_id: int) -> None:
    intent = f"{strategy_id}-EXIT-1"
    first = quick.claim_now(strategy_id, 1, intent, "{}", 30, claim_id="a")
    second = quick.claim_now(strategy_id, 1, intent, "{}", 30, claim_id="b")
    assert first is not None
    assert second is not None
    assert (await first, await second) == (Claim.GRANTED, Claim.HELD_BY_ME)


async def test_a_claim_whose_answer_is_lost_is_made_again_under_its_id(quick: RuntimeMirror, strategy_id: int) -> None:
    answer = quick.claim_now(strategy_id, 1, f"{strategy_id}-EXIT-1", "{}", 30, claim_id="a")
    assert quick._claims is not None
    assert quick._claims._link is not None
    quick._claims._link.close()
    assert answer is not None
    assert await answer is Claim.GRANTED


async def test_without_a_connection_no_claim_leaves_at_once(mirror: RuntimeMirror, strategy_id: int) -> None:
    assert mirror.claim_now(strategy_id, 1, f"{strategy_id}-EXIT-1", "{}", 30, claim_id="a") is None


async def test_a_later_process_takes_the_lease_and_waits_for_the_earlier_one(quick: RuntimeMirror) -> None:
    name = f"execution:{next(_ids)}"
    earlier, later = ExecutionLease(quick, name), ExecutionLease(quick, name)
    await earlier._take()
    held = [earlier.held]
    await later._take()
    held.append(later.held)  # the earlier one may act on its lease for a moment
    later._asked.set()
    await asyncio.wait_for(later.alone(), LEASE_S)
    await later._take()
    await earlier._take()
    assert [*held, later.held, earlier.held] == [True, False, True, False]


async def test_a_lease_that_is_not_kept_is_held_no_more(quick: RuntimeMirror) -> None:
    lease = ExecutionLease(quick, f"execution:{next(_ids)}")
    await lease._take()
    seen = [lease.held]
    await asyncio.sleep(max(0.0, lease._until - time.monotonic()) + 0.01)
    seen.append(lease.held)
    await lease._take()
    assert [*seen, lease.held] == [True, False, True]


async def test_guards_are_shown_where_their_run_is_and_told_when_they_change(
    mirror: RuntimeMirror, strategy_id: int
) -> None:
    user, stream = str(strategy_id), EventStream(mirror._redis)
    runtime = {"run_id": "7", "user_id": user, "symbol": "INFY", "position": "bought"}
    await mirror.put_run(strategy_id, "INFY", {"symbol": "INFY"}, runtime)
    begun = await stream.position(strategy_id)

    async def told() -> list[str | None]:
        page = await stream.after(strategy_id, begun, 10)
        assert page is not None
        return [event.runtime.get("guard_by") for event in page.events]

    for at, by, run in (("1", "strategy", 7), ("2", "strategy", 7), ("3", "strategy,execution", 7), ("4", "", 8)):
        await mirror.show_guards([(strategy_id, run, by, at)])
    shown = await runtime_of(mirror, strategy_id)
    assert (shown["guard_by"], shown["guard_since"], shown["guard_confirmed_at"]) == ("strategy,execution", "3", "3")
    assert await told() == ["strategy", "strategy,execution"]
    await mirror.put_run(strategy_id, "INFY", {"symbol": "INFY"}, {**runtime, "message": "Bought 10"})
    assert (await told())[-1] == "strategy,execution", "what is told of a run says who guards it"
    await mirror.put_run(strategy_id, "INFY", {"symbol": "INFY"}, {**runtime, "run_id": "8"})
    assert "guard_by" not in await runtime_of(mirror, strategy_id), "another run is not guarded by those of the last"
