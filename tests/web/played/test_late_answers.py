"""An answer that comes late is not shown as the answer to what is asked now, nor to who asks now (row O1)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Locator, Page, Route, expect

from api.openapi.examples import EXAMPLES
from tests.web.live.phone import SOON_MS
from tests.web.played.server import DOCUMENT, PlayedServer, trader_at

REFUSED = {"detail": "The engine cannot be reached", "code": "engine_unavailable"}
SETTLED = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))"


def example(method: str, path: str) -> dict[str, Any]:
    """Of a successful answer, from the API's document."""
    answers = DOCUMENT["paths"][path][method]["responses"]
    content = next(answer["content"] for code, answer in answers.items() if code.startswith("2"))
    shown: dict[str, Any] = content["application/json"]["example"]
    return shown


@contextmanager
def live(server: PlayedServer, browser: Browser, path: str = "today", **how: Any) -> Iterator[Page]:
    with trader_at(server, browser, path, worker=False, **how) as page:
        expect(page.locator("header .link")).to_have_text("Live", timeout=SOON_MS)
        yield page


def held_back(page: Page, path: str) -> Callable[[], Route]:
    """From now on requests for this path get no answer. What is returned waits for the next one."""
    waiting: list[Route] = []
    page.route(path, lambda route: waiting.append(route))  # noqa: PLW0108 - its inspector wants a function
    return lambda: one_of(page, waiting)


def one_of(page: Page, waiting: list[Route]) -> Route:
    """The first of the requests that wait, once there is one."""
    for _ in range(SOON_MS // 50):
        if waiting:
            return waiting.pop(0)
        page.wait_for_timeout(50)
    raise AssertionError("nobody asks")


def answered(page: Page, route: Route, body: dict[str, Any], status: int = 200) -> None:
    """The page has had this answer, and has drawn what it makes of it."""
    with page.expect_event("requestfinished", lambda request: request == route.request):
        route.fulfill(status=status, json=body)
    page.evaluate(SETTLED)


def cancel(page: Page, text: str = "Cancel") -> None:
    page.get_by_role("dialog").get_by_role("button", name=text).click()
    expect(page.get_by_role("dialog")).to_be_hidden()


def card(page: Page, symbol: str) -> Locator:
    return page.locator("article").filter(has=page.get_by_text(symbol, exact=True))


def test_a_start_shows_the_preview_of_its_own_strategy_only(browser: Browser) -> None:
    with live(PlayedServer(2, idle={1, 2}), browser) as page:
        asked = held_back(page, "**/strategy/preview")
        shown = example("post", "/strategy/preview")
        card(page, "SHARE1").get_by_role("button", name="Start").click()
        first = asked()
        cancel(page)
        card(page, "SHARE2").get_by_role("button", name="Start").click()
        second = asked()
        answered(page, first, shown | {"symbol": "SHARE1", "quantity": 77})
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_text("Asking the server")).to_be_visible()
        expect(dialog.get_by_role("button", name="Start for")).to_have_count(0)
        answered(page, second, shown | {"symbol": "SHARE2", "quantity": 88})
        expect(dialog).to_contain_text("88 SHARE2")


def test_a_stop_that_fails_late_is_said_of_its_own_strategy_and_leaves_the_next_dialog_alone(browser: Browser) -> None:
    with live(PlayedServer(2), browser) as page:
        asked = held_back(page, "**/strategy/stop")
        page.get_by_role("button", name="Stop SHARE1").click()
        button = page.get_by_role("button", name="Sell 10 SHARE1 now")
        button.hover()
        page.mouse.down()
        first = asked()
        page.mouse.up()
        cancel(page, "Leave it running")
        page.get_by_role("button", name="Stop SHARE2").click()
        answered(page, first, REFUSED, 503)
        expect(page.get_by_role("alert").get_by_text("SHARE1 was not stopped.")).to_be_attached()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("Sell 10 SHARE2 now")
        expect(dialog.get_by_text("The engine cannot be reached")).to_have_count(0)


