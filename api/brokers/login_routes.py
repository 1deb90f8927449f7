"""Where browsers come to without a token of ours: login links, and back from the broker's login page (row N2)."""

import re
from typing import Annotated, Protocol

from fastapi import APIRouter, Depends, Query
from pydantic import ConfigDict, Field
from pydantic.config import JsonDict
from starlette.responses import HTMLResponse, RedirectResponse, Response

from api.base.dependencies import resources
from api.base.errors import ApiError
from api.base.fields import Request
from api.brokers.browser_logins import BrowserLogins
from api.brokers.login_pages import CANCELLED, NO_STATE, NOT_GOOD, described_pages, page_of
from api.users.dependencies import Address
from persistence.errors import DatabaseBusy, DatabaseUnavailable

router = APIRouter(prefix="/broker", tags=["broker"])

_REQUEST_TOKEN = re.compile(r"[!-~]{1,256}")
_NO_NUL: JsonDict = {"pattern": r"^[^\u0000]*$"}
_SHOWN = re.compile(r"[A-Za-z0-9]{1,128}")


class Used(Protocol):
    """What the routes of this module use of `api.bootstrap.Resources`."""

    browser_logins: BrowserLogins


Opened = Annotated[Used, Depends(resources)]


class CallbackQuery(Request):
    """What the broker sends a browser back with. It may add fields of its own, which are passed over."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    status: str = Field(
        default="", description="`success`, or anything else: the login was cancelled", json_schema_extra=_NO_NUL
    )
    request_token: str = Field(default="", description="good once, for some minutes", json_schema_extra=_NO_NUL)
    state: str = Field(default="", description="that of the login page's address", json_schema_extra=_NO_NUL)
    action: str = Field(default="", description="`login`", json_schema_extra=_NO_NUL)


class LinkQuery(Request):
    """A login link."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    code: str = Field(default="", description="the secret of the link", json_schema_extra=_NO_NUL)


@router.get(
    "/callback",
    operation_id="broker_callback",
    response_class=HTMLResponse,
    responses=described_pages(200, 202, 403, 404, 409, 429, 503),
)
async def callback(query: Annotated[CallbackQuery, Query()], opened: Opened, address: Address) -> Response:
    """Where the broker's login page leads back to: connects the login of a state, and says so on a page.

    It gives no login here, and connects no other account than the one that is connected. A page that is loaded again
    says the same and does nothing.
    """
    until = opened.browser_logins.connected_until()
    if query.status != "success" or not _REQUEST_TOKEN.fullmatch(query.request_token):
        return page_of(CANCELLED, until=until)
    if not query.state:
        shown = query.request_token if _SHOWN.fullmatch(query.request_token) else None
        return page_of(NO_STATE, until=until, request_token=shown)
    try:
        outcome = await opened.browser_logins.come_back(query.state, query.request_token, address)
    except (DatabaseUnavailable, DatabaseBusy):
        outcome = "database_unavailable"
    return page_of(outcome, until=until)


@router.get(
    "/login",
    operation_id="open_login_link",
    response_class=HTMLResponse,
    status_code=303,
    responses=described_pages(303, 404, 409, 429, 503),
)
async def open_link(query: Annotated[LinkQuery, Query()], opened: Opened) -> Response:
    """Open a login link: on to the broker's login page, as often as it takes until a login by it has connected."""
    until = opened.browser_logins.connected_until()
    try:
        url = await opened.browser_logins.open_link(query.code)
    except ApiError as error:
        return page_of(error.code, until=until, retry_after=error.headers.get("Retry-After"))
    except (DatabaseUnavailable, DatabaseBusy):
        return page_of("database_unavailable", until=until)
    return page_of(NOT_GOOD, until=until) if url is None else RedirectResponse(url, 303)
