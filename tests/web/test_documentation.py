"""The documentation site in a browser: it searches, draws its diagrams, and asks no other server for anything."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from docs.site.__main__ import build, write_pages
from docs.site.rendered import faults
from tests.web.small_screen import Console


class Quiet(SimpleHTTPRequestHandler):
    """Serves files, and keeps its log to itself."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        """Nothing: pytest's output is for tests."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    write_pages(folder)
    build(folder)
    return folder / "html"


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A page; what goes wrong in it, or is asked of another server, fails the test that has it."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    opened = context.new_page()
    asked: list[str] = []
    console = Console()
    console.listen(opened)
    opened.on("request", lambda request: asked.append(request.url))
    yield opened
    context.close()
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
    assert console.complaints() == []


def test_every_link_and_every_place_that_it_names_is_there(site: Path) -> None:
    assert list(faults(site)) == []


def test_a_reader_finds_a_page_by_a_word(page: Page, address: str) -> None:
    page.goto(f"{address}/index.html")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("combobox", name="Search").fill("heartbeat_url")
    found = page.get_by_role("listbox", name="Search results").get_by_role("option")
    found.filter(has_text="Settings").first.click()
    expect(page.locator("h1")).to_contain_text("Settings")
    assert page.url.startswith(f"{address}/settings.html")


@pytest.mark.parametrize(("name", "diagrams"), [("index.html", 1), ("architecture.html", 2)])
def test_diagrams_are_drawn(page: Page, address: str, name: str, diagrams: int) -> None:
    page.goto(f"{address}/{name}")
    # Each is drawn out of sight of scripts and tests: what is seen of it is its size, and that its text is gone.
    expect(page.locator("div.mermaid")).to_have_count(diagrams)
    expect(page.locator("pre.mermaid")).to_have_count(0)
    for number in range(diagrams):
        box = page.locator("div.mermaid").nth(number).bounding_box()
        assert box is not None
        assert box["height"] > 100


def test_the_four_kinds_of_readers_have_a_part_each(page: Page, address: str) -> None:
    page.goto(f"{address}/index.html")
    for part in ("For traders", "For app developers", "For operators", "For contributors"):
        expect(page.get_by_role("link", name=part).first).to_be_visible()