def test_what_a_stop_was_refused_for_is_not_said_of_the_next_one(browser: Browser) -> None:
    with live(PlayedServer(2), browser) as page:
        page.route("**/strategy/stop", lambda route: route.fulfill(status=503, json=REFUSED))
        dialog = page.get_by_role("dialog")
        page.get_by_role("button", name="Stop SHARE1").click()
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Enter")
        page.keyboard.press("Enter")
        expect(dialog.get_by_text("The engine cannot be reached")).to_be_visible()
        cancel(page, "Leave it running")
        page.get_by_role("button", name="Stop SHARE2").click()
        expect(dialog).to_contain_text("Sell 10 SHARE2 now")
        expect(dialog.get_by_text("The engine cannot be reached")).to_have_count(0)


def test_an_older_story_does_not_take_the_place_of_the_newest(browser: Browser) -> None:
    server = PlayedServer(1, pause_s=0.2)
    with live(server, browser) as page:
        waiting: list[Route] = []
        page.route("**/timeline**", lambda route: waiting.append(route))  # noqa: PLW0108 - as above
        page.goto(f"{page.url.partition('#')[0]}#/strategy/1")
        first = one_of(page, waiting)
        server.sold.add(1)
        server.tell(1)
        second = one_of(page, waiting)
        story = example("get", "/strategy/{strategy_id}/timeline")
        sold = story | {"summary": "It was sold."}
        page.route("**/timeline**", lambda route: route.fulfill(json=sold))  # it may ask once more
        for later in (second, *waiting):
            answered(page, later, sold)
        answered(page, first, story | {"summary": "It is held."})
        expect(page.get_by_text("It was sold.")).to_be_visible()
        expect(page.get_by_text("It is held.")).to_have_count(0)


def test_a_page_that_was_loaded_again_edits_what_the_strategy_is(browser: Browser) -> None:
    with live(PlayedServer(3, idle={3}), browser, "edit/3") as page:
        definition = EXAMPLES["StrategyAnswer"]
        expect(page.get_by_label("Quantity")).to_have_value(str(definition["quantity"]), timeout=SOON_MS)
        expect(page.get_by_label("Sell at (IST)")).to_have_value(definition["sell_time"])
        expect(page.get_by_role("button", name="Save the changes")).to_be_enabled()


def test_a_strategy_that_was_deleted_elsewhere_while_nothing_was_heard_is_gone(browser: Browser) -> None:
    server = PlayedServer(2, idle={1, 2}, pause_s=0.2)
    with live(server, browser) as page:
        expect(page.locator("article")).to_have_count(2, timeout=SOON_MS)
        server.gone.add(2)
        server.hang_up()
        expect(page.locator("article")).to_have_count(1, timeout=SOON_MS)
        page.goto(f"{page.url.partition('#')[0]}#/strategies")
        expect(page.locator(".content li")).to_have_count(1)


def test_a_first_trade_that_cannot_be_started_says_why(browser: Browser) -> None:
    server = PlayedServer(0, pause_s=0.2)
    with live(server, browser) as page:
        paper = example("get", "/broker/status") | {"broker": "paper"}
        page.route("**/broker/status", lambda route: route.fulfill(json=paper))
        page.reload()
        page.route("**/strategy/preview", lambda route: route.fulfill(json=example("post", "/strategy/preview")))
        page.route("**/strategy/create", lambda route: route.fulfill(status=201, json={"strategy_id": 1}))
        started = held_back(page, "**/strategy/start")
        page.get_by_role("button", name="Try it now").click(timeout=SOON_MS)
        start = started()
        server.strategies, server.idle = 1, {1}
        server.tell(1)
        expect(page.locator("article")).to_have_count(1, timeout=SOON_MS)
        answered(page, start, REFUSED, 503)
        expect(
            page.get_by_role("alert").get_by_text("INFY was not started. The engine cannot be reached")
        ).to_be_visible()
        expect(page.get_by_role("button", name="Start …")).to_be_visible(timeout=SOON_MS)


