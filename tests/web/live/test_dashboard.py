"""An engineer finds a strategy's actor in Ray's dashboard by its symbol, and reads there what it has done (row P1).

With `DASHBOARD_PICTURES=1` it draws the pictures of docs/dashboard.md.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from config.ray_settings import TOKEN_FILE
from config.stack.stack import Stack
from tests.kit.trader import Running

SHOWN_MS = 60_000
"""How long the dashboard may take to show something on a busy machine; it asks its server every few seconds."""

PICTURES = Path(__file__).parents[3] / "docs" / "pictures"


def draw(page: Page, name: str) -> None:
    if os.environ.get("DASHBOARD_PICTURES"):
        page.screenshot(path=PICTURES / f"{name}.png")


@pytest.fixture
def dashboard(browser: Browser, stack: Stack) -> Iterator[Page]:
    """The page of all actors, after the dashboard has asked for Ray's token."""
    context = browser.new_context(viewport={"width": 1500, "height": 900})
    page = context.new_page()
    page.goto(f"{stack.urls['dashboard']}/#/actors")
    page.get_by_placeholder("Enter your authentication token").fill(
        (stack.settings.data_dir / TOKEN_FILE).read_text(encoding="ascii")
    )
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_label("Authentication Token")).to_be_hidden(timeout=SHOWN_MS)
    page.reload()
    yield page
    context.close()


def open_actor(page: Page, row: Locator) -> None:
    """Ray gives a new actor the nil ID until the statistics of its worker, some seconds old, know of it."""
    link = row.get_by_role("link").first
    expect(link).to_have_attribute("href", re.compile(r"#/actors/(?!f{32})[0-9a-f]{32}$"), timeout=SHOWN_MS)
    link.click()
    expect(page.get_by_text("Class Name")).to_be_visible(timeout=SHOWN_MS)


def test_an_actor_is_found_by_its_symbol_and_says_in_a_line_each_what_it_did(dashboard: Page, held: Running) -> None:
    dashboard.get_by_label("repr").fill("INFY 10 @")
    row = dashboard.get_by_role("row").filter(has_text=held.actor)
    expect(row).to_contain_text("StrategyActor", timeout=SHOWN_MS)
    expect(row).to_contain_text(re.compile(rf"{held.actor} INFY 10 @\d\d:\d\d:\d\d"))
    email = held.trader.email
    expect(row).not_to_contain_text(email)
    draw(dashboard, "dashboard-actors")
    open_actor(dashboard, row)
    dashboard.get_by_role("tab", name="stdout").click()
    line = re.compile(r"\d\d:\d\d:\d\d\.\d{3} IST \w+\s+ORDER_COMPLETE .*order \d+ 10 shares at ₹")
    expect(dashboard.get_by_text(line).first).to_be_visible(timeout=SHOWN_MS)
    expect(dashboard.get_by_text(f"tradeactors why {held.id}").first).to_be_attached()  # the list may have scrolled on
    draw(dashboard, "dashboard-actor")


def test_the_ledger_says_what_it_did_by_the_names_of_its_tasks(dashboard: Page, held: Running) -> None:
    dashboard.get_by_label("Name", exact=True).fill("ledger:0")
    row = dashboard.get_by_role("row").filter(has_text="ledger:0")
    open_actor(dashboard, row)
    expect(dashboard.get_by_text(re.compile("BUY accepted|record guarding")).first).to_be_visible(timeout=SHOWN_MS)
