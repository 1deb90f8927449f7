"""What a page shows is asked for when it opens, not over and over: a phone has a budget of requests."""

from collections import Counter

import pytest
from playwright.sync_api import Browser, expect

from tests.kit.paper import eventually
from tests.web.live.phone import SOON_MS
from tests.web.played.server import PlayedServer, trader_at

PAGES = {
    "activity": "/auth/activity",
    "notices": "/notifications",
    "notice-settings": "/notifications/preferences",
    "orders": "/orders",
    "devices": "/auth/logins",
    "ready": "/readiness",
    "schedules": "/schedule",
    "calendar": "/market/calendar",
}
MOST = 3
"""The bar on top asks for some of them as well, when the app opens and when its first picture has come."""


@pytest.mark.parametrize(("page", "asks"), PAGES.items(), ids=PAGES)
def test_a_page_asks_for_what_it_shows_once(browser: Browser, page: str, asks: str) -> None:
    server = PlayedServer(2, answers=True, pause_s=0.2)
    with trader_at(server, browser, page) as tab:
        expect(tab.locator("header .link")).to_have_text("Live", timeout=SOON_MS)
        eventually(lambda: server.asked_for(asks) >= 1, what=f"{page} asks for {asks}")
        sent = server.sent
        eventually(lambda: server.sent >= sent + 10, what="ten prices")
        often = {path: times for path, times in Counter(server.asked).items() if times > MOST}
        assert not often, often
        assert server.opened == 1, "one stream"
