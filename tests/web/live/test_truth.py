"""What the screen says is so: faults of the exchange, a lost link, another device (checks 8, 9, 13, 14 and 19)."""

import time
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from playwright.sync_api import Browser, expect

from tests.kit.paper import eventually
from tests.kit.trader import Deployment, Running, Trader
from tests.web.live.phone import SOON_MS, log_in_at_the_broker, phone_of
from tests.web.small_screen import SLACK_MS

IST = ZoneInfo("Asia/Kolkata")

DRAWN = """
window.drawn = []
const write = CanvasRenderingContext2D.prototype.fillText
CanvasRenderingContext2D.prototype.fillText = function (text, ...where) {
  drawn.push(text); return write.call(this, text, ...where) }"""
"""Every text that the chart draws: a canvas has no other."""

POINTED_AT = "drawn.filter(text => text.endsWith(' IST'))"
MINUTE = timedelta(minutes=1)

OFFLINE = r"ERR_INTERNET_DISCONNECTED|ERR_NETWORK"


def test_check_08_a_mute_feed_is_shown_as_not_guarded_until_it_is_back(
    browser: Browser, deployment: Deployment, trader: Trader, held: Running
) -> None:
    with phone_of(browser, trader) as phone:
        badge = phone.card("INFY").locator(".badge")
        expect(badge).to_have_text("Guarded", timeout=SOON_MS)
        deployment.exchange.fault("ws-freeze", {}, seconds=60)
        held.until(lambda status: status["feed"] == "down", 15, "the feed is down")
        expect(badge).to_have_text("Not guarded", timeout=2_000 + SLACK_MS)
        held.until(lambda status: status["feed"] == "live", 30, "the feed is back")
        expect(badge).to_have_text("Guarded", timeout=10_000)


def test_check_09_a_phone_without_a_network_says_so_and_is_live_again_by_itself(
    browser: Browser, trader: Trader, held: Running
) -> None:
    with phone_of(browser, trader, allowed=OFFLINE) as phone:
        page = phone.page
        expect(phone.card("INFY").locator(".badge")).to_have_text("Guarded", timeout=SOON_MS)
        phone.context.set_offline(True)
        expect(page.locator("header .link")).to_have_text("Phone offline", timeout=3_000 + SLACK_MS)
        expect(phone.card("INFY").locator(".badge")).to_have_text("Not known now", timeout=3_000 + SLACK_MS)
        phone.context.set_offline(False)
        expect(page.locator("header .link")).to_have_text("Live", timeout=SOON_MS)
        expect(phone.card("INFY").locator(".badge")).to_have_text("Guarded", timeout=SOON_MS)
        expect(phone.card("INFY")).to_have_count(1)


def test_check_13_an_order_whose_answer_hangs_is_never_offered_again(
    browser: Browser, deployment: Deployment, trader: Trader
) -> None:
    deployment.exchange.set_price("NSE:INFY", 1500.00)
    only = {"user_id": trader.account.user_id, "transaction_type": "BUY"}
    deployment.exchange.fault("accepted-hang", only, seconds=8)
    strategy = trader.strategy("INFY", buy_in=4, stop_loss=1400.00)
    with phone_of(browser, trader) as phone:
        page = phone.open(f"strategy/{strategy.id}")
        expect(page.locator(".content").get_by_text("Guarded", exact=True)).to_be_visible(timeout=SOON_MS)
        assert page.get_by_role("button", name="again").count() == 0
        assert page.get_by_role("button", name="Retry").count() == 0
    assert len(strategy.requests_of("BUY")) == 1


def test_check_14_an_exit_without_a_login_is_red_until_the_login_and_the_sale(
    browser: Browser, deployment: Deployment, trader: Trader, held: Running
) -> None:
    with phone_of(browser, trader, allowed="favicon") as phone:
        badge = phone.card("INFY").locator(".badge")
        expect(badge).to_have_text("Guarded", timeout=SOON_MS)
        phone.page.evaluate("window.loadedOnce = true")
        deployment.exchange.expire_token(trader.account.user_id)
        held.set_price(1399.00)
        expect(badge).to_have_text("Not sold", timeout=SOON_MS)
        expect(phone.card("INFY").locator(".why").last).to_contain_text("Not sold. It is tried again")
        assert held.net() == 10
        second = phone.context.new_page()
        phone.listen(second)
        second.goto(f"{phone.address}#/today")
        second.get_by_role("button", name="Renew the paper login").click()
        log_in_at_the_broker(second, trader)
        expect(badge).to_have_text("Stop-loss", timeout=30_000)
        assert phone.page.evaluate("window.loadedOnce"), "it was loaded again"
        assert (held.sides(), held.net()) == (["BUY", "SELL"], 0)


