"""Pages in a browser of the same machine, and its other users, get nothing out of the exchange and change nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from kiteconnect import KiteConnect
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from config.stack.paper import TOKEN_FILE, paper_command, paper_token
from tests.kit.paper import PaperControl, PaperExchange
from tests.kit.stack import stack_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REBOUND = {"Host": "attacker.example:8085"}
"""What a page sends whose own name leads to 127.0.0.1 since it was loaded."""

CROSS_SITE = {"Origin": "https://attacker.example", "Sec-Fetch-Site": "cross-site", "Content-Type": "text/plain"}
"""What a `fetch` with mode no-cors sends, before which a browser sends no preflight."""

PRICE = {"instrument": "NSE:INFY", "price": 1.0}


@pytest.fixture(scope="module")
def paper() -> Iterator[PaperExchange]:
    with PaperExchange(default_source="hold") as exchange:
        yield exchange


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[PaperExchange, str]]:
    """As the stack starts it: with a token."""
    data_dir = tmp_path_factory.mktemp("data")
    token = paper_token(data_dir)
    with PaperExchange(default_source="hold", token_path=data_dir / TOKEN_FILE) as exchange:
        yield exchange, token


def asked(paper: PaperExchange, method: str, path: str, headers: dict[str, str], **given: Any) -> httpx.Response:
    return httpx.request(method, f"{paper.url}{path}", headers=headers, trust_env=False, **given)


def test_a_page_whose_name_leads_to_this_machine_reads_no_credentials_and_sets_no_price(paper: PaperExchange) -> None:
    before = paper.control.set_price("NSE:INFY", 1500)["last_price"]
    for headers in (REBOUND, REBOUND | {"Origin": "http://attacker.example:8085", "Sec-Fetch-Site": "same-origin"}):
        accounts = asked(paper, "GET", "/paper/accounts", headers)
        price = asked(paper, "POST", "/paper/price", headers, json=PRICE)
        assert (accounts.status_code, price.status_code) == (403, 403)
        assert "paper-secret" not in accounts.text
    rows = {row["instrument"]: row for row in paper.control.http.get("/market").json()}
    assert rows["NSE:INFY"]["last_price"] == before


@pytest.mark.parametrize(
    "headers",
    [CROSS_SITE, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "null"},
     {"Origin": "http://127.0.0.1:3000"}],
)  # fmt: skip
def test_a_page_of_another_site_ends_no_token(paper: PaperExchange, headers: dict[str, str]) -> None:
    account = paper.control.new_account()
    refused = asked(paper, "POST", f"/paper/accounts/{account.user_id}/expire-token", headers)
    assert refused.status_code == 403
    kite = KiteConnect(account.api_key, access_token=account.access_token, root=paper.url)
    assert kite.profile()["user_id"] == account.user_id


def test_a_page_of_another_site_uses_kites_side_neither(paper: PaperExchange) -> None:
    account = paper.control.new_account()
    kite = {"X-Kite-Version": "3", "Authorization": f"token {account.api_key}:{account.access_token}"}
    for headers in (REBOUND, CROSS_SITE):
        refused = asked(paper, "GET", "/user/profile", {**kite, **headers})
        assert (refused.status_code, refused.json()["error_type"]) == (403, "PermissionException")
    with pytest.raises(InvalidStatus, match="403"):
        connect(f"{paper.ws_url}/?api_key={account.api_key}&access_token={account.access_token}",
                origin=Origin("https://attacker.example"), proxy=None)  # fmt: skip


def test_the_login_page_still_opens_from_the_page_of_an_app(paper: PaperExchange) -> None:
    account = paper.control.new_account()
    opened = asked(paper, "GET", f"/connect/login?v=3&api_key={account.api_key}", {"Sec-Fetch-Site": "cross-site"})
    assert opened.status_code == 200


def test_its_own_page_and_programs_without_a_browser_are_served(paper: PaperExchange) -> None:
    host = paper.url.removeprefix("http://")
    for headers in ({}, {"Host": "localhost:1"}, {"Host": "[::1]:1"}, {"Origin": paper.url, "Host": host}):
        answer = asked(paper, "POST", "/paper/price", {**headers, "Sec-Fetch-Site": "same-origin"}, json=PRICE)
        assert answer.status_code == 200, headers


def test_other_names_are_served_where_they_are_given() -> None:
    with PaperExchange(default_source="hold", allowed_hosts="paper.internal,paper") as exchange:
        assert asked(exchange, "GET", "/paper/accounts", {"Host": "paper.internal:8085"}).status_code == 200
        assert asked(exchange, "GET", "/paper/accounts", REBOUND).status_code == 403


def test_with_a_token_another_user_of_the_machine_controls_nothing(guarded: tuple[PaperExchange, str]) -> None:
    paper, token = guarded
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"token {token}"}):
        for method, path in (("GET", "/paper/accounts"), ("GET", "/paper/ledger"), ("POST", "/paper/price")):
            refused = asked(paper, method, path, headers, json=PRICE if method == "POST" else None)
            assert refused.status_code == 401, path
            assert refused.headers["WWW-Authenticate"] == "Bearer"
            assert token not in refused.text
    assert asked(paper, "GET", "/paper/health", {}).status_code == 200
    account = PaperControl(paper.url, token).new_account()
    kite = KiteConnect(account.api_key, access_token=account.access_token, root=paper.url)
    assert kite.profile()["user_id"] == account.user_id  # Kite's side has its own credentials


def test_the_stack_starts_it_with_a_token_that_only_its_owner_reads(tmp_path: Path) -> None:
    command = paper_command(stack_settings(tmp_path, paper_port=1, paper_token=True), tmp_path, {})
    file = tmp_path / TOKEN_FILE
    assert str(file) in command.argv
    assert file.stat().st_mode & 0o777 == 0o600
    assert paper_token(tmp_path) not in " ".join(command.argv)
    assert paper_token(tmp_path) == file.read_text().strip()


@pytest.mark.parametrize("content", [None, "", "short\n"])
def test_a_token_that_could_be_guessed_or_is_not_there_starts_nothing(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content)
    line = [sys.executable, "-m", "broker.paper", "--port=0", f"--token-path={file}"]
    ended = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False, env=dict(os.environ))
    assert ended.returncode == 2
    assert str(file) in ended.stderr
    assert "Traceback" not in ended.stderr


def test_its_page_runs_no_code_of_other_servers_where_the_token_is_typed(guarded: tuple[PaperExchange, str]) -> None:
    paper, _ = guarded
    page = asked(paper, "GET", "/paper/docs", {})
    policy = page.headers["Content-Security-Policy"]
    assert "script-src 'self'; style-src 'self';" in policy
    assert "://" not in page.text + policy
    for name in ("swagger-ui.css", "swagger-ui-bundle.js", "start.js"):
        assert asked(paper, "GET", f"/paper/docs/{name}", {}).status_code == 200
    document = json.loads(asked(paper, "GET", "/paper/openapi.json", {}).text)
    assert document["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    assert document["paths"]["/paper/price"]["post"]["security"] == [{"HTTPBearer": []}]
