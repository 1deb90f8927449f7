"""The hours that an execution actor keeps: by the account's broker, the calendar and the operator's file."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from actors.domain.identifiers import Product, Side
from actors.domain.market_hours import Request
from actors.runtime.clients.trading_hours import Markets
from broker.exchange_time import IST
from config.commands.cli import app
from config.settings import Broker, Settings

SATURDAY_EVENING = datetime(2026, 11, 28, 20, 0, tzinfo=IST)


class OneAccount:
    """An account at the broker that the test names."""

    def __init__(self, broker: Broker) -> None:
        self._broker: Broker = broker

    async def broker(self, account_id: int) -> Broker:
        return self._broker


def next_open(broker: Broker, **settings: Any) -> datetime | None:
    accounts: Any = OneAccount(broker)
    markets = Markets(Settings(**settings), accounts)
    hours = asyncio.run(markets.hours(1))
    refused = hours.refusal(SATURDAY_EVENING, Side.SELL, Product.CNC, Request.ORDER, has_derivatives=False)
    return refused.at if refused else None


def test_the_paper_exchange_is_always_open_unless_it_is_given_the_calendar() -> None:
    assert next_open("paper") is None
    assert next_open("paper", calendar="XNSE") == datetime(2026, 11, 30, 9, 15, tzinfo=IST)


def test_kite_keeps_the_sessions_of_nse_and_of_the_operators_file(tmp_path: Path) -> None:
    assert next_open("kite", brokers="kite") == datetime(2026, 11, 30, 9, 15, tzinfo=IST)
    file = tmp_path / "sessions.toml"
    file.write_text('2026-11-29 = "09:15-10:00, 11:45-12:40"\n')
    assert next_open("kite", brokers="kite", calendar_overrides=file) == datetime(2026, 11, 29, 9, 15, tzinfo=IST)


def test_a_file_that_breaks_while_everything_runs_does_not_keep_exits_from_leaving(tmp_path: Path) -> None:
    file = tmp_path / "sessions.toml"
    file.write_text("nonsense")
    with capture_logs() as logs:
        assert next_open("kite", brokers="kite", calendar_overrides=file) is not None
    assert [line["event"] for line in logs] == ["calendar_overrides_broken"]


@pytest.mark.parametrize("command", ["up", "api"])
def test_a_file_that_cannot_be_used_stops_the_start_with_one_sentence(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "sessions.toml"
    file.write_text('2026-12-05 = "09:15-10:00; 11:45-12:40"\n')
    for name, value in {
        "CALENDAR_OVERRIDES": str(file),
        "DATABASE_URL": "postgresql+psycopg://nobody@127.0.0.1:1/none",
        "REDIS_URL": "redis://127.0.0.1:1",
        "RAY_ADDRESS": "127.0.0.1:1",
        "JWT_SECRET": "x" * 40,
        "ENCRYPTION_KEYS": "A" * 43 + "=",
        "DATA_DIR": str(tmp_path / "data"),
    }.items():
        monkeypatch.setenv(f"TRADEACTORS_{name}", value)
    outcome = CliRunner().invoke(app, [command])
    assert outcome.exit_code == 1
    (sentence,) = outcome.output.strip().splitlines()
    assert sentence.startswith(f"TRADEACTORS_CALENDAR_OVERRIDES {file}, line 1: 2026-12-05: ")
    assert sentence.endswith('or hours such as "18:00-19:15" or "09:15-10:00, 11:45-12:40".')
