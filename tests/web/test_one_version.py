"""A newer version takes over when it is asked to, once, and leaves no older file behind (check 21 of the app)."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from api.web.routes import BUNDLE
from tests.web.served import served_app
from tests.web.test_looks import configured

SWITCH_MS = 60_000
"""How soon after a switch the prompt is to be seen, and after it the new version: workers start when a core is free."""

GRANTED = '{"access_token": "a", "token_type": "bearer", "expires_in": 900, "refresh_token": null}'
EVENTS = 'event: hello\ndata: {"time": "2026-11-30T10:25:49+05:30", "version": "0.1.0", "user_id": 1}\n\n'
"""A stream that ends at once: the app goes on without it."""


def answer(route: Route) -> None:
    """What a server would say to a user who is logged in, as far as the frame of the app needs it."""
    path = route.request.url.partition("//")[2].partition("/")[2].partition("?")[0]
    if path == "auth/refresh":
        route.fulfill(content_type="application/json", body=GRANTED)
    elif path == "strategy/events":
        route.fulfill(content_type="text/event-stream", body=EVENTS)
    else:
        route.fulfill(status=503, content_type="application/json", body='{"detail": "Not here", "code": "not_here"}')


@contextmanager
def logged_in(browser: Browser, address: str) -> Iterator[tuple[BrowserContext, Page]]:
    context = browser.new_context(viewport={"width": 360, "height": 740})
    context.add_init_script("localStorage.setItem('tradeactors.login', 'yes')")
    for room in ("auth", "broker", "strategy", "notifications"):
        context.route(f"**/{room}/**", answer)
    context.route("**/app/config", configured)
    page = context.new_page()
    page.goto(f"{address}/app/")
    expect(page.get_by_role("navigation", name="Main")).to_be_visible()
    yield context, page
    context.close()


def changed(folder: Path) -> Path:
    """The bundle of another version: the worker's name of it differs, and one of its files."""
    bundle = folder / "dist"
    shutil.copytree(BUNDLE, bundle)
    worker = bundle / "sw.js"
    text = worker.read_text(encoding="utf-8")
    (start,) = [place for place in (text.find("tradeactors-"),) if place >= 0]
    version = text[start + len("tradeactors-") : start + len("tradeactors-") + 16]
    worker.write_text(text.replace(version, "0" * 16), encoding="utf-8")
    page = bundle / "index.html"
    page.write_text(
        page.read_text(encoding="utf-8").replace("<title>", "<meta name='second'><title>"), encoding="utf-8"
    )
    return bundle


def test_check_21_a_newer_version_is_offered_and_taken_over_with_one_reload(browser: Browser, tmp_path: Path) -> None:
    with served_app() as address:
        port = int(address.rpartition(":")[2])
        first = logged_in(browser, address)
        context, page = first.__enter__()
        page.evaluate("navigator.serviceWorker.ready.then(() => true)")
        page.reload()
        expect(page.get_by_role("navigation", name="Main")).to_be_visible()
        before = page.evaluate("caches.keys()")
    loads: list[str] = []
    page.on("load", lambda loaded: loads.append(loaded.url))
    with served_app(changed(tmp_path), port):
        page.evaluate("navigator.serviceWorker.getRegistration().then(one => one.update()).then(() => true)")
        reload = page.get_by_role("button", name="Reload with it")
        expect(reload).to_be_visible(timeout=SWITCH_MS)
        assert loads == [], "it was loaded again before it was asked for"
        reload.click()
        expect(page.locator("meta[name=second]")).to_have_count(1, timeout=SWITCH_MS)
        expect(page.get_by_role("navigation", name="Main")).to_be_visible(timeout=SWITCH_MS)
        after = page.evaluate("caches.keys()")
        assert (len(loads), len(before), len(after)) == (1, 1, 1)
        assert before != after
        first.__exit__(None, None, None)
        assert context.pages == []
