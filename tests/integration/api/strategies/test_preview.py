"""`POST /strategy/preview`: what create and START would say, in the same words, and nothing is stored."""

from collections.abc import AsyncIterator
from datetime import datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, event, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from broker.exchange_time import IST
from config.settings import Settings
from persistence.database.engine import Sessions, transaction
from persistence.database.models.audit import AuditEntry
from persistence.database.models.runs import Intent, Run
from persistence.database.models.strategies import Strategy
from tests.integration.api_user import ApiUser, served
from tests.integration.apps import at, serving
from tests.kit.fakes.strategy_engine import FakeEngine

pytest_plugins = ["tests.integration.fixtures"]

BODY = {"symbol": "INFY", "buy_time": "09:30", "sell_time": "15:10", "stop_loss": 1490.5, "quantity": 10}
NAMES = ("buy_at", "sell_at", "message")


async def preview(user: ApiUser, **body: Any) -> Any:
    return await served(lambda: user.call("POST", "/strategy/preview", **body))


async def start(user: ApiUser, strategy_id: int) -> Any:
    return await served(lambda: user.call("POST", "/strategy/start", strategy_id=strategy_id))


async def counts(sessions: Sessions) -> list[int]:
    async with transaction(sessions) as session:
        tables = (Strategy, Run, Intent, AuditEntry)
        return [await session.scalar(select(func.count()).select_from(table)) or 0 for table in tables]


async def test_a_preview_says_what_a_start_will_and_stores_nothing(trader: ApiUser, sessions: Sessions) -> None:
    before = await counts(sessions)
    answer = await preview(trader, **BODY)
    assert answer.status_code == 200, answer.text
    assert await counts(sessions) == before
    seen = answer.json()
    assert (seen["strategy_id"], seen["symbol"], seen["product"], seen["last_price"]) == (None, "INFY", "MIS", 1510.0)
    assert (seen["notional"], seen["worst_case_loss"]) == (15100.0, 195.0)
    assert seen["charges"]["brokerage"] == 9.06
    parts = [amount for name, amount in seen["charges"].items() if name not in {"estimated", "total"}]
    assert (seen["charges"]["estimated"], seen["charges"]["total"]) == (True, round(sum(parts), 2))
    strategy_id = await trader.strategy(**BODY)
    stored = (await preview(trader, strategy_id=strategy_id)).json()
    assert stored == seen | {"strategy_id": strategy_id}
    started = (await start(trader, strategy_id)).json()
    assert [started[name] for name in NAMES] == [seen[name] for name in NAMES]


async def test_a_strategy_that_runs_is_shown_and_not_judged(trader: ApiUser) -> None:
    first = await trader.started()
    seen = (await preview(trader, strategy_id=first)).json()
    assert [warned["code"] for warned in seen["warnings"]] == ["already_running"]
    assert seen["session"] is None
    started = (await start(trader, first)).json()
    assert [started[name] for name in NAMES] == [seen[name] for name in NAMES]
    (equal,) = [w for w in (await preview(trader, **BODY)).json()["warnings"] if w["code"] == "equal_strategy_running"]
    assert equal["strategy_id"] == first


async def test_the_session_is_that_of_the_exchange(trader: ApiUser, settings: Settings, engine: FakeEngine) -> None:
    async with serving(settings, engine, calendar="XNSE") as client:
        seen = (await preview(at(trader, client), **BODY)).json()
    day = datetime.fromisoformat(seen["buy_at"]).date()
    assert seen["session"] == {
        "date": str(day), "opens": "09:15:00", "closes": "15:30:00", "sell_before": "15:15:00", "special": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"strategy_id": 1, "symbol": "INFY"},
        {"strategy_id": None},
        {"strategy_id": None} | BODY,
        {name: value for name, value in BODY.items() if name != "stop_loss"},
        BODY | {"stop_loss": None},
        BODY | {"stop_loss_percent": 1},
        {"product": "CNC"},
    ],
)
async def test_a_body_is_of_one_kind(trader: ApiUser, body: dict[str, Any]) -> None:
    answer = await trader.client.post(
        "/strategy/preview", json=body, headers={"Authorization": f"Bearer {trader.tokens['access_token']}"}
    )
    assert answer.status_code == 422, answer.text


