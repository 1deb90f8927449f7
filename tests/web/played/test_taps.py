"""What sells wants a finger that stays: not one that taps twice, not two, not one whose page has gone (check 17)."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Locator, Page, Request, expect

from tests.web.live.phone import SOON_MS
from tests.web.played.server import PlayedServer, trader_at

LONGER = "00:10"
"""More than any button must be held."""

TOUCH = """(button, [kind, finger]) => button.dispatchEvent(new PointerEvent(kind,
  {pointerId: finger, pointerType: 'touch', isPrimary: finger === 1, button: 0, bubbles: true}))"""

CANCELLED = "dialog.querySelector('[data-cancel] button').click()"
ESCAPED = "dialog.requestClose()"
OPENED_AGAIN = """async dialog => {
  const called = new Promise(closed => dialog.addEventListener('close', () => requestAnimationFrame(closed)))
  %s
  await new Promise(queueMicrotask)
  document.querySelector('[aria-label="Stop SHARE1 …"]').click()
  await called
  return dialog.open
}"""
"""Close a dialog, open it again, and wait for a browser's later `close`: whether it is open then."""


@contextmanager
def phone(browser: Browser, path: str, sent: list[str]) -> Iterator[Page]:
    """A phone with something held. `sent`: every request of its that is no `GET`, but for its session."""

    def hear(request: Request) -> None:
        if request.method != "GET" and "/auth/" not in request.url:
            sent.append(request.url)

    with trader_at(PlayedServer(2), browser, path, own_clock=True) as page:
        expect(page.locator("header .link")).to_have_text("Live", timeout=SOON_MS)
        page.on("request", hear)
        yield page


def touch(button: Locator, *events: tuple[str, int]) -> None:
    for event in events:
        button.evaluate(TOUCH, event)


def test_a_finger_that_rests_sells(browser: Browser) -> None:
    sent: list[str] = []
    with phone(browser, "panic", sent) as page:
        touch(page.get_by_role("button", name="Sell everything now"), ("pointerdown", 1))
        with page.expect_request("**/panic"):
            page.clock.fast_forward(LONGER)


def test_two_fingers_that_tap_sell_nothing(browser: Browser) -> None:
    sent: list[str] = []
    with phone(browser, "panic", sent) as page:
        button = page.get_by_role("button", name="Sell everything now")
        touch(button, ("pointerdown", 1), ("pointerdown", 2), ("pointerup", 1), ("pointerup", 2))
        page.clock.fast_forward(LONGER)
        expect(button).to_contain_text("Press and hold")
        assert sent == []


@pytest.mark.parametrize("leaves", ["location.hash = '#/today'", "history.back()"])
def test_a_page_that_goes_while_a_finger_rests_on_its_button_sells_nothing(browser: Browser, leaves: str) -> None:
    sent: list[str] = []
    with phone(browser, "today", sent) as page:
        page.get_by_role("link", name="Sell everything").click()
        touch(page.get_by_role("button", name="Sell everything now"), ("pointerdown", 1))
        page.evaluate(leaves)
        expect(page.get_by_role("heading", name="Today", exact=True)).to_be_visible(timeout=SOON_MS)
        page.clock.fast_forward(LONGER)
        expect(page.locator("article").first).to_be_visible()
        assert sent == []


def test_a_dialog_that_is_closed_while_a_finger_rests_on_its_button_sells_nothing(browser: Browser) -> None:
    sent: list[str] = []
    with phone(browser, "today", sent) as page:
        page.get_by_role("button", name="Stop SHARE1").click()
        touch(page.get_by_role("button", name="Sell 10 SHARE1 now"), ("pointerdown", 1))
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_be_hidden()
        page.clock.fast_forward(LONGER)
        expect(page.locator("article").first).to_be_visible()
        assert sent == []


@pytest.mark.parametrize(("level", "says"), [("99999", "It sells at once"), ("1", "from the last price")])
def test_a_tap_that_comes_twice_neither_sells_nor_lowers_the_stop_loss(browser: Browser, level: str, says: str) -> None:
    sent: list[str] = []
    with phone(browser, "strategy/1", sent) as page:
        page.get_by_role("button", name="Move the stop-loss").click()
        page.get_by_label("New stop-loss").fill(level)
        expect(page.get_by_text(says)).to_be_visible()
        button = page.get_by_role("button", name="Move it to")
        button.scroll_into_view_if_needed()
        box = button.bounding_box()
        assert box is not None
        page.mouse.dblclick(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, delay=30)
        page.clock.fast_forward(LONGER)
        expect(button).to_have_count(0)
        assert sent == []


@pytest.mark.parametrize("closes", [CANCELLED, ESCAPED])
def test_a_dialog_that_is_opened_again_before_the_browser_calls_it_closed_stays_open(
    browser: Browser, closes: str
) -> None:
    with phone(browser, "today", []) as page:
        page.get_by_role("button", name="Stop SHARE1").click()
        assert page.get_by_role("dialog").evaluate(OPENED_AGAIN % closes)
        expect(page.get_by_role("button", name="Leave it running")).to_be_focused()
