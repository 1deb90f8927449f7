"""START says that an equal strategy runs already (D10): perhaps the trader wanted it once. It is never refused."""

from typing import Any

import pytest

from tests.integration.api_user import ApiUser
from tests.kit.paper import PaperExchange

pytest_plugins = ["tests.integration.fixtures"]


async def notes_of_start(user: ApiUser, **changes: Any) -> tuple[int, list[dict[str, Any]]]:
    """Start a new strategy: its id, and what START notes."""
    strategy_id = await user.strategy(**changes)
    answer = await user.call("POST", "/strategy/start", strategy_id=strategy_id)
    assert answer.status_code == 200, answer.text
    return strategy_id, answer.json()["notes"]


async def test_the_second_of_two_equal_strategies_is_started_and_says_so(trader: ApiUser) -> None:
    first, nothing = await notes_of_start(trader)
    second, notes = await notes_of_start(trader)
    assert nothing == []
    assert notes == [
        {
            "code": "equal_strategy_running",
            "strategy_id": first,
            "message": f"Strategy {first} runs as well, for the same: 10 INFY (MIS), 09:30:00 to 15:10:00, "
            "stop-loss ₹1490.50. If you want it only once, stop one of them",
        }
    ]
    status = (await trader.call("GET", f"/strategy/status/{second}")).json()
    assert status["strategy_status"] == "running"


@pytest.mark.parametrize(
    "changes",
    [
        {"symbol": "TCS"},
        {"product": "CNC"},
        {"buy_time": "09:31"},
        {"sell_time": "15:11"},
        {"stop_loss": 1490.0},
        {"quantity": 11},
    ],
    ids=str,
)
async def test_a_strategy_that_differs_in_anything_is_not_equal(trader: ApiUser, changes: dict[str, Any]) -> None:
    await notes_of_start(trader)
    assert (await notes_of_start(trader, **changes))[1] == []


async def test_what_does_not_run_is_not_named(trader: ApiUser) -> None:
    await trader.strategy()
    ended, _ = await notes_of_start(trader)
    await trader.call("POST", "/strategy/stop", strategy_id=ended)
    assert (await notes_of_start(trader))[1] == []


async def test_what_another_user_runs_is_not_named(trader: ApiUser, paper: PaperExchange) -> None:
    await notes_of_start(trader)
    other = await ApiUser.register(trader.client)
    other.paper = paper.control.new_account()
    await other.connect()
    assert (await notes_of_start(other))[1] == []


async def test_a_start_that_is_repeated_notes_what_runs_by_then(trader: ApiUser) -> None:
    first, _ = await notes_of_start(trader)
    second, _ = await notes_of_start(trader)
    again = (await trader.call("POST", "/strategy/start", strategy_id=first)).json()
    assert [note["strategy_id"] for note in again["notes"]] == [second]


async def test_of_many_equal_strategies_ten_are_named(trader: ApiUser) -> None:
    ids = [(await notes_of_start(trader))[0] for _ in range(11)]
    _, notes = await notes_of_start(trader)
    assert [note["strategy_id"] for note in notes] == ids[:10]
