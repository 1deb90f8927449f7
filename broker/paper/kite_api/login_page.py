"""The login page, at the path of Kite's: user id and password, or cancel, and back to the app (kite.md §6)."""

from __future__ import annotations

import hmac
import html
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit

from fastapi import APIRouter, Request, Response
from starlette.responses import HTMLResponse, RedirectResponse

from broker.paper.base.errors import input_error
from broker.paper.kite_api.access import exchange_of, form_of

if TYPE_CHECKING:
    from broker.paper.accounts.accounts import Account

router = APIRouter(include_in_schema=False)

LOGIN_PATH = "/connect/login"

_HEADERS = {
    # no form-action: browsers apply it to the redirect that follows the form, which leads to the app's own site
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",  # with no-referrer a browser would name no Origin for the form either
}
_FRAME = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Paper exchange login</title></head>
<body><h1>Paper exchange</h1>
{body}
</body></html>"""
_FORM = """<p>Log in for the app with the API key <code>{api_key}</code>. No money is moved here.</p>
{problem}<form method="post" action="/connect/login">
<input type="hidden" name="api_key" value="{api_key}">
<input type="hidden" name="redirect_params" value="{redirect_params}">
<p><label>User ID <input name="user_id" value="{user_id}" autocomplete="username" required></label></p>
<p><label>Password <input name="password" type="password" autocomplete="current-password" required></label></p>
<p><button name="choice" value="login">Login</button>
<button name="choice" value="cancel" formnovalidate>Cancel</button></p>
</form>"""
_GRANTED = """<p>Logged in as {user_id}. Your request token (good once, for two minutes):</p>
<pre id="request_token">{token}</pre>"""
_CANCELLED = "<p>You cancelled the login. You can close this page.</p>"


@router.get(LOGIN_PATH)
async def login_form(request: Request) -> Response:
    """The form. A key that no account has is refused before it is shown."""
    query = request.query_params
    account = _account(request, query.get("api_key", ""))
    return _form(account, query.get("redirect_params", ""))


@router.post(LOGIN_PATH)
async def log_in(request: Request) -> Response:
    """Back to the app with a request token, or with the news that the user cancelled; the form again if refused."""
    exchange, form = exchange_of(request), await form_of(request)
    account = _account(request, form.get("api_key", ""))
    passed_on = form.get("redirect_params", "")
    redirect_url = account.redirect_url or exchange.config.redirect_url
    if form.get("choice") == "cancel":
        if redirect_url is None:
            return _page(_CANCELLED)
        # kite.md §6.6: Zerodha does not say what a cancelled login brings back
        return _back(redirect_url, {"action": "login", "type": "login", "status": "cancelled"}, passed_on)
    known = hmac.compare_digest(exchange.config.login_password.encode(), form.get("password", "").encode())
    user_id = form.get("user_id", "").strip().lower()
    if not known or all(user_id != one.user_id.lower() for one in exchange.accounts):
        return _form(account, passed_on, "Invalid username or password.")
    if user_id != account.user_id.lower():
        return _form(account, passed_on, "The user is not enabled for the app.")
    token = exchange.accounts.issue_request_token(account)
    if redirect_url is None:
        return _page(_GRANTED.format(user_id=html.escape(account.user_id), token=token))
    answer = {"request_token": token, "action": "login", "type": "login", "status": "success"}
    return _back(redirect_url, answer, passed_on)


def _account(request: Request, api_key: str) -> Account:
    account = exchange_of(request).accounts.by_api_key(api_key)
    if account is None:
        raise input_error("Invalid `api_key`.")
    return account


def _form(account: Account, redirect_params: str, problem: str = "") -> Response:
    body = _FORM.format(
        api_key=html.escape(account.api_key),
        redirect_params=html.escape(redirect_params),
        user_id=html.escape(account.user_id),
        problem=f'<p role="alert">{problem}</p>\n' if problem else "",
    )
    return _page(body, 403 if problem else 200)


def _page(body: str, status: int = 200) -> Response:
    return HTMLResponse(_FRAME.format(body=body), status, _HEADERS)


def _back(redirect_url: str, answer: dict[str, str], redirect_params: str) -> Response:
    query = urlencode([*answer.items(), *parse_qsl(redirect_params, keep_blank_values=True)])
    joiner = "&" if urlsplit(redirect_url).query else "?"
    return RedirectResponse(f"{redirect_url}{joiner}{query}", 303, _HEADERS)
