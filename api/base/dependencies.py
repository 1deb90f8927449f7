"""What routes are given: the resources of the process, and the user behind a request."""

from typing import Annotated

from fastapi import Depends, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field

from api.base.errors import unauthorized
from api.bootstrap import Resources
from api.users.tokens import AccessClaims, TokenExpired, TokenInvalid

_bearer = HTTPBearer(
    auto_error=False,
    scheme_name="bearerAuth",
    bearerFormat="JWT",
    description="The access token of register, login or refresh.",
)


async def resources(request: Request) -> Resources:
    """The resources that the lifespan opened. (Async, like all here: FastAPI sends plain functions to a thread.)"""
    opened: Resources = request.app.state.resources
    return opened


Opened = Annotated[Resources, Depends(resources)]


async def access_claims(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> AccessClaims:
    """The claims of an access token whose login goes on, for one request more of its user.

    Counted after authentication: forged tokens use up no user's requests. One dependency, because each costs every
    request 30 microseconds.

    Raises:
        ApiError: 401 `token_expired` or `token_invalid` (row A2); 429 `rate_limited`.
    """
    opened: Resources = request.app.state.resources
    if credentials is None:
        raise unauthorized("token_invalid", "Missing token")
    try:
        claims = opened.tokens.check(credentials.credentials)
    except TokenExpired as error:
        raise unauthorized("token_expired", "Token expired, please log in again") from error
    except TokenInvalid as error:
        raise unauthorized("token_invalid", "Invalid token") from error
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


class PageQuery(BaseModel):
    """Which part of a longer list."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(default=50, ge=1, le=200)
    offset: int = Field(default=0, ge=0, le=1_000_000)


Paging = Annotated[PageQuery, Query()]
