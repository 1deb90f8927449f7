"""Row N5, its first part: `stop_loss_percent` beside `stop_loss`, exactly one of them, at create and PATCH."""

import math
from typing import Any

import pytest

from persistence.database.engine import Sessions, transaction
from persistence.database.models.runs import Run
from persistence.database.models.strategies import Strategy
from persistence.mirror.mirror import RuntimeMirror
from tests.integration.api_user import ApiUser
from tests.kit.fakes.strategy_engine import FakeEngine
from tests.kit.mirrored import strategy_of

pytest_plugins = ["tests.integration.fixtures"]


async def stops(trader: ApiUser, strategy_id: int, path: str = "") -> tuple[Any, Any]:
    answer = (await trader.call("GET", f"/strategy/{path}{strategy_id}")).json()
    return answer["stop_loss"], answer["stop_loss_percent"]


async def test_a_stop_in_percent_is_kept_and_shown(
    trader: ApiUser, sessions: Sessions, mirror: RuntimeMirror, engine: FakeEngine
) -> None:
    strategy_id = await trader.started(stop_loss=None, stop_loss_percent=2.25)
    assert await stops(trader, strategy_id) == await stops(trader, strategy_id, "status/") == (None, 2.25)
    assert (await strategy_of(mirror, strategy_id))["stop_loss_percent"] == "2.25"
    async with transaction(sessions) as session:
        strategy, run = await session.get(Strategy, strategy_id), await session.get(Run, engine.running[strategy_id])
    assert strategy is not None
    assert run is not None
    assert (strategy.stop_loss_paise, strategy.stop_share) == (0, 225)
    assert (run.stop_loss_paise, run.stop_share, run.tick_paise) == (0, 225, 10)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"stop_loss": 1490.5, "stop_loss_percent": 2}, "stop_loss"),
        ({"stop_loss": None}, "stop_loss"),
        ({"stop_loss": None, "stop_loss_percent": None}, "stop_loss"),
        ({"stop_loss": None, "stop_loss_percent": 0}, "stop_loss_percent"),
        ({"stop_loss": None, "stop_loss_percent": -2}, "stop_loss_percent"),
        ({"stop_loss": None, "stop_loss_percent": 90.5}, "stop_loss_percent"),
        ({"stop_loss": None, "stop_loss_percent": 2.125}, "stop_loss_percent"),
        ({"stop_loss": None, "stop_loss_percent": "2"}, "stop_loss_percent"),
        ({"stop_loss": None, "stop_loss_percent": True}, "stop_loss_percent"),
    ],
)
async def test_exactly_one_stop_is_needed(trader: ApiUser, changes: dict[str, Any], field: str) -> None:
    answer = await trader.create(**changes)
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (422, [field])


async def test_a_share_of_less_than_a_tick_is_refused_at_start(trader: ApiUser, engine: FakeEngine) -> None:
    strategy_id = await trader.strategy(symbol="ITC", stop_loss=None, stop_loss_percent=0.01)  # four paise, of five
    answer = await trader.call("POST", "/strategy/start", strategy_id=strategy_id)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "stop_loss_percent")
    assert engine.running == {}


async def test_patch_puts_the_one_in_the_place_of_the_other(trader: ApiUser) -> None:
    strategy_id = await trader.strategy()
    assert (await trader.call("PATCH", f"/strategy/{strategy_id}", stop_loss_percent=3)).status_code == 200
    assert await stops(trader, strategy_id) == (None, 3)
    assert (await trader.call("PATCH", f"/strategy/{strategy_id}", quantity=5)).status_code == 200
    assert await stops(trader, strategy_id) == (None, 3)
    assert (await trader.call("PATCH", f"/strategy/{strategy_id}", stop_loss=1490.5)).status_code == 200
    assert await stops(trader, strategy_id) == (1490.5, None)
    both = await trader.call("PATCH", f"/strategy/{strategy_id}", stop_loss=1490.5, stop_loss_percent=2)
    assert (both.status_code, both.json()["errors"][0]["field"]) == (422, "stop_loss")


async def test_a_running_strategy_takes_a_share_for_good_and_rupees_for_today(
    trader: ApiUser, engine: FakeEngine
) -> None:
    strategy_id = await trader.started()
    moved = await trader.call("PATCH", f"/strategy/{strategy_id}", stop_loss_percent=4)
    assert moved.status_code == 200, moved.text
    assert await stops(trader, strategy_id) == await stops(trader, strategy_id, "status/") == (None, 4)
    today = await trader.call("PATCH", f"/strategy/{strategy_id}", stop_loss=1480.0)
    assert today.status_code == 200, today.text
    assert await stops(trader, strategy_id, "status/") == (1480.0, None)
    assert await stops(trader, strategy_id) == (None, 4)


async def test_a_preview_reckons_the_level_from_the_market_price(trader: ApiUser) -> None:
    body = {"symbol": "INFY", "buy_time": "09:30", "sell_time": "15:10", "quantity": 10, "stop_loss_percent": 1}
    answer = await trader.call("POST", "/strategy/preview", **body)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    level = math.ceil(round(told["last_price"] * 9.9, 6)) / 10  # the tick is ten paise
    assert (told["stop_loss"], told["stop_loss_percent"]) == (level, 1)
    assert told["worst_case_loss"] == round(10 * (told["last_price"] - level), 2)
