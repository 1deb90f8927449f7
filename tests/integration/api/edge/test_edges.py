"""What holds for every request, whatever it asks: ids, headers, CORS, limits, faults."""

import json
import logging
import re
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import structlog
from fastapi import FastAPI
from sqlmodel import col, select

from api.edge.middleware import MAX_BODY_BYTES, SECURITY_HEADERS
from config.logging import configure_logging
from config.settings import Settings
from persistence.database.engine import Sessions, transaction
from persistence.database.models.audit import AuditEntry
from tests.integration.api_user import ApiUser
from tests.integration.apps import serving
from tests.kit.fakes.strategy_engine import FakeEngine

pytest_plugins = ["tests.integration.fixtures"]

JSON = {"Content-Type": "application/json"}
NEW_ID = re.compile(r"[0-9a-f]{32}")


# --- request ids -------------------------------------------------------------------------------------------------


async def test_every_answer_names_its_request_also_those_to_faults(client: httpx.AsyncClient, user: ApiUser) -> None:
    answers = [
        await client.get("/healthz"),
        await client.get("/no/such/path"),
        await client.put("/strategy/list"),
        await client.get("/strategy/list"),
        await client.post("/auth/login", content=b"x" * (MAX_BODY_BYTES + 1)),
        await user.call("GET", "/auth/validate"),
    ]
    assert [answer.status_code for answer in answers] == [200, 404, 405, 401, 413, 200]
    ids = [answer.headers["X-Request-ID"] for answer in answers]
    assert len(set(ids)) == len(ids)
    assert all(map(NEW_ID.fullmatch, ids))


async def test_a_request_may_bring_its_own_id(client: httpx.AsyncClient) -> None:
    own = "app-7.12_B"
    assert (await client.get("/healthz", headers={"X-Request-ID": own})).headers["X-Request-ID"] == own


@pytest.mark.parametrize("own", ["", "a b", "x" * 65, 'a","level":"info', "<script>", "идентификатор".encode()])
async def test_an_id_that_could_forge_a_log_line_is_replaced(client: httpx.AsyncClient, own: str | bytes) -> None:
    answer = await client.get("/healthz", headers=[(b"X-Request-ID", own if isinstance(own, bytes) else own.encode())])
    assert NEW_ID.fullmatch(answer.headers["X-Request-ID"])


async def test_the_audit_log_names_the_request(client: httpx.AsyncClient, sessions: Sessions) -> None:
    body = {"email": "audited.request@example.com", "password": "correct horse battery"}
    answer = await client.post("/auth/register", json=body)
    assert answer.status_code == 201, answer.text
    request_id = answer.headers["X-Request-ID"]
    async with transaction(sessions) as session:
        named = select(AuditEntry).where(col(AuditEntry.detail)["request_id"].astext == request_id)
        assert [line.action for line in await session.scalars(named)] == ["register"]


# --- headers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/healthz", "/no/such/path", "/strategy/list", "/openapi.json", "/metrics"])
async def test_every_answer_tells_browsers_to_keep_out(client: httpx.AsyncClient, path: str) -> None:
    headers = (await client.get(path)).headers
    assert {name: headers.get(name) for name in SECURITY_HEADERS} == dict(SECURITY_HEADERS)
    assert "Strict-Transport-Security" not in headers
    assert "Server" not in headers


async def test_over_https_browsers_are_told_to_stay_there(settings: Settings, engine: FakeEngine) -> None:
    async with serving(settings, engine) as client:
        assert (await client.get("https://api/healthz")).headers["Strict-Transport-Security"].startswith("max-age=")


