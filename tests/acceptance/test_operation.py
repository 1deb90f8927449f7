"""What an operator has on a running stack: the doctor, and a pool of warm workers."""

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from config.stack.stack import Stack
from tests.kit.paper import eventually
from tests.kit.raw_broker import answer, raw_broker, reply
from tests.kit.trader import Deployment, Trader

if TYPE_CHECKING:
    from actors.runtime.driver.engine import RayEngine


def test_the_doctor_finds_a_stack_that_we_started_sound(stack: Stack) -> None:
    argv = [sys.executable, "-P", "-m", "config.commands.cli", "doctor", "--json"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    findings = {finding["subject"]: finding for finding in json.loads(done.stdout)}
    for subject in ("database", "Redis", "Ray node 127.0.0.1", "orders from 127.0.0.1", "broker paper", "calendar"):
        assert findings[subject]["level"] == "ok", findings


def test_status_sees_every_process_and_a_position_that_both_guards_watch(stack: Stack, trader: Trader) -> None:
    strategy = trader.strategy("INFY", buy_in=2, sell_in=600)
    strategy.until_position("bought")

    def seen() -> dict[str, Any]:
        argv = [sys.executable, "-P", "-m", "config.commands.cli", "status", "--json"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        said: dict[str, Any] = json.loads(done.stdout)
        assert done.returncode == said["exit_code"], done.stderr
        return said

    eventually(lambda: seen()["figures"]["guarded_twice"] >= 1, 60, "both guards are seen")
    said = seen()
    running = {process["name"].partition(":")[0] for process in said["processes"] if not process["silent"]}
    assert running == {"api", "execution", "feed", "ledger"}
    assert said["feeds"]["paper"][0]["state"] == "live"
    assert {trouble["code"] for trouble in said["troubles"]}.isdisjoint({"actor_silent", "api_gone", "head_gone"})
    strategy.stop()


def test_a_scrape_has_every_metric_that_a_rule_or_a_panel_names(stack: Stack, trader: Trader) -> None:
    strategy = trader.strategy("INFY", buy_in=2, sell_in=5)
    strategy.until_stopped()
    folder = Path(__file__).parents[2] / "docs" / "monitoring"
    named = {
        name
        for path in folder.rglob("*.*")
        for name in re.findall(r"\btradeactors_\w+", path.read_text(encoding="utf-8"))
    }

    def scraped() -> str:
        return httpx.get(f"{stack.urls['API']}/metrics", timeout=30).text

    def counted() -> bool:
        return 'tradeactors_trigger_to_acknowledged_seconds_count{cause="SELL"' in scraped()

    eventually(counted, 30, "the ledger's figures are shown")
    text = scraped()
    declared = set(re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE)) | set(
        re.findall(r"^(\w+)[ {]", text, re.MULTILINE)
    )
    missing = {name for name in named if not {name, re.sub(r"_(bucket|sum|count)$", "", name)} & declared}
    assert not missing
    for sample in (
        'tradeactors_order_attempts_total{cause="BUY",outcome="accepted"',
        'tradeactors_ledger_records_total{outcome="recorded"',
        'tradeactors_run_loads_total{kind="first"',
        'tradeactors_execution_stops_armed{process="execution:0"}',
        'tradeactors_execution_stops_without_prices{process="execution:0"}',
        'tradeactors_order_budget_left_ratio{process="execution:',
        'tradeactors_order_claims_total{process="execution:',
        'tradeactors_positions{guard="not"}',
        'tradeactors_part_up{part="redis"} 1.0',
    ):
        assert sample in text


def test_starts_take_warm_workers_and_the_pool_is_filled_up_again(
    stack: Stack, deployment: Deployment, trader: Trader
) -> None:
    trader.strategy("INFY", buy_in=600, sell_in=1200).stop()  # its router runs from now on
    full = 4  # of six; those that end others have just left
    eventually(lambda: len(idle_workers(stack)) >= full, 60, "the pool is full")
    before: set[int] = set()
    strategies = []
    for _ in range(2):
        before |= idle_workers(stack)
        strategies.append(trader.strategy("INFY", buy_in=600, sell_in=1200))
    assert {deployment.actor_pid(strategy.actor) for strategy in strategies} <= before
    eventually(lambda: len(idle_workers(stack) - before) >= 1, 60, "new workers")
    for strategy in strategies:
        strategy.stop()


def test_a_strategys_process_never_loads_the_libraries_of_the_heavy_ones(
    deployment: Deployment, trader: Trader
) -> None:
    strategy = trader.strategy("INFY", buy_in=2, sell_in=5)
    strategy.until_position("bought")
    assert loaded_libraries(deployment.actor_pid("ledger:0")) == HEAVY
    assert loaded_libraries(deployment.actor_pid(strategy.actor)) == set()
    assert loaded_libraries(deployment.actor_pid("router:NSE:INFY")) == set()
    strategy.until_stopped()


def test_each_execution_actor_says_which_address_its_orders_leave_from(deployment: Deployment) -> None:
    from actors.runtime.driver.engine import RayEngine
    from actors.runtime.names import Pools

    settings = deployment.settings
    pools = Pools(settings.execution_actors, settings.ledger_actors, settings.brokers)
    with raw_broker() as echo:
        echo.script = [reply(answer("3.7.0.9"))] * settings.execution_actors
        engine = RayEngine(pools, (settings.broker_root("paper"), f"{echo.url}/ip"))
        seen = asyncio.run(_seen_twice(engine))
        assert seen == [(f"execution:{n}", "3.7.0.9") for n in range(settings.execution_actors)] * 2
        assert len(echo.seen) == settings.execution_actors, "an answer holds for a minute"


async def _seen_twice(engine: "RayEngine") -> list[tuple[str, str]]:
    seen = [*await engine.order_addresses(), *await engine.order_addresses()]
    return [(one.where, one.address) for one in seen]


def test_an_actor_without_a_run_is_ended_after_its_time_and_no_other_is(
    deployment: Deployment, trader: Trader, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    from actors.runtime import names
    from actors.runtime.driver import engine

    class Leftover:
        """An actor that keeps running, whatever happened to its run."""

        def __repr__(self) -> str:
            return "leftover"

    name = names.strategy_name(987_654)
    ray.remote(Leftover).options(name=name, namespace=names.NAMESPACE, lifetime="detached", num_cpus=0).remote()
    wanted = trader.strategy("INFY", buy_in=600, sell_in=1200)
    settings = deployment.settings
    sweeper = engine.RayEngine(names.Pools(settings.execution_actors, settings.ledger_actors, settings.brokers))
    asyncio.run(sweeper.recover())
    assert {name, wanted.actor} <= deployment.actors(), "for minutes it may still have something to write down"
    monkeypatch.setattr(engine, "_UNWANTED_S", 0.0)
    asyncio.run(_sweep(sweeper))
    eventually(lambda: name not in deployment.actors(), 20, "the leftover is ended")
    assert wanted.actor in deployment.actors()
    wanted.stop()


async def _sweep(sweeper: "RayEngine") -> None:
    await sweeper.recover()  # sees it
    await sweeper.recover()  # its time is over


HEAVY = {"psycopg_binary", "greenlet", "cryptography"}


def loaded_libraries(pid: int) -> set[str]:
    """Which of the heavy ones' compiled libraries a process has mapped."""
    maps = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")
    return {library for library in HEAVY if f"/{library}" in maps}


def idle_workers(stack: Stack) -> set[int]:
    """Pids of the workers of this stack's Ray that no actor uses."""
    data_dir, found = str(stack.settings.data_dir).encode(), set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                idle = (folder / "cmdline").read_bytes().startswith(b"ray::IDLE")
                if idle and data_dir in (folder / "environ").read_bytes():
                    found.add(int(folder.name))
            except OSError:
                continue
    return found