async def test_a_user_without_a_broker_and_another_tenant_are_refused(user: ApiUser, client: Any) -> None:
    answer = await preview(user, **BODY)
    assert (answer.status_code, answer.json()["code"]) == (409, "broker_not_connected")
    assert (await preview(await ApiUser.register(client), strategy_id=1)).status_code == 404


async def test_what_start_refuses_because_of_the_user_is_refused_before(
    trader: ApiUser, settings: Settings, engine: FakeEngine
) -> None:
    async with serving(settings, engine, max_running=1, max_strategies=2) as client:
        there = at(trader, client)
        await there.started()
        second = await there.strategy()
        for answer in (await preview(there, strategy_id=second), await start(there, second)):
            assert (answer.status_code, answer.json()["code"]) == (409, "too_many_running")
        for answer in (await preview(there, **BODY), await there.create()):
            assert (answer.status_code, answer.json()["code"]) == (409, "too_many_strategies")


MOMENTS = st.integers(0, 24 * 60 - 1).map(lambda minute: f"{minute // 60:02}:{minute % 60:02}")
CHANGES: dict[str, st.SearchStrategy[Any]] = {
    "symbol": st.sampled_from(["INFY", "NIFTYBEES", "RCOM-BE", "BSE:INFY", "M&M", "NIFTY 50", "INFY.NS"]),
    "buy_time": st.sampled_from(["09:14", "09:15", "15:09", "15:10"]) | MOMENTS,
    "sell_time": st.sampled_from(["09:30", "09:31", "15:14", "15:15", "15:20", "15:30"]) | MOMENTS,
    "stop_loss": st.sampled_from([1509.9, 1510.0, 1509.95, 100_000.0]) | st.integers(1, 17_000).map(lambda n: n / 10),
    "quantity": st.sampled_from([66_225, 66_226, 100_000, 100_001]) | st.integers(1, 1000),
    "product": st.sampled_from(["MIS", "CNC"]),
}
BODIES = st.lists(st.sampled_from(sorted(CHANGES)), max_size=3, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: CHANGES[name] for name in names}).map(lambda changes: BODY | changes)
)
"""A good body with up to three fields changed, so that each rule decides, and often none refuses."""


@pytest.fixture(params=["XNSE", "24x7"])
async def there(
    request: pytest.FixtureRequest, trader: ApiUser, settings: Settings, engine: FakeEngine
) -> AsyncIterator[ApiUser]:
    """The trader, at an application of that calendar, whose requests are not counted."""
    unlimited = {"api_rate_per_minute": 0, "starts_per_minute": 0, "calendar": request.param}
    async with serving(settings, engine, **unlimited) as client:
        yield at(trader, client)


@pytest.mark.timeout(600)
@given(body=BODIES)
@example(body=BODY)
@example(body=BODY | {"stop_loss": 1510.0})
@hypothesis_settings(max_examples=40, suppress_health_check=list(HealthCheck))
async def test_preview_and_create_with_start_never_disagree(there: ApiUser, body: dict[str, Any]) -> None:
    now = datetime.now(IST)
    buy_at = datetime.combine(now.date(), time.fromisoformat(body["buy_time"]), IST)
    assume(abs(buy_at - now) > timedelta(minutes=3))  # else time decides between two requests
    seen = await preview(there, **body)
    event(f"preview {seen.status_code}")
    created = await there.call("POST", "/strategy/create", **body)
    event(f"create {created.status_code}")
    if created.status_code != 201:
        assert (seen.status_code, seen.json()) == (created.status_code, created.json())
        return
    strategy_id = created.json()["strategy_id"]
    stored = await preview(there, strategy_id=strategy_id)
    started = await start(there, strategy_id)
    assert seen.status_code == stored.status_code == started.status_code, (seen.text, stored.text, started.text)
    if started.status_code != 200:
        assert seen.json() == stored.json() == started.json()
    else:
        for answer in (seen.json(), stored.json()):
            assert [answer[name] for name in NAMES] == [started.json()[name] for name in NAMES]
        await there.call("POST", "/strategy/stop", strategy_id=strategy_id)
    await there.call("DELETE", f"/strategy/{strategy_id}")