def test_what_one_trader_asked_for_is_not_shown_to_the_next_one(browser: Browser) -> None:
    server = PlayedServer(2, idle={1, 2}, pause_s=0.2)
    with live(server, browser, "account") as page:
        page.route("**/auth/logout", lambda route: route.fulfill(json={}))
        asked = held_back(page, "**/strategy/list**")
        server.strategies, server.idle = 3, {1, 2, 3}
        server.tell(3)
        late = asked()
        page.get_by_role("button", name="Log out on this device").click()
        expect(page.get_by_role("heading", name="Log in")).to_be_visible(timeout=SOON_MS)
        server.gone = {1, 2, 3}
        page.get_by_label("E-mail").fill("another@example.com")
        page.get_by_label("Password", exact=True).fill("a long sentence")
        page.get_by_role("button", name="Log in").click()
        empty = {"strategies": [], "total": 0, "total_capped": False, "limit": 100, "offset": 0}
        answered(page, late, empty | {"strategies": [EXAMPLES["StrategyAnswer"] | {"symbol": "SECRET"}], "total": 1})
        answered(page, asked(), empty)
        expect(page.get_by_role("navigation", name="Main")).to_be_visible(timeout=SOON_MS)
        page.goto(f"{page.url.partition('#')[0]}#/strategies")
        expect(page.get_by_text("None yet")).to_be_visible(timeout=SOON_MS)
        expect(page.get_by_text("SECRET")).to_have_count(0)


def test_a_tab_names_the_trader_who_has_logged_in_by_another_one(browser: Browser) -> None:
    with live(PlayedServer(1), browser, "account") as page:
        who = ["first@example.com", "second@example.com"]
        page.route("**/auth/validate", lambda route: route.fulfill(json={"email": who[0], "user_id": 1}))
        page.reload()
        expect(page.locator(".content")).to_contain_text(who[0], timeout=SOON_MS)
        other = page.context.new_page()
        other.goto(f"{page.url.partition('#')[0]}#/today")
        expect(other.locator("header .link")).to_have_text("Live", timeout=SOON_MS)
        tell = "told => new BroadcastChannel('tradeactors-session').postMessage(told)"
        other.evaluate(tell, {"kind": "ended"})
        expect(page.get_by_role("heading", name="Log in")).to_be_visible(timeout=SOON_MS)
        del who[0]
        granted = {"access_token": "0", "expires_in": 900}
        other.evaluate(
            "told => new BroadcastChannel('tradeactors-session').postMessage({...told, at: Date.now()})",
            {"kind": "granted", "granted": granted},
        )
        expect(page.locator(".content")).to_contain_text("second@example.com", timeout=SOON_MS)


def test_a_second_try_after_a_refusal_has_another_key_also_without_https(browser: Browser) -> None:
    keys: list[str] = []

    def refuse(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        route.fulfill(status=422, json=REFUSED)

    with live(PlayedServer(1), browser, "new", script="delete Crypto.prototype.randomUUID") as page:
        page.route("**/strategy/create", refuse)
        page.get_by_role("combobox", name="Share").fill("INFY")
        page.get_by_label("Quantity").fill("5")
        page.get_by_label("Stop-loss (₹)").fill("100")
        for often in (1, 2):
            page.get_by_role("button", name="Save the strategy").click()
            expect(page.get_by_text("The engine cannot be reached")).to_be_visible(timeout=SOON_MS)
            page.get_by_label("Quantity").fill(str(5 + often))
        assert len(set(keys)) == 2, keys


def test_an_address_that_was_cut_off_opens_the_app(browser: Browser) -> None:
    with live(PlayedServer(1), browser, "today/%E0%A4%A") as page:
        expect(page.get_by_role("heading", name="Today", exact=True)).to_be_visible(timeout=SOON_MS)


def test_what_could_not_be_read_while_the_server_was_away_is_read_when_it_is_back(browser: Browser) -> None:
    server = PlayedServer(1, sold={1}, pause_s=0.2)
    with live(server, browser) as page:
        page.route("**/timeline**", lambda route: route.fulfill(status=503, json=REFUSED))
        page.goto(f"{page.url.partition('#')[0]}#/strategy/1")
        expect(page.get_by_text("The reasons cannot be read")).to_be_visible(timeout=SOON_MS)
        page.unroute("**/timeline**")
        page.route(
            "**/timeline**",
            lambda route: route.fulfill(json=example("get", "/strategy/{strategy_id}/timeline")),
        )
        server.hang_up()
        expect(page.get_by_text("Bought 10 INFY at 1,510.00")).to_be_visible(timeout=SOON_MS)
        expect(page.get_by_text("The reasons cannot be read")).to_have_count(0)
