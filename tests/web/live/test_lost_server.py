"""An API process that dies, that is cut off, and whose tokens end (checks 9 and 11 of the app)."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from config.settings import PREFIX
from config.stack.guarded_process import answers_ok, free_ports
from tests.kit.cluster import Marked
from tests.kit.paper import eventually
from tests.kit.trader import Deployment, Running, Trader
from tests.web.live.phone import SOON_MS, phone_of
from tests.web.played.test_while_held import SAID
from tests.web.small_screen import SLACK_MS

AWAY = "ERR_CONNECTION|ERR_EMPTY_RESPONSE|ERR_INCOMPLETE|ERR_NETWORK|ERR_SOCKET"
STARTS_S, RENEWALS_S = 90, 120


class OwnApi:
    """Another API process of the stack, for one phone, on a port that it keeps. `minutes`: how long its tokens last."""

    def __init__(self, folder: Path, minutes: int) -> None:
        (self.port,) = free_ports(1)
        self._minutes = minutes
        self._log = folder / "api.log"

    def start(self) -> None:
        """Ready when it returns."""
        argv = [sys.executable, "-P", "-m", "config.commands.cli", "api"]
        own = {f"{PREFIX}API_PORT": str(self.port), f"{PREFIX}ACCESS_TOKEN_MINUTES": str(self._minutes)}
        self.process = Marked("own api", argv, own, self._log)
        eventually(lambda: answers_ok("127.0.0.1", self.port, "/readyz"), STARTS_S, "the API is ready")

    def trader(self, trader: Trader) -> Trader:
        """The same trader, at this process."""
        there: Deployment = replace(trader.deployment, api_url=f"http://127.0.0.1:{self.port}")
        return Trader(there, trader.email, trader.password)


@contextmanager
def own_api_of(deployment: Deployment, folder: Path, minutes: int) -> Iterator[OwnApi]:
    """Beside that of the stack, which goes on."""
    assert f"{PREFIX}DATA_DIR" in os.environ, f"the variables of {deployment.api_url}'s stack"
    api = OwnApi(folder, minutes)
    api.start()
    try:
        yield api
    finally:
        api.process.kill()


@pytest.fixture
def own_api(deployment: Deployment, tmp_path: Path) -> Iterator[OwnApi]:
    with own_api_of(deployment, tmp_path, 15) as api:
        yield api


@pytest.fixture
def forgetful_api(deployment: Deployment, tmp_path: Path) -> Iterator[OwnApi]:
    """One whose tokens last a minute."""
    with own_api_of(deployment, tmp_path, 1) as api:
        yield api


def test_check_09_an_api_that_dies_is_said_at_once_and_what_happened_meanwhile_is_shown(
    browser: Browser, own_api: OwnApi, trader: Trader, held: Running
) -> None:
    with phone_of(browser, own_api.trader(trader), allowed=AWAY) as phone:
        page, card = phone.page, phone.card("INFY")
        link = page.locator("header .link")
        expect(card.locator(".badge")).to_have_text("Guarded", timeout=SOON_MS)
        own_api.process.kill()
        expect(card.locator(".badge")).to_have_text("Not known now", timeout=3_000 + SLACK_MS)
        expect(page.get_by_role("banner")).to_contain_text("This is the picture of", timeout=3_000 + SLACK_MS)
        expect(link).to_have_text("Server not reached", timeout=SOON_MS)
        held.set_price(1399.00)
        held.until_stopped()
        expect(card.locator(".badge")).to_have_text("Not known now")
        own_api.start()
        page.get_by_role("button", name="Try now").click()
        expect(link).to_have_text("Live", timeout=2_000 + SLACK_MS)
        expect(card.locator(".badge")).to_have_text("Stop-loss", timeout=2_000 + SLACK_MS)
        expect(card).to_have_count(1)
        assert held.sides() == ["BUY", "SELL"]


def test_check_09_an_api_that_says_nothing_any_more_is_not_called_live(
    browser: Browser, own_api: OwnApi, trader: Trader, held: Running
) -> None:
    with phone_of(browser, own_api.trader(trader), allowed=AWAY) as phone:
        link, badge = phone.page.locator("header .link"), phone.card("INFY").locator(".badge")
        expect(badge).to_have_text("Guarded", timeout=SOON_MS)
        own_api.process.signal(signal.SIGSTOP)
        expect(link).not_to_have_text("Live", timeout=20_000 + SLACK_MS)
        expect(badge).to_have_text("Not known now")
        own_api.process.signal(signal.SIGCONT)
        expect(link).to_have_text("Live", timeout=2_000 + SLACK_MS)
        expect(badge).to_have_text("Guarded", timeout=SOON_MS)
        expect(phone.card("INFY")).to_have_count(1)
        assert held.status()["position"] == "bought"


def test_check_11_tokens_of_a_minute_end_without_a_word_on_the_screen(
    browser: Browser, forgetful_api: OwnApi, trader: Trader, held: Running
) -> None:
    renewed: list[str] = []
    with phone_of(browser, forgetful_api.trader(trader)) as phone:
        page = phone.page
        expect(phone.card("INFY").locator(".badge")).to_have_text("Guarded", timeout=SOON_MS)
        page.on("request", lambda request: renewed.append(request.url) if "/auth/refresh" in request.url else None)
        page.evaluate(f"() => {{ {SAID}; watch() }}")
        for _ in range(RENEWALS_S):
            if len(renewed) == 3:  # the first token ended with the second renewal
                break
            page.wait_for_timeout(1_000)
        said = set(page.evaluate("[...said]"))
        # A share whose price stands still has an old one; that is said, and is no flicker of the link.
        assert (len(renewed), said - {"Guarded, price old"}) == (3, {"Live", "Guarded"})
        assert held.status()["guard"]["state"] == "guarded"
