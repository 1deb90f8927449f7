"""Pictures of every screen, from the running stack, into `screens/`: `python -m tests.web.screens --at URL`.

Walks the app as a newcomer would (an account, the paper exchange with one tap, the trade to try), at 360 px, and then
looks at every screen at 320, 360 and 1280 px, light and dark, and at the trade when it was sold. Prints what a browser
complained of, and any page that is wider than the screen; the exit code is then 1.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.web.chromium import ROOT, chromium
from tests.web.small_screen import KNOWN, Console

PASSWORD = "a long sentence for a picture"
SCREENS = (
    "today",
    "strategies",
    "new",
    "activity",
    "orders",
    "notices",
    "notice-settings",
    "account",
    "devices",
    "password",
    "about",
    "broker",
    "panic",
    "ready",
    "schedules",
    "calendar",
    "help",
)
"""Addresses of screens that need no id."""

LAID_OUT = "document.querySelectorAll('article').forEach(one => one.style.contentVisibility = 'visible')"
"""Cards that are out of sight are not laid out, and then not in a picture either."""

VIEWS = ((320, "light"), (360, "light"), (360, "dark"), (1280, "light"), (1280, "dark"))
"""Each screen is looked at in these widths and themes."""

HELD_WITHIN_MS = 180_000
"""How long the trade to try may take until both guards confirm: it buys within a minute."""

SOON_MS = 60_000
"""How long everything else may take. Pictures are no measurement: a busy machine takes them too."""


REFUSED = r"status of 4\d\d .*/strategy/preview$"
"""What a browser says of the preview that is to be refused."""


class Eyes:
    """Takes pictures, and remembers complaints."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.console = Console()
        self.too_wide: list[str] = []
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def complaints(self) -> list[str]:
        """What the console said, and what does not fit."""
        return [*self.console.complaints(*KNOWN, REFUSED), *self.too_wide]

    def open(self, browser: Browser, width: int, theme: str, scale: float = 1) -> tuple[BrowserContext, Page]:
        """A browser of its own of that width and theme, with `scale` points of a picture to one of the screen."""
        context = browser.new_context(
            viewport={"width": width, "height": 740 if width < 840 else 860},
            color_scheme="dark" if theme == "dark" else "light",
            timezone_id="Asia/Kolkata",
            device_scale_factor=scale,
        )
        page = context.new_page()
        page.set_default_timeout(SOON_MS)
        self.console.listen(page)
        return context, page

    def look(self, page: Page, name: str, *, whole: bool = True) -> None:
        """A picture, and whether the page is too wide."""
        page.evaluate(LAID_OUT)
        page.evaluate("scrollTo(0, 0)") if whole else None
        page.screenshot(path=self.folder / f"{name}.png", full_page=whole)
        width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        if width[0] > width[1]:
            self.too_wide.append(f"{name} is {width[0]} px wide on a screen of {width[1]}")


def walk(page: Page, eyes: Eyes, base: str, email: str) -> str:
    """The first minutes of a newcomer, at 360 px. Returns the address of the strategy that was tried."""
    page.goto(f"{base}/app/")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible(timeout=SOON_MS)
    eyes.look(page, "walk-1-login")
    page.get_by_role("link", name="Open an account").click()
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    eyes.look(page, "walk-2-register")
    page.get_by_role("button", name="Open the account").click()
    expect(page.get_by_role("button", name="Use the paper exchange")).to_be_visible(timeout=SOON_MS)
    eyes.look(page, "walk-3-first-steps")
    page.get_by_role("button", name="Use the paper exchange").click()
    tried_it = page.get_by_role("button", name="Try it now")
    expect(tried_it).to_be_visible(timeout=SOON_MS)
    eyes.look(page, "walk-4-try-it")
    tried_it.click()
    expect(page.get_by_role("heading", name="INFY", exact=True)).to_be_visible(timeout=SOON_MS)
    expect(page.locator(".content").get_by_text("Waiting", exact=True)).to_be_visible(timeout=SOON_MS)
    eyes.look(page, "walk-5-waiting")
    tried = page.url.split("#/")[1]
    expect(page.locator(".content").get_by_text("Guarded", exact=True)).to_be_visible(timeout=HELD_WITHIN_MS)
    expect(page.get_by_text("filled 10 at")).to_be_visible(timeout=SOON_MS)
    eyes.look(page, "walk-6-guarded")
    page.get_by_role("button", name="Move the stop-loss").click()
    page.get_by_role("button", name="One step higher").click()
    eyes.look(page, "walk-7-move-the-stop")
    page.get_by_role("button", name="Move it to").click()
    expect(page.get_by_text("INFY: stop-loss")).to_be_visible(timeout=SOON_MS)
    eyes.look(page, "walk-8-moved", whole=False)
    page.get_by_role("button", name="Stop: sell 10 INFY").click()
    expect(page.get_by_role("dialog")).to_be_visible(timeout=SOON_MS)
    eyes.look(page, "walk-9-stop", whole=False)
    page.get_by_role("button", name="Leave it running").click()
    return tried


