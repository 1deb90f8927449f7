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


def test_no_strategies_are_said_to_be_none_before_their_list_has_come(browser: Browser, app_address: str) -> None:
    unanswered: list[Route] = []
    with logged_in(browser, app_address) as (context, opened):
        opened.goto(f"{app_address}/app/#/strategies")
        context.route("**/strategy/list**", lambda route: unanswered.append(route))  # noqa: PLW0108 - as above
        opened.reload()
        content = opened.locator(".content")
        expect(content.get_by_text("Asking the server …")).to_be_visible()
        unanswered.pop().fulfill(status=503, content_type="application/json", body='{"code": "engine_unavailable"}')
        expect(content.get_by_role("button", name="Try again")).to_be_visible()
        expect(content.get_by_text("None yet")).to_have_count(0)
        with opened.expect_request("**/strategy/list**"):
            content.get_by_role("button", name="Try again").click()
        unanswered.pop().fulfill(json={"strategies": [], "total": 0, "limit": 200, "offset": 0})
        expect(content.get_by_text("None yet")).to_be_visible()
