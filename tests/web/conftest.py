"""A browser and the app for these tests. Without the browser they are skipped, and in CI they fail."""

import os
import platform
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.web.chromium import browser_folder, chromium
from tests.web.served import served_app


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    named = os.environ.get("TRADEACTORS_TEST_BROWSER")
    fits = platform.machine() == "x86_64" and (browser_folder() / "chromium").exists()
    if not named and not fits:
        reason = "no browser: “make browser” unpacks one (x86-64), or TRADEACTORS_TEST_BROWSER names one"
        if os.environ.get("CI") == "true" and platform.machine() == "x86_64":
            pytest.fail(reason)
        pytest.skip(reason)
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="session")
def app_address() -> Iterator[str]:
    with served_app() as address:
        yield address
