"""Every screen of a trader who holds something: accessible, within the phone, and silent (checks 5, 6 and 22)."""

import pytest
from playwright.sync_api import Browser, Page, expect

from api.web.routes import APP_POLICY
from tests.kit.trader import Running, Trader
from tests.web.live.phone import SOON_MS, Phone, phone_of
from tests.web.screens import SCREENS
from tests.web.test_looks import AXE, CUT_OFF, LAID_OUT, TOO_SMALL

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


def walked(phone: Phone, strategy_id: int) -> list[tuple[str, Page]]:
    """The addresses of all screens."""
    return [(path, phone.page) for path in (*SCREENS, f"strategy/{strategy_id}", f"schedule/{strategy_id}")]


def settled(phone: Phone, path: str) -> None:
    phone.open(path)
    expect(phone.page.get_by_text("Asking the server")).to_have_count(0, timeout=SOON_MS)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_check_06_no_screen_breaks_a_rule_of_accessibility(
    browser: Browser, trader: Trader, held: Running, theme: str
) -> None:
    broken = {}
    with phone_of(browser, trader, theme=theme) as phone:
        session = phone.context.new_cdp_session(phone.page)
        # As a debugger does: the policy forbids scripts that are written into the page.
        session.send("Runtime.evaluate", {"expression": AXE.read_text(encoding="utf-8")})
        for path, page in walked(phone, held.id):
            settled(phone, path)
            page.evaluate(LAID_OUT)
            found = page.evaluate("tags => axe.run({runOnly: tags})", TAGS)
            assert found["passes"]
            if found["violations"]:
                broken[path] = [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found["violations"]]
    assert broken == {}


@pytest.mark.parametrize("width", [320, 1280])
def test_check_05_no_screen_is_wider_than_the_phone_and_a_thumb_hits_every_control(
    browser: Browser, trader: Trader, held: Running, width: int
) -> None:
    wrong = {}
    with phone_of(browser, trader, width=width) as phone:
        for path, page in walked(phone, held.id):
            settled(phone, path)
            found = (page.evaluate("document.documentElement.scrollWidth"), page.evaluate(TOO_SMALL))
            if found[0] > width or found[1]:
                wrong[path] = found
    assert wrong == {}


@pytest.mark.parametrize("width", [320, 1280])
def test_check_05_text_of_twice_the_size_fits_every_screen(
    browser: Browser, trader: Trader, held: Running, width: int
) -> None:
    wrong = {}
    with phone_of(browser, trader, width=width) as phone:
        phone.page.evaluate("document.documentElement.style.fontSize = '200%'")
        for path, page in walked(phone, held.id):
            settled(phone, path)
            found = (page.evaluate("document.documentElement.scrollWidth"), page.evaluate(CUT_OFF))
            if found[0] > width or found[1]:
                wrong[path] = found
    assert wrong == {}


def test_check_22_every_screen_keeps_the_policy_and_asks_no_other_origin(
    browser: Browser, trader: Trader, held: Running
) -> None:
    asked: set[str] = set()
    with phone_of(browser, trader) as phone:  # which complains of everything that the console says
        phone.page.on("request", lambda request: asked.add(request.url))
        with phone.page.expect_response("**/app/") as answer:
            phone.page.goto(phone.address)
            phone.page.reload()
        assert answer.value.headers["content-security-policy"] == APP_POLICY
        for path, _ in walked(phone, held.id):
            settled(phone, path)
    origin = trader.deployment.api_url
    assert [url for url in asked if not url.startswith((f"{origin}/", "data:", "blob:"))] == []
