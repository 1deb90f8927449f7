"""What the first load costs, and that it asks no other origin (check 1 of the app). `make web-check` knows it too."""

import gzip
import re

from playwright.sync_api import Browser

from api.web.routes import BUNDLE
from tests.web.test_looks import opened

KB = 1000
FIRST_LOAD, CHART = 60 * KB, 60 * KB


def size(name: str) -> int:
    return len(gzip.compress((BUNDLE / name).read_bytes(), 9))


def test_check_01_the_first_load_and_the_chart_are_small() -> None:
    page = (BUNDLE / "index.html").read_text(encoding="utf-8")
    first = {"index.html", *re.findall(r"/app/([\w./-]+\.(?:js|css|svg|webmanifest))", page)}
    chart = [f"assets/{one.name}" for one in (BUNDLE / "assets").glob("PriceChart-*")]
    assert len(first) > 3
    assert chart
    assert sum(map(size, first)) <= FIRST_LOAD
    assert sum(map(size, chart)) <= CHART


def test_check_01_a_first_load_asks_one_origin(browser: Browser, app_address: str) -> None:
    with opened(browser, app_address, "login") as page:
        asked = page.evaluate("performance.getEntriesByType('resource').map(one => one.name)")
        assert asked
        assert [url for url in asked if not url.startswith(f"{app_address}/")] == []
