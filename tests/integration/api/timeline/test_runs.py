"""The runs of a strategy: what each START came to, however many there were."""

from datetime import UTC, datetime

import pytest

from persistence.mirror.mirror import RuntimeMirror
from tests.integration.api_user import ApiUser

pytest_plugins = ["tests.integration.fixtures"]


async def test_each_start_leaves_its_run_the_latest_first(trader: ApiUser) -> None:
    strategy_id = await trader.started(symbol="INFY", quantity=7)
    await trader.call("POST", "/strategy/stop", strategy_id=strategy_id)
    assert (await trader.call("POST", "/strategy/start", strategy_id=strategy_id)).status_code == 200
    answer = await trader.call("GET", f"/strategy/{strategy_id}/runs")
    assert answer.status_code == 200, answer.text
    page = answer.json()
    assert (page["total"], page["total_capped"], page["limit"], page["offset"]) == (2, False, 50, 0)
    second, first = page["runs"]
    assert second["run_id"] > first["run_id"]
    assert (second["ended_at"], first["ended_at"] is None) == (None, False)
    assert {"quantity": 7, "product": "MIS", "position": "none", "pnl": None}.items() <= second.items()
    status = (await trader.call("GET", f"/strategy/status/{strategy_id}")).json()
    assert (status["run_id"], status["symbol"], status["product"]) == (second["run_id"], "INFY", "MIS")
    assert status["next"] == {"what": "buy", "at": second["buy_at"]}
    rest = (await trader.call("GET", f"/strategy/{strategy_id}/runs?limit=1&offset=1")).json()
    assert (rest["runs"], rest["total"]) == ([first], 2)


async def test_a_strategy_that_never_ran_has_none(trader: ApiUser) -> None:
    strategy_id = await trader.strategy()
    page = (await trader.call("GET", f"/strategy/{strategy_id}/runs")).json()
    assert (page["runs"], page["total"]) == ([], 0)
    status = (await trader.call("GET", f"/strategy/status/{strategy_id}")).json()
    assert (status["run_id"], status["symbol"], status["next"]) == (None, "INFY", None)


async def test_the_bars_of_a_runs_day_are_those_of_its_symbol(trader: ApiUser, mirror: RuntimeMirror) -> None:
    never, other = await trader.strategy(symbol="TCS"), await trader.started(symbol="SBIN", stop_loss=100)
    strategy_id = await trader.started(symbol="TCS")
    now = datetime.now(UTC)
    day = (await trader.call("GET", f"/strategy/{strategy_id}/bars")).json()
    assert (day["symbol"], day["interval"]) == ("TCS", "1m")
    await mirror.put_price("TCS", 300_000, now, now, extremes=(299_900, 300_100))
    (bar,) = (await trader.call("GET", f"/strategy/{strategy_id}/bars?interval=1m")).json()["bars"][len(day["bars"]) :]
    assert datetime.fromisoformat(bar.pop("at")) == now.replace(second=0, microsecond=0)
    assert bar == {"open": 3000.0, "high": 3001.0, "low": 2999.0, "close": 3000.0}
    assert (await trader.call("GET", f"/strategy/{never}/bars")).json()["bars"] == []
    run_of_other = (await trader.call("GET", f"/strategy/status/{other}")).json()["run_id"]
    refused = await trader.call("GET", f"/strategy/{strategy_id}/bars?run_id={run_of_other}")
    assert (refused.status_code, refused.json()["code"]) == (404, "run_not_found")
    assert (await trader.call("GET", f"/strategy/{strategy_id}/bars?interval=5m")).status_code == 422


async def test_bars_of_another_exchange_are_none_of_a_runs(trader: ApiUser, mirror: RuntimeMirror) -> None:
    strategy_id = await trader.started(symbol="WIPRO", stop_loss=100)
    await trader.call("POST", "/strategy/stop", strategy_id=strategy_id)
    now = datetime.now(UTC)
    await mirror.put_price("WIPRO", 50_000, now, now, broker="paper", extremes=(50_000, 50_000))
    assert (await trader.call("GET", f"/strategy/{strategy_id}/bars")).json()["bars"]
    assert (await trader.call("DELETE", "/broker")).status_code == 204
    assert (await trader.call("GET", f"/strategy/{strategy_id}/bars")).json()["bars"] == []


@pytest.mark.parametrize(
    "path", ["/strategy/999999999/runs", "/strategy/999999999/bars", "/strategy/0/runs", "/strategy/x/runs"]
)
async def test_a_strategy_that_is_not_the_users_has_no_runs(trader: ApiUser, path: str) -> None:
    assert (await trader.call("GET", path)).status_code == 404
