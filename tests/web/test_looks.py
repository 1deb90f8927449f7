"""Every state and the pages before a login, in a real browser under the product's own policy (row O1)."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.web.chromium import ROOT
from tests.web.small_screen import Console, small_screen

AXE = ROOT / "tests" / "web" / "browser" / "node_modules" / "axe-core" / "axe.min.js"
CONFIG = {
    "version": "0.1.0",
    "registration": "open",
    "brokers": ["paper"],
    "password": {"fewest_characters": 8, "most_characters": 256},
    "time_zone": "Asia/Kolkata",
    "limits": {},
    "login_days": 90,
    "login_unused_days": 14,
}
PAGES = ("gallery", "login", "register", "help")

TOO_SMALL = """[...document
  .querySelectorAll('main a, main button, main select, main input:not([type=radio], [type=checkbox])')]
 .filter(one => { const box = one.getBoundingClientRect();
  return box.width && (box.height < 43.5 || box.width < 43.5) }).map(one => one.outerHTML)"""


FONT_SIZE = "parseFloat(getComputedStyle(document.querySelector('main p')).fontSize)"
CUT_OFF = """[...document.querySelectorAll('main *')]
 .filter(one => { const style = getComputedStyle(one);
  return style.overflowX !== 'visible' && one.clientWidth && one.scrollWidth > one.clientWidth + 1
   && !one.matches('input, select, .heard-only') }).map(one => one.outerHTML.slice(0, 200))"""
"""What does not fit into its box, which hides the rest."""

LAID_OUT = "document.querySelectorAll('article').forEach(one => one.style.contentVisibility = 'visible')"
"""Cards that are out of sight are not laid out, and then not judged either."""

CONTROLLED = """navigator.serviceWorker.controller ? true : new Promise(done =>
  navigator.serviceWorker.addEventListener('controllerchange', () => done(true)))"""


@contextmanager
def opened(
    browser: Browser,
    address: str,
    path: str,
    *,
    width: int = 360,
    theme: str = "light",
    zone: str = "Asia/Kolkata",
    allowed: str = "^$",
) -> Iterator[Page]:
    """A page of the app that complains at the end of everything that the console said."""
    context = small_screen(browser, width=width, theme=theme, zone=zone)
    console = Console()
    page = context.new_page()
    console.listen(page)
    context.route("**/app/config", configured)
    page.goto(f"{address}/app/#/{path}")
    expect(page.locator("main h1").first).to_be_visible()
    yield page
    context.close()
    assert console.complaints(allowed) == []


def configured(route: Route) -> None:
    route.fulfill(content_type="application/json", body=json.dumps(CONFIG))


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_check_06_no_page_breaks_a_rule_of_accessibility(
    browser: Browser, app_address: str, path: str, theme: str
) -> None:
    with opened(browser, app_address, path, theme=theme) as page:
        session = page.context.new_cdp_session(page)
        # As a debugger does: the policy forbids scripts that are written into the page.
        session.send("Runtime.evaluate", {"expression": AXE.read_text(encoding="utf-8")})
        page.evaluate(LAID_OUT)
        tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
        found = page.evaluate("tags => axe.run({runOnly: tags})", tags)
        broken = [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found["violations"]]
        assert broken == []
        assert found["passes"]


@pytest.mark.parametrize("width", [320, 360, 412, 768, 1280])
@pytest.mark.parametrize("path", PAGES)
def test_check_05_no_page_is_wider_than_the_screen_and_a_thumb_hits_every_control(
    browser: Browser, app_address: str, path: str, width: int
) -> None:
    with opened(browser, app_address, path, width=width) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(TOO_SMALL) == []


@pytest.mark.parametrize("width", [320, 360, 1280])
@pytest.mark.parametrize("path", PAGES)
def test_check_05_text_of_twice_the_size_fits_the_screen(
    browser: Browser, app_address: str, path: str, width: int
) -> None:
    with opened(browser, app_address, path, width=width) as page:
        before = page.evaluate(FONT_SIZE)
        page.evaluate("document.documentElement.style.fontSize = '200%'")
        assert page.evaluate(FONT_SIZE) == 2 * before, "the sizes of the app follow those of the browser"
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(CUT_OFF) == []


def test_check_06_every_state_has_a_word_that_does_not_need_its_colour(browser: Browser, app_address: str) -> None:
    with opened(browser, app_address, "gallery") as page:
        words = page.locator("[data-state] .badge").all_text_contents()
        assert len(words) > 20
        assert all(word.strip() for word in words)


def test_check_19_times_are_indian_in_a_browser_of_new_york(browser: Browser, app_address: str) -> None:
    with opened(browser, app_address, "gallery", zone="America/New_York") as page:
        expect(page.locator("[data-state=unseen]")).to_contain_text("As of 10:24:49")


def test_check_22_markup_and_scripts_that_are_put_into_the_page_are_refused(browser: Browser, app_address: str) -> None:
    with opened(browser, app_address, "login", allowed="TrustedHTML") as page:
        refused = page.evaluate("(() => { try { document.body.innerHTML = '<b></b>'; return '' } "
                                "catch (error) { return error.name } })()")  # fmt: skip
        assert refused == "TypeError"


def test_check_07_the_keyboard_reaches_the_form_and_the_content(browser: Browser, app_address: str) -> None:
    with opened(browser, app_address, "login") as page:
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        assert page.evaluate("document.querySelector(document.activeElement.hash)?.localName") == "main"
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Log in")).to_be_focused()
        page.keyboard.press("Tab")
        expect(page.get_by_label("E-mail")).to_be_focused()


def test_check_20_without_a_network_the_shell_is_shown_out_of_one_version(browser: Browser, app_address: str) -> None:
    with opened(browser, app_address, "login", allowed="ERR_INTERNET_DISCONNECTED|cross-world") as page:
        page.evaluate("navigator.serviceWorker.ready.then(() => true)")
        page.evaluate(CONTROLLED)
        names = page.evaluate("caches.keys()")
        assert len(names) == 1
        kept = page.evaluate(
            "name => caches.open(name).then(cache => cache.keys()).then(keys => keys.map(one => one.url))", names[0]
        )
        assert all(f"{app_address}/app/" in address for address in kept)
        assert not [address for address in kept if address.endswith("/app/config")]
        page.context.unroute("**/app/config")
        page.context.set_offline(True)
        page.goto(f"{app_address}/app/#/help")
        page.reload()
        expect(page.get_by_role("heading", name="How to get out without this app")).to_be_visible()
        page.context.set_offline(False)


def test_check_20_it_can_be_installed(browser: Browser, app_address: str) -> None:
    with opened(browser, app_address, "login") as page:
        page.evaluate("navigator.serviceWorker.ready.then(() => true)")
        session = page.context.new_cdp_session(page)
        errors = session.send("Page.getInstallabilityErrors")["installabilityErrors"]
        assert [error["errorId"] for error in errors if error["errorId"] != "in-incognito"] == []
