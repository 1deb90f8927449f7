"""What a small phone must show at once, and times that are typed on it (checks 5 and 7 of the app)."""

import json
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from api.openapi.examples import EXAMPLES
from tests.web.live.phone import SOON_MS
from tests.web.played.server import PlayedServer, example, trader_at
from tests.web.played.test_late_answers import SETTLED

SMALLEST = {"width": 320, "height": 640}
WARNINGS = [
    {"code": "not_today", "message": "It will trade on Tuesday, 2026-12-01, not today"},
    {
        "code": "login_before_buy",
        "message": "Log in to your broker again before that: its login ends at 2026-12-01 06:00",
    },
]
BROKEN = """[...document.querySelectorAll('.badge')].filter(one => one.offsetHeight > 24).map(one => one.textContent)"""
"""Badges of more than one line."""


def live(page: Page) -> None:
    expect(page.locator("header .link")).to_have_text("Live", timeout=SOON_MS)


@pytest.mark.parametrize("size", [{"width": 360, "height": 740}, SMALLEST], ids=["360", "320"])
def test_a_start_with_two_warnings_shows_both_its_buttons_and_the_warnings(
    browser: Browser, size: dict[str, int]
) -> None:
    with trader_at(PlayedServer(1, idle={1}), browser, worker=False) as page:
        page.set_viewport_size({"width": size["width"], "height": size["height"]})
        live(page)
        preview = EXAMPLES["StrategyPreview"] | {"warnings": WARNINGS}
        page.route("**/strategy/preview", lambda route: route.fulfill(json=preview))
        page.get_by_role("button", name="Start …").click()
        dialog = page.get_by_role("dialog")
        for name in ("Start for", "Cancel"):
            expect(dialog.get_by_role("button", name=name)).to_be_in_viewport(ratio=1, timeout=SOON_MS)
        expect(dialog.get_by_text("not today")).to_be_in_viewport(ratio=1)
        expect(dialog.get_by_text("its login ends at 1 Dec")).to_be_visible()
        expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
        assert dialog.evaluate("one => one.scrollWidth <= one.clientWidth")


def test_the_bar_of_a_login_that_has_ended_is_one_row(browser: Browser) -> None:
    ended = (example("/broker/status") or {}) | {"token_expired": True, "broker": "kite", "broker_connected": True}
    with trader_at(PlayedServer(1), browser, worker=False) as page:
        page.set_viewport_size({"width": 320, "height": 640})
        page.route("**/broker/status", lambda route: route.fulfill(json=ended))
        page.reload()
        bar = page.locator("header").get_by_role("alert")
        expect(bar).to_contain_text("Broker login ended: exits cannot be sent", timeout=SOON_MS)
        expect(bar.get_by_role("button", name="Log in at Kite")).to_have_text("Log in")
        box = bar.bounding_box()
        assert box is not None
        assert box["height"] <= 68


@pytest.mark.parametrize("width", [320, 360])
def test_no_badge_is_broken_over_two_lines(browser: Browser, width: int) -> None:
    with trader_at(PlayedServer(3, sold={2}, idle={3}, answers=True), browser) as page:
        page.set_viewport_size({"width": width, "height": 740})
        live(page)
        for path in ("gallery", "strategies", "ready", "today"):
            page.goto(f"{page.url.partition('#')[0]}#/{path}")
            expect(page.locator("main .badge").first).to_be_visible(timeout=SOON_MS)
            assert page.evaluate(BROKEN) == [], path


def test_a_time_is_typed_in_24_hours_with_or_without_colons(browser: Browser) -> None:
    asked: list[Any] = []

    def hear(request: Request) -> None:
        if request.url.endswith("/strategy/preview"):
            asked.append(json.loads(request.post_data or "{}"))

    with trader_at(PlayedServer(1), browser, "new", worker=False, own_clock=True) as page:
        page.route("**/strategy/preview", lambda route: route.fulfill(json=EXAMPLES["StrategyPreview"]))
        page.on("request", hear)
        page.get_by_role("combobox", name="Share").fill("INFY")
        page.get_by_label("Quantity").fill("5")
        page.get_by_label("Stop-loss (₹)").fill("100")
        buy = page.get_by_label("Buy at (IST)")
        save = page.get_by_role("button", name="Save the strategy")
        buy.fill("")
        buy.press_sequentially("0925")
        with page.expect_request("**/strategy/preview"):
            page.clock.run_for(1_000)
        buy.press("Tab")
        expect(buy).to_have_value("09:25:00")
        page.clock.run_for(1_000)
        page.evaluate(SETTLED)
        assert [one["buy_time"] for one in asked] == ["09:25:00"], "the same time asks for no other preview"
        buy.focus()
        buy.evaluate("one => one.setSelectionRange(1, 1)")
        buy.press("ArrowUp")
        buy.press("ArrowUp")
        expect(buy).to_have_value("11:25:00")
        buy.evaluate("one => one.setSelectionRange(2, 2)")
        buy.press_sequentially("4059")
        expect(buy).to_have_value("11:40:59")
        buy.fill("3:10 pm")
        expect(page.get_by_text("Write a time of 24 hours")).to_have_count(0)
        buy.press("Tab")
        expect(page.get_by_text("Write a time of 24 hours, such as 15:10:00.")).to_be_visible()
        expect(buy).to_have_attribute("aria-invalid", "true")
        expect(save).to_be_disabled()
        buy.fill("15.05")
        expect(save).to_be_enabled()
