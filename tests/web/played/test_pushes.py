"""What the app's worker makes of a push: one notification, which opens what it is about (check 25 of the app).

A browser without a window refuses notifications, so the worker's call is heard in place of the browser's.
"""

from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Worker, expect

from actors.domain.notices.notice import AT_RISK, USUAL_LEVELS, Level, NoticeKind
from api.notifications.sending.outcomes import Message
from api.notifications.sending.web_push import payload
from tests.kit.paper import eventually
from tests.web.live.phone import SOON_MS
from tests.web.played.server import PlayedServer, trader_at
from tests.web.test_looks import CONTROLLED

HEAR = """() => {
  self.shown = []
  self.registration.showNotification = async (title, options) => void self.shown.push({title, ...options})
  WindowClient.prototype.focus = async function () { return this }
}"""
CLICK = """data => {
  const event = new Event('notificationclick')
  event.notification = {data, close() {}}
  event.waitUntil = () => {}
  self.dispatchEvent(event)
}"""


def worker_of(context: BrowserContext, page: Page) -> Worker:
    page.evaluate(CONTROLLED)
    (worker,) = context.service_workers
    worker.evaluate(HEAR)
    return worker


def deliver(page: Page, data: str) -> None:
    """As the browser's push service does."""
    session, found = page.context.new_cdp_session(page), list[dict[str, Any]]()
    session.on("ServiceWorker.workerRegistrationUpdated", lambda told: found.extend(told["registrations"]))
    session.send("ServiceWorker.enable")
    while not found:
        page.wait_for_timeout(20)
    origin = page.url.partition("/app/")[0]
    session.send(
        "ServiceWorker.deliverPushMessage",
        {"origin": origin, "registrationId": found[0]["registrationId"], "data": data},
    )
    session.detach()


def test_check_25_each_kind_of_notice_is_one_notification_that_opens_its_strategy(browser: Browser) -> None:
    server = PlayedServer(len(NoticeKind))
    with trader_at(server, browser) as page:
        expect(page.locator("header .link")).to_have_text("Live", timeout=SOON_MS)
        worker = worker_of(page.context, page)
        for number, kind in enumerate(NoticeKind, start=1):
            silent = USUAL_LEVELS[kind] is Level.SILENT
            sentence = f"What happened, and what comes next, of {kind}."
            message = Message(f"notice-{number}", sentence, kind in AT_RISK, silent, strategy_id=number)
            deliver(page, payload(message).decode())
            eventually(lambda: worker.evaluate("shown.length") == 1, what=f"a notification of {kind}")
            (shown,) = worker.evaluate("shown.splice(0)")
            told = (shown["title"], shown["body"], shown["tag"], shown["silent"])
            assert told == ("TradeActors", sentence, message.name, silent)
            worker.evaluate(CLICK, shown["data"])
            expect(page).to_have_url(f"{page.url.partition('#')[0]}#/strategy/{number}", timeout=SOON_MS)
        assert worker.evaluate("shown.length") == 0


@pytest.mark.parametrize("data", ["", "not what the server sends", "[]"])
def test_check_25_a_push_that_cannot_be_read_is_shown_all_the_same(browser: Browser, data: str) -> None:
    with trader_at(PlayedServer(), browser) as page:
        expect(page.locator("header .link")).to_have_text("Live", timeout=SOON_MS)
        worker = worker_of(page.context, page)
        deliver(page, data)
        eventually(lambda: worker.evaluate("shown.length") == 1, what="a notification")
        (shown,) = worker.evaluate("shown")
        assert shown["body"] == "Something happened. Open the app to see what."
        worker.evaluate(CLICK, shown["data"])
        expect(page.get_by_role("heading", name="Notices")).to_be_visible(timeout=SOON_MS)
