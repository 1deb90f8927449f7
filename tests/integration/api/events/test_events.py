"""`GET /strategy/events` over HTTP, on the real database and Redis: every change, to its owner alone (row K1)."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from api.app import create_app
from api.base.clock import utc_now
from api.events.streams import STREAMS_PER_USER
from api.server import ApiServer, api_server
from api.users.tokens import AccessTokens
from config.settings import Settings
from persistence.database.engine import Sessions, transaction
from persistence.database.models.strategies import Strategy
from persistence.database.repositories.runs import Runs
from persistence.mirror.keys import events_key
from persistence.mirror.mirror import RuntimeMirror
from tests.integration.api_user import ApiUser
from tests.integration.persistence.journal.test_ledger import bought
from tests.kit.fakes.strategy_engine import FakeEngine
from tests.kit.paper import PaperExchange
from tests.kit.sse import EventSource, SentEvent

pytest_plugins = ["tests.integration.fixtures"]

EVENTS = "/strategy/events"


@pytest.fixture
def app(settings: Settings, engine: FakeEngine) -> FastAPI:
    """The application; its server starts it."""
    return create_app(settings, engine)


@pytest.fixture
async def server(app: FastAPI) -> AsyncIterator[ApiServer]:
    """The application behind the server that we ship, because streams need a real connection."""
    server = api_server(app, "127.0.0.1", 0)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        assert not serving.done(), "the server did not start"
        await asyncio.sleep(0.01)
    yield server
    server.should_exit = True
    await serving


@pytest.fixture
async def client(server: ApiServer) -> AsyncIterator[httpx.AsyncClient]:
    port = server.servers[0].sockets[0].getsockname()[1]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        yield client


def stream(user: ApiUser, query: str = "", **headers: str) -> AbstractAsyncContextManager[EventSource]:
    token = {"Authorization": f"Bearer {user.tokens['access_token']}"}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return EventSource.open(user.client, EVENTS + query, token | named)


async def status(user: ApiUser, strategy_id: int) -> dict[str, Any]:
    answer: dict[str, Any] = (await user.call("GET", f"/strategy/status/{strategy_id}")).json()
    return answer


async def another_trader(user: ApiUser, paper: PaperExchange) -> ApiUser:
    other = await ApiUser.register(user.client)
    other.paper = paper.control.new_account()
    assert (await other.connect()).status_code == 200
    return other


async def buy(engine: FakeEngine, sessions: Sessions, strategy_id: int, **changes: Any) -> None:
    """Record a fill as the strategy's actor does."""
    assert engine.ledger is not None
    async with transaction(sessions) as session:
        strategy = await session.get(Strategy, strategy_id)
        assert strategy is not None
        run = await Runs(session).open_of(strategy.user_id, strategy_id)
    assert run is not None
    update = bought(run)
    runtime = replace(update.runtime, updated_at=utc_now(), **changes)
    assert await engine.ledger.record(replace(update, runtime=runtime, logs=(), intents=()))


def ids(events: list[SentEvent]) -> set[int]:
    return {event.data["strategy_id"] for event in events if "strategy_id" in event.data}


