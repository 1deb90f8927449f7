"""`kiteconnect` for orders: its routes and methods over our own wire, and a `place_order` that is prepared ahead.

Of the stock client this keeps the API. It replaces how requests leave and what counts as an answer (kite.md §1.2, §2):
no redirect, no netrc, no proxy but the account's own, as a tunnel; a deadline for the whole exchange; an answer is
JSON with the status that Kite gives it, and everything else is an exception that `mapping.outcome_of` can
classify.
"""

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote, quote_plus, urlencode

from kiteconnect import KiteConnect
from kiteconnect import exceptions as kite_errors

from broker.kite.answers.broker_text import clean_text, order_id_of
from broker.kite.answers.exceptions import contradictory, kite_error, unreadable
from broker.kite.answers.sliced_json import read_json
from broker.kite.connection import Answer
from broker.kite.connection_pool import Begun, KiteSessions
from broker.kite.credentials import KiteCredentials

_FORM = "application/x-www-form-urlencoded"
_JSON = "application/json"
_HEADER_WORD = re.compile(r"[!-~]{1,512}")
_PER_ORDER = frozenset({"tradingsymbol", "transaction_type", "quantity", "tag"})
_PROTECTED_TYPES = frozenset({"MARKET", "SL-M"})
_MOST_TEMPLATES = 64
_MOST_WARMED = 4

_quoted = lru_cache(maxsize=4096)(quote_plus)

_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


class _Template(NamedTuple):
    """An order prepared ahead: its headers but for the length, and the beginning of its form."""

    head: bytes = b""
    form: bytes = b""


@dataclass(frozen=True, slots=True)
class BegunOrder:
    """An order whose request has left, at least in part. `order_id` must be called once, in any thread."""

    begun: Begun
    deadline: float
    access_token: str = field(repr=False)

    @property
    def awaits(self) -> tuple[int, float] | None:
        """The descriptor that the answer arrives on, and for how many seconds; None: there is more to send first."""
        if self.begun.rest:
            return None
        return self.begun.connection.fileno(), self.begun.connection.patience(self.deadline)

    def order_id(self) -> str:
        """Read the answer, for as long as `place_order` would. Raises what `place_order` raises."""
        return _order_id(_data_of(self.begun.finish("POST", self.deadline), self.access_token))


@contextmanager
def finished_by(deadline: float) -> Iterator[None]:
    """Calls inside end by this instant of `time.monotonic()`, and nothing is sent after it."""
    before = _deadline.set(deadline)
    try:
        yield
    finally:
        _deadline.reset(before)


