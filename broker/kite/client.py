"""`kiteconnect` over our own wire: its routes and methods, none of its ways to send.

Of the stock client this keeps the API. It replaces how requests leave and what counts as an answer (kite.md §1.2, §2):
no redirect, no netrc, no proxy but the account's own, as a tunnel; a deadline for the whole exchange, which ends it in
the thread that waits; an answer is JSON with the status that Kite gives it, and everything else is an exception that
`attempt_outcomes.outcome_of` and `login.explain` can classify.
"""

import json
import re
import zlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from kiteconnect import KiteConnect
from kiteconnect import exceptions as kite_errors

from broker.kite.answers.broker_text import clean_text
from broker.kite.answers.exceptions import contradictory, kite_error, unreadable
from broker.kite.answers.sliced_json import read_json
from broker.kite.connection import Answer
from broker.kite.connection_pool import ConnectionPool
from broker.kite.credentials import KiteCredentials
from broker.kite.deadline import deadline_within

FORM = "application/x-www-form-urlencoded"
_JSON = "application/json"
_HEADER_WORD = re.compile(r"[!-~]{1,512}")
_GZIP = b"\x1f\x8b"
_LONGEST_LIST = 64 * 1024 * 1024
"""Bytes of an instrument list that is unpacked. The longest of Kite's is about a sixth of it."""


class KiteClient(KiteConnect):  # type: ignore[misc] # kiteconnect has no types
    """One account under one access token. Safe to use from several threads, each call over a connection of its own.

    Besides the exceptions of `kiteconnect`, which carry the true HTTP status in `code`, calls raise `NeverSent` and
    `AnswerLost`. None of their texts holds credentials.
    """

    def __init__(self, credentials: KiteCredentials, pool: ConnectionPool) -> None:
        destination = pool.destination
        super().__init__(credentials.api_key, credentials.access_token, destination.root, timeout=destination.timeout_s)
        self.credentials = credentials
        self._pool = pool
        self._head = self._prepare_head()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._pool.destination.authority})"

    def _request(
        self,
        route: str,
        method: str,
        url_args: Mapping[str, Any] | None = None,
        params: Any = None,
        is_json: bool = False,
        query_params: Mapping[str, Any] | None = None,
    ) -> Any:
        """What every other method of `KiteConnect` goes through."""
        body = kind = None
        query = params if method in {"GET", "DELETE"} else query_params
        if method in {"POST", "PUT"}:
            kind = _JSON if is_json else FORM
            body = json.dumps(params).encode() if is_json else _form(params)
        path = self._path(route, url_args)
        asked = _form(query).decode()
        return self._send(method, self._request_head(method, f"{path}?{asked}" if asked else path, kind), body)

    def _path(self, route: str, names: Mapping[str, Any] | None) -> str:
        quoted = {name: quote(str(value), safe="") for name, value in (names or {}).items()}
        path: str = self._routes[route].format(**quoted)
        return path

    def _prepare_head(self) -> bytes:
        """The headers of every request of the account."""
        lines = {
            "Host": self._pool.destination.authority,
            "X-Kite-Version": self.kite_header_version,
            "User-Agent": self._user_agent(),
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Connection": "keep-alive",
            **self._authorization(),
        }
        return "".join(f"{name}: {value}\r\n" for name, value in lines.items()).encode("ascii")

    def _authorization(self) -> dict[str, str]:
        if not (_HEADER_WORD.fullmatch(self.api_key) and _HEADER_WORD.fullmatch(self.access_token or "")):
            raise kite_errors.TokenException("The stored credentials hold characters that no credentials have")
        return {"Authorization": f"token {self.api_key}:{self.access_token}"}

    def _request_head(self, method: str, target: str, kind: str | None) -> bytes:
        body_type = f"Content-Type: {kind}\r\n" if kind else ""
        return f"{method} {target} HTTP/1.1\r\n".encode("ascii") + self._head + body_type.encode("ascii")

    def _send(self, method: str, head: bytes, body: bytes | None, *, oldest: bool = False) -> Any:
        return self._exchange(method, whole(head, body), oldest=oldest)

    def _exchange(self, method: str, request: bytes, *, oldest: bool = False) -> Any:
        answer = self._pool.exchange(method, request, self._until(), oldest=oldest)
        return data_of(answer, self.access_token)

    def _until(self) -> float:
        return deadline_within(sum(self._pool.destination.timeout_s))


class KiteLoginClient(KiteClient):
    """The client before there is an access token: its requests have no Authorization."""

    def _authorization(self) -> dict[str, str]:
        return {}


def whole(head: bytes, body: bytes | None) -> bytes:
    """A request: its head, and its body with the length that it has."""
    length = b"Content-Length: %d\r\n\r\n" % len(body) if body is not None else b"\r\n"
    return b"".join((head, length, body or b""))


def data_of(answer: Answer, secret: str) -> Any:
    """`data` of a successful answer; every other answer is an exception, whose text does not hold the secret."""
    if "csv" in answer.content_type and answer.status == 200:
        return _unpacked(answer.body)
    if "json" not in answer.content_type:
        raise unreadable(answer.status, "HTML" if "html" in answer.content_type else "not JSON")
    try:
        said = read_json(answer.body)
    except (ValueError, RecursionError) as error:
        raise unreadable(answer.status, "not JSON") from error
    if not isinstance(said, dict):
        raise unreadable(answer.status, "JSON without an envelope")
    if said.get("status") == "error" or said.get("error_type"):
        message = said.get("message")
        # a broker gone wrong may repeat what it was sent, and its words go into logs
        told = message.replace(secret, "***") if isinstance(message, str) and len(secret) > 7 else message
        told = clean_text(told) if isinstance(told, str) else told
        raise kite_error(said.get("error_type"), told, answer.status)
    if answer.status != 200 or said.get("status") != "success" or "data" not in said:
        raise contradictory(answer.status)
    return said["data"]


def _unpacked(body: bytes) -> bytes:
    # Kite's manual calls the list gzipped, and says nothing of clients that do not accept that.
    if not body.startswith(_GZIP):
        return body
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        unpacked = unpacking.decompress(body, _LONGEST_LIST)
    except zlib.error as error:
        raise unreadable(200, "not the gzip that it says it is") from error
    if not unpacking.eof:
        raise unreadable(200, "a list that is too long or cut off")
    return unpacked


def _form(fields: Mapping[str, Any] | None) -> bytes:
    present = {name: value for name, value in (fields or {}).items() if value is not None}
    return urlencode(present, doseq=True).encode()