async def test_it_begins_with_a_snapshot_and_goes_on_with_every_change(
    trader: ApiUser, engine: FakeEngine, sessions: Sessions, mirror: RuntimeMirror
) -> None:
    resting, running = await trader.strategy(), await trader.started()
    await mirror.put_price("INFY", 151_000, None, utc_now())
    async with stream(trader) as events:
        assert events.response.headers["content-type"].startswith("text/event-stream")
        assert events.response.headers["cache-control"] in {"no-cache", "no-store"}
        hello = await events.next()
        assert hello is not None
        assert (hello.name, hello.event_id) == ("hello", None)
        assert hello.data.keys() == {"time", "version", "user_id"}
        assert abs(datetime.fromisoformat(hello.data["time"]) - utc_now()) < timedelta(seconds=30)
        snapshot = await events.until("snapshot_end")
        assert [event.name for event in snapshot] == ["snapshot", "snapshot", "snapshot_end"]
        assert [event.event_id for event in snapshot[:-1]] == [None, None]
        assert snapshot[-1].data == {"strategies": 2}
        assert {event.data["strategy_id"]: event.data["strategy_status"] for event in snapshot[:-1]} == {
            resting: "created",
            running: "running",
        }
        await buy(engine, sessions, running)
        filled = (await events.until("strategy"))[-1]
        expected = await status(trader, running)
        age_ms = filled.data.pop("last_price_age_ms")
        assert age_ms <= expected.pop("last_price_age_ms")
        assert filled.data == expected
        assert (filled.data["position"], filled.data["last_price"]) == ("bought", 1510.0)
        await trader.call("POST", "/strategy/start", strategy_id=resting)
        started = (await events.until("strategy"))[-1].data
        assert (started["strategy_id"], started["strategy_status"]) == (resting, "running")
        await trader.call("POST", "/strategy/stop", strategy_id=running)
        stopped = (await events.until("strategy"))[-1].data
        assert (stopped["strategy_id"], stopped["strategy_status"], stopped["position"]) == (running, "stopped", "sold")
        await trader.call("DELETE", f"/strategy/{running}")
        assert (await events.until("deleted"))[-1].data == {"strategy_id": running}


async def test_a_stop_loss_that_was_moved_is_told(trader: ApiUser, engine: FakeEngine, sessions: Sessions) -> None:
    strategy_id = await trader.started()
    await buy(engine, sessions, strategy_id)
    async with stream(trader) as events:
        await events.until("snapshot_end")
        await buy(engine, sessions, strategy_id, stop_loss_paise=150_050)
        assert (await events.until("strategy"))[-1].data["stop_loss"] == 1500.5


async def test_what_was_missed_comes_after_reconnecting(
    trader: ApiUser, engine: FakeEngine, sessions: Sessions
) -> None:
    strategy_id = await trader.started()
    async with stream(trader) as events:
        first = (await events.until("snapshot_end"))[-1].event_id
    assert first is not None
    await buy(engine, sessions, strategy_id)
    await trader.call("POST", "/strategy/stop", strategy_id=strategy_id)
    async with stream(trader, last_event_id=first) as events:
        missed = [await events.next(), await events.next(), await events.next()][1:]
    assert [event and event.data["position"] for event in missed] == ["bought", "sold"]
    assert missed[0] is not None
    assert missed[0].event_id is not None
    async with stream(trader, f"?follow=false&last_event_id={first}", last_event_id=missed[0].event_id) as events:
        assert [event.data["position"] for event in (await events.rest())[1:]] == ["sold"]
    async with stream(trader, f"?follow=false&last_event_id={first}") as events:
        assert [event.data["position"] for event in (await events.rest())[1:]] == ["bought", "sold"]


async def test_an_id_that_is_too_old_begins_again_with_a_snapshot(
    trader: ApiUser, app: FastAPI, mirror: RuntimeMirror
) -> None:
    first, second = await trader.started(), await trader.strategy()
    async with stream(trader, "?follow=false&last_event_id=1-1") as events:
        begun = await events.rest()
    assert [event.name for event in begun] == ["hello", "snapshot", "snapshot", "snapshot_end"]
    user_id = app.state.resources.tokens.check(trader.tokens["access_token"]).user_id
    async with stream(trader, last_event_id=begun[-1].event_id or "") as events:
        await mirror._redis.delete(events_key(user_id))
        await trader.call("POST", "/strategy/start", strategy_id=second)
        again = await events.until("snapshot_end")  # while it is followed, too
        assert ids(again) == {first, second}


@pytest.mark.parametrize("wrong", ["x", "1", "1-1-1", "-1-0", "1" * 16 + "-0", "١-٠", ""])
async def test_an_id_of_another_form_is_refused(trader: ApiUser, wrong: str) -> None:
    answer = await trader.client.get(
        EVENTS,
        params={"last_event_id": wrong},
        headers={"Authorization": f"Bearer {trader.tokens['access_token']}"},
    )
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "last_event_id")
    if wrong.isascii():
        headers = {"Authorization": f"Bearer {trader.tokens['access_token']}", "Last-Event-ID": wrong}
        assert (await trader.client.get(EVENTS, headers=headers)).status_code == 422


