"""What every `OrderClaims` promises, on the fake of the unit tests and on the real one over Valkey and PostgreSQL."""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from itertools import count

import pytest

from actors.ports.execution import ClaimsUnavailable, ClaimVerdict, OrderClaims
from actors.ports.strategy import OrderCommand
from actors.runtime.clients.claims import DatabaseHealth, MirrorClaims
from actors.runtime.clients.execution_lease import ExecutionLease
from persistence.database.engine import open_database, sessions_of
from persistence.journal.ledger import RunLedger
from persistence.mirror.mirror import RuntimeMirror
from tests.kit.builders import a_run
from tests.kit.databases import PATIENT_S
from tests.kit.execution import a_command
from tests.kit.fakes.order_claims import FakeClaims

NUMBERS = count(980_000)
GRANTED, HELD_BY_ME, REFUSED = ClaimVerdict.GRANTED, ClaimVerdict.HELD_BY_ME, ClaimVerdict.REFUSED


@dataclass
class Locks:
    """The order locks; as a process sees them that lacks the lease, or that Redis does not answer."""

    claims: OrderClaims
    without_lease: OrderClaims
    without_redis: OrderClaims


@pytest.fixture(params=["fake", "valkey"])
async def locks(request: pytest.FixtureRequest) -> AsyncIterator[Locks]:
    if request.param == "fake":
        yield Locks(FakeClaims(), FakeClaims(leased=False), FakeClaims(verdict=ClaimsUnavailable("Redis is down")))
        return
    engine = open_database(request.getfixturevalue("postgres_url"), pool_size=1)
    mirror = RuntimeMirror.connect(request.getfixturevalue("redis_url"), quick_claims=True, timeout_s=PATIENT_S)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        absent = RuntimeMirror.connect(f"redis://127.0.0.1:{unused.getsockname()[1]}", timeout_s=0.2)
    ledger, name = RunLedger(sessions_of(engine), mirror), f"execution:{next(NUMBERS)}"
    lease, none = ExecutionLease(mirror, name), ExecutionLease(absent, name)
    keeping = [asyncio.create_task(kept.keep()) for kept in (lease, none)]
    async with asyncio.timeout(5):
        while not lease.held:  # noqa: ASYNC110 - a lease notifies no caller when it is held
            await asyncio.sleep(0.01)
    health = DatabaseHealth(ledger)
    yield Locks(
        MirrorClaims(mirror, ledger, health, lease),
        MirrorClaims(mirror, ledger, health, none),
        MirrorClaims(absent, ledger, health, none),
    )
    for task in keeping:
        task.cancel()
    await asyncio.gather(*keeping, return_exceptions=True)
    await mirror.close()
    await absent.close()
    await engine.dispose()


@dataclass
class Strategy:
    """The commands of one strategy's runs, of this incarnation and of others."""

    strategy_id: int
    run_id: int

    def entry(self, *, epoch: int = 1) -> OrderCommand:
        return self._command(a_command(a_run(run_id=self.run_id).entry_intent()), epoch)

    def exit(self, seq: int = 1, *, epoch: int = 1) -> OrderCommand:
        return self._command(a_command(a_run(run_id=self.run_id).exit_intent(seq, 10)), epoch)

    def next_run(self) -> "Strategy":
        return Strategy(self.strategy_id, next(NUMBERS))

    def _command(self, command: OrderCommand, epoch: int) -> OrderCommand:
        return replace(command, strategy_id=self.strategy_id, run_id=self.run_id, epoch=epoch)


@pytest.fixture
def strategy() -> Strategy:
    return Strategy(next(NUMBERS), next(NUMBERS))


async def test_a_free_lock_is_granted_and_foreseen_so_without_being_taken(locks: Locks, strategy: Strategy) -> None:
    assert [await locks.claims.foresee(strategy.exit()) for _ in range(2)] == [GRANTED, GRANTED]
    assert await locks.claims.claim(strategy.exit(), "a") is GRANTED
    assert await locks.claims.foresee(strategy.exit()) is HELD_BY_ME


async def test_a_rehearsal_takes_no_lock(locks: Locks, strategy: Strategy) -> None:
    locks.claims.rehearse(strategy.exit())
    assert await locks.claims.foresee(strategy.exit()) is GRANTED


async def test_a_claim_whose_answer_was_lost_gets_it_again_under_its_id(locks: Locks, strategy: Strategy) -> None:
    assert await locks.claims.claim(strategy.exit(), "a") is GRANTED
    assert await locks.claims.claim(strategy.exit(), "a") is GRANTED


