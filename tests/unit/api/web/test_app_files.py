"""The app at /app/: which files are served, as what, with which headers, and what is refused (row O1)."""

import gzip
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from api.app import create_app
from api.edge.middleware import SECURITY_HEADERS
from api.web.files import read_files
from api.web.routes import APP_HEADERS, APP_POLICY
from config.settings import Settings

SCRIPT = "assets/main-Bx7f_a-9.js"
LONG = b"export const app = 'tradeactors';\n" * 100
PAGE = b"<!doctype html><title>TradeActors</title>"
FILES = {
    "index.html": PAGE,
    "sw.js": b"self.skipWaiting();",
    "manifest.webmanifest": b'{"name":"TradeActors"}',
    "icons/app.svg": b"<svg/>",
    "assets/fixed.css": b"a{}",
    SCRIPT: LONG,
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("web") / "dist"
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (folder / ".vite").mkdir()
    (folder / ".vite" / "manifest.json").write_text("{}")
    (folder.parent / "secrets.json").write_text("{}")
    (folder / "linked.json").symlink_to(folder.parent / "secrets.json")
    return folder


def app_of(bundle: Path) -> FastAPI:
    return create_app(Settings(_env_file=None), None, bundle)


async def browser_of(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """It has not connected to anything: files need no database."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api", headers={"Accept": "text/html"}) as client:
        yield client


@pytest.fixture
async def browser(bundle: Path) -> AsyncIterator[httpx.AsyncClient]:
    async for client in browser_of(app_of(bundle)):
        yield client


async def test_each_file_has_its_kind_whatever_the_system_says(browser: httpx.AsyncClient) -> None:
    kinds = {name: (await browser.get(f"/app/{name}")).headers["Content-Type"] for name in FILES}
    assert kinds == {
        "index.html": "text/html; charset=utf-8",
        "sw.js": "text/javascript; charset=utf-8",
        "manifest.webmanifest": "application/manifest+json",
        "icons/app.svg": "image/svg+xml",
        "assets/fixed.css": "text/css; charset=utf-8",
        SCRIPT: "text/javascript; charset=utf-8",
    }


async def test_no_script_but_those_of_the_bundle_runs_and_no_page_frames_it(browser: httpx.AsyncClient) -> None:
    for path in ("/app/", "/app/strategies/1", "/app/sw.js", f"/app/{SCRIPT}"):
        headers = (await browser.get(path)).headers
        expected = dict(SECURITY_HEADERS) | dict(APP_HEADERS) | {"Cache-Control": headers["Cache-Control"]}
        assert {name: headers.get(name) for name in expected} == expected, path
    assert "unsafe" not in APP_POLICY
    assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"} <= set(APP_POLICY.split("; "))
    assert "require-trusted-types-for 'script'" in APP_POLICY
    assert "Strict-Transport-Security" in (await browser.get("https://api/app/")).headers


async def test_only_a_name_with_a_hash_is_kept_for_good(browser: httpx.AsyncClient) -> None:
    kept = {name: (await browser.get(f"/app/{name}")).headers["Cache-Control"] for name in (*FILES, "", "today")}
    assert {name for name, control in kept.items() if "immutable" in control} == {SCRIPT}
    assert set(kept.values()) == {"public, max-age=31536000, immutable", "no-cache"}


async def test_a_file_that_the_browser_has_is_not_sent_again(browser: httpx.AsyncClient) -> None:
    for name in ("index.html", SCRIPT):
        tag = (await browser.get(f"/app/{name}")).headers["ETag"]
        for known in (tag, f'"other", W/{tag}', "*"):
            again = await browser.get(f"/app/{name}", headers={"If-None-Match": known})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["ETag"] == tag
            assert again.headers["Content-Security-Policy"] == APP_POLICY
        assert (await browser.get(f"/app/{name}", headers={"If-None-Match": '"other"'})).status_code == 200


async def test_a_large_text_is_packed_for_those_who_can_unpack_it(browser: httpx.AsyncClient) -> None:
    async with browser.stream("GET", f"/app/{SCRIPT}", headers={"Accept-Encoding": "br, gzip"}) as answer:
        raw = b"".join([part async for part in answer.aiter_raw()])
    assert (answer.headers["Content-Encoding"], answer.headers["Vary"]) == ("gzip", "Accept-Encoding")
    assert gzip.decompress(raw) == LONG
    for accepted in ("identity", "gzip;q=0", "br, gzip; q=0.000, *", "*;q=0, gzip;q=0"):
        plain = await browser.get(f"/app/{SCRIPT}", headers={"Accept-Encoding": accepted})
        assert (plain.content, plain.headers["Vary"]) == (LONG, "Accept-Encoding")
        assert "Content-Encoding" not in plain.headers
        assert plain.headers["ETag"] != answer.headers["ETag"]
    assert "Vary" not in (await browser.get("/app/sw.js")).headers


async def test_an_address_of_a_screen_is_the_page_and_a_missing_file_is_not(browser: httpx.AsyncClient) -> None:
    for path in ("/app/", "/app/today", "/app/strategies/42", "/app/strategies/42/"):
        answer = await browser.get(path)
        assert (answer.status_code, answer.content) == (200, PAGE)
    for path in ("/app/gone.js", "/app/assets/chart-OldHash1.js", "/app/assets/chart", "/app/assets/", "/app/a.b/c"):
        answer = await browser.get(path)
        assert (answer.status_code, answer.json()["code"], answer.headers["Cache-Control"]) == (
            404, "not_found", "no-store",
        )  # fmt: skip


@pytest.mark.parametrize(
    "path",
    [
        "/app/../secrets.json", "/app/%2e%2e/secrets.json", "/app/..%2fsecrets.json",
        "/app/assets/..%2f..%2fsecrets.json", "/app/%2fetc%2fpasswd", "/app//etc/passwd",
        "/app/..%5csecrets.json", "/app/linked.json",
        "/app/.vite/manifest.json", "/app/.env", "/app/index.html%00", "/app/%00", "/app/%ff",
        "/app/index.html/", "/app/C:/", "/application", "/apps/",
    ],
)  # fmt: skip
async def test_no_other_file_can_be_named(bundle: Path, path: str) -> None:
    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    # As uvicorn hands it on; a client of Python's would tidy the path up first.
    plain = httpx.URL("http://api/" + path.replace("..", "%2e%2e").lstrip("/")).path
    app = app_of(bundle)
    scope = {
        "type": "http", "method": "GET", "path": plain, "raw_path": path.encode(), "query_string": b"", "headers": [],
        "scheme": "http", "server": ("api", 80), "client": ("192.0.2.1", 1), "http_version": "1.1", "root_path": "",
    }  # fmt: skip
    await app(scope, receive, send)
    assert messages[0]["status"] == (422 if "%00" in path else 404)


async def test_the_whole_file_answers_a_head_and_a_range(browser: httpx.AsyncClient) -> None:
    head = await browser.head(f"/app/{SCRIPT}", headers={"Accept-Encoding": "identity"})
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(LONG)))
    part = await browser.get(f"/app/{SCRIPT}", headers={"Range": "bytes=0-9,5-6"})
    assert (part.status_code, part.content, part.headers["Accept-Ranges"]) == (200, LONG, "none")
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        refused = await browser.request(method, "/app/")
        assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, HEAD")


async def test_a_browser_is_led_to_the_app_and_a_program_is_not(browser: httpx.AsyncClient) -> None:
    for path in ("/", "/app"):
        led = await browser.get(path)
        assert (led.status_code, led.headers["Location"]) == (307, "app/")
        assert str(led.url.join(led.headers["Location"])) == "http://api/app/"
    refused = await browser.get("/", headers={"Accept": "application/json"})
    assert (refused.status_code, refused.json()["code"]) == (404, "not_found")


async def test_files_cost_no_budget_of_a_user_or_an_address(bundle: Path) -> None:
    app = create_app(Settings(_env_file=None, auth_rate_per_minute=1, api_rate_per_minute=1), None, bundle)
    async for client in browser_of(app):
        asked = [await client.get("/app/", headers={"Authorization": "Bearer x"}) for _ in range(50)]
        assert {answer.status_code for answer in asked} == {200}


@pytest.mark.parametrize("exists", [True, False])
async def test_without_its_files_the_app_says_so(tmp_path: Path, exists: bool) -> None:
    folder = tmp_path / "dist"
    if exists:
        folder.mkdir()
    async for client in browser_of(app_of(folder)):
        answer = await client.get("/app/")
        assert (answer.status_code, answer.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
        assert "make web" in answer.text
        assert (await client.get("/app/sw.js")).json()["code"] == "not_found"


def test_only_files_of_the_folder_itself_are_read(bundle: Path) -> None:
    assert set(read_files(bundle)) == set(FILES)
