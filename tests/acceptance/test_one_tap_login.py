"""The morning's login in one tap (row N2): over REST, a browser without our tokens, and the paper exchange's page."""

from urllib.parse import urlsplit

from tests.kit.login_form import Browser
from tests.kit.trader import Deployment, Running, Trader


def test_the_link_of_a_message_logs_in_and_the_exit_that_waited_leaves(
    deployment: Deployment, trader: Trader, without_login: Running
) -> None:
    strategy = without_login
    link = trader.ok("POST", "/broker/login-link")["login_link"]
    assert link.startswith(f"{deployment.api_url}/broker/login?code=")
    browser = Browser()
    opened = browser.open(link)
    assert opened.status_code == 303
    page = browser.open(browser.log_in(opened.headers["location"], trader.account.user_id))
    assert (page.status_code, "<h1>Connected</h1>" in page.text) == (200, True), page.text

    assert strategy.until_stopped(60)["position"] == "exited_by_sl"
    assert (strategy.sides(), strategy.net()) == (["BUY", "SELL"], 0)
    assert browser.open(link).status_code == 404


def test_the_stack_leads_the_browser_back_to_its_own_api(deployment: Deployment, trader: Trader) -> None:
    told = trader.ok("GET", "/broker/login-url?return=app")
    assert told["redirect_url"] == f"{deployment.api_url}/broker/callback"
    back = Browser().log_in(told["login_url"], trader.account.user_id)
    assert f"{urlsplit(back).scheme}://{urlsplit(back).netloc}{urlsplit(back).path}" == told["redirect_url"]
    cancelled = Browser().open(Browser().cancel(told["login_url"]))
    assert "<h1>Login cancelled</h1>" in cancelled.text
    assert "<h1>Connected</h1>" in Browser().open(back).text
