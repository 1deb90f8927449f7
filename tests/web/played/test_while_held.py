"""While something is held: tokens that end, and a phone that was in a pocket (checks 10 and 11 of the app)."""

from functools import partial

from playwright.sync_api import Browser, expect

from tests.kit.paper import eventually
from tests.web.live.phone import SOON_MS
from tests.web.played.server import TOKEN_S, PlayedServer, trader_at
from tests.web.small_screen import SLACK_MS

A_DAY_S = 24 * 3600
RENEWED_BEFORE_S = 60
"""How long before its end the app asks for the next token."""

SAID = """
window.said = new Set()
const look = () => document.querySelectorAll('header .link, article .badge').forEach(one => said.add(one.textContent))
window.watch = () => { look()
  new MutationObserver(look).observe(document.body, {subtree: true, childList: true, characterData: true}) }"""
"""Every word of the link's sign and of the cards' badges, from `watch` on."""

POCKET = """
let pocketed = false
Object.defineProperty(document, 'visibilityState', {get: () => pocketed ? 'hidden' : 'visible'})
window.pocket = value => { pocketed = value; document.dispatchEvent(new Event('visibilitychange')) }"""
"""Whether the page is seen, as a test says it: a browser without a window always shows its pages."""


def test_check_11_tokens_that_end_make_no_gap_in_the_stream_and_no_flicker(browser: Browser) -> None:
    server = PlayedServer(3, token_s=16, pause_s=0.2)  # the next stream has half of it to open, also on a busy machine
    with trader_at(server, browser, script=SAID) as page:
        expect(page.locator("header .link")).to_have_text("Live", timeout=SOON_MS)
        expect(page.locator("article .badge")).to_have_text(["Guarded"] * 3, timeout=SOON_MS)
        page.evaluate("watch()")
        renewed, opened = len(server.granted) + 2, server.opened + 2
        eventually(lambda: len(server.granted) >= renewed and server.opened >= opened, 60, "two tokens have ended")
        sent = server.sent
        eventually(lambda: server.sent >= sent + 5, what="prices")
        assert (server.cut, server.gaps) == (0, 0)
        assert server.opened == len(server.granted), "one stream for each token"
        assert set(page.evaluate("[...said]")) == {"Live", "Guarded"}


def test_check_11_a_day_of_tokens_ends_no_login(browser: Browser) -> None:
    server = PlayedServer(1, pause_s=0.05)
    with trader_at(server, browser, own_clock=True) as page:
        live = page.locator("header .link")
        expect(live).to_have_text("Live", timeout=SOON_MS)
        for renewed in range(1, A_DAY_S // TOKEN_S + 1):
            server.ahead_s += TOKEN_S - RENEWED_BEFORE_S
            page.clock.fast_forward((TOKEN_S - RENEWED_BEFORE_S) * 1000)
            eventually(partial(server.has_renewed, renewed), what="another token, and a stream of it")
            expect(live).to_have_text("Live", timeout=SOON_MS)
        assert server.cut == 0
        expect(page.locator("article .badge")).to_have_text("Guarded")


def test_check_10_after_ten_minutes_in_a_pocket_the_newest_is_shown_and_what_was_typed_is_there(
    browser: Browser,
) -> None:
    server = PlayedServer(8, token_s=300)
    with trader_at(server, browser, "strategies", script=POCKET, own_clock=True) as page:
        row = page.locator(".content li", has_text="SHARE1")
        expect(row.locator(".badge")).to_have_text("Guarded", timeout=SOON_MS)
        page.get_by_label("Find by symbol").fill("share1")
        page.evaluate("window.loadedOnce = true; pocket(true)")
        server.silent, opened = True, server.opened
        page.clock.fast_forward("10:00")
        server.sold.add(1)
        eventually(lambda: server.opened > opened, what="the phone has tried in vain")
        server.silent = False
        page.evaluate("pocket(false)")
        expect(row.locator(".badge")).to_have_text("Sold", timeout=1_500 + SLACK_MS)
        expect(page.locator("header .link")).to_have_text("Live")
        expect(page.get_by_label("Find by symbol")).to_have_value("share1")
        assert page.evaluate("window.loadedOnce"), "it was loaded again"


def test_the_page_of_a_strategy_asks_for_its_story_once_and_not_with_each_price(browser: Browser) -> None:
    server = PlayedServer(1, pause_s=0.2)
    with trader_at(server, browser, "strategy/1") as page:
        expect(page.locator(".content .badge").first).to_have_text("Guarded", timeout=SOON_MS)
        sent = server.sent
        eventually(lambda: server.sent >= sent + 20, 60, "twenty prices")
        assert max(server.asked_for("/timeline"), server.asked_for("/bars")) <= 2, server.asked
