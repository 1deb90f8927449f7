"""The browser of the tests: from a package, unpacked into `.venv/browser` by `make screens`, or the one that is named.

`TRADEACTORS_TEST_BROWSER` names another Chromium, such as Debian's.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).parents[2]


def browser_folder() -> Path:
    """Where the packaged browser is: beside the interpreter's environment, or in the checkout's own `.venv`."""
    return ROOT / ".venv" / "browser"


def launch_options() -> dict[str, Any]:
    """How Playwright starts it, without a window. Raises FileNotFoundError where none was unpacked."""
    named = os.environ.get("TRADEACTORS_TEST_BROWSER")
    folder = browser_folder()
    binary = Path(named) if named else folder / "chromium"
    if not binary.exists():
        raise FileNotFoundError(f"{binary} is missing: “make {folder.relative_to(ROOT)}/chromium” unpacks the browser")
    environment: dict[str, str | float | bool] = dict(os.environ)
    if not named:
        environment |= {
            "LD_LIBRARY_PATH": str(folder / "lib"),
            "FONTCONFIG_FILE": str(folder / "fonts.conf"),
            "FONTCONFIG_PATH": str(folder),
        }
    # Root may not use the sandbox, and CI runs as root; the pages are our own.
    arguments = ["--headless=shell", "--no-sandbox", "--disable-gpu"]
    return {"executable_path": binary, "env": environment, "args": arguments}


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window. Raises FileNotFoundError where none was unpacked."""
    options = launch_options()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**options)
        yield browser
        browser.close()
