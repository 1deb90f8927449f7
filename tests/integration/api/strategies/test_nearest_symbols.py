"""A symbol that the broker does not list is answered with the nearest that it lists, and never taken for another."""

import pytest

from persistence.database.engine import Sessions, transaction
from persistence.database.models.strategies import Strategy
from tests.integration.api_user import ApiUser

pytest_plugins = ["tests.integration.fixtures"]


@pytest.mark.parametrize(
    ("symbol", "suggestions"),
    [
        ("INFY.NS", ["NSE:INFY"]),
        ("INFY.BO", ["NSE:INFY"]),
        ("infy-eq", ["NSE:INFY"]),
        ("NSE:infy-eq", ["NSE:INFY"]),
        ("NSE_INFY", ["NSE:INFY"]),
        ("INFY NSE", ["NSE:INFY"]),
        ("Infosys", ["NSE:INFY"]),
        ("RCOM", ["NSE:RCOM-BE"]),
        ("HDFC", ["NSE:HDFCBANK"]),
        ("RELAINCE", ["NSE:RELIANCE"]),
        ("BSE:INFY", ["NSE:INFY"]),
        ("QQZZX", []),
    ],
)
async def test_what_is_not_listed_is_refused_with_the_nearest_that_is(
    trader: ApiUser, symbol: str, suggestions: list[str]
) -> None:
    answer = await trader.create(symbol=symbol)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert answer.json()["suggestions"] == suggestions
    (error,) = answer.json()["errors"]
    assert error["field"] == "symbol"
    assert " is not known to your broker" in error["message"]
    assert all(suggestion in error["message"] for suggestion in suggestions)
    assert (await trader.call("GET", "/strategy/list")).json()["total"] == 0


async def test_the_sentence_names_what_was_asked_for_and_what_there_is(trader: ApiUser) -> None:
    told = (await trader.create(symbol="INFY.NS")).json()
    assert told["detail"] == "symbol: NSE:INFY.NS is not known to your broker. Did you mean NSE:INFY?"
    told = (await trader.create(symbol="HDFC")).json()["errors"][0]["message"]
    assert told == (
        "NSE:HDFC is not known to your broker: on 2023-07-01 it was merged into HDFCBANK. Did you mean NSE:HDFCBANK?"
    )


@pytest.mark.parametrize("symbol", ["infy", " INFY ", "nse:infy", "Nse : Infy", "\u00a0INFY\u200b", "NSE:\tINFY\n"])
async def test_capitals_and_spaces_around_a_symbol_do_not_matter(trader: ApiUser, symbol: str) -> None:
    strategy_id = await trader.strategy(symbol=symbol)
    assert (await trader.call("GET", f"/strategy/{strategy_id}")).json()["symbol"] == "INFY"


@pytest.mark.parametrize("symbol", ["INFY:NSE", "NSE_EQ:INFY", "BOM:INFY"])
async def test_another_order_or_name_of_the_exchange_is_answered_with_the_symbol(trader: ApiUser, symbol: str) -> None:
    answer = await trader.create(symbol=symbol)
    assert answer.json()["suggestions"] == ["NSE:INFY"]
    assert answer.json()["errors"][0]["message"] == "must be on NSE or BSE. Did you mean NSE:INFY?"


@pytest.mark.parametrize("symbol", ["<img src=x>", "INFY'--", "INFY\\u202e", "{{7*7}}", "INFY;DROP", "A" * 60 + "%0d"])
async def test_odd_text_is_not_repeated(trader: ApiUser, symbol: str) -> None:
    answer = await trader.create(symbol=symbol)
    assert answer.status_code == 422
    assert symbol.upper() not in answer.text.upper()


async def test_a_symbol_that_was_renamed_overnight_is_answered_at_start_too(
    trader: ApiUser, sessions: Sessions
) -> None:
    strategy_id = await trader.strategy()
    async with transaction(sessions) as session:
        strategy = await session.get(Strategy, strategy_id)
        assert strategy is not None
        strategy.tradingsymbol = "INFOSYSTCH"
    answer = await trader.call("POST", "/strategy/start", strategy_id=strategy_id)
    assert answer.status_code == 422
    assert answer.json()["suggestions"] == ["NSE:INFY"]
    assert "renamed INFY" in answer.json()["detail"]


async def test_what_is_suggested_is_taken(trader: ApiUser) -> None:
    (suggested,) = (await trader.create(symbol="INFY.NS")).json()["suggestions"]
    assert (await trader.create(symbol=suggested)).status_code == 201
