"""An app that is too old for its server says so until it is replaced, stops and sells, and begins nothing (row O1;
check 21 of the app).
"""

from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, Request, expect

from api.openapi.examples import EXAMPLES
from api.web.routes import BUNDLE
from config.version import product_version
from tests.web.live.phone import SOON_MS
from tests.web.played.server import PlayedServer, trader_at
from tests.web.played.test_late_answers import SETTLED
from tests.web.played.test_taps import LONGER, touch
from tests.web.screens import SCREENS
from tests.web.served import served_app
from tests.web.test_one_version import SWITCH_MS, changed

LATER = "99.0.0"


def live(page: Page) -> None:
    expect(page.locator("header .link")).to_have_text("Live", timeout=SOON_MS)


def too_old(page: Page) -> Locator:
    """What says so."""
    return page.get_by_role("alert").filter(has_text="This app is too old for its server")


def open_screen(page: Page, path: str) -> None:
    page.goto(f"{page.url.partition('#')[0]}#/{path}")
    expect(page.locator("main h1").first).to_be_visible(timeout=SOON_MS)


def test_check_21_it_is_said_on_every_screen_however_far_one_scrolls(browser: Browser) -> None:
    with trader_at(PlayedServer(2, answers=True, oldest=LATER), browser) as page:
        live(page)
        for path in (*SCREENS, "strategy/1", "gallery"):
            open_screen(page, path)
            page.evaluate("scrollTo(0, document.body.scrollHeight)")
            expect(too_old(page)).to_be_in_viewport()
            expect(too_old(page).get_by_role("button")).to_have_text(["Load the new version"])


def test_check_21_it_stops_and_sells(browser: Browser) -> None:
    with trader_at(PlayedServer(2, oldest=LATER), browser, own_clock=True) as page:
        live(page)
        expect(too_old(page)).to_be_visible(timeout=SOON_MS)
        page.get_by_role("button", name="Stop SHARE1").click()
        touch(page.get_by_role("button", name="Sell 10 SHARE1 now"), ("pointerdown", 1))
        with page.expect_request("**/strategy/stop"):
            page.clock.fast_forward(LONGER)
        expect(page.get_by_role("dialog")).to_contain_text("Not Allowed", timeout=SOON_MS)
        page.keyboard.press("Escape")
        open_screen(page, "panic")
        touch(page.get_by_role("button", name="Sell everything now"), ("pointerdown", 1))
        with page.expect_request("**/panic"):
            page.clock.fast_forward(LONGER)


def test_check_21_it_starts_nothing_even_by_a_button_that_was_missed(browser: Browser) -> None:
    sent: list[str] = []

    def hear(request: Request) -> None:
        if request.url.endswith("/strategy/start"):
            sent.append(request.url)

    with trader_at(PlayedServer(2, idle={2}, oldest=LATER), browser, worker=False) as page:
        live(page)
        page.on("request", hear)
        page.route("**/strategy/preview", lambda route: route.fulfill(json=EXAMPLES["StrategyPreview"]))
        page.get_by_role("button", name="Start …").click()
        start = page.get_by_role("dialog").get_by_role("button", name="Start for")
        expect(start).to_be_disabled(timeout=SOON_MS)
        expect(page.get_by_role("dialog")).to_contain_text("Load the new version first.")
        start.evaluate("one => one.disabled = false")
        start.click()
        page.evaluate(SETTLED)
        expect(page.get_by_role("dialog").get_by_role("button", name="Start for")).to_have_count(1)
        assert sent == []


def test_check_21_a_server_that_is_replaced_while_the_app_is_open_is_heard_of(browser: Browser) -> None:
    server = PlayedServer(1, pause_s=0.2)
    with trader_at(server, browser) as page:
        live(page)
        expect(too_old(page)).to_have_count(0)
        server.version = server.oldest = LATER
        server.hang_up()
        expect(too_old(page)).to_be_visible(timeout=SOON_MS)


def test_check_21_a_server_that_has_no_newer_one_is_said_to_have_none(browser: Browser) -> None:
    with trader_at(PlayedServer(1, oldest=LATER), browser) as page:
        page.evaluate("navigator.serviceWorker.ready.then(() => true)")
        with page.expect_event("load", timeout=SWITCH_MS):
            too_old(page).get_by_role("button").click(timeout=SOON_MS)
        expect(page.get_by_role("alert").filter(has_text="The server has no newer app yet")).to_be_visible(
            timeout=SOON_MS
        )


def newer(folder: Path) -> Path:
    """The bundle of a version that is new enough."""
    bundle = changed(folder)
    (core,) = (bundle / "assets").glob("core-*.js")
    text = core.read_text(encoding="utf-8")
    assert f"`{product_version()}`" in text
    core.write_text(text.replace(product_version(), LATER), encoding="utf-8")
    return bundle


def test_check_21_its_button_loads_a_version_that_is_new_enough(browser: Browser, tmp_path: Path) -> None:
    server = PlayedServer(1, pause_s=0.2)
    context = browser.new_context(viewport={"width": 360, "height": 740})
    context.add_init_script("localStorage.setItem('tradeactors.login', 'yes')")
    page = context.new_page()
    with served_app(BUNDLE, 0, server.router) as address:
        port = int(address.rpartition(":")[2])
        page.goto(f"{address}/app/")
        page.evaluate("navigator.serviceWorker.ready.then(() => true)")
        page.reload()
        live(page)
        server.ended = True
    server.ended, server.version, server.oldest = False, LATER, LATER
    with served_app(newer(tmp_path), port, server.router):
        expect(too_old(page)).to_be_visible(timeout=SWITCH_MS)
        too_old(page).get_by_role("button").click()
        expect(page.locator("meta[name=second]")).to_have_count(1, timeout=SWITCH_MS)
        live(page)
        expect(too_old(page)).to_have_count(0)
        server.ended = True
        context.close()
