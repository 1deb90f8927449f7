"""`tradeactors status`, `why` and `logs` as an operator runs them, on a real PostgreSQL and Valkey and without them."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner, Result

from config.commands.cli import app
from config.settings import PREFIX
from persistence.database.engine import Sessions, transaction
from persistence.database.models.audit import AuditEntry
from persistence.database.models.order_logs import OrderLog
from persistence.mirror.mirror import RuntimeMirror
from tests.integration.config.looked_at import TwoStores, holding
from tests.integration.persistence.database.new_database import new_database

NOWHERE = "postgresql+psycopg://nobody@127.0.0.1:1/none"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments])


def looked(*arguments: str) -> dict[str, Any]:
    done = run("status", "--json", *arguments)
    said: dict[str, Any] = json.loads(done.output)
    assert done.exit_code == said["exit_code"], done.output
    return said


def test_a_deployment_in_which_nothing_runs_is_well(two_stores: TwoStores) -> None:
    said = looked()
    assert (said["verdict"], said["troubles"], said["unknown"]) == ("well", [], []), said
    done = run("status")
    assert done.exit_code == 0
    assert "All well: no strategy runs" in done.output


def test_a_position_with_both_guards_is_well_and_counted(two_stores: TwoStores) -> None:
    holding(two_stores, "execution,strategy")
    said = looked()
    assert said["verdict"] == "well", said
    assert (said["figures"]["holding"], said["figures"]["guarded_twice"]) == (1, 1)
    assert said["feeds"]["paper"][0] == {"connection": "0", "state": "live", "lag_ms": 3}


def test_a_position_without_a_guard_needs_a_person_and_says_what_to_do(two_stores: TwoStores) -> None:
    held = holding(two_stores, "")
    done = run("status")
    assert done.exit_code == 1, done.output
    assert "1 position is NOT guarded" in done.output
    assert f"Strategy {held.strategy_id} (INFY, 10 shares, user {held.user_id})" in " ".join(done.output.split())
    assert "docs/operations.md#one-strategy-misbehaves" in done.output
    assert max(map(len, done.output.splitlines())) <= 80
    assert "\x1b" not in done.output  # no colours but in a terminal


def test_an_actor_that_fell_silent_is_named(two_stores: TwoStores) -> None:
    async def end(_: Sessions, mirror: RuntimeMirror) -> None:
        await mirror.forget_presence("execution:1")

    two_stores.make(end)
    (trouble,) = looked()["troubles"]
    assert (trouble["code"], "execution:1" in trouble["sentence"]) == ("actor_silent", True)


def test_rays_head_may_be_away(two_stores: TwoStores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}RAY_ADDRESS", "127.0.0.1:1")
    assert [trouble["code"] for trouble in looked()["troubles"]] == ["head_gone"]


def test_without_postgresql_it_says_what_it_cannot_tell(two_stores: TwoStores, monkeypatch: pytest.MonkeyPatch) -> None:
    held = holding(two_stores, "")
    monkeypatch.setenv(f"{PREFIX}DATABASE_URL", NOWHERE)
    said = looked()
    assert (said["verdict"], said["figures"]["running"], said["figures"]["ended_today"]) == ("unknown", 1, None)
    assert [trouble["strategy_id"] for trouble in said["troubles"]] == [held.strategy_id]
    for command in (["status"], ["why", str(held.strategy_id)], ["logs", str(held.strategy_id)]):
        done = run(*command)
        assert (done.exit_code, "Traceback" in done.output) == (2, False), done.output
        assert "PostgreSQL does not answer" in " ".join(done.output.split())


def test_without_redis_it_says_what_it_cannot_tell(
    two_stores: TwoStores, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    holding(two_stores, "execution,strategy")
    monkeypatch.setenv(f"{PREFIX}REDIS_URL", f"unix://{tmp_path}/none.sock")
    said = looked()
    assert (said["verdict"], said["figures"]["holding"], said["figures"]["not_guarded"]) == ("unknown", 1, None)
    assert "Redis does not answer" in said["unknown"][0]


def test_without_both_it_says_so(two_stores: TwoStores, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(f"{PREFIX}DATABASE_URL", NOWHERE)
    monkeypatch.setenv(f"{PREFIX}REDIS_URL", f"unix://{tmp_path}/none.sock")
    assert looked()["sentence"] == "Cannot tell: neither PostgreSQL nor Redis can be read"


def test_a_database_without_our_tables_is_no_traceback(
    two_stores: TwoStores, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with new_database(postgres_url) as empty:
        monkeypatch.setenv(f"{PREFIX}DATABASE_URL", empty)
        assert "run `tradeactors migrate`" in looked()["unknown"][0]


def test_where_nothing_runs_it_cannot_be_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(f"{PREFIX}{name}", raising=False)
    monkeypatch.setenv(f"{PREFIX}DATA_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    done = run("status")
    assert (done.exit_code, "Cannot tell:" in done.output) == (2, True)
    assert json.loads(run("status", "--json").output)["exit_code"] == 2


def test_why_tells_the_timeline_and_logs_the_lines(two_stores: TwoStores) -> None:
    held = holding(two_stores, "execution,strategy")

    async def write(sessions: Sessions, _: RuntimeMirror) -> None:
        bought_at = datetime(2026, 11, 23, 4, 0, 0, 12_000, tzinfo=UTC)
        about: dict[str, Any] = {"user_id": held.user_id, "strategy_id": held.strategy_id, "run_id": held.id}
        async with transaction(sessions) as session:
            sent: dict[str, Any] = {"sent_at": bought_at.isoformat(), "triggered_at": bought_at.isoformat()}
            leg: dict[str, Any] = {"leg": "ENTRY", "seq": 1, "order_id": "2611230001"}
            session.add(OrderLog(**about, **leg, event="BUY", status="accepted", detail=sent, occurred_at=bought_at))
            later = bought_at + timedelta(milliseconds=30)
            filled: dict[str, Any] = {
                "event": "filled",
                "quantity": 10,
                "price": 1510,
                "detail": {},
                "occurred_at": later,
            }
            session.add(OrderLog(**about, **leg, **filled))
            note: dict[str, Any] = {"event": "feed_lost", "reason": "No prices", "detail": {}, "occurred_at": later}
            session.add(OrderLog(**about, **note))
            request: dict[str, Any] = {
                "action": "strategy_start",
                "subject": str(held.strategy_id),
                "detail": {"request_id": "r-1"},
            }
            session.add(AuditEntry(user_id=held.user_id, **request))
            other: dict[str, Any] = {"action": "broker_connect", "subject": "paper", "detail": {}}
            session.add(AuditEntry(user_id=held.user_id, **other))
            await session.execute(
                text("UPDATE intents SET state='filled', filled_quantity=10, average_price=1510 WHERE run_id=:run"),
                {"run": held.id},
            )

    two_stores.make(write)
    strategy = str(held.strategy_id)
    done = run("why", strategy)
    assert done.exit_code == 0, done.output
    assert "Bought 10 INFY at 1510.00, 12 ms after 09:30:00" in " ".join(done.output.split())
    assert "feed lost" in done.output
    assert max(map(len, done.output.splitlines())) <= 80
    assert json.loads(run("why", strategy, "--json").output)["run_id"] == held.id

    lines = run("logs", strategy).output.splitlines()
    assert [line.split()[3] for line in lines] == ["BUY", "filled", "feed_lost", "strategy_start"]
    assert lines[1].split("  ")[0] == "2026-11-23 09:30:00.042"
    assert "order 2611230001" in lines[0]
    assert "request r-1" in lines[3]
    assert len(run("logs", strategy, "-n", "1").output.splitlines()) == 1
    objects = [json.loads(line) for line in run("logs", strategy, "--json").output.splitlines()]
    assert [line["source"] for line in objects] == ["order"] * 3 + ["request"]


@pytest.mark.parametrize("command", ["why", "logs"])
def test_a_strategy_that_is_not_there_is_said(two_stores: TwoStores, command: str) -> None:
    done = run(command, "999")
    assert (done.exit_code, "There is no strategy 999: correct the id" in done.output) == (1, True)


def test_a_run_of_another_strategy_is_not_shown(two_stores: TwoStores) -> None:
    held, other = holding(two_stores, ""), holding(two_stores, "")
    done = run("why", str(held.strategy_id), "--run", str(other.id))
    assert (done.exit_code, "No such run" in done.output) == (1, True)


def test_top_needs_a_terminal(two_stores: TwoStores) -> None:
    done = run("top")
    assert (done.exit_code, "needs a terminal" in done.output) == (2, True)