async def test_without_a_token_or_with_an_unknown_field_there_is_no_stream(trader: ApiUser) -> None:
    assert (await trader.client.get(EVENTS)).status_code == 401
    assert (await trader.call("GET", EVENTS + "?user_id=1")).status_code == 422


async def test_two_users_at_once_see_their_own_strategies_and_nothing_else(
    trader: ApiUser, paper: PaperExchange, engine: FakeEngine, sessions: Sessions
) -> None:
    other = await another_trader(trader, paper)
    owned = {"asha": [await trader.started() for _ in range(3)], "ravi": [await other.started() for _ in range(3)]}
    async with stream(trader) as asha, stream(other) as ravi:
        assert ids(await asha.until("snapshot_end")) == set(owned["asha"])
        position = (await ravi.until("snapshot_end"))[-1].event_id
        await asyncio.gather(*(buy(engine, sessions, strategy_id) for strategy_id in owned["asha"] + owned["ravi"]))
        for name, events in (("asha", asha), ("ravi", ravi)):
            told = [await events.next() for _ in owned[name]]
            assert {event.data["strategy_id"] for event in told if event} == set(owned[name])
    assert position is not None
    async with stream(trader, "?follow=false", last_event_id=position) as events:
        assert ids(await events.rest()) <= set(owned["asha"])


async def test_dead_phones_lock_nobody_out_of_the_event_stream(
    trader: ApiUser, app: FastAPI, paper: PaperExchange
) -> None:
    other = await another_trader(trader, paper)
    async with AsyncExitStack() as opened:
        streams = [await opened.enter_async_context(stream(trader)) for _ in range(STREAMS_PER_USER)]
        async with stream(trader) as newest, stream(other, "?follow=false") as of_another:
            await newest.until("snapshot_end")
            assert [event.name for event in await streams[0].rest()] == ["hello", "snapshot_end", "replaced"]
            assert [event.name for event in await of_another.rest()] == ["hello", "snapshot_end"]
            for events in streams[1:]:
                await events.until("snapshot_end")
    async with asyncio.timeout(10):
        while app.state.resources.events._feeds:  # noqa: ASYNC110 - the server reports to no test when a client is gone
            await asyncio.sleep(0.01)


async def test_a_peer_that_acknowledges_nothing_is_given_up(trader: ApiUser, server: ApiServer) -> None:
    async with stream(trader) as events:
        await events.until("snapshot_end")
        (patience_ms,) = {
            connection.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
            for connection in server.server_state.connections
        }
        assert patience_ms == 15_000


async def test_a_stream_ends_with_its_access_token(trader: ApiUser, app: FastAPI, settings: Settings) -> None:
    claims = app.state.resources.tokens.check(trader.tokens["access_token"])
    tokens = AccessTokens(settings.jwt_secret.get_secret_value(), timedelta(seconds=2), utc_now)
    trader.tokens["access_token"] = tokens.issue(claims.user_id, claims.login_id, utc_now() + timedelta(days=1)).text
    async with stream(trader) as events:
        assert [event.name for event in await events.rest()] == ["hello", "snapshot_end"]
    assert (await trader.call("GET", EVENTS)).json()["code"] == "token_expired"


async def test_the_server_stops_at_once_although_streams_are_open(trader: ApiUser, server: ApiServer) -> None:
    async with stream(trader) as one, stream(trader) as another:
        await one.until("snapshot_end")
        await another.until("snapshot_end")
        server.should_exit = True
        async with asyncio.timeout(5):
            assert await one.rest() == []
            assert await another.rest() == []


async def test_polls_go_on_beside_streams(trader: ApiUser, sessions: Sessions, engine: FakeEngine) -> None:
    strategy_id = await trader.started()
    async with stream(trader) as events:
        await events.until("snapshot_end")
        answers = await asyncio.gather(*(status(trader, strategy_id) for _ in range(20)))
        assert {answer["position"] for answer in answers} == {"none"}
        await buy(engine, sessions, strategy_id, buy_price=Decimal("1500.05"))
        assert (await events.until("strategy"))[-1].data["buy_price"] == 1500.05


