"""What a START finds in the account, and what a stop-loss that is moved while the strategy runs is compared with."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from actors.domain.identifiers import Instrument
from api.base.clock import utc_now
from broker.kite.instruments import InstrumentLists
from broker.market.instrument_list import ListedInstrument
from persistence.database.engine import Sessions, transaction
from persistence.mirror.mirror import RuntimeMirror
from tests.integration.api_user import ApiUser
from tests.kit.fakes.strategy_engine import FakeEngine
from tests.kit.paper import PaperExchange, eventually

pytest_plugins = ["tests.integration.fixtures"]


@pytest.fixture(autouse=True)
async def own_price(paper: PaperExchange, mirror: RuntimeMirror) -> AsyncIterator[None]:
    """What the exchange and the feed say of INFY in other tests is not said here, nor afterwards."""
    paper.control.set_price("NSE:INFY", 1510.0)
    await mirror._redis.delete("price:INFY")
    yield
    await mirror._redis.delete("price:INFY")
    paper.control.clear_faults()


async def start(user: ApiUser, **terms: Any) -> httpx.Response:
    return await user.call("POST", "/strategy/start", strategy_id=await user.strategy(**terms))


async def move(user: ApiUser, strategy_id: int, stop_loss: float, **more: Any) -> tuple[int, str]:
    answer = await user.call("PATCH", f"/strategy/{strategy_id}", stop_loss=stop_loss, **more)
    return answer.status_code, answer.json().get("code", "")


def broker_silent(user: ApiUser, paper: PaperExchange, route: str) -> None:
    """The next calls of the user to a route are not answered in time."""
    assert user.paper is not None
    for _ in range(2):
        paper.control.fault("not-accepted-hang", {"route": route, "user_id": user.paper.user_id}, seconds=2.5)


# --- the account is short ----------------------------------------------------------------------------------------


def sell_by_hand(user: ApiUser, paper: PaperExchange, quantity: int, product: str, symbol: str = "INFY") -> None:
    """Sell in the broker's app, and wait for the fill: until then the position knows nothing of it."""
    assert user.paper is not None
    user_id = user.paper.user_id
    order_id = paper.control.foreign_order(
        user_id, tradingsymbol=symbol, transaction_type="SELL", quantity=quantity, product=product
    )

    def filled() -> bool:
        orders = paper.control.ledger(user_id)["accounts"][user_id]["orders"]
        return any(order["order_id"] == order_id and order["status"] == "COMPLETE" for order in orders)

    eventually(filled, what="the sale by hand")


async def test_a_start_on_an_account_that_is_short_of_the_shares_is_refused_with_the_reason(
    trader: ApiUser, paper: PaperExchange
) -> None:
    sell_by_hand(trader, paper, 50, "MIS")
    refused = await start(trader)
    assert (refused.status_code, refused.json()["code"]) == (409, "account_short")
    short = "The account is short of 50 INFY (MIS); a buy would only cover it: buy it back at the broker first"
    assert refused.json()["detail"] == short
    assert (await start(trader, product="CNC")).status_code == 200  # another product is another position
    assert (await start(trader, symbol="TCS", stop_loss=100.0)).status_code == 200


async def test_a_broker_that_does_not_tell_the_position_keeps_nobody_from_starting(
    trader: ApiUser, paper: PaperExchange
) -> None:
    sell_by_hand(trader, paper, 50, "MIS")
    broker_silent(trader, paper, "/portfolio/positions")
    assert (await start(trader)).status_code == 200


async def test_shares_sold_out_of_the_demat_account_are_no_short(
    app: FastAPI, user: ApiUser, paper: PaperExchange
) -> None:
    user.paper = paper.control.new_account(holdings={"NSE:INFY": 60})
    assert (await user.connect()).status_code == 200
    sell_by_hand(user, paper, 60, "CNC")
    brokers = app.state.resources.brokers
    account = await brokers.account((await user.call("GET", "/auth/validate")).json()["user_id"])
    assert account is not None
    assert await app.state.resources.lookups.shares_owed(account, Instrument("NSE", "INFY", 408065), "CNC") == 0
    assert (await start(user, product="CNC")).status_code == 200


# --- a stop-loss that is moved -----------------------------------------------------------------------------------


