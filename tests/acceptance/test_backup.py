"""A backup of a stack that trades, restored on an empty machine, while the exchange has gone on (mechanism 12)."""

import os
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from config.settings import PREFIX
from tests.kit.operated import App, processes_of, up
from tests.kit.paper import PaperControl, PaperExchange, eventually
from tests.kit.stack import temporary_data_dir


def tradeactors(*arguments: str) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith((PREFIX, "RAY_"))}
    line = [sys.executable, "-P", "-m", "config.commands.cli", *arguments]
    done = subprocess.run(line, env=clean, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def start(app: App, symbol: str, *, buy_in_s: int) -> int:
    """A strategy that buys 5 shares, with its stop-loss at 790."""
    buy_at = datetime.now(ZoneInfo("Asia/Kolkata")) + timedelta(seconds=buy_in_s)
    times = {"buy_time": f"{buy_at:%H:%M:%S}", "sell_time": "23:59:59"}
    wanted: dict[str, Any] = {"symbol": symbol, "stop_loss": 790.0, "quantity": 5, **times}
    strategy_id = int(app.ok("POST", "/strategy/create", wanted)["strategy_id"])
    app.ok("POST", "/strategy/start", {"strategy_id": strategy_id})
    return strategy_id


def orders(app: App, symbol: str) -> list[tuple[str, int]]:
    """What the exchange itself says was ordered."""
    rows = app.exchange.ledger(user_id="PA0001")["accounts"]["PA0001"]["orders"]
    mine = sorted((row for row in rows if row["tradingsymbol"] == symbol), key=lambda row: str(row["order_id"]))
    return [(row["transaction_type"], row["filled_quantity"]) for row in mine]


@pytest.mark.timeout(360)  # two stacks, one after the other
def test_after_a_restore_a_position_is_sold_once_and_what_was_sold_is_not_sold_again() -> None:
    with PaperExchange(default_source="hold") as paper, temporary_data_dir() as home:
        home.chmod(0o755)
        exchange = paper.control
        for symbol in ("SBIN", "INFY", "TCS"):
            exchange.set_price(f"NSE:{symbol}", 800.00)
        earlier, restored, file = home / "earlier", home / "restored", home / "backup.tar"
        with up(earlier, TRADEACTORS_PAPER_ROOT=paper.url) as (_, urls):
            app = App(urls, earlier, exchange)
            app.sign_up()
            kept, sold = start(app, "SBIN", buy_in_s=6), start(app, "INFY", buy_in_s=6)
            waiting = start(app, "TCS", buy_in_s=1200)
            eventually(lambda: app.status(kept)["position"] == "bought", 30, "bought")
            eventually(lambda: app.status(sold)["position"] == "bought", 30, "bought")
            said = tradeactors("backup", str(file), "--data-dir", str(earlier))
            assert "KEEP IT SECRET" in said
            exchange.set_price("NSE:INFY", 789.00)
            eventually(lambda: app.status(sold)["position"] == "exited_by_sl", 30, "stopped out after the backup")
        assert not processes_of(earlier)

        said = tradeactors("restore", str(file), "--yes", "--data-dir", str(restored))
        assert "Strategies that were running: 3." in said
        with up(restored, TRADEACTORS_PAPER_ROOT=paper.url) as (_, urls):
            _judge(app, urls, restored, exchange, kept=kept, sold=sold, waiting=waiting)


def _judge(
    app: App, urls: dict[str, str], data_dir: Path, exchange: PaperControl, *, kept: int, sold: int, waiting: int
) -> None:
    app.reconnect(urls, data_dir, exchange)
    assert app.http.get(f"/strategy/status/{kept}").status_code == 401  # access tokens of before the restore have ended
    app.log_in()
    eventually(lambda: "Recovery Complete" in (data_dir / "logs" / "api.log").read_text(), 60, "Recovery Complete")
    eventually(lambda: app.status(kept)["guard"]["state"] == "guarded", 30, "guarded again")
    eventually(lambda: app.status(sold)["strategy_status"] == "stopped", 30, "knows that it has sold")
    assert app.status(sold)["position"] == "exited_by_sl"
    eventually(lambda: app.status(waiting)["strategy_status"] == "stopped", 30, "waits for a new START")
    assert app.status(waiting)["status_detail"] == "restored_from_backup"

    for symbol in ("SBIN", "INFY"):
        exchange.set_price(f"NSE:{symbol}", 788.00)
    eventually(lambda: app.status(kept)["position"] == "exited_by_sl", 30, "stopped out")
    assert orders(app, "SBIN") == [("BUY", 5), ("SELL", 5)]
    assert orders(app, "INFY") == [("BUY", 5), ("SELL", 5)]
    assert orders(app, "TCS") == []
