"""The user behind a request, the client and the address that it came from, and what they must have done before."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Annotated, Protocol

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param
from starlette.datastructures import Headers
from starlette.types import Scope

from api.base.client import Client
from api.base.errors import unauthorized
from api.users.live_logins import LiveLogins
from api.users.own_logins import OwnLogins
from api.users.passwords.hashing import Passwords
from api.users.tokens import AccessClaims, AccessTokens, TokenExpired, TokenInvalid


class UsedForClaims(Protocol):
    """What the check of an access token uses of `api.bootstrap.Resources`."""

    tokens: AccessTokens
    logins: LiveLogins


class UsedForPasswords(Protocol):
    """What the requests about passwords use of `api.bootstrap.Resources`."""

    passwords: Passwords
    own_logins: OwnLogins


_SHAPE_OF_TOKEN = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
"""What an access token looks like (RFC 7519 §3): three parts of base64url."""

_MOST_OF_AGENT = 120
"""How much of a User-Agent is kept, in characters: browser and system stand at its beginning, or soon after."""

_bearer = HTTPBearer(
    auto_error=False,
    scheme_name="bearerAuth",
    bearerFormat="JWT",
    description="The access token of register, login or refresh.",
)


async def access_claims(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> AccessClaims:
    """The claims of an access token whose login goes on, for one request more of its user, when its turn has come.

    Counted after authentication: forged tokens use up no user's requests. One dependency, because each costs every
    request 30 microseconds.

    Raises:
        ApiError: 401 `token_expired` or `token_invalid` (row A2); 429 `rate_limited`.
    """
    opened: UsedForClaims = request.app.state.resources
    if credentials is None:
        raise unauthorized("token_invalid", "Missing token: send it as `Authorization: Bearer ...`")
    if len(request.headers.getlist("authorization")) > 1:
        raise unauthorized("token_invalid", "The header Authorization stands twice: send one token")
    try:
        claims = opened.tokens.check(credentials.credentials)
    except TokenExpired as error:
        raise unauthorized("token_expired", "Token expired, please log in again") from error
    except TokenInvalid as error:
        raise unauthorized("token_invalid", _why_invalid(credentials.credentials)) from error
    request.scope["user_id"] = claims.user_id  # for the log of refused requests (`api.edge.refusal_log`)
    if not await opened.logins.is_live(claims):
        raise unauthorized("token_invalid", "This login has ended. Please log in again.")
    await request.app.state.work_budget.admit(claims.user_id, request)
    return claims


def _why_invalid(text: str) -> str:
    """A new login is of no use to a program that sends its token in quotes, or `null` in its place."""
    if _SHAPE_OF_TOKEN.fullmatch(text):
        return "Invalid token, please log in again"
    return "No access token follows `Bearer`: send the access_token of a login's answer alone, without quotes around it"


Claims = Annotated[AccessClaims, Depends(access_claims)]


def user_of_token(scope: Scope) -> int | None:
    """The user of a request's access token, which is not asked whether its login goes on; None if it is not valid."""
    scheme, text = get_authorization_scheme_param(Headers(scope=scope).get("authorization"))
    tokens: AccessTokens | None = getattr(scope["app"].state, "tokens", None)  # once everything is opened
    if tokens is None or scheme.lower() != "bearer":
        return None
    try:
        return tokens.check(text).user_id
    except (TokenExpired, TokenInvalid):
        return None


async def current_user_id(claims: Claims) -> int:
    """The user that the request acts for."""
    return claims.user_id


UserId = Annotated[int, Depends(current_user_id)]


async def client_address(request: Request) -> str:
    """The address that the request came from, for throttling and the audit log."""
    return request.client.host if request.client else "unknown"


Address = Annotated[str, Depends(client_address)]


async def limit_address(request: Request, address: Address) -> None:
    """One request more of an address: for routes without a token. 429 `rate_limited`."""
    request.app.state.work_budget.count_address(address)


async def request_client(request: Request, address: Address) -> Client:
    """The client, for requests about passwords and logins."""
    agent = "".join(filter(str.isprintable, request.headers.get("user-agent", "")))
    return Client(address, agent[:_MOST_OF_AGENT].strip(), request.is_disconnected)


RequestClient = Annotated[Client, Depends(request_client)]


async def password_place(request: Request) -> AsyncIterator[None]:
    """A place in the queue of requests that a password decides about. 503 `passwords_busy` when it is full."""
    opened: UsedForPasswords = request.app.state.resources
    async with opened.passwords.place():
        yield


PasswordPlace = Depends(password_place, scope="function")
"""For the `dependencies` of each route that hashes or compares a password."""

HasRecentPassword = Callable[[], Awaitable[bool]]
"""Whether the user gave the password in the last five minutes, in the login of this request. Costs a query."""


async def has_recent_password(request: Request, claims: Claims) -> HasRecentPassword:
    """What a service asks where an access token alone may not be enough for what it is to do."""
    opened: UsedForPasswords = request.app.state.resources
    return partial(opened.own_logins.has_recent_password, claims)


RecentPassword = Annotated[HasRecentPassword, Depends(has_recent_password)]
