"""The trader's word about his shares, over REST."""

import pytest
from sqlalchemy import text

from actors.ports.engine import WordTaken
from persistence.database.engine import Sessions, transaction
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


async def in_doubt(trader: ApiUser, sessions: Sessions) -> int:
    """A strategy whose run a restore has left in need of its trader's word."""
    strategy_id = await trader.started()
    await trader.call("POST", f"/strategy/{strategy_id}/closed")
    doubt = text("UPDATE runs SET status_detail = 'needs_confirmation', position = 'bought' WHERE strategy_id = :id")
    async with transaction(sessions) as session:
        await session.execute(doubt, {"id": strategy_id})
    return strategy_id


async def test_of_a_run_that_needs_confirmation_the_word_that_its_shares_are_sold_is_asked_of_the_account(
    trader: ApiUser, engine: FakeEngine, sessions: Sessions
) -> None:
    strategy_id = await in_doubt(trader, sessions)
    engine.words.clear()
    answer = await trader.call("POST", f"/strategy/{strategy_id}/closed")
    assert answer.status_code == 200, answer.text
    assert [word for word, _ in engine.words] == ["closed"]


async def test_shares_that_the_account_shows_of_a_run_that_needs_confirmation_are_not_taken_for_sold(
    trader: ApiUser, engine: FakeEngine, sessions: Sessions
) -> None:
    strategy_id = await in_doubt(trader, sessions)
    engine.word = WordTaken(done=False, held=7)
    answer = await trader.call("POST", f"/strategy/{strategy_id}/closed")
    assert (answer.status_code, answer.json()["code"]) == (409, "still_held")
    assert "7 INFY (MIS)" in answer.json()["detail"]
    assert "say that you still hold them" in answer.json()["detail"]


async def test_a_run_that_has_ended_without_doubt_cannot_be_closed(trader: ApiUser, engine: FakeEngine) -> None:
    strategy_id = await trader.started()
    await trader.call("POST", f"/strategy/{strategy_id}/closed")
    engine.words.clear()
    answer = await trader.call("POST", f"/strategy/{strategy_id}/closed")
    assert (answer.status_code, answer.json()["code"]) == (409, "nothing_held")
    assert engine.words == []