async def test_another_claim_of_the_intent_finds_an_earlier_attempt(locks: Locks, strategy: Strategy) -> None:
    await locks.claims.claim(strategy.exit(), "a")
    assert await locks.claims.claim(strategy.exit(), "b") is HELD_BY_ME
    assert await locks.claims.claim(strategy.exit(), "a") is HELD_BY_ME, "the other one may have sent it meanwhile"


async def test_a_later_intent_takes_the_lock_over_and_an_earlier_one_never(locks: Locks, strategy: Strategy) -> None:
    rising = [strategy.entry(), strategy.exit(1), strategy.exit(2), strategy.next_run().entry()]
    for number, command in enumerate(rising):
        assert await locks.claims.claim(command, "a") is GRANTED
        for earlier in rising[:number]:
            assert await locks.claims.foresee(earlier) is REFUSED
            assert await locks.claims.claim(earlier, "b") is REFUSED


async def test_an_older_incarnation_is_refused_and_a_newer_one_looks_first(locks: Locks, strategy: Strategy) -> None:
    await locks.claims.claim(strategy.exit(epoch=2), "a")
    assert await locks.claims.foresee(strategy.exit(epoch=1)) is REFUSED
    assert await locks.claims.claim(strategy.exit(epoch=1), "b") is REFUSED
    assert await locks.claims.claim(strategy.exit(2, epoch=1), "b") is REFUSED
    assert await locks.claims.claim(strategy.exit(epoch=3), "c") is HELD_BY_ME


async def test_the_locks_of_strategies_are_their_own(locks: Locks, strategy: Strategy) -> None:
    other = Strategy(next(NUMBERS), strategy.run_id)
    await locks.claims.claim(strategy.exit(), "a")
    assert await locks.claims.claim(other.exit(), "b") is GRANTED


async def test_a_released_lock_is_free_and_only_its_holder_releases_it(locks: Locks, strategy: Strategy) -> None:
    await locks.claims.claim(strategy.exit(), "a")
    await locks.claims.release(strategy.entry())
    assert await locks.claims.foresee(strategy.exit()) is HELD_BY_ME
    await locks.claims.release(strategy.exit())
    await locks.claims.release(strategy.exit())
    assert await locks.claims.claim(strategy.exit(), "b") is GRANTED


async def test_a_lock_is_renewed_by_its_holder_and_by_no_other(locks: Locks, strategy: Strategy) -> None:
    await locks.claims.claim(strategy.entry(), "a")
    assert await locks.claims.renew(strategy.entry())
    await locks.claims.claim(strategy.exit(epoch=2), "b")
    assert not await locks.claims.renew(strategy.entry())
    assert not await locks.claims.renew(strategy.exit(epoch=1))
    assert await locks.claims.renew(strategy.exit(epoch=2))


async def test_a_renewal_takes_back_a_lock_that_was_lost(locks: Locks, strategy: Strategy) -> None:
    assert await locks.claims.renew(strategy.exit())
    assert await locks.claims.claim(strategy.exit(), "a") is HELD_BY_ME


async def test_a_claim_leaves_in_the_call_that_makes_it(locks: Locks, strategy: Strategy) -> None:
    first, second = locks.claims.claim_now(strategy.exit(), "a"), locks.claims.claim_now(strategy.exit(), "b")
    assert first is not None
    assert second is not None
    assert (await second, await first) == (HELD_BY_ME, GRANTED)


async def test_without_the_lease_every_claim_is_waited_for(locks: Locks, strategy: Strategy) -> None:
    assert locks.without_lease.claim_now(strategy.exit(), "a") is None
    assert await locks.without_lease.claim(strategy.exit(), "a") is GRANTED


async def test_without_redis_no_entry_is_taken_on(locks: Locks, strategy: Strategy) -> None:
    with pytest.raises(ClaimsUnavailable):
        await locks.without_redis.claim(strategy.entry(), "a")


async def test_each_claim_and_its_answer_are_counted(locks: Locks, strategy: Strategy) -> None:
    if not isinstance(locks.claims, MirrorClaims) or not isinstance(locks.without_redis, MirrorClaims):
        return  # the fake counts nothing
    await locks.claims.claim(strategy.exit(), "a" * 16)
    await locks.claims.claim(strategy.exit(), "b" * 16)
    begun = locks.claims.claim_now(strategy.exit(2), "c" * 16)
    assert begun is not None
    await begun
    with pytest.raises(ClaimsUnavailable):
        await locks.without_redis.claim(strategy.entry(), "d" * 16)
    counted = {tuple(labels): number for _, labels, number in locks.claims.figures.as_rows()}
    assert counted == {("granted",): 2, ("held_by_me",): 1}
    assert [labels for _, labels, _ in locks.without_redis.figures.as_rows()] == [["not_answered"]]
