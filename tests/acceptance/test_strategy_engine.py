"""What every `StrategyEngine` promises, on the fake of the API's tests and on Ray.

A contract suite that stands here, since its real side needs the stack.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from actors.ports.engine import StrategyEngine
from actors.runtime.names import Pools
from persistence.database.engine import open_database, sessions_of
from persistence.journal.ledger import RunLedger
from persistence.mirror.mirror import RuntimeMirror
from tests.integration.rows import new_run
from tests.kit.databases import PATIENT_S
from tests.kit.fakes.strategy_engine import FakeEngine
from tests.kit.paper import eventually
from tests.kit.trader import Deployment

NOBODY = NOTHING = 2**40
NEW_STOP = 140_000


@dataclass
class Started:
    """An engine that runs a strategy, which waits to buy."""

    engine: StrategyEngine
    mirror: RuntimeMirror
    run_id: int
    strategy_id: int
    account_id: int


@pytest.fixture(params=["fake", "ray"])
def side(request: pytest.FixtureRequest) -> Deployment | tuple[str, str]:
    """The stack, or the databases that the fake records in."""
    if request.param == "ray":
        deployment: Deployment = request.getfixturevalue("deployment")
        return deployment
    return request.getfixturevalue("postgres_url"), request.getfixturevalue("redis_url")


@pytest.fixture
async def started(side: Deployment | tuple[str, str]) -> AsyncIterator[Started]:
    if isinstance(side, Deployment):
        from actors.runtime.driver.engine import RayEngine

        settings, strategy = side.settings, side.trader().strategy("INFY", buy_in=600, sell_in=1200)
        (run,) = side.query("SELECT id, broker_account_id FROM runs WHERE strategy_id = %s", strategy.id)
        mirror = RuntimeMirror.connect(settings.redis_url, timeout_s=PATIENT_S)
        engine = RayEngine(Pools(settings.execution_actors, settings.ledger_actors, settings.brokers))
        yield Started(engine, mirror, run["id"], strategy.id, run["broker_account_id"])
        strategy.stop()
        await mirror.close()
        return
    database, mirror = open_database(side[0], pool_size=2), RuntimeMirror.connect(side[1], timeout_s=PATIENT_S)
    row = await new_run(sessions_of(database))
    assert row.broker_account_id is not None
    fake = FakeEngine(RunLedger(sessions_of(database), mirror))
    await fake.ensure_running(row.id, row.strategy_id)
    yield Started(fake, mirror, row.id, row.strategy_id, row.broker_account_id)
    await mirror.close()
    await database.dispose()


async def test_a_stop_ends_the_run_and_may_be_repeated(started: Started) -> None:
    for _ in range(2):
        stopped = await started.engine.stop(started.run_id, started.strategy_id, 20)
        assert stopped.flat
    runtime, _ = await started.mirror.get_status(started.strategy_id)
    assert runtime == {}, "of a run that was stopped before it bought, nothing is shown"


async def test_a_start_may_be_repeated_and_the_run_goes_on(started: Started) -> None:
    for _ in range(2):
        await started.engine.ensure_running(started.run_id, started.strategy_id, "INFY 10")
    assert (await started.engine.recover()).failed == 0
    health = await started.engine.health()
    assert isinstance(health["strategies"], int)
    assert health["strategies"] >= 1


async def test_a_moved_stop_is_recorded_when_it_is_answered(started: Started) -> None:
    assert await started.engine.move_stop(started.strategy_id, NEW_STOP) is None, "nothing is guarded yet"
    runtime, _ = await started.mirror.get_status(started.strategy_id)
    assert runtime["stop_loss"] == "1400.00"
    assert await started.engine.move_stop(NOTHING, NEW_STOP) is None


async def test_a_panic_of_a_user_without_strategies_ends_none(started: Started) -> None:
    assert await started.engine.forbid_entries(NOBODY)
    assert await started.engine.stop_all_of(NOBODY) == frozenset()


async def test_the_shares_of_an_account_that_has_not_traded_are_none(started: Started) -> None:
    assert await started.engine.account_shares(started.account_id) == {}
    assert isinstance(await started.engine.order_addresses(), list)


async def test_what_promises_nothing_fails_for_nobody(started: Started) -> None:
    started.engine.expect_start(NOTHING)
    started.engine.ask_broker_now([started.strategy_id, NOTHING])


def test_the_process_of_an_ended_run_that_stays_gives_way_to_the_next_run(deployment: Deployment) -> None:
    import ray

    from actors.runtime import names
    from actors.runtime.hosts.strategy import Ready

    strategy = deployment.trader().strategy("INFY", buy_in=600, sell_in=1200)
    assert strategy.stop().status_code == 200

    class Stays:
        """What has the strategy's name, and another run than the open one."""

        def ready(self) -> Ready:
            return Ready(run_id=0, node_id="", is_new=False)

    def taken() -> bool:
        try:
            ray.remote(Stays).options(
                name=strategy.actor, namespace=names.NAMESPACE, lifetime="detached", num_cpus=0
            ).remote()
        except ValueError:  # the name is not free yet
            return False
        return True

    eventually(taken, 30, "the stand-in has the name")
    strategy.trader.ok("POST", "/strategy/start", {"strategy_id": strategy.id})
    (run,) = deployment.query("SELECT epoch FROM runs WHERE strategy_id = %s AND ended_at IS NULL", strategy.id)
    assert run["epoch"] == 1, "its own process has loaded it"
    assert strategy.stop().status_code == 200
