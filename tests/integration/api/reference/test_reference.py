"""`GET /instruments`, `/market/calendar` and `/app/config`, on the paper exchange's list."""

from datetime import date, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from broker.exchange_time import IST
from config.settings import Settings
from config.version import OLDEST_CLIENT, product_version
from tests.integration.api_user import ApiUser
from tests.integration.apps import at, serving
from tests.kit.fakes.strategy_engine import FakeEngine

pytest_plugins = ["tests.integration.fixtures"]


async def symbols(user: ApiUser, typed: str) -> list[str]:
    await user.is_in()
    answer = await user.client.get(
        "/instruments", params={"q": typed}, headers={"Authorization": f"Bearer {user.tokens['access_token']}"}
    )
    assert answer.status_code == 200, answer.text
    return [found["symbol"] for found in answer.json()["instruments"]]


async def test_shares_are_found_by_what_is_typed_and_create_takes_what_is_found(trader: ApiUser) -> None:
    assert (await symbols(trader, "infy"))[0] == "INFY"
    assert (await symbols(trader, "infos"))[0] == "INFY"
    (first, *_) = await symbols(trader, "INFY.NS")
    assert (await trader.create(symbol=first)).status_code == 201


async def test_a_share_comes_with_what_its_rules_depend_on(trader: ApiUser) -> None:
    answer = (await trader.call("GET", "/instruments?q=infy&limit=1")).json()
    (found,) = answer["instruments"]
    assert found | {"name": ""} == {
        "symbol": "INFY", "exchange": "NSE", "name": "", "tick_size": 0.1, "lot_size": 1, "mis_allowed": True,
        "closing_auction": True, "freeze_quantity": found["freeze_quantity"],
    }  # fmt: skip
    assert (answer["nearest"], answer["note"]) == (False, None)


async def test_nearest_spellings_are_those_that_create_suggests(trader: ApiUser) -> None:
    answer = (await trader.call("GET", "/instruments?q=HDFC.NS")).json()
    suggested = (await trader.create(symbol="HDFC.NS")).json()["suggestions"]
    assert answer["nearest"] is True
    assert [f"NSE:{found['symbol']}" for found in answer["instruments"]] == suggested
    assert (await trader.call("GET", "/instruments?q=qqqqqqqq")).json()["instruments"] == []


@pytest.mark.parametrize("query", ["", "q=", "q=" + "A" * 65, "q=%00", "q=INFY&limit=21", "q=INFY&limit=0", "q=I&x=1"])
async def test_a_search_that_makes_no_sense_is_refused(trader: ApiUser, query: str) -> None:
    assert (await trader.call("GET", f"/instruments?{query}")).status_code == 422


async def test_a_search_needs_a_broker_as_create_does(user: ApiUser) -> None:
    answer = await user.call("GET", "/instruments?q=INFY")
    assert (answer.status_code, answer.json()["code"]) == (409, "broker_not_connected")


async def test_the_calendar_begins_today_and_knows_the_operators_days(
    trader: ApiUser, settings: Settings, engine: FakeEngine, tmp_path: Path
) -> None:
    today = datetime.now(IST).date()
    sunday = today + timedelta(days=13 - today.weekday())
    overrides = tmp_path / "overrides.toml"
    overrides.write_text(f'{sunday} = "18:00-19:15"\n')
    async with serving(settings, engine, calendar="XNSE", calendar_overrides=overrides) as client:
        answer = (await at(trader, client).call("GET", "/market/calendar?days=21")).json()
    assert (answer["calendar"], answer["regular"]) == ("XNSE", {"opens": "09:15:00", "closes": "15:30:00"})
    assert (answer["mis_cutoff"], answer["auction_from"]) == ("15:20:00", "15:15:00")
    days = {date.fromisoformat(day["date"]): day for day in answer["days"]}
    assert sorted(days) == [today + timedelta(days=number) for number in range(21)]
    special = days[sunday]
    assert (special["special"], special["sessions"][0]["opens"], special["sessions"][0]["closes"]) == (
        True, "18:00:00", "19:15:00",
    )  # fmt: skip
    assert days[sunday - timedelta(days=1)]["closed"] == "weekend"


async def test_the_paper_exchange_never_closes_also_for_a_user_without_a_broker(user: ApiUser) -> None:
    answer = (await user.call("GET", "/market/calendar?days=2")).json()
    assert (answer["calendar"], answer["regular"], answer["mis_cutoff"]) == ("24x7", None, None)
    assert [day["sessions"][0]["closes"] for day in answer["days"]] == ["23:59:59", "23:59:59"]


@pytest.mark.parametrize("days", ["0", "93", "x", ""])
async def test_a_calendar_has_at_most_three_months(user: ApiUser, days: str) -> None:
    assert (await user.call("GET", f"/market/calendar?days={days}")).status_code == 422


async def test_an_app_learns_before_a_login_what_it_must_know(
    client: httpx.AsyncClient, settings: Settings, engine: FakeEngine
) -> None:
    told = (await client.get("/app/config")).json()
    assert (told["registration"], told["brokers"], told["version"]) == ("open", ["paper"], product_version())
    assert told["minimum_client_version"] == OLDEST_CLIENT <= told["version"]
    assert told["password"] == {"fewest_characters": 8, "most_characters": 256}
    assert told["limits"]["running_strategies"] == 200
    async with serving(settings, engine, registration="closed", max_strategies=7) as other:
        told = (await other.get("/app/config")).json()
    assert (told["registration"], told["limits"]["strategies"]) == ("closed", 7)