def form(page: Page, eyes: Eyes, base: str) -> None:
    """A strategy that is described and looked at, and then started for its session."""
    page.goto(f"{base}/app/#/new")
    page.get_by_role("combobox", name="Share").fill("tc")
    expect(page.get_by_role("option").first).to_be_visible(timeout=SOON_MS)
    eyes.look(page, "walk-10-search")
    page.get_by_role("option", name="TCS").first.click()
    page.get_by_label("Quantity").fill("5")
    page.get_by_label("Stop-loss (₹)").fill("9999999")
    expect(page.locator(".problem, .banner").first).to_be_visible(timeout=SOON_MS)
    eyes.look(page, "walk-11-refused")
    page.get_by_label("Stop-loss (₹)").fill("100")
    page.get_by_role("button", name="1 % below", exact=True).click(timeout=SOON_MS)
    expect(page.get_by_text("Loss at stop")).to_be_visible(timeout=SOON_MS)
    eyes.look(page, "walk-12-preview")
    page.get_by_role("button", name="Save the strategy").click()
    page.get_by_role("button", name="Start …").click(timeout=SOON_MS)
    expect(page.get_by_role("button", name="Start for")).to_be_visible(timeout=SOON_MS)
    eyes.look(page, "walk-13-start", whole=False)
    page.get_by_role("button", name="Start for").click()
    expect(page.locator(".content").get_by_text("Waiting", exact=True).first).to_be_visible(timeout=SOON_MS)


def screens(page: Page, eyes: Eyes, base: str, tried: str, ending: str) -> None:
    """Every screen once."""
    for screen in (*SCREENS, tried, tried.replace("strategy", "schedule")):
        page.goto(f"{base}/app/#/{screen}")
        expect(page.locator("main h1").first).to_be_visible(timeout=SOON_MS)
        expect(page.get_by_text("Asking the server")).to_have_count(0, timeout=SOON_MS)
        eyes.look(page, f"{screen.replace('/', '-')}-{ending}")


def views(page: Page) -> Iterator[str]:
    """The page in each width and theme, one after the other; by what a picture of it ends with."""
    for width, theme in VIEWS:
        page.set_viewport_size({"width": width, "height": 740 if width < 840 else 860})
        page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        yield f"{width}-{theme}"


def sell(page: Page, base: str, tried: str) -> None:
    """Ends the trade by hand, unless its time has."""
    page.goto(f"{base}/app/#/{tried}")
    charges = page.get_by_text("After charges")
    stop = page.get_by_role("button", name="Stop: sell 10 INFY")
    expect(stop.or_(charges)).to_be_visible(timeout=SOON_MS)
    if stop.is_visible():
        stop.click()
        page.get_by_role("button", name="Sell 10 INFY now").hover()
        page.mouse.down()
        expect(charges).to_be_visible(timeout=SOON_MS)
        page.mouse.up()


def main() -> int:
    """0 if nothing was complained of."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--at", default="http://127.0.0.1:8000", help="where the API is")
    parser.add_argument("--into", type=Path, default=ROOT / "screens", help="the folder of the pictures")
    asked = parser.parse_args()
    eyes = Eyes(asked.into)
    with chromium() as browser:
        context, page = eyes.open(browser, 360, "light")
        tried = walk(page, eyes, asked.at, f"eyes-{time.time_ns()}@example.com")
        form(page, eyes, asked.at)
        for ending in views(page):
            screens(page, eyes, asked.at, tried, ending)
        sell(page, asked.at, tried)
        for ending in views(page):
            for name, path in (("sold", tried), ("sold-today", "today"), ("sold-orders", "orders")):
                page.goto(f"{asked.at}/app/#/{path}")
                expect(page.locator("main h1").first).to_be_visible(timeout=SOON_MS)
                expect(page.get_by_text("Asking the server")).to_have_count(0, timeout=SOON_MS)
                eyes.look(page, f"{name}-{ending}")
        context.close()
        context, page = eyes.open(browser, 360, "light")
        page.goto(f"{asked.at}/app/#/gallery")
        expect(page.get_by_role("heading", name="Every state")).to_be_visible(timeout=SOON_MS)
        for ending in views(page):
            eyes.look(page, f"gallery-{ending}")
        context.close()
    for complaint in dict.fromkeys(eyes.complaints):
        sys.stderr.write(f"{complaint}\n")
    sys.stdout.write(f"{len(list(asked.into.glob('*.png')))} pictures in {asked.into}\n")
    return 1 if eyes.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