async def test_the_docs_page_runs_no_code_of_other_servers_where_tokens_are_typed(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")
    policy = dict(part.split(" ", 1) for part in page.headers["Content-Security-Policy"].split("; "))
    assert "://" not in page.text + str(policy)
    assert (policy["default-src"], policy["script-src"], policy["style-src"]) == ("'none'", "'self'", "'self'")
    assert re.findall(r"<script(?! src=)|\son\w+=", page.text) == []
    sources = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(sources) == 3
    for source in sources:  # each is served by us, in a kind that `nosniff` lets a page use
        file = await client.get(str(page.url.join(source)))
        assert file.status_code == 200
        kind = file.headers["Content-Type"].partition(";")[0]
        assert kind == ("text/css" if source.endswith(".css") else "text/javascript")
    assert "SwaggerUIBundle" in (await client.get("/docs/swagger-ui-bundle.js")).text
    for path in ("/openapi.json", "/docs/oauth2-redirect", "/redoc"):
        assert "script-src" not in (await client.get(path)).headers["Content-Security-Policy"]


DESCRIPTION = ("/docs", "/docs/start.js", "/openapi.json")


async def test_the_description_can_be_switched_off(settings: Settings, engine: FakeEngine) -> None:
    async with serving(settings, engine, api_docs=False) as client:
        assert [(await client.get(path)).status_code for path in DESCRIPTION] == [404] * 3


async def test_where_real_orders_go_out_the_description_is_off_unless_it_is_set(
    settings: Settings, engine: FakeEngine
) -> None:
    async with serving(settings, engine, brokers=("paper", "kite")) as client:
        assert [(await client.get(path)).status_code for path in DESCRIPTION] == [404] * 3
    async with serving(settings, engine, brokers=("paper", "kite"), api_docs=True) as client:
        assert [(await client.get(path)).status_code for path in DESCRIPTION] == [200] * 3


# --- CORS --------------------------------------------------------------------------------------------------------

PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}


async def test_no_page_of_another_origin_may_call(client: httpx.AsyncClient) -> None:
    evil = {"Origin": "https://evil.example"}
    asked = await client.options("/strategy/start", headers=evil | PREFLIGHT)
    called = await client.get("/healthz", headers=evil)
    assert asked.status_code == 405
    assert not any(name.startswith("access-control") for name in [*asked.headers, *called.headers])


async def test_only_the_origins_of_the_settings_may_call_and_never_with_cookies(
    settings: Settings, engine: FakeEngine
) -> None:
    async with serving(settings, engine, cors_origins=("https://app.example.com",)) as client:
        asked = await client.options("/strategy/start", headers={"Origin": "https://app.example.com"} | PREFLIGHT)
        refused = await client.get("/strategy/list", headers={"Origin": "https://app.example.com"})
        evil = [
            await client.options("/strategy/start", headers={"Origin": origin} | PREFLIGHT)
            for origin in ("https://evil.example", "https://app.example.com.evil.example", "null")
        ]
    assert (asked.status_code, asked.headers["Access-Control-Allow-Origin"]) == (200, "https://app.example.com")
    assert (refused.status_code, refused.headers["Access-Control-Allow-Origin"]) == (401, "https://app.example.com")
    assert not {"access-control-allow-credentials"} & {*asked.headers, *refused.headers}
    for answer in evil:
        assert answer.status_code == 400
        assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("header", ["Idempotency-Key", "Last-Event-ID", "Content-Type"])
async def test_pages_of_the_settings_may_send_the_headers_that_the_api_reads(
    settings: Settings, engine: FakeEngine, header: str
) -> None:
    page = {"Origin": "https://app.example.com"}
    async with serving(settings, engine, cors_origins=("https://app.example.com",)) as client:
        wanted = PREFLIGHT | {"Access-Control-Request-Headers": f"authorization, {header}"}
        asked = await client.options("/strategy/create", headers=page | wanted)
        called = await client.get("/strategy/list", headers=page)
    assert asked.status_code == 200
    assert header.lower() in asked.headers["Access-Control-Allow-Headers"].lower()
    assert "Idempotent-Replayed" in called.headers["Access-Control-Expose-Headers"]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_pages_of_the_settings_may_call_with_every_method_of_the_api(
    settings: Settings, engine: FakeEngine, method: str
) -> None:
    asked = {"Origin": "https://app.example.com"} | PREFLIGHT | {"Access-Control-Request-Method": method}
    async with serving(settings, engine, cors_origins=("https://app.example.com",)) as client:
        assert (await client.options("/notifications/preferences", headers=asked)).status_code == 200


# --- rate limits -------------------------------------------------------------------------------------------------


@pytest.fixture
async def slow_user(settings: Settings, engine: FakeEngine) -> AsyncIterator[ApiUser]:
    """A user of an application that allows five requests a minute."""
    async with serving(settings, engine, api_rate_per_minute=5, auth_rate_per_minute=5) as client:
        yield await ApiUser.register(client)


