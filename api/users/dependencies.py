"""The user behind a request, and the address that it came from."""

from typing import Annotated, Protocol

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.base.errors import unauthorized
from api.users.live_logins import LiveLogins
from api.users.tokens import AccessClaims, AccessTokens, TokenExpired, TokenInvalid


class UsedForClaims(Protocol):
    """What the check of an access token uses of `api.bootstrap.Resources`."""

    tokens: AccessTokens
    logins: LiveLogins


_bearer = HTTPBearer(
    auto_error=False,
    scheme_name="bearerAuth",
    bearerFormat="JWT",
    description="The access token of register, login or refresh.",
)


async def access_claims(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> AccessClaims:
    """The claims of an access token whose login goes on, for one request more of its user.

    Counted after authentication: forged tokens use up no user's requests. One dependency, because each costs every
    request 30 microseconds.

    Raises:
        ApiError: 401 `token_expired` or `token_invalid` (row A2); 429 `rate_limited`.
    """
    opened: UsedForClaims = request.app.state.resources
    if credentials is None:
        raise unauthorized("token_invalid", "Missing token")
    try:
        claims = opened.tokens.check(credentials.credentials)
    except TokenExpired as error:
        raise unauthorized("token_expired", "Token expired, please log in again") from error
    except TokenInvalid as error:
        raise unauthorized("token_invalid", "Invalid token") from error
    request.scope["user_id"] = claims.user_id  # for the log of refused requests (`api.edge.refusal_log`)
    if not await opened.logins.is_live(claims):
        raise unauthorized("token_invalid", "This login has ended. Please log in again.")
    request.app.state.rate_limits.count_user(claims.user_id, request.scope["route"].operation_id)
    return claims


Claims = Annotated[AccessClaims, Depends(access_claims)]


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
    request.app.state.rate_limits.count_address(address)