async def test_a_slip_of_the_finger_does_not_sell_at_the_market(trader: ApiUser, engine: FakeEngine) -> None:
    strategy_id = await trader.started()
    answer = await trader.call("PATCH", f"/strategy/{strategy_id}", stop_loss=15000.0)
    assert (answer.status_code, answer.json()["code"]) == (422, "stop_not_below_price")
    assert "15000.00" in answer.json()["detail"]
    assert "1510.00" in answer.json()["detail"]
    assert answer.json()["errors"][0]["field"] == "stop_loss"
    assert engine.moved == []
    assert await move(trader, strategy_id, 15000.0, confirm=False) == (422, "stop_not_below_price")
    assert await move(trader, strategy_id, 15000.0, confirm=True) == (200, "")
    assert engine.moved == [(strategy_id, 1_500_000)]


async def test_the_feeds_price_of_this_moment_counts_before_the_brokers(
    trader: ApiUser, engine: FakeEngine, mirror: RuntimeMirror
) -> None:
    strategy_id = await trader.started()
    await mirror.put_price("INFY", 148_000, None, utc_now())
    assert await move(trader, strategy_id, 1485.0) == (422, "stop_not_below_price")
    assert await move(trader, strategy_id, 1479.5) == (200, "")
    await mirror.put_price("INFY", 148_000, None, utc_now() - timedelta(seconds=30))
    assert await move(trader, strategy_id, 1485.0) == (200, "")  # the broker says 1510 by now
    assert [paise for _, paise in engine.moved] == [147_950, 148_500]


async def test_where_nobody_knows_the_price_a_stop_may_fall_and_rises_only_if_it_is_confirmed(
    trader: ApiUser, paper: PaperExchange
) -> None:
    strategy_id = await trader.started()
    assert trader.paper is not None
    paper.control.expire_token(trader.paper.user_id)
    assert await move(trader, strategy_id, 1495.0) == (422, "stop_price_unknown")
    assert await move(trader, strategy_id, 1480.0) == (200, "")
    assert await move(trader, strategy_id, 1495.0, confirm=True) == (200, "")


async def test_a_run_that_has_nothing_left_to_sell_does_not_ask(
    trader: ApiUser, engine: FakeEngine, sessions: Sessions
) -> None:
    strategy_id = await trader.started()
    async with transaction(sessions) as session:
        await session.execute(text("UPDATE runs SET position = 'selling' WHERE strategy_id = :id"), {"id": strategy_id})
    assert await move(trader, strategy_id, 15000.0) == (200, "")
    assert engine.moved == [(strategy_id, 1_500_000)]


async def test_to_confirm_is_not_to_change_anything(trader: ApiUser) -> None:
    strategy_id = await trader.strategy()
    answer = await trader.call("PATCH", f"/strategy/{strategy_id}", confirm=True)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert await move(trader, strategy_id, 15000.0) == (200, "")  # it does not run: START will compare


# --- what the exchange takes in one order ------------------------------------------------------------------------


async def test_an_order_above_the_freeze_quantity_is_refused_at_create_and_at_start(
    trader: ApiUser, monkeypatch: pytest.MonkeyPatch, engine: FakeEngine
) -> None:
    strategy_id = await trader.strategy(quantity=600)
    find = InstrumentLists.find

    async def frozen(self: InstrumentLists, *where: Any) -> ListedInstrument | None:
        listed = await find(self, *where)
        return None if listed is None else replace(listed, freeze_quantity=500)

    monkeypatch.setattr(InstrumentLists, "find", frozen)
    created = await trader.create(quantity=501)
    started = await trader.call("POST", "/strategy/start", strategy_id=strategy_id)
    for refused in (created, started):
        assert (refused.status_code, refused.json()["code"]) == (422, "quantity_above_freeze")
        assert "must be at most 500" in refused.json()["detail"]
    assert (await trader.create(quantity=500)).status_code == 201
    assert engine.running == {}


# --- what no symbol is -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("symbol", ["A%00B", "NSE:%00", "A%0AB", "%7F"])
async def test_a_symbol_that_postgresql_would_refuse_is_a_fault_of_the_request(trader: ApiUser, symbol: str) -> None:
    answer = await trader.call("GET", f"/strategy/list?symbol={symbol}")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert answer.json()["errors"][0]["field"] == "symbol"
