"""What the log says of requests that are refused, and what their answers tell a browser."""

import json
import logging
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import structlog

from config.logging import configure_logging
from tests.integration.api_user import ApiUser
from tests.integration.served import served, settings_of
from tests.kit.paper import PaperExchange

pytest_plugins = ["tests.integration.fixtures"]


@pytest.fixture
def restored_logging() -> Iterator[None]:
    """The test may set up logging. (Not the fixture: its standard error is another than the test's.)"""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def rejections(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """The lines about refused requests, oldest first."""
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    return [line for line in lines if line["event"] == "request_rejected"]


@pytest.fixture(scope="module")
def real_server(
    postgres_url: str, redis_url: str, paper: PaperExchange, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The URL of the application behind uvicorn."""
    with served(settings_of(postgres_url, redis_url, paper.url, tmp_path_factory.mktemp("api"))) as url:
        yield url


# --- what the log says -------------------------------------------------------------------------------------------


async def test_a_refused_request_is_found_in_the_log_with_its_user_and_its_address(
    user: ApiUser, capsys: pytest.CaptureFixture[str], restored_logging: None
) -> None:
    configure_logging("json")
    answers = [
        await user.client.get("/strategy/list", headers={"Authorization": "Bearer forged"}),
        await user.call("GET", "/strategy/123456789"),
        await user.client.put("/strategy/list"),
        await user.call("POST", "/strategy/create", symbol=""),
        await user.client.get("/wp-login.php?token=hush"),
    ]
    lines = rejections(capsys)
    assert [(line["status"], line["code"], line["method"], line["route"]) for line in lines] == [
        (401, "token_invalid", "GET", "/strategy/list"),
        (404, "strategy_not_found", "GET", "/strategy/{strategy_id}"),
        (405, "method_not_allowed", "PUT", "/strategy/list"),
        (422, "invalid_request", "POST", "/strategy/create"),
        (404, "not_found", "GET", "none"),
    ]
    assert [line["request_id"] for line in lines] == [answer.headers["X-Request-ID"] for answer in answers]
    user_id = (await user.call("GET", "/auth/validate")).json()["user_id"]
    assert [line["user_id"] for line in lines] == [None, user_id, None, user_id, None]
    assert all(line["address"].startswith("2001:db8:") for line in lines)
    assert "hush" not in json.dumps(lines)
    assert "forged" not in json.dumps(lines)


async def test_what_is_served_leaves_no_such_line(
    user: ApiUser, capsys: pytest.CaptureFixture[str], restored_logging: None
) -> None:
    configure_logging("json")
    assert (await user.call("GET", "/auth/validate")).status_code == 200
    assert rejections(capsys) == []


async def test_a_flood_of_refused_requests_is_counted_and_not_written(
    client: httpx.AsyncClient, capsys: pytest.CaptureFixture[str], restored_logging: None
) -> None:
    configure_logging("json")
    for _ in range(100):
        assert (await client.get("/no/such/path")).status_code == 404
    lines = rejections(capsys)
    assert 60 <= len(lines) <= 61, "the minute may have ended meanwhile"


# --- what browsers may do ------------------------------------------------------------------------------------------


async def test_json_that_a_browser_is_led_to_is_a_file_of_a_fixed_name(user: ApiUser) -> None:
    """Source: OWASP ASVS 4.0.3, 14.4.2 and 12.3.4."""
    answers = [
        await user.call("GET", "/auth/validate"),
        await user.client.get("/auth/validate"),
        await user.client.get("/no/such/path/setup.bat"),
        await user.client.get("/openapi.json"),
    ]
    assert {answer.headers["Content-Disposition"] for answer in answers} == {'attachment; filename="api.json"'}
    pages = [await user.client.get(path) for path in ("/docs", "/docs/swagger-ui.css", "/metrics")]
    assert not any("Content-Disposition" in page.headers for page in pages)
    assert "content-disposition" in (await user.client.get("/docs/start.js")).text, "or Swagger UI shows no answer"


async def test_every_answer_with_a_body_names_its_kind_and_none_sets_a_cookie(user: ApiUser) -> None:
    answers = [
        await user.call("GET", "/auth/validate"),
        await user.client.get("/auth/validate"),
        await user.client.get("/no/such/path"),
        await user.client.put("/strategy/list"),
        await user.client.post("/auth/login", json={}),
        await user.client.post("/auth/login", content=b"x" * 100_000),
        await user.client.get("/docs"),
        await user.client.get("/metrics"),
    ]
    kinds = [answer.headers["Content-Type"] for answer in answers]
    assert kinds[:6] == ["application/json"] * 6
    assert all(kind.startswith("text/") and "charset=utf-8" in kind for kind in kinds[6:])
    assert not any("Set-Cookie" in answer.headers for answer in answers)


@pytest.mark.parametrize(
    "path",
    [
        "/docs/", "/docs/index.html", "/docs/swagger-ui.css.map", "/docs/%2e%2e/page.py", "/docs/%2fetc%2fpasswd",
        "/docs/..%2f..%2f..%2fetc%2fpasswd", "/docs/redoc.standalone.js", "/.git/config", "/.env", "/robots.txt",
        "/api/app.py",
    ],
)  # fmt: skip
async def test_the_docs_page_serves_its_three_files_and_nothing_beside_them(user: ApiUser, path: str) -> None:
    assert (await user.client.get("/docs/swagger-ui.css")).status_code == 200
    answer = await user.client.get(path)
    assert answer.status_code in {404, 422}
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b"200"),
        (b"no HTTP at all\r\n\r\n", b"400"),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-More: " + b"x" * 40_000 + b"\r\n\r\n", b"431"),
    ],
)
def test_no_answer_is_sniffed_or_kept_or_names_the_server(real_server: str, said: bytes, status: bytes) -> None:
    address = ("127.0.0.1", int(real_server.rpartition(":")[2]))
    heard = b""
    with socket.create_connection(address, timeout=20) as client:
        client.sendall(said)
        while part := client.recv(65_536):
            heard += part
    head = heard.partition(b"\r\n\r\n")[0].lower()
    assert head.split()[1] == status
    assert b"x-content-type-options: nosniff" in head
    assert b"cache-control: no-store" in head
    assert b"content-type: " in head
    assert b"\r\nserver:" not in head
    assert b"uvicorn" not in head
