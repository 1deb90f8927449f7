"""Liveness, readiness, metrics, unforeseen errors, and the recovery sweep of the running application."""

import asyncio
import subprocess
import sys
from datetime import UTC, datetime

import httpx
import pytest
from fastapi import FastAPI
from structlog.testing import capture_logs

from api.app import create_app
from config.settings import Settings, SettingsError
from persistence.mirror.mirror import RuntimeMirror
from persistence.mirror.prices import FeedState
from tests.integration.api_user import PASSWORD, ApiUser
from tests.kit.fakes.strategy_engine import FakeEngine

pytest_plugins = ["tests.integration.fixtures"]


@pytest.mark.usefixtures("trader")  # whose connection the encryption keys open
async def test_health_and_readiness(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    assert (await client.get("/healthz")).json() == {"status": "ok"}
    ready = await client.get("/readyz")
    checks = {"database": "ok", "redis": "ok", "engine": "ok", "encryption_keys": "ok"}
    assert (ready.status_code, ready.json()) == (200, {"status": "ready", "checks": checks})
    assert [(await client.head(path)).status_code for path in ("/healthz", "/readyz")] == [200, 200]
    engine.up = False
    broken = await client.get("/readyz")
    assert (broken.status_code, (await client.head("/readyz")).status_code) == (503, 503)
    assert broken.json()["checks"]["engine"] == "failed: EngineUnavailable"
    assert (await client.get("/healthz")).status_code == 200


async def test_metrics_count_by_route_not_by_path(client: httpx.AsyncClient, user: ApiUser) -> None:
    await user.call("GET", "/strategy/status/123456789")
    text = (await client.get("/metrics")).text
    assert 'route="/strategy/status/{strategy_id}",status="404"' in text
    assert "123456789" not in text


async def test_metrics_tell_how_late_each_brokers_prices_are(client: httpx.AsyncClient, mirror: RuntimeMirror) -> None:
    late = FeedState(live=True, lag_ms=8120, since=datetime.now(UTC))
    await mirror.put_stream("paper", {0: late, 1: FeedState(live=True, lag_ms=-40)})
    text = (await client.get("/metrics")).text
    assert 'tradeactors_feed_lag_seconds{broker="paper",connection="0"} 8.12' in text
    assert 'tradeactors_feed_live{broker="paper",connection="0"} 0.0' in text
    assert 'tradeactors_feed_lag_seconds{broker="paper",connection="1"} -0.04' in text
    assert 'tradeactors_feed_live{broker="paper",connection="1"} 1.0' in text
    await mirror.put_stream("paper", {})
    assert "tradeactors_feed_live{" not in (await client.get("/metrics")).text


async def test_errors_have_one_shape(client: httpx.AsyncClient) -> None:
    nothing = (await client.get("/no/such/path")).json()
    assert (nothing["code"], nothing["detail"][:35]) == ("not_found", "Nothing is served at this path: che")
    assert (await client.get("/auth/login")).json()["code"] == "method_not_allowed"
    broken = await client.post("/auth/login", content="{", headers={"Content-Type": "application/json"})
    assert (broken.status_code, broken.json()["errors"][0]["field"]) == (422, "body")


async def test_a_bug_is_not_shown(app: FastAPI, client: httpx.AsyncClient, user: ApiUser) -> None:
    app.state.resources = None
    with capture_logs() as log:
        answer = await user.call("GET", "/strategy/list")
    assert answer.status_code == 500
    assert answer.json() == {"detail": "Something went wrong on our side.", "code": "internal_error"}
    assert [line["event"] for line in log] == ["request_failed"]


async def test_open_runs_are_swept_from_the_start(app: FastAPI, engine: FakeEngine) -> None:
    await asyncio.wait_for(engine.swept.wait(), 5)
    assert app.state.resources.engine is engine


async def test_a_start_without_its_settings_says_which(settings: Settings, engine: FakeEngine) -> None:
    app = create_app(settings.model_copy(update={"redis_url": ""}), engine)
    with pytest.raises(SettingsError, match="TRADEACTORS_REDIS_URL"):
        async with app.router.lifespan_context(app):
            pass


async def test_without_redis_nothing_new_is_taken_on_and_the_rest_goes_on(
    trader: ApiUser, settings: Settings, engine: FakeEngine
) -> None:
    strategy_id, running = await trader.strategy(), await trader.started()
    app = create_app(settings.model_copy(update={"redis_url": "redis://127.0.0.1:1"}), engine)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://api") as client,
    ):
        trader.client = client
        refused = await trader.call("POST", "/strategy/start", strategy_id=strategy_id)
        assert (refused.status_code, refused.json()["code"]) == (503, "redis_unavailable")
        status = await trader.call("GET", f"/strategy/status/{running}")
        assert (status.status_code, status.json()["strategy_status"]) == (200, "running")
        login = await client.post("/auth/login", json={"email": trader.email, "password": PASSWORD})
        assert login.status_code == 200
        assert (await trader.connect()).status_code == 200
        assert (await client.get("/readyz")).json()["checks"]["redis"] == "failed: MirrorUnavailable"
        stopped = await trader.call("POST", "/strategy/stop", strategy_id=running)
        assert (stopped.status_code, stopped.json()["strategy_status"]) == (200, "stopped")
    assert [strategy for _, strategy in engine.ensured] == [running]


def test_importing_the_application_loads_neither_ray_nor_twisted_nor_pandas() -> None:
    heavy = {"ray", "twisted.internet.reactor", "kiteconnect", "pandas"}
    code = f"import sys, api.app; print(sorted({heavy} & set(sys.modules)))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


def test_the_client_of_the_broker_is_imported_beside_the_start_of_the_api() -> None:
    code = (
        "import sys; from api.brokers.broker_threads import BrokerCalls; from config.settings import Settings; "
        "calls = BrokerCalls(Settings(_env_file=None)); calls.get_ready(); "
        "calls._direct.shutdown(wait=True); print('broker.kite.client' in sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "True"
