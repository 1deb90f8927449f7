"""In by keyboard alone, back from the background, and through the broker's page (checks 7, 10 and 15 of the app)."""

import uuid

from playwright.sync_api import Browser, Page, expect

from tests.kit.trader import Deployment, Running, Trader
from tests.web.live.phone import SOON_MS, log_in_at_the_broker, phone_of

FOCUSED = """() => { const one = document.activeElement
  return one?.getAttribute('aria-label') ?? one?.labels?.[0]?.innerText ?? one?.innerText ?? '' }"""
MOST_STOPS = 60


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the control of that name has the focus."""
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        if page.evaluate(FOCUSED).strip().startswith(name):
            return
    raise AssertionError(f"no Tab leads to {name}")


def test_check_07_the_whole_flow_by_keyboard_alone_and_without_motion(browser: Browser, deployment: Deployment) -> None:
    context = browser.new_context(viewport={"width": 320, "height": 640}, reduced_motion="reduce")
    page = context.new_page()
    page.goto(f"{deployment.api_url}/app/")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible(timeout=SOON_MS)
    tab_to(page, "Open an account")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Open an account")).to_be_visible(timeout=SOON_MS)
    tab_to(page, "E-mail")
    page.keyboard.type(f"{uuid.uuid4().hex}@example.com")
    tab_to(page, "Password")
    page.keyboard.type("correct horse battery staple")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Use the paper exchange")).to_be_visible(timeout=SOON_MS)
    tab_to(page, "Use the paper exchange")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Try it now")).to_be_visible(timeout=SOON_MS)
    tab_to(page, "Try it now")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="INFY", exact=True)).to_be_visible(timeout=SOON_MS)
    tab_to(page, "Stop")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Leave it running")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert page.evaluate(FOCUSED).startswith("Stop")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Leave it running")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".content .badge").first).to_have_text("Ended", timeout=SOON_MS)
    assert page.evaluate("document.getAnimations().length") == 0
    context.close()


def test_check_10_a_page_that_was_frozen_shows_the_truth_again_and_keeps_what_was_typed(
    browser: Browser, trader: Trader, held: Running
) -> None:
    with phone_of(browser, trader) as phone:
        page = phone.page
        session = phone.context.new_cdp_session(page)
        page.get_by_role("link", name="New").click()
        page.get_by_label("Quantity").fill("77")
        session.send("Page.setWebLifecycleState", {"state": "frozen"})
        trader.ok("PATCH", f"/strategy/{held.id}", {"stop_loss": 1420.00})
        session.send("Page.setWebLifecycleState", {"state": "active"})
        expect(page.get_by_label("Quantity")).to_have_value("77")
        page.once("dialog", lambda asked: asked.accept())
        page.goto(f"{phone.address}#/today")
        expect(phone.card("INFY")).to_contain_text("stop 1,420.00", timeout=2_500)


def test_check_15_the_brokers_login_comes_back_to_this_page_and_to_another_browser(
    browser: Browser, trader: Trader
) -> None:
    with phone_of(browser, trader, allowed="favicon") as phone:
        page = phone.open("broker")
        before = trader.ok("GET", "/broker/status")["token_obtained_at"]
        page.get_by_role("button", name="Renew the paper login").click()
        log_in_at_the_broker(page, trader)
        assert trader.ok("GET", "/broker/status")["token_obtained_at"] != before
    address = trader.ok("GET", "/broker/login-url?return=app")["login_url"]
    elsewhere = browser.new_context()  # as on an iPhone, where the login comes back outside the installed app
    page = elsewhere.new_page()
    page.goto(address)
    log_in_at_the_broker(page, trader)
    connected = trader.ok("GET", "/broker/status")["token_obtained_at"]
    page.reload()  # a page that is opened again says what came of it, and logs in nowhere
    assert trader.ok("GET", "/broker/status")["token_obtained_at"] == connected
    page.goto(trader.ok("GET", "/broker/login-url?return=app")["login_url"])
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("heading", name="Login cancelled")).to_be_visible(timeout=SOON_MS)
    elsewhere.close()
