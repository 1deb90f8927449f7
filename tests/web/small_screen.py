"""A screen as wide as a phone's, and what the console of its pages says."""

import re
from dataclasses import dataclass, field

from playwright.sync_api import Browser, BrowserContext, Page

HARMLESS = (r"^Error with Permissions-Policy header: Unrecognized feature: 'bluetooth'\.",)
"""What this browser says of a header of `api/web/routes.py`: it does not know a feature that others do."""

KNOWN = (
    r"^A preload for .* cross-world service worker resource mismatch",
    r"status of 404 .*/schedule$",
)
"""What this browser says of a page that its worker has taken over meanwhile; and that a strategy has no schedule, which
its page asks for."""

SLACK_MS = 4_000
"""What a busy machine may add to a time that is promised. With it still less than what would show the same without an
event: looks are eight seconds apart, and a link is lost after twenty seconds of silence."""


def small_screen(
    browser: Browser, *, width: int = 360, theme: str = "light", zone: str = "Asia/Kolkata"
) -> BrowserContext:
    """A browser of its own that shows pages like a phone of this width, in this time zone."""
    return browser.new_context(
        viewport={"width": width, "height": 740},
        color_scheme="dark" if theme == "dark" else "light",
        timezone_id=zone,
    )


@dataclass
class Console:
    """Everything that the consoles of some pages said, errors of their scripts included."""

    said: list[str] = field(default_factory=list)

    def listen(self, page: Page) -> None:
        """Remember what this page's console says, with the address of the file that says it."""
        page.on("console", lambda message: self.said.append(f"{message.text} {message.location['url']}"))
        page.on("pageerror", lambda error: self.said.append(str(error)))

    def complaints(self, *known: str) -> list[str]:
        """What was said, but for the harmless and for what these patterns find."""
        return [text for text in self.said if not any(re.search(one, text) for one in (*HARMLESS, *known))]
