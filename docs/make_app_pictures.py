"""Take the README's picture of the app's first minute, from a running stack: docs/pictures/app-first-minute.png.

    .venv/bin/python docs/make_app_pictures.py [--at URL]

Run it beside `tradeactors up`. It registers a trader with an account at the paper exchange, presses "Try it now" and
trades by hand, as the tests do, and puts three screens of a phone beside each other: a strategy that holds and is
guarded, what STOP asks, and the list with another strategy that waits.
"""

import argparse
import base64
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
PICTURE = ROOT / "docs" / "pictures" / "app-first-minute.png"
SCALE = 1.5
"""Points of the picture to one of the phone."""

BOARD = """<body style="margin: 0; display: flex; gap: 16px; width: max-content; background: transparent">{phones}"""
PHONE = """<img width="360" height="740" style="border: 1px solid #888; border-radius: 16px"
 src="data:image/png;base64,{png}">"""


def main() -> None:
    """One picture."""
    from playwright.sync_api import expect

    from tests.web.chromium import chromium
    from tests.web.screens import SOON_MS, Eyes, form, walk

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--at", default="http://127.0.0.1:8000", help="where the API is")
    base = parser.parse_args().at
    with chromium() as browser:
        eyes = Eyes(ROOT / "screens")
        context, page = eyes.open(browser, 360, "light", SCALE)
        tried = walk(page, eyes, base, f"picture-{time.time_ns()}@example.com")
        form(page, eyes, base)
        page.goto(f"{base}/app/#/{tried}")
        expect(page.locator("canvas").first).to_be_visible(timeout=SOON_MS)
        expect(page.locator(".content .badge").first).to_have_text("Guarded", timeout=SOON_MS)
        expect(page.locator(".said .line")).to_have_count(0, timeout=SOON_MS)
        detail = page.screenshot()
        page.get_by_role("button", name="Stop: sell 10 INFY").click()
        expect(page.get_by_role("dialog")).to_be_visible(timeout=SOON_MS)
        stop = page.screenshot()
        page.get_by_role("button", name="Leave it running").click()
        page.goto(f"{base}/app/#/today")
        expect(page.locator("article")).to_have_count(2, timeout=SOON_MS)
        today = page.screenshot()
        board = browser.new_page(device_scale_factor=SCALE, viewport={"width": 1130, "height": 742})
        phones = [PHONE.format(png=base64.b64encode(png).decode()) for png in (detail, stop, today)]
        board.set_content(BOARD.format(phones="".join(phones)))
        board.screenshot(path=PICTURE, full_page=True, omit_background=True)
        context.close()
    if eyes.complaints:
        raise SystemExit("\n".join(dict.fromkeys(eyes.complaints)))


if __name__ == "__main__":
    main()
