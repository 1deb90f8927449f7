"""A trader's phone: the app of a running stack in a browser of its own, which complains of what the console said."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.kit.login_form import PASSWORD as BROKER_PASSWORD
from tests.kit.trader import Trader
from tests.web.small_screen import KNOWN, Console, small_screen

SOON_MS = 20_000
"""How long something on the screen may take on a busy machine, where no test says less."""


@dataclass
class Phone:
    """One page, logged in as a trader."""

    trader: Trader
    context: BrowserContext
    page: Page
    console: Console

    @property
    def address(self) -> str:
        """Where the app is."""
        return f"{self.trader.deployment.api_url}/app/"

    def open(self, path: str) -> Page:
        """A screen of the app, without loading the app again."""
        self.page.goto(f"{self.address}#/{path}")
        expect(self.page.locator(".content h1").first).to_be_visible(timeout=SOON_MS)
        return self.page

    def card(self, symbol: str) -> Locator:
        """The strategy on Today."""
        return self.page.locator("article").filter(has=self.page.get_by_text(symbol, exact=True))

    def log_in(self) -> None:
        """By the form, as a trader does."""
        self.page.goto(f"{self.address}#/login")
        self.page.get_by_label("E-mail").fill(self.trader.email)
        self.page.get_by_label("Password", exact=True).fill(self.trader.password)
        self.page.get_by_role("button", name="Log in").click()
        self.is_in(self.page)

    def is_in(self, page: Page) -> None:
        """The page is logged in, and hears the server."""
        expect(page.get_by_role("navigation", name="Main")).to_be_visible(timeout=SOON_MS)
        expect(page.locator("header .link")).to_have_text("Live", timeout=SOON_MS)

    def listen(self, page: Page) -> None:
        """Remember what this page's console says."""
        self.console.listen(page)

    def hold(self, button: Locator, until: Locator) -> None:
        """Rest a finger on a button until something is to be seen."""
        button.scroll_into_view_if_needed()
        button.hover()
        self.page.mouse.down()
        expect(until).to_be_visible(timeout=SOON_MS)
        self.page.mouse.up()


@contextmanager
def phone_of(
    browser: Browser,
    trader: Trader,
    *,
    width: int = 360,
    theme: str = "light",
    zone: str = "Asia/Kolkata",
    allowed: str = "^$",
) -> Iterator[Phone]:
    """A phone that is logged in. `allowed`: what its console may say."""
    context = small_screen(browser, width=width, theme=theme, zone=zone)
    phone = Phone(trader, context, context.new_page(), Console())
    phone.listen(phone.page)
    phone.log_in()
    yield phone
    context.close()
    said = phone.console.complaints(*KNOWN, allowed)
    assert not said, said


def log_in_at_the_broker(page: Page, trader: Trader) -> None:
    """Fill in the broker's own page."""
    expect(page.get_by_role("heading", name="Paper exchange")).to_be_visible(timeout=SOON_MS)
    page.get_by_label("User ID").fill(trader.account.user_id)
    page.get_by_label("Password").fill(BROKER_PASSWORD)
    page.get_by_role("button", name="Login").click()
    expect(page.get_by_role("heading", name="Connected")).to_be_visible(timeout=SOON_MS)