async def test_another_device_learns_of_what_was_made_and_changed_without_a_start(trader: ApiUser) -> None:
    async with stream(trader) as events:
        await events.until("snapshot_end")
        strategy_id = await trader.strategy(quantity=7)
        created = (await events.until("strategy"))[-1]
        assert created.data == await status(trader, strategy_id)
        assert (created.data["strategy_status"], created.data["quantity"]) == ("created", 7)
        await trader.call("PATCH", f"/strategy/{strategy_id}", quantity=9)
        assert (await events.until("strategy"))[-1].data["quantity"] == 9
        await trader.call("DELETE", f"/strategy/{strategy_id}")
        assert (await events.until("deleted"))[-1].data == {"strategy_id": strategy_id}
    async with stream(trader, "?follow=false", last_event_id=created.event_id or "") as events:
        names = [event.name for event in await events.rest()]
    assert names == ["hello", "deleted"], "what was changed before it was deleted is not there to be shown"


async def test_every_device_learns_what_happens_to_the_account(user: ApiUser, paper: PaperExchange) -> None:
    user.paper = paper.control.new_account()
    async with stream(user) as events:
        await events.until("snapshot_end")
        await user.connect()
        connected = (await events.until("account"))[-1]
        assert connected.event_id is not None
        assert {"broker_connected": True, "broker": "paper", "broker_user_id": user.paper.user_id}.items() <= (
            connected.data.items()
        )
        assert (connected.data["token_expired"], connected.data["entries_forbidden"]) == (False, False)
        assert (await user.call("POST", "/panic")).status_code == 202
        assert (await events.until("account"))[-1].data["entries_forbidden"] is True
        assert (await user.call("POST", "/risk/unlock")).status_code == 200
        while (await events.until("account"))[-1].data["entries_forbidden"]:
            pass  # the panic's pursuit may have repeated the mark
        assert (await user.call("DELETE", "/broker")).status_code == 204
        gone = (await events.until("account"))[-1].data
        assert (gone["broker_connected"], gone["broker"], gone["token_expires_at"]) == (False, None, None)


async def test_prices_come_to_those_who_ask_once_a_second_for_what_runs(
    trader: ApiUser, mirror: RuntimeMirror, app: FastAPI
) -> None:
    await trader.strategy(symbol="TCS")
    await trader.started(symbol="INFY")
    await mirror.put_price("INFY", 151_000, None, utc_now())
    await mirror.put_price("TCS", 300_000, None, utc_now())
    async with stream(trader, "?prices=true") as events:
        first = (await events.until("prices"))[-1]
        assert first.event_id is None
        (price,) = first.data["prices"]
        assert (price["symbol"], price["last_price"], price["feed"]) == ("INFY", 1510.0, "live")
        assert price["last_price_age_ms"] >= 0
        began = asyncio.get_running_loop().time()
        for paise in (151_005, 151_010, 151_015):
            await mirror.put_price("INFY", paise, None, utc_now())
        later = (await events.until("prices"))[-1].data["prices"]
        assert [(one["symbol"], one["last_price"]) for one in later] == [("INFY", 1510.15)]
        assert asyncio.get_running_loop().time() - began < 5
        await trader.started(symbol="TCS")
        while not any(one["symbol"] == "TCS" for one in (await events.until("prices"))[-1].data["prices"]):
            pass


async def test_a_stream_that_does_not_ask_for_prices_gets_none(
    trader: ApiUser, mirror: RuntimeMirror, engine: FakeEngine, sessions: Sessions
) -> None:
    strategy_id = await trader.started()
    async with stream(trader) as events:
        await events.until("snapshot_end")
        await mirror.put_price("INFY", 151_000, None, utc_now())
        await buy(engine, sessions, strategy_id)
        assert [event.name for event in await events.until("strategy")] == ["strategy"]
