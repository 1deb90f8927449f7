"""The login page that the paper exchange plays, at the address that `kiteconnect` has for Kite's."""

from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from kiteconnect import KiteConnect

from broker.kite.login import login_url, with_state
from tests.kit.login_form import Browser
from tests.kit.paper import PaperCredentials, PaperExchange

BACK = "http://127.0.0.1:1/broker/callback"


@pytest.fixture(scope="module")
def paper() -> Iterator[PaperExchange]:
    """An exchange whose accounts are led back to one app."""
    with PaperExchange(default_source="hold", redirect_url=BACK) as exchange:
        yield exchange


@pytest.fixture
def account(paper: PaperExchange) -> PaperCredentials:
    """A new account."""
    return paper.control.new_account()


def page_of(paper: PaperExchange, account: PaperCredentials) -> str:
    return login_url(account.api_key, page=f"{paper.url}/connect/login")


def query_of(address: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(address).query))


def test_its_address_is_the_one_that_the_client_has_for_kites(paper: PaperExchange, account: PaperCredentials) -> None:
    theirs = urlsplit(KiteConnect(account.api_key).login_url())
    ours = urlsplit(page_of(paper, account))
    assert login_url(account.api_key) == theirs.geturl()
    assert (ours.path, ours.query) == (theirs.path, theirs.query)


def test_a_login_leads_back_with_a_request_token_and_the_apps_own_fields(
    paper: PaperExchange, account: PaperCredentials
) -> None:
    back = Browser().log_in(with_state(page_of(paper, account), "a b&c=d"), account.user_id)
    assert back.startswith(f"{BACK}?")
    told = query_of(back)
    assert {name: told[name] for name in ("action", "status", "state")} == {
        "action": "login", "status": "success", "state": "a b&c=d",
    }  # fmt: skip
    kite = KiteConnect(account.api_key, root=paper.url)
    assert kite.generate_session(told["request_token"], account.api_secret)["user_id"] == account.user_id


def test_to_open_the_page_is_no_login(paper: PaperExchange, account: PaperCredentials) -> None:
    page = Browser().open(page_of(paper, account))
    assert (page.status_code, "location" in page.headers) == (200, False)
    assert "request_token" not in page.text
    assert 'type="password"' in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_a_cancelled_login_leads_back_without_a_request_token(paper: PaperExchange, account: PaperCredentials) -> None:
    told = query_of(Browser().cancel(with_state(page_of(paper, account), "mine")))
    assert (told["status"], told["state"]) == ("cancelled", "mine")
    assert "request_token" not in told


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ({"password": "wrong"}, "Invalid username or password."),
        ({"password": ""}, "Invalid username or password."),
        ({"user_id": "NOBODY"}, "Invalid username or password."),
        ({"user_id": "PA0001"}, "The user is not enabled for the app."),
    ],
)
def test_a_wrong_user_or_password_shows_the_form_again(
    paper: PaperExchange, account: PaperCredentials, typed: dict[str, str], sentence: str
) -> None:
    url = with_state(page_of(paper, account), "kept")
    answer = Browser().submit(url, **{"user_id": account.user_id, "password": "paper"} | typed)
    assert answer.status_code == 403
    assert sentence in answer.text
    assert 'value="state=kept"' in answer.text, "the next try leads back to the same place"


def test_an_accounts_own_address_comes_before_the_exchanges(paper: PaperExchange) -> None:
    account = paper.control.new_account(redirect_url="http://127.0.0.1:2/own?x=1")
    back = Browser().log_in(page_of(paper, account), account.user_id.lower())
    assert back.startswith("http://127.0.0.1:2/own?x=1&")


def test_what_stands_in_the_address_is_no_part_of_the_page(paper: PaperExchange, account: PaperCredentials) -> None:
    page = httpx.get(
        f"{paper.url}/connect/login",
        params={"api_key": account.api_key, "redirect_params": '"><script>alert(1)</script>'},
        trust_env=False,
    )
    assert page.status_code == 200
    assert "<script>" not in page.text


def test_a_page_of_another_site_sends_the_form_for_no_user(paper: PaperExchange, account: PaperCredentials) -> None:
    form = {"api_key": account.api_key, "user_id": account.user_id, "password": "paper", "choice": "login"}
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://attacker.example"}, {"Origin": "null"}):
        answer = httpx.post(f"{paper.url}/connect/login", data=form, headers=headers, trust_env=False)
        assert answer.status_code == 403, headers
        assert "location" not in answer.headers
