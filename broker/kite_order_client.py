"""`kiteconnect.KiteConnect` for the order path: requests prepared ahead, no redirects, and answers taken literally.

The stock client builds URL, headers and session settings anew for each request, follows redirects (a 302 turns a
placement into a GET that "succeeds"), loses the status of an answer that is not JSON, and leaves out exceptions that
Kite documents (kite.md §1, §2). What this one raises can be told apart by `kite_mapping.outcome_of`.
"""

from typing import Any
from urllib.parse import urlencode, urljoin

import requests
from kiteconnect import KiteConnect
from kiteconnect import exceptions as kite_errors
from requests.adapters import HTTPAdapter

_FORM = "application/x-www-form-urlencoded"


class MarginException(kite_errors.GeneralException):  # type: ignore[misc]
    """Insufficient funds."""


class HoldingException(kite_errors.GeneralException):  # type: ignore[misc]
    """Insufficient holdings for a sale."""


class UserException(kite_errors.GeneralException):  # type: ignore[misc]
    """Something about the account."""


class TwoFAException(kite_errors.GeneralException):  # type: ignore[misc]
    """A second factor is missing."""


_MISSING = {c.__name__: c for c in (MarginException, HoldingException, UserException, TwoFAException)}


class KiteOrderClient(KiteConnect):  # type: ignore[misc]
    """One warm session of one account. Not for two threads at once. `timeout_s`: to connect, and between bytes."""

    def __init__(self, root: str, timeout_s: tuple[float, float]) -> None:
        super().__init__("", root=root, timeout=timeout_s, debug=False)
        self.api_key: str = ""
        self.access_token: str | None = None
        self.reqsession.trust_env = False  # a netrc entry would replace the Authorization header
        self.reqsession.mount("http://", HTTPAdapter(pool_connections=1, pool_maxsize=1))
        self.reqsession.mount("https://", HTTPAdapter(pool_connections=1, pool_maxsize=1))
        self._prepared: dict[tuple[str, str], requests.PreparedRequest] = {}

    def __repr__(self) -> str:
        return f"KiteOrderClient({self.root!r})"

    def log_in(self, api_key: str, access_token: str) -> None:
        """Use these credentials from the next request on."""
        if (self.api_key, self.access_token) != (api_key, access_token):
            self.api_key, self.access_token = api_key, access_token
            self._prepared.clear()

    def _request(
        self,
        route: str,
        method: str,
        url_args: dict[str, str] | None = None,
        params: dict[str, Any] | None = None,
        is_json: bool = False,
        query_params: dict[str, Any] | None = None,
    ) -> Any:
        url = urljoin(self.root, self._routes[route].format(**(url_args or {})))
        request = self._template(method, url).copy()
        if method in {"POST", "PUT"} and not is_json:
            request.body = urlencode(params or {}).encode()
            request.headers["Content-Type"] = _FORM
            request.headers["Content-Length"] = str(len(request.body))
        elif is_json or params or query_params:
            body = {"json": params} if is_json else {"params": params or query_params}
            request = requests.Request(method, url, headers=dict(request.headers), **body).prepare()
        return _data_of(self.reqsession.send(request, timeout=self.timeout, allow_redirects=False))

    def _template(self, method: str, url: str) -> requests.PreparedRequest:
        prepared = self._prepared.get((method, url))
        if prepared is None:
            headers = {
                "X-Kite-Version": self.kite_header_version,
                "User-Agent": self._user_agent(),
                "Authorization": f"token {self.api_key}:{self.access_token}",
                **{name: value for name, value in self.reqsession.headers.items() if name != "User-Agent"},
            }
            prepared = requests.Request(method, url, headers=headers).prepare()
            if "{" not in url and method in {"GET", "POST"}:  # order ids of PUT and DELETE never come again
                self._prepared[method, url] = prepared
        return prepared


def _data_of(reply: requests.Response) -> Any:
    """The `data` of a JSON answer.

    Raises:
        KiteException: with the broker's own class and status, or `DataException` with the real status for anything
            that is not Kite's envelope: it proves nothing but its status.
    """
    try:
        answer = reply.json() if "json" in reply.headers.get("Content-Type", "") else None
    except ValueError:
        answer = None
    if answer is None:
        raise kite_errors.DataException(f"HTTP {reply.status_code} without JSON", reply.status_code)
    if not isinstance(answer, dict):
        raise kite_errors.DataException(f"HTTP {reply.status_code} with another JSON than Kite's", reply.status_code)
    name = answer.get("error_type")
    if answer.get("status") == "error" or name:
        known = _MISSING.get(str(name)) or getattr(kite_errors, str(name), kite_errors.GeneralException)
        kind = known if isinstance(known, type) and issubclass(known, kite_errors.KiteException) else None
        raise (kind or kite_errors.GeneralException)(str(answer.get("message") or "no reason given"), reply.status_code)
    if reply.status_code != requests.codes.ok or "data" not in answer:
        raise kite_errors.DataException(f"HTTP {reply.status_code} without data", reply.status_code)
    return answer["data"]
