"""`kiteconnect` for orders: over our own wire, with a `place_order` that is prepared ahead."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote_plus, urlencode

from kiteconnect import exceptions as kite_errors

from broker.kite.answers.broker_text import order_id_of
from broker.kite.answers.exceptions import unreadable
from broker.kite.client import FORM, KiteClient, data_of, whole
from broker.kite.connection_pool import Begun, ConnectionPool
from broker.kite.credentials import KiteCredentials

_PER_ORDER = frozenset({"tradingsymbol", "transaction_type", "quantity", "tag"})
_PROTECTED_TYPES = frozenset({"MARKET", "SL-M"})
_MOST_TEMPLATES = 64
_MOST_WARMED = 4

_quoted = lru_cache(maxsize=4096)(quote_plus)


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
        return _order_id(data_of(self.begun.finish("POST", self.deadline), self.access_token))


class KiteOrderClient(KiteClient):
    """The client of an account's orders."""

    def __init__(self, credentials: KiteCredentials, pool: ConnectionPool) -> None:
        super().__init__(credentials, pool)
        self._templates: dict[tuple[tuple[str, Any], ...], _Template] = {}

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
        begun, deadline = self._pool.begin(self._order_request(variety, order)), self._until()
        if begun is None:
            return None
        return BegunOrder(begun, deadline, self.access_token)

    def rehearse_order(self, variety: str, **order: Any) -> None:
        """Everything that `begin_order` does before the wire."""
        self._order_request(variety, order)
        self._pool.rehearse()

    def _order_request(self, variety: str, order: Mapping[str, Any]) -> bytes:
        """The whole request. What is the same from order to order is encoded once and kept."""
        if order.get("order_type") in _PROTECTED_TYPES:
            _check_protection(order.get("market_protection"))
        template = self._template(variety, {name: value for name, value in order.items() if name not in _PER_ORDER})
        own = "&".join(f"{name}={_quoted(str(order[name]))}" for name in _PER_ORDER if order.get(name) is not None)
        return whole(template.head, template.form + own.encode())

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
        for _ in range(min(max(1, len(self._pool)), _MOST_WARMED)):
            self._send("GET", head, None, oldest=True)

    def _template(self, variety: str, same: Mapping[str, Any]) -> "_Template":
        """What all orders share that agree in everything but what is an order's own."""
        key = (("variety", variety), *sorted((name, value) for name, value in same.items() if value is not None))
        template = self._templates.get(key)
        if template is None:
            path = self._path("order.place", {"variety": variety})
            template = _Template(self._request_head("POST", path, FORM), urlencode(key).encode() + b"&")
            if len(self._templates) >= _MOST_TEMPLATES:
                self._templates.clear()
            self._templates[key] = template
        return template


def _order_id(data: Any) -> str:
    try:
        return order_id_of(data["order_id"] if isinstance(data, dict) and isinstance(data["order_id"], str) else None)
    except (ValueError, KeyError) as error:
        raise unreadable(200, "no order id") from error


def _check_protection(percent: object) -> None:
    """-1 or a percentage; a truth value is refused by Kite with an unclear text (kite.md §4.1)."""
    number = isinstance(percent, int | float) and not isinstance(percent, bool)
    if not number or not (percent == -1 or 0 < percent <= 100):  # type: ignore[operator]
        raise kite_errors.InputException("market_protection must be -1 or a percentage above 0 and up to 100", code=400)