def test_check_19_times_are_indian_in_new_york_and_a_stop_moved_elsewhere_is_shown_at_once(
    browser: Browser, trader: Trader, held: Running
) -> None:
    with phone_of(browser, trader, zone="America/New_York") as phone:
        page = phone.open(f"strategy/{held.id}")
        plan = page.get_by_label("Plan")
        expect(plan).to_contain_text(f"{held.buy_at:%H:%M:%S}", timeout=SOON_MS)
        expect(page.get_by_text("All times are Indian time (IST)")).to_be_visible()
        expect(plan).to_contain_text("1,400.00")
        trader.ok("PATCH", f"/strategy/{held.id}", {"stop_loss": 1410.00})
        expect(plan).to_contain_text("1,410.00", timeout=1_000 + SLACK_MS)


def test_check_19_the_chart_has_indian_times_and_the_stop_where_the_engine_watches(
    browser: Browser, trader: Trader, held: Running
) -> None:
    with phone_of(browser, trader, zone="America/New_York") as phone:
        phone.context.add_init_script(DRAWN)
        page = phone.open(f"strategy/{held.id}")
        page.reload()
        eventually(lambda: "1,400.00" in page.evaluate("drawn"), SOON_MS / 1000, "the stop is drawn")
        box = page.locator(".chart").bounding_box()
        assert box is not None
        for step in range(int(box["width"]) // 4):  # from the newest price on
            page.mouse.move(box["x"] + box["width"] - 4 * step, box["y"] + box["height"] / 2)
            page.evaluate("new Promise(requestAnimationFrame)")
        pointed_at: list[str] = eventually(lambda: page.evaluate(POINTED_AT), what="the time of what is pointed at")
        bar = datetime.strptime(pointed_at[0], "%H:%M:%S IST").replace(tzinfo=IST).time()
        began, now = (held.buy_at - MINUTE).astimezone(IST).time(), datetime.now(IST).time()
        assert began <= bar <= now or began > now, (began, bar, now)
        page.evaluate("drawn.length = 0")
        trader.ok("PATCH", f"/strategy/{held.id}", {"stop_loss": 1410.00})
        eventually(
            lambda: "1,410.00" in page.evaluate("drawn"), (1_000 + SLACK_MS) / 1000, "the stop is where it is now"
        )


def test_prices_and_the_profit_arrive_without_being_asked_for(browser: Browser, trader: Trader, held: Running) -> None:
    asked: list[str] = []
    with phone_of(browser, trader) as phone:
        card = phone.card("INFY")
        expect(card.locator(".badge")).to_have_text("Guarded", timeout=SOON_MS)
        expect(card).to_contain_text("Sells at")
        phone.page.on("request", lambda request: asked.append(request.url))
        began = time.monotonic()
        bought = held.status()["buy_price"]
        for step in (1, 2, 3):
            held.set_price(bought + step)
            expect(card.locator(".money")).to_contain_text(f"+₹{step * 10}.00", timeout=2_000 + SLACK_MS)
        looks = [url for url in asked if "/strategy/status/" in url]
        assert len(looks) <= 1 + (time.monotonic() - began) / 8


def test_a_strategy_that_another_device_makes_and_an_account_that_it_connects_are_shown(
    browser: Browser, trader: Trader
) -> None:
    with phone_of(browser, trader) as phone:
        expect(phone.page.get_by_role("button", name="Try it now")).to_be_visible(timeout=SOON_MS)
        made = {"symbol": "SBIN", "buy_time": "09:20", "sell_time": "15:10", "stop_loss": 100, "quantity": 5}
        trader.ok("POST", "/strategy/create", made)
        expect(phone.card("SBIN").locator(".badge")).to_have_text("Not started", timeout=SOON_MS)
        assert trader.call("DELETE", "/broker").status_code == 204
        expect(phone.page.locator("header .broker")).not_to_contain_text("PAPER", timeout=SOON_MS)
