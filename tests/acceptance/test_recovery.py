"""Row J1 and ruling 7: a whole stack that dies and comes back, and the demo as a newcomer runs it."""

import json
import subprocess
import sys

from tests.kit.operated import App, processes_of, up
from tests.kit.paper import eventually
from tests.kit.stack import temporary_data_dir


def test_stack_that_is_killed_comes_back_with_its_strategies_guarded() -> None:
    from datetime import datetime, timedelta
    from zoneinfo import ZoneInfo

    with temporary_data_dir() as data_dir:
        with up(data_dir) as (process, urls):
            app = App(urls, data_dir)
            app.sign_up()
            app.exchange.set_price("NSE:SBIN", 800.00)
            buy_at = datetime.now(ZoneInfo("Asia/Kolkata")) + timedelta(seconds=6)
            times = {"buy_time": f"{buy_at:%H:%M:%S}", "sell_time": "23:59:59"}
            wanted = {"symbol": "SBIN", "stop_loss": 790.0, "quantity": 5, **times}
            strategy_id = app.ok("POST", "/strategy/create", wanted)["strategy_id"]
            app.ok("POST", "/strategy/start", {"strategy_id": strategy_id})
            eventually(lambda: app.status(strategy_id)["position"] == "bought", 30, "bought")
            process.kill()
            process.wait(10)
        eventually(lambda: not processes_of(data_dir), 20, "no process is left behind")

        with up(data_dir) as (_, urls):
            app.reconnect(urls, data_dir)
            log = data_dir / "logs" / "api.log"
            eventually(lambda: "Recovery Complete" in log.read_text(), 60, "Recovery Complete")
            sweeps = [json.loads(line) for line in log.read_text().splitlines() if '"found"' in line]
            assert sweeps[0]["found"] == 1, sweeps
            assert app.status(strategy_id)["position"] == "bought"
            app.exchange.set_price("NSE:SBIN", 789.00)
            eventually(lambda: app.status(strategy_id)["position"] == "exited_by_sl", 30, "stopped out")
            orders = app.exchange.ledger(user_id="PA0001")["accounts"]["PA0001"]["orders"]
            assert [order["transaction_type"] for order in orders] == ["BUY", "SELL"]
        assert not processes_of(data_dir)


def test_check_26_demo_ends_as_it_should_where_no_other_program_is_found() -> None:
    command = [sys.executable, "-P", "-m", "config.commands.cli", "demo"]
    without_node = dict[str, str]()  # no PATH, no HOME
    done = subprocess.run(command, env=without_node, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Every strategy ended as it should." in done.stdout
