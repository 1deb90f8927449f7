"""The cookie that keeps a browser's login: no script can read its refresh token, and no other site can use it.

Source of the rules: RFC 6265bis (cookies), OWASP ASVS 4.0.3, V3.4 and 13.2.3.
"""

from typing import Annotated, Literal, Protocol
from urllib.parse import urlsplit

from fastapi import Depends, Header, Request
from starlette.responses import Response

from api.base.errors import ApiError
from config.settings import Settings

PATH = "/auth"
"""Which calls a browser sends the cookie with. No call but refresh and logout reads it."""

_SECURE, _PLAIN = "__Secure-tradeactors-refresh", "tradeactors-refresh"
"""Names of the cookie. A browser takes the first over HTTPS only, so that no page without it can plant one."""

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PORTS = {"https": 443, "http": 80}


class UsedForOrigins(Protocol):
    """What the check of an origin uses of `api.bootstrap.Resources`."""

    settings: Settings


class LoginCookie:
    """Where the refresh token of a browser's login is kept: it is sent with the request, and set with the answer."""

    def __init__(self, request: Request, *, secure: bool, path: str) -> None:
        self._secure, self._path = secure, path
        self._name = _SECURE if secure else _PLAIN
        self.refresh_token: str | None = request.cookies.get(self._name) or None

    def keep(self, response: Response, refresh_token: str, seconds: int) -> None:
        """Have the browser keep the token, for that long."""
        self._set(response, refresh_token, seconds)

    def forget(self, response: Response) -> None:
        """Have the browser drop the token."""
        self._set(response, "", 0)

    def forgetting(self) -> dict[str, str]:
        """The header of an error after which the browser is to drop the token."""
        response = Response()
        self.forget(response)
        return {"Set-Cookie": response.headers["Set-Cookie"]}

    def _set(self, response: Response, value: str, seconds: int) -> None:
        response.set_cookie(
            self._name, value, seconds, path=self._path, secure=self._secure, httponly=True, samesite="strict"
        )


async def login_cookie(
    request: Request,
    wanted: Annotated[
        Literal["cookie"] | None,
        Header(
            alias="X-Session",
            description="`cookie`: for pages of this server, in a browser. The refresh token is kept in a cookie.",
        ),
    ] = None,
) -> LoginCookie | None:
    """The cookie, if the request asks for it by `X-Session: cookie` and a page of ours sends it.

    None without the header, and where the browser would not keep a secret: over plain HTTP from another machine.

    Raises:
        ApiError: 403 `origin_refused`, for pages of others, and for programs that name no origin.
    """
    if wanted is None:
        return None
    opened: UsedForOrigins = request.app.state.resources
    origin, public = request.headers.get("origin", ""), opened.settings.public_url
    own = _origin(f"{request.scope['scheme']}://{request.headers.get('host', '')}")
    known = {_origin(public): urlsplit(public).path, own: request.scope.get("root_path", "")}
    known.pop(None, None)
    if origin not in known:
        raise ApiError(
            403, "origin_refused", "Only a page of this server may keep a login; its address is the server's own"
        )
    secure = origin.startswith("https:")
    if not secure and urlsplit(origin).hostname not in _LOOPBACK:
        return None
    return LoginCookie(request, secure=secure, path=f"{known[origin]}{PATH}")


AskedCookie = Annotated[LoginCookie | None, Depends(login_cookie)]


def _origin(address: str) -> str | None:
    """The origin of an address, as browsers write it (RFC 6454); None for what is no address."""
    try:
        parts = urlsplit(address)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError:
        return None
    if not host or scheme not in _PORTS:
        return None
    name = f"[{host}]" if ":" in host else host
    return f"{scheme}://{name}" if port in (None, _PORTS[scheme]) else f"{scheme}://{name}:{port}"