class KiteOrderClient(KiteConnect):  # type: ignore[misc] # kiteconnect has no types
    """One account under one access token. Safe to use from several threads, each call over a connection of its own.

    Besides the exceptions of `kiteconnect`, which carry the true HTTP status in `code`, calls raise `NeverSent` and
    `AnswerLost`. None of their texts holds credentials.
    """

    def __init__(self, credentials: KiteCredentials, sessions: KiteSessions) -> None:
        destination = sessions.destination
        super().__init__(credentials.api_key, credentials.access_token, destination.root, timeout=destination.timeout_s)
        self.credentials = credentials
        self._sessions = sessions
        self._head = self._prepare_head()
        self._templates: dict[tuple[tuple[str, Any], ...], _Template] = {}

    def __repr__(self) -> str:
        return f"KiteOrderClient({self._sessions.destination.authority})"

    def place_order(self, variety: str, **order: Any) -> str:
        """`KiteConnect.place_order` by keywords: the order id. One request, which is never repeated here.

        Raises:
            InputException: before anything is sent, for a MARKET or SL-M order without protection (kite.md §4.1).
        """
        return _order_id(self._exchange("POST", self._order_request(variety, order)))

    def begin_order(self, variety: str, **order: Any) -> "BegunOrder | None":
        """`place_order` in two steps: the request leaves now, over a warm connection; the result reads the answer.

        None: there is no warm connection, and nothing was sent.

        Raises:
            InputException: as `place_order`.
            AnswerLost: the connection broke; the request may have arrived.
        """
        begun, deadline = self._sessions.begin(self._order_request(variety, order)), self._until()
        if begun is None:
            return None
        return BegunOrder(begun, deadline, self.access_token)

    def rehearse_order(self, variety: str, **order: Any) -> None:
        """Everything that `begin_order` does before the wire."""
        self._order_request(variety, order)
        self._sessions.rehearse()

    def _order_request(self, variety: str, order: Mapping[str, Any]) -> bytes:
        """The whole request. What is the same from order to order is encoded once and kept."""
        if order.get("order_type") in _PROTECTED_TYPES:
            _check_protection(order.get("market_protection"))
        template = self._template(variety, {name: value for name, value in order.items() if name not in _PER_ORDER})
        own = "&".join(f"{name}={_quoted(str(order[name]))}" for name in _PER_ORDER if order.get(name) is not None)
        return _whole(template.head, template.form + own.encode())

    def modify_order(self, variety: str, order_id: str, **changes: Any) -> Any:
        """`KiteConnect.modify_order` by keywords."""
        if changes.get("order_type") in _PROTECTED_TYPES:
            _check_protection(changes.get("market_protection"))
        return super().modify_order(variety, order_id, **changes)

    def quote_of(self, key: str) -> Mapping[str, Any]:
        """The full quote of one instrument, such as NSE:INFY. Raises KeyError if there is none."""
        row: Mapping[str, Any] = self.quote([key])[key]
        return row

    def orders(self) -> Any:
        """The rows of the day's order book as they came: the stamps in them are texts, and a row may be anything."""
        return self._get("orders")

    def keep_warm(self) -> None:
        """Use the connections that have waited longest, so that neither end closes them; open one if there is none."""
        head = self._request_head("GET", self._path("user.profile", None), None)
        for _ in range(min(max(1, len(self._sessions)), _MOST_WARMED)):
            self._send("GET", head, None, oldest=True)

    def _template(self, variety: str, same: Mapping[str, Any]) -> "_Template":
        """What all orders share that agree in everything but what is an order's own."""
        key = (("variety", variety), *sorted((name, value) for name, value in same.items() if value is not None))
        template = self._templates.get(key)
        if template is None:
            path = self._path("order.place", {"variety": variety})
            template = _Template(self._request_head("POST", path, _FORM), urlencode(key).encode() + b"&")
            if len(self._templates) >= _MOST_TEMPLATES:
                self._templates.clear()
            self._templates[key] = template
        return template

    # --- the wire -------------------------------------------------------------------------------------------------

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
            kind = _JSON if is_json else _FORM
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
        if not (_HEADER_WORD.fullmatch(self.api_key) and _HEADER_WORD.fullmatch(self.access_token)):
            raise kite_errors.TokenException("The stored credentials hold characters that no credentials have")
        lines = {
            "Host": self._sessions.destination.authority,
            "X-Kite-Version": self.kite_header_version,
            "User-Agent": self._user_agent(),
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Connection": "keep-alive",
            "Authorization": f"token {self.api_key}:{self.access_token}",
        }
        return "".join(f"{name}: {value}\r\n" for name, value in lines.items()).encode("ascii")

    def _request_head(self, method: str, target: str, kind: str | None) -> bytes:
        body_type = f"Content-Type: {kind}\r\n" if kind else ""
        return f"{method} {target} HTTP/1.1\r\n".encode("ascii") + self._head + body_type.encode("ascii")

    def _send(self, method: str, head: bytes, body: bytes | None, *, oldest: bool = False) -> Any:
        return self._exchange(method, _whole(head, body), oldest=oldest)

    def _exchange(self, method: str, request: bytes, *, oldest: bool = False) -> Any:
        answer = self._sessions.exchange(method, request, self._until(), oldest=oldest)
        return _data_of(answer, self.access_token)

    def _until(self) -> float:
        deadline = _deadline.get()
        return deadline if deadline is not None else time.monotonic() + sum(self._sessions.destination.timeout_s)


def _whole(head: bytes, body: bytes | None) -> bytes:
    length = b"Content-Length: %d\r\n\r\n" % len(body) if body is not None else b"\r\n"
    return b"".join((head, length, body or b""))


def _order_id(data: Any) -> str:
    try:
        return order_id_of(data["order_id"] if isinstance(data, dict) and isinstance(data["order_id"], str) else None)
    except (ValueError, KeyError) as error:
        raise unreadable(200, "no order id") from error


def _data_of(answer: Answer, secret: str) -> Any:
    """`data` of a successful answer; every other answer is an exception, whose text does not hold the secret."""
    if "csv" in answer.content_type and answer.status == 200:
        return answer.body
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


def _form(fields: Mapping[str, Any] | None) -> bytes:
    present = {name: value for name, value in (fields or {}).items() if value is not None}
    return urlencode(present, doseq=True).encode()


def _check_protection(percent: object) -> None:
    """-1 or a percentage; a truth value is refused by Kite with an unclear text (kite.md §4.1)."""
    number = isinstance(percent, int | float) and not isinstance(percent, bool)
    if not number or not (percent == -1 or 0 < percent <= 100):  # type: ignore[operator]
        raise kite_errors.InputException("market_protection must be -1 or a percentage above 0 and up to 100", code=400)
