"""Take the README's pictures of the app, from a running stack, into docs/pictures/: the list, a strategy, a START.

    .venv/bin/python docs/make_app_pictures.py [--at URL]

Run it beside `tradeactors up`. It registers a trader with an account at the paper exchange, trades with the app by
hand, as the tests do, and photographs what a phone shows.
"""

import argparse
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
FOLDER = ROOT / "docs" / "pictures"
SCALE = 2
"""Points of a picture to one of the phone: the README shows them smaller, on screens of any kind."""


def main() -> None:
    """Three pictures."""
    from playwright.sync_api import expect

    from tests.web.chromium import chromium
    from tests.web.screens import Eyes, form, walk

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--at", default="http://127.0.0.1:8000", help="where the API is")
    base = parser.parse_args().at
    with chromium() as browser:
        eyes = Eyes(ROOT / "screens")
        context, page = eyes.open(browser, 360, "light", SCALE)
        tried = walk(page, eyes, base, f"picture-{time.time_ns()}@example.com")
        page.goto(f"{base}/app/#/{tried}")
        expect(page.locator("canvas").first).to_be_visible(timeout=20_000)
        page.screenshot(path=FOLDER / "app-strategy.png")
        form(page, eyes, base)
        page.goto(f"{base}/app/#/today")
        expect(page.locator("article")).to_have_count(2, timeout=20_000)
        page.screenshot(path=FOLDER / "app-today.png")
        context.close()
        (FOLDER / "app-start.png").write_bytes((eyes.folder / "walk-13-start.png").read_bytes())
    if eyes.complaints:
        raise SystemExit("\n".join(dict.fromkeys(eyes.complaints)))


if __name__ == "__main__":
    main()
