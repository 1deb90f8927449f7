"""Many strategies, quick and with a steady memory, and many taps, which sell nothing (checks 2, 3 and 17 of the app).

Part of `make long`, whose tests of the browser have the machine to themselves.
"""

import random

from playwright.sync_api import Browser, CDPSession, Request, expect

from api.web.routes import BUNDLE
from tests.web.live.phone import SOON_MS
from tests.web.played.server import PlayedServer, trader_at
from tests.web.served import served_app
from tests.web.small_screen import small_screen

STRATEGIES = 200
QUIET_S, WITHIN_S = 4, 40
"""How many seconds in a row have no task above 50 ms, within how many: a busy machine makes some task long."""

MOST_OF_A_CORE = 0.10
MEASURED_S = 10
MINUTES_OF_PRICES, FASTER = 10, 20
"""How many minutes' prices are sent, and how many seconds' in one second, to see what memory does."""

HEAP_MB = 5
FIFTY, LIVE_WITHIN_MS = 50, 1_500
"""How many strategies are live after a login, and within what time."""

TRIES = 3
"""How often that is measured: the quickest counts, since a busy machine only adds."""

TAPS = 1000
ALL_LIVE = """count => document.querySelectorAll('article').length === count
  && document.querySelector('header .link')?.textContent.trim() === 'Live'"""
WATCH = """window.longTasks = []
new PerformanceObserver(list => window.longTasks.push(...list.getEntries().map(one => one.startTime)))
  .observe({type: 'longtask'})"""
QUIET = """seconds => performance.now() - Math.max(window.since ?? 0, ...window.longTasks) > seconds * 1000"""


def cpu_s(session: CDPSession) -> float:
    """Seconds that the page's thread has worked; waiting for a processor is not counted."""
    metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    return float(metrics["TaskDuration"])


def heap_mb(session: CDPSession) -> float:
    session.send("HeapProfiler.collectGarbage")
    return float(session.send("Runtime.getHeapUsage")["usedSize"]) / 1e6


def test_check_03_two_hundred_strategies_with_a_price_each_second_leave_the_page_quick(browser: Browser) -> None:
    server = PlayedServer(STRATEGIES)
    with trader_at(server, browser, script=WATCH) as page:
        expect(page.locator("article")).to_have_count(STRATEGIES, timeout=60_000)
        assert server.asked_for("/strategy/list") <= 2 * 2, "each list has two pages"
        page.evaluate("window.since = performance.now()")
        page.wait_for_function(QUIET, arg=QUIET_S, timeout=WITHIN_S * 1000)
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        worked, sent = cpu_s(session), server.sent
        page.wait_for_timeout(MEASURED_S * 1000)
        assert server.sent - sent >= MEASURED_S - 2
        assert (cpu_s(session) - worked) / MEASURED_S <= MOST_OF_A_CORE


def test_check_03_ten_minutes_of_prices_leave_its_memory_steady(browser: Browser) -> None:
    server = PlayedServer(STRATEGIES, pause_s=1 / FASTER, step_ms=1000)
    with trader_at(server, browser) as page:
        expect(page.locator("article")).to_have_count(STRATEGIES, timeout=60_000)
        page.wait_for_timeout(2_000)
        session = page.context.new_cdp_session(page)
        before, sent = heap_mb(session), server.sent
        while server.sent < sent + MINUTES_OF_PRICES * 60:
            page.wait_for_timeout(500)
        assert abs(heap_mb(session) - before) <= HEAP_MB


def test_check_02_fifty_strategies_are_live_soon_after_a_login(browser: Browser) -> None:
    took: list[float] = []
    for _ in range(TRIES):
        server = PlayedServer(FIFTY)
        with served_app(BUNDLE, 0, server.router) as address:
            context = small_screen(browser)
            page = context.new_page()
            page.goto(f"{address}/app/#/login")
            page.get_by_label("E-mail").fill("a@example.com")
            page.get_by_label("Password", exact=True).fill("a long sentence")
            page.evaluate("window.began = performance.now()")
            page.get_by_role("button", name="Log in").click()
            page.wait_for_function(ALL_LIVE, arg=FIFTY)
            took.append(page.evaluate("performance.now() - window.began"))
            server.ended = True
            context.close()
    assert min(took) <= LIVE_WITHIN_MS, took


def test_check_17_a_thousand_random_taps_sell_nothing(browser: Browser) -> None:
    chance = random.Random(17)  # noqa: S311 - taps, the same in each run
    sold: list[str] = []

    def hear(request: Request) -> None:
        if request.url.endswith(("/stop", "/panic")):
            sold.append(request.url)

    with trader_at(PlayedServer(5, idle={4}, sold={5}), browser) as page:
        page.on("request", hear)
        today = page.url
        for tap in range(TAPS):
            if tap % 10 == 0:
                page.goto(today)
                expect(page.locator("article").first).to_be_visible(timeout=SOON_MS)
            page.mouse.click(chance.randrange(360), chance.randrange(740))
    assert sold == []
