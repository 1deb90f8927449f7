"""What a browser shows after a login at the broker: plain sentences, and nothing that the trader does not know."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.responses import HTMLResponse

from api.base.answers.html_page import html_page, html_text
from api.base.answers.problems import problem_response
from broker.exchange_time import IST

CONNECTED, CANCELLED, NO_STATE, NOT_GOOD, UNDER_WAY = "connected", "cancelled", "no_state", "not_good", "under_way"
"""How a login can end beside the codes of errors: no state came back with it; the state is unknown, used or too old;
another request with the same state has not ended yet."""

_AGAIN = "Open the app and log in from there again, or use the newest link that you were sent."
_AS_BEFORE = "Nothing was changed: the connection is as it was before."


@dataclass(frozen=True, slots=True)
class _Page:
    status: int
    title: str
    sentences: tuple[str, ...]
    retry_after_s: int | None = None


_OTHER_ACCOUNT = _Page(
    403,
    "Another account",
    (
        "You logged in to another account at the broker than the one that is connected. It was not connected.",
        "Log out at the broker, and log in again with the user ID that you use here.",
        "To connect another account on purpose, do so in the app: it asks for your password.",
    ),
)
_REFUSED = _Page(
    403,
    "The broker refused this login",
    ("The broker did not accept the login: it was used already, or it is too old.", _AS_BEFORE, _AGAIN),
)
_LATER = _Page(
    503,
    "Not reachable right now",
    (
        "Your broker, or a part of this service, did not answer: your login may not have been stored.",
        "Load this page again in a moment. If that does not help, log in again.",
    ),
    retry_after_s=5,
)

_PAGES = {
    CONNECTED: _Page(
        200,
        "Connected",
        (
            "Your broker account is connected until {until}.",
            "Strategies that waited for this login go on. You can close this page.",
        ),
    ),
    CANCELLED: _Page(
        200, "Login cancelled", ("The login at the broker was cancelled.", _AS_BEFORE, "You can log in at any time.")
    ),
    NO_STATE: _Page(
        200,
        "Logged in at the broker",
        (
            "This login was not begun in the app, so that it is not known whom it is for. Nothing was connected.",
            "For a first connection copy this request token into the app. It is good once, for a few minutes.",
            "Give it to no other person and to no other page.",
        ),
    ),
    NOT_GOOD: _Page(
        404,
        "This link is not good any more",
        ("It was used already, it is too old, or the connection was changed since.", _AGAIN),
    ),
    UNDER_WAY: _Page(202, "One moment", ("Your login is being connected. This page loads itself again.",)),
    "password_needed": _OTHER_ACCOUNT,
    "strategies_running": _OTHER_ACCOUNT,
    "account_taken": _OTHER_ACCOUNT,
    "broker_not_connected": _Page(
        409,
        "No connection to renew",
        ("There is no broker connection that this login could renew. Connect your broker in the app first.",),
    ),
    "broker_not_offered": _Page(
        409, "This broker is not offered", ("This server does not offer the broker any more.",)
    ),
    "credentials_mismatch": _Page(
        403,
        "The API secret does not fit",
        (
            "The broker says that the stored API secret does not belong to the API key. The login was not connected.",
            "Connect your broker in the app again, with the key and the secret of your app at the broker.",
        ),
    ),
    "too_many_attempts": _Page(
        429,
        "Too many attempts",
        ("There were too many attempts to connect. Please wait a few minutes, then log in again.",),
        retry_after_s=60,
    ),
    "broker_unreachable": _LATER,
    "proxy_unreachable": _LATER,
    "too_many_broker_calls": _LATER,
    "database_unavailable": _LATER,
    "database_busy": _LATER,
}

_SUMMARIES = {
    200: "A page: the account is connected, the login was cancelled, or no state came back with it",
    202: "A page that loads itself again: the login is being connected",
    303: "To the broker's login page",
    403: "A page: another account than the one that is connected, or the broker refuses the login",
    404: "A page: the state or link is unknown, used, or too old",
    409: "A page: there is no connection to renew",
    429: "Too many requests or attempts; `Retry-After` says how long to wait",
    503: "A part that is needed does not answer, or too many ask at once; try again",
}
_PROBLEMS_TOO = (429, 503)
"""Statuses that the edge answers with a JSON problem, too."""

_EXAMPLES = {200: CONNECTED, 202: UNDER_WAY, 403: "password_needed", 404: NOT_GOOD, 409: "broker_not_connected",
             429: "too_many_attempts", 503: "broker_unreachable"}  # fmt: skip


def page_of(
    outcome: str, *, until: datetime, request_token: str | None = None, retry_after: str | None = None
) -> HTMLResponse:
    """The page of an outcome: one of the words above, or the code of an error; one that is not known was a refusal.

    `until`: when an access token that is made now ends. The request token is shown without a state only. `retry_after`:
    seconds to wait, where they are known better than the page does.
    """
    page = _PAGES.get(outcome, _REFUSED)
    headers = {} if page.retry_after_s is None else {"Retry-After": retry_after or str(page.retry_after_s)}
    if outcome == UNDER_WAY:
        headers["Refresh"] = "2"
    code = request_token if outcome == NO_STATE else None
    return html_page(page.status, page.title, _sentences(page, until), code=code, headers=headers)


def described_pages(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The pages of a route for the OpenAPI description, by status."""
    return {status: _described(status) for status in statuses}


def _described(status: int) -> dict[str, Any]:
    if status == 303:  # an empty page
        return {
            "description": _SUMMARIES[status],
            "content": {"text/html": {"schema": {"type": "string"}, "example": ""}},
        }
    page = _PAGES[_EXAMPLES[status]]
    example = html_text(page.title, _sentences(page, datetime(2026, 11, 22, 6, tzinfo=IST)))
    content = {"text/html": {"schema": {"type": "string"}, "example": example}}
    if status in _PROBLEMS_TOO:
        content |= problem_response(status)["content"]
    return {"description": _SUMMARIES[status], "content": content}


def _sentences(page: _Page, until: datetime) -> list[str]:
    local = until.astimezone(IST)
    return [sentence.replace("{until}", f"{local:%H:%M} on {local.day} {local:%B}") for sentence in page.sentences]
