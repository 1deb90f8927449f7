"""The trader's word about his shares, over REST."""

import pytest

from actors.ports.engine import WordTaken
from tests.integration.api_user import ApiUser
from tests.kit.fakes.strategy_engine import FakeEngine

pytest_plugins = ["tests.integration.fixtures"]


@pytest.mark.parametrize("word", ["closed", "held"])
async def test_the_word_about_a_strategy_that_never_ran_is_refused(trader: ApiUser, word: str) -> None:
    strategy_id = await trader.strategy()
    answer = await trader.call("POST", f"/strategy/{strategy_id}/{word}")
    code = {"closed": "nothing_held", "held": "not_closed_outside"}[word]
    assert (answer.status_code, answer.json()["code"]) == (409, code)
    assert (await trader.call("POST", f"/strategy/{2**40}/{word}")).status_code == 404


async def test_a_position_that_is_said_to_be_closed_ends_its_run(trader: ApiUser) -> None:
    strategy_id = await trader.started()
    answer = await trader.call("POST", f"/strategy/{strategy_id}/closed")
    assert (answer.status_code, answer.json()["strategy_status"]) == (200, "stopped")


async def test_a_position_that_the_account_still_shows_is_not_closed(trader: ApiUser, engine: FakeEngine) -> None:
    strategy_id = await trader.started()
    engine.word = WordTaken(done=False, held=7)
    answer = await trader.call("POST", f"/strategy/{strategy_id}/closed")
    assert (answer.status_code, answer.json()["code"]) == (409, "still_held")
    assert "7 INFY (MIS)" in answer.json()["detail"]
    assert (await trader.call("GET", f"/strategy/status/{strategy_id}")).json()["strategy_status"] == "running"


async def test_what_is_said_to_be_held_is_guarded_again_or_contradicted(trader: ApiUser, engine: FakeEngine) -> None:
    strategy_id = await trader.started()
    running = await trader.call("POST", f"/strategy/{strategy_id}/held")
    assert (running.status_code, running.json()["code"]) == (409, "not_closed_outside")
    await trader.call("POST", f"/strategy/{strategy_id}/closed")
    assert (await trader.call("POST", f"/strategy/{strategy_id}/held")).status_code == 200
    assert strategy_id in engine.running
    engine.word = WordTaken(done=False, held=0)
    contradicted = await trader.call("POST", f"/strategy/{strategy_id}/held")
    assert (contradicted.status_code, contradicted.json()["code"]) == (409, "not_held")


@pytest.mark.parametrize("word", ["closed", "held"])
async def test_an_engine_that_does_not_answer_is_said(trader: ApiUser, engine: FakeEngine, word: str) -> None:
    strategy_id = await trader.started()
    if word == "held":
        await trader.call("POST", f"/strategy/{strategy_id}/closed")
    engine.up = False
    answer = await trader.call("POST", f"/strategy/{strategy_id}/{word}")
    assert (answer.status_code, answer.json()["code"]) == (503, "engine_unavailable")
