"""A page whose answer has not come yet says so, and is never blank (row O1)."""

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.web.test_one_version import logged_in


@pytest.mark.parametrize(
    ("page", "asks"),
    [
        ("devices", "**/auth/logins"),
        ("calendar", "**/market/calendar**"),
        ("activity", "**/auth/activity**"),
        ("orders", "**/orders?**"),
    ],
)
def test_a_page_that_waits_for_the_server_says_so(browser: Browser, app_address: str, page: str, asks: str) -> None:
    unanswered: list[Route] = []
    with logged_in(browser, app_address) as (context, opened):
        context.route(asks, lambda route: unanswered.append(route))  # noqa: PLW0108 - its inspector wants a function
        opened.goto(f"{app_address}/app/#/{page}")
        expect(opened.locator("main h1")).to_be_visible()
        expect(opened.locator(".content").get_by_text("Asking the server …")).to_be_visible()
        assert len(unanswered) == 1
        unanswered.pop().fulfill(status=503, content_type="application/json", body='{"code": "engine_unavailable"}')
        expect(opened.locator(".content").get_by_text("Asking the server …")).to_have_count(0)