def is_limited(answer: httpx.Response) -> bool:
    """Whether it is the answer to one request too many."""
    if answer.status_code != 429:
        return False
    assert answer.json()["code"] == "rate_limited"
    return 1 <= int(answer.headers["Retry-After"]) <= 61


async def test_a_flood_of_polls_is_limited_and_never_keeps_its_user_from_stopping(slow_user: ApiUser) -> None:
    polls = [await slow_user.call("GET", "/strategy/status/1") for _ in range(8)]
    assert [is_limited(answer) for answer in polls] == [False] * 5 + [True] * 3
    stops = [await slow_user.call("POST", "/strategy/stop", strategy_id=1) for _ in range(7)]
    assert [answer.status_code for answer in stops] == [404] * 5 + [429] * 2


async def test_the_flood_of_one_user_is_not_felt_by_another(slow_user: ApiUser) -> None:
    other = await ApiUser.register(slow_user.client)
    for _ in range(8):
        await slow_user.call("GET", "/broker/status")
    assert (await other.call("GET", "/broker/status")).status_code == 200


async def test_forged_tokens_use_up_nobodys_requests(slow_user: ApiUser) -> None:
    token = slow_user.tokens["access_token"]
    forged = token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB")
    for _ in range(8):
        answer = await slow_user.client.get("/strategy/list", headers={"Authorization": f"Bearer {forged}"})
        assert answer.status_code == 401
    assert (await slow_user.call("GET", "/strategy/list")).status_code == 200


async def test_calls_without_a_token_are_limited_by_address(slow_user: ApiUser) -> None:
    body = {"refresh_token": "x" * 43}
    answers = [await slow_user.client.post("/auth/refresh", json=body) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [401] * 4 + [429] * 2, "registering was the first of five"
    assert (await slow_user.call("GET", "/auth/validate")).status_code == 200
    health = [
        await slow_user.client.get(path)
        for path in ("/healthz", "/readyz?exclude=encryption_keys", "/metrics")
        for _ in range(6)
    ]
    assert {answer.status_code for answer in health} == {200}


async def test_a_limit_of_zero_is_none(settings: Settings, engine: FakeEngine) -> None:
    async with serving(
        settings, engine, api_rate_per_minute=0, api_requests_at_once=0, auth_rate_per_minute=0
    ) as client:
        user = await ApiUser.register(client)
        assert {(await user.call("GET", "/broker/status")).status_code for _ in range(20)} == {200}


# --- bodies and faults -------------------------------------------------------------------------------------------


async def test_a_large_body_is_refused_by_its_announced_size_before_it_is_read(client: httpx.AsyncClient) -> None:
    async def unreadable() -> AsyncIterator[bytes]:
        for part in range(1):
            raise AssertionError(f"part {part} of the body was asked for")
        yield b""

    headers = JSON | {"Content-Length": "1000000"}
    for call in (client.build_request("POST", "/auth/login", headers=headers, content=unreadable()),
                 client.build_request("GET", "/healthz", headers=headers, content=unreadable())):  # fmt: skip
        answer = await client.send(call)
        assert (answer.status_code, answer.json()["code"]) == (413, "request_too_large")


class BrokenResources:
    """Fails with an exception that tells everything, as those of libraries do."""

    def __getattr__(self, name: str) -> object:
        raise RuntimeError(
            f"{name}: {{'password': 'hush', 'x': 1}} Authorization: Bearer hush; token=hush "
            "postgresql://user:hush@host/ wss://host/?access_token=hush [type=string, input_value='hush', x=1]"
        )


@pytest.fixture
def restored_logging() -> Iterator[None]:
    """The test may set up logging."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


async def test_a_fault_is_told_to_the_log_with_its_request_and_not_to_the_client(
    app: FastAPI, user: ApiUser, capsys: pytest.CaptureFixture[str], restored_logging: None
) -> None:
    configure_logging("json")
    app.state.resources = BrokenResources()
    answer = await user.call("GET", "/strategy/list")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert set(answer.json()) == {"detail", "code"}
    (line,) = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (line["event"], line["error"]) == ("request_failed", "RuntimeError")
    assert line["request_id"] == answer.headers["X-Request-ID"]
    assert (line["method"], line["route"]) == ("GET", "/strategy/list")
    assert "Traceback" in line["exception"]
    assert "hush" not in json.dumps(line)
