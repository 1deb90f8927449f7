"""Runs that ended because their shares seemed to be gone, opened again by the trader's word; on the real PostgreSQL."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from persistence.database.engine import Sessions, transaction
from persistence.database.models.runs import Run
from persistence.database.models.strategies import Strategy
from persistence.errors import RunNotOpen
from persistence.journal.ledger import RunLedger
from persistence.journal.records import LogRecord, RunRuntime, RunUpdate
from persistence.journal.reopening import EndedRuns
from persistence.mirror.mirror import RuntimeMirror
from tests.integration.rows import NOW, new_run

pytest_plugins = ["tests.integration.fixtures"]


@pytest.fixture
def ledger(sessions: Sessions, mirror: RuntimeMirror) -> RunLedger:
    return RunLedger(sessions, mirror)


@pytest.fixture
def ended_runs(sessions: Sessions) -> EndedRuns:
    return EndedRuns(sessions)


def an_update(run: Run, **changes: object) -> RunUpdate:
    runtime = RunRuntime(
        status="stopped",
        position="sold",
        status_detail="closed_outside",
        last_action="BUY",
        message="Position was closed outside TradeActors",
        stop_loss_paise=149_050,
        filled_quantity=10,
        updated_at=NOW,
    )
    update = RunUpdate(
        run_id=run.id,
        strategy_id=run.strategy_id,
        user_id=run.user_id,
        epoch=1,
        symbol="INFY",
        runtime=runtime,
        state={"phase": "ended"},
        ended=True,
    )
    return replace(update, **changes)  # type: ignore[arg-type] # the test names fields


def guarding_again(run: Run, epoch: int = 1) -> RunUpdate:
    update = an_update(run)
    runtime = replace(update.runtime, status="running", position="bought", status_detail="", message="Bought 10 INFY")
    line = LogRecord(event="HELD_BY_TRADER", occurred_at=NOW)
    return replace(update, runtime=runtime, state={"phase": "guarding"}, ended=False, logs=(line,), epoch=epoch)


async def an_ended_run(sessions: Sessions, ledger: RunLedger) -> Run:
    run = await new_run(sessions)
    await ledger.load_run(run.id)
    await ledger.record(an_update(run))
    return run


async def test_an_ended_run_is_opened_again_and_its_next_actor_takes_it_over(
    sessions: Sessions, ledger: RunLedger, ended_runs: EndedRuns
) -> None:
    run = await an_ended_run(sessions, ledger)
    loaded = await ended_runs.load(run.id)
    assert (loaded.epoch, loaded.state) == (1, {"phase": "ended"})
    await ended_runs.reopen(guarding_again(run))
    assert (run.id, run.strategy_id) in await ledger.running_runs()
    taken = await ledger.load_run(run.id)
    assert (taken.epoch, taken.state) == (2, {"phase": "guarding"})
    async with transaction(sessions) as session:
        strategy = await session.get(Strategy, run.strategy_id)
    assert strategy is not None
    assert strategy.status == "running"


async def test_a_run_that_is_open_or_has_a_successor_is_not_opened(
    sessions: Sessions, ledger: RunLedger, ended_runs: EndedRuns
) -> None:
    still_open = await new_run(sessions)
    with pytest.raises(RunNotOpen):
        await ended_runs.load(still_open.id)
    with pytest.raises(RunNotOpen):
        await ended_runs.reopen(guarding_again(still_open, epoch=0))
    run = await an_ended_run(sessions, ledger)
    await new_run(sessions, like=run)
    with pytest.raises(RunNotOpen):
        await ended_runs.reopen(guarding_again(run))


async def test_two_who_open_it_at_the_same_time_open_it_once(
    sessions: Sessions, ledger: RunLedger, ended_runs: EndedRuns
) -> None:
    run = await an_ended_run(sessions, ledger)
    await ended_runs.reopen(guarding_again(run))
    with pytest.raises(RunNotOpen):
        await ended_runs.reopen(guarding_again(run))


async def test_what_is_amended_about_an_ended_run_is_stored_and_it_stays_ended_since_when_it_was(
    sessions: Sessions, ledger: RunLedger, ended_runs: EndedRuns
) -> None:
    run = await an_ended_run(sessions, ledger)
    update = an_update(run)
    later = replace(update.runtime, message="Amended", updated_at=NOW + timedelta(days=2))
    line = LogRecord(event="CLOSED_BY_TRADER", occurred_at=NOW)
    await ended_runs.amend(replace(update, runtime=later, state={"phase": "amended"}, logs=(line,)))
    async with transaction(sessions) as session:
        stored = await session.get(Run, run.id)
        logged = await session.scalar(text("SELECT event FROM order_logs WHERE run_id = :run"), {"run": run.id})
    assert stored is not None
    assert (stored.message, stored.state, stored.ended_at) == ("Amended", {"phase": "amended"}, NOW)
    assert logged == "CLOSED_BY_TRADER"


async def test_a_run_that_is_open_or_was_opened_again_is_not_amended(
    sessions: Sessions, ledger: RunLedger, ended_runs: EndedRuns
) -> None:
    still_open = await new_run(sessions)
    with pytest.raises(RunNotOpen):
        await ended_runs.amend(replace(an_update(still_open), epoch=0))
    run = await an_ended_run(sessions, ledger)
    await ended_runs.reopen(guarding_again(run))
    with pytest.raises(RunNotOpen):
        await ended_runs.amend(an_update(run))
    assert (run.id, run.strategy_id) in await ledger.running_runs()


async def test_an_earlier_run_is_amended_though_its_strategy_runs_again(
    sessions: Sessions, ledger: RunLedger, ended_runs: EndedRuns
) -> None:
    run = await an_ended_run(sessions, ledger)
    await new_run(sessions, like=run)
    await ended_runs.amend(an_update(run))
    async with transaction(sessions) as session:
        strategy = await session.get(Strategy, run.strategy_id)
    assert strategy is not None
    assert strategy.status == "stopped"  # as it was: the run that is amended says nothing about it
