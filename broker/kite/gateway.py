"""One account at Kite (or at the Kite-compatible paper exchange), through `KiteOrderClient`.

The client blocks, so calls run in a few threads of the account's own, each over a warm connection that no other thread
has at that moment. Only the request of an order leaves in the loop itself, if a connection is warm. A call has one
deadline from here to the last byte of its answer: what could not leave before it, never leaves.
"""

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from actors.domain.identifiers import Instrument
from actors.domain.money import Paise, to_rupees
from actors.domain.orders.cover import AccountPosition, PositionKey
from actors.domain.orders.order import OrderReport
from actors.domain.orders.placement_policy import AttemptOutcome
from actors.domain.orders.price_band import PriceBand
from actors.ports.execution import BrokerLoginExpired, BrokerUnavailable, PlaceResult
from actors.ports.strategy import OrderCommand
from broker.kite.answers.attempt_outcomes import is_login_error, outcome_of, reason_of
from broker.kite.answers.exceptions import NeverSent
from broker.kite.answers.holdings import holdings_of, positions_of, together
from broker.kite.answers.order_book import OddRows, book_of
from broker.kite.answers.rows import band_of
from broker.kite.connection import Destination
from broker.kite.connection_pool import ConnectionPool
from broker.kite.credentials import KiteCredentials
from broker.kite.deadline import finished_by
from broker.kite.order_client import BegunOrder, KiteOrderClient
from broker.proxy import Proxy

if TYPE_CHECKING:
    from actors.domain.orders.partly_read import OrderBook

_THREADS = 32
"""Calls of one account that may be under way at once: a request that hangs must not hold up the next."""

_REREAD_WITHIN_S = 1.0
"""How long the store of credentials is waited for by a call that could go on without it."""

_GRACE_S = 0.5
"""How much longer than its deadline a thread is waited for: it can only hang where nothing has been sent."""


@dataclass(frozen=True, slots=True)
class KiteEndpoint:
    """Where the broker is, and how long to wait for it: seconds to connect, seconds between bytes.

    `market_protection`: -1 lets the broker choose the band, else a percentage (kite.md §4.1).
    """

    root: str
    timeout_s: tuple[float, float] = (0.5, 3.0)
    market_protection: float = -1

    @property
    def total_s(self) -> float:
        """Seconds for a whole call."""
        return sum(self.timeout_s)


class KiteGateway:
    """`OrderGateway` over `KiteOrderClient`. Credentials are read again after the broker refused them.

    So they are when the account's proxy has let nothing through, and, with `reread_s`, before a read of the account
    that finds them older than that: a user may name another proxy while the broker goes on accepting the token.
    """

    def __init__(
        self,
        endpoint: KiteEndpoint,
        credentials: Callable[[], Awaitable[KiteCredentials]],
        *,
        reread_s: float | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._load_credentials = credentials
        self._reread_s, self._loaded_at = reread_s, 0.0
        self._credentials: KiteCredentials | None = None
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="kite")
        self._pool = ConnectionPool(Destination(endpoint.root, endpoint.timeout_s))
        self._client: KiteOrderClient | None = None
        self._odd_rows = OddRows()

    @property
    def odd_rows(self) -> int:
        """Orders whose row has made no sense so far."""
        return self._odd_rows.count

    def __repr__(self) -> str:
        return f"KiteGateway({self._pool.destination.authority})"

    def place(self, command: OrderCommand) -> Coroutine[Any, Any, PlaceResult]:
        """One request for a protected MARKET order, never repeated here.

        With credentials and a warm connection at hand the request leaves in this call: to wake a thread first may take
        a millisecond on a busy machine, and orders of one instant would wait for each other's.
        """
        sent_at, order = datetime.now(UTC), order_fields(command, self._endpoint.market_protection)
        return self._placed(sent_at, order, self._begin_order(order))

    def rehearse(self, command: OrderCommand) -> None:
        order = order_fields(command, self._endpoint.market_protection)
        if self._credentials is not None:
            self._client_of(self._credentials).rehearse_order(**order)

    async def _placed(self, sent_at: datetime, order: dict[str, Any], begun: "_Begun") -> PlaceResult:
        try:
            order_id = await self._call("place_order", begun, **order)
        except BrokerUnavailable as error:  # no credentials could be read: nothing left us
            return PlaceResult(AttemptOutcome.NOT_SENT, sent_at, reason=str(error))
        except Exception as error:  # noqa: BLE001 - anything unproven is ambiguous, and anything may be raised
            return PlaceResult(outcome_of(error), sent_at, reason=reason_of(error))
        if not isinstance(order_id, str) or not order_id:
            return PlaceResult(AttemptOutcome.AMBIGUOUS, sent_at, reason="the broker gave no order id")
        return PlaceResult(AttemptOutcome.ACCEPTED, sent_at, order_id)

    async def orders(self) -> Sequence[OrderReport]:
        """The whole order book of the day."""
        book: OrderBook = await self._read("orders", lambda rows: book_of(rows, self._odd_rows.take))
        return book

    async def widen_protection(self, order_id: str, percent: Decimal) -> None:
        """Modify a parked LIMIT back to a MARKET order with wider protection (kite.md §4.4)."""
        await self._read(
            "modify_order",
            variety="regular",
            order_id=order_id,
            order_type="MARKET",
            market_protection=float(percent),
        )

    async def rest_at(self, order_id: str, limit: Paise) -> None:
        """Modify a parked order to a LIMIT at this price."""
        await self._read(
            "modify_order", variety="regular", order_id=order_id, order_type="LIMIT", price=float(to_rupees(limit))
        )

    async def price_band(self, instrument: Instrument) -> PriceBand:
        """The circuit limits of the instrument's quote. An instrument without any has no known band."""
        band: PriceBand = await self._read("quote_of", band_of, key=instrument.key)
        return band

    async def cancel(self, order_id: str) -> None:
        """Cancel what is open of the order."""
        await self._read("cancel_order", variety="regular", order_id=order_id)

    async def positions(self, *, demat: bool = True) -> Mapping[PositionKey, AccountPosition]:
        """What the account holds or owes. Raises BrokerUnavailable.

        `demat`: shares of earlier days too, which costs another reading.
        """
        today = self._read("positions", positions_of)
        readings = await asyncio.gather(today, self._read("holdings", holdings_of)) if demat else (await today, {})
        return together(*readings)

    async def keep_warm(self) -> None:
        """One cheap read over the connections that have waited longest; do it every 20 to 30 s while orders may come.

        Raises:
            BrokerUnavailable: the broker does not answer, or does not accept the credentials.
        """
        await self._read("keep_warm")

    async def _read(self, method: str, parse: Callable[[Any], Any] | None = None, **arguments: Any) -> Any:
        """A call that may be repeated freely. An answer that makes no sense is a failed one."""
        if self._reread_s is not None and time.monotonic() - self._loaded_at >= self._reread_s:
            await self._changed_since(self._credentials)
        try:
            return await self._call(method, parse=parse or _as_it_is, **arguments)
        except BrokerUnavailable:
            raise
        except Exception as error:
            kind = BrokerLoginExpired if is_login_error(error) else BrokerUnavailable
            raise kind(reason_of(error)) from error

    async def _call(self, method: str, begun: "_Begun" = None, **arguments: Any) -> Any:
        used = self._credentials
        try:
            if begun is not None:
                return await self._answer(begun)
            return await self._call_as(used or await self._fresh_credentials(), method, arguments)
        except NeverSent:
            named_since = await self._changed_since(used) if used is not None and used.proxy is not None else None
            if named_since is None:
                raise
            return await self._call_as(named_since, method, arguments)
        except Exception as error:
            if not is_login_error(error):
                raise
            self._credentials = None
            # definite: nothing was placed. The user may have connected again since these credentials were read.
            if used is None or (fresh := await self._fresh_credentials()) == used:
                raise
            return await self._call_as(fresh, method, arguments)

    async def _fresh_credentials(self) -> KiteCredentials:
        self._credentials = await self._load_credentials()
        self._loaded_at = time.monotonic()
        return self._credentials

    async def _changed_since(self, used: KiteCredentials | None) -> KiteCredentials | None:
        """What is stored by now, if that is something else. What was used stays good while it cannot be read."""
        if used is None:
            return None
        self._loaded_at = time.monotonic()
        try:
            async with asyncio.timeout(_REREAD_WITHIN_S):
                fresh = await self._load_credentials()
        except (BrokerUnavailable, TimeoutError):
            return None
        if fresh == used:
            return None
        self._credentials = fresh
        return fresh

    async def _call_as(self, credentials: KiteCredentials, method: str, arguments: dict[str, Any]) -> Any:
        deadline = time.monotonic() + self._endpoint.total_s
        return await self._in_thread(functools.partial(self._call_until, deadline, credentials, method, arguments))

    def _begin_order(self, order: dict[str, Any]) -> "_Begun":
        """The order under way, or why it is not known to be; None if nothing was sent."""
        if self._credentials is None:
            return None
        try:
            return self._client_of(self._credentials).begin_order(**order)
        except Exception as error:  # noqa: BLE001 - it is raised where the answer is asked for
            return error

    async def _answer(self, begun: BegunOrder | Exception) -> Any:
        """Read it in a thread, but only once it arrives: until then other orders have the processor."""
        if isinstance(begun, Exception):
            raise begun
        if (awaited := begun.awaits) is not None:
            await _readable(*awaited)
        return await self._in_thread(begun.order_id)

    async def _in_thread(self, call: Callable[[], Any]) -> Any:
        done = asyncio.get_running_loop().run_in_executor(self._threads, call)
        async with asyncio.timeout(self._endpoint.total_s + _GRACE_S):
            return await done

    def _call_until(self, deadline: float, credentials: KiteCredentials, method: str, arguments: dict[str, Any]) -> Any:
        """The answer, put into our words here: the loop that sends orders has no time for a book of 5000 rows."""
        parse = arguments.get("parse", _as_it_is)
        asked = {name: value for name, value in arguments.items() if name != "parse"}
        with finished_by(deadline):
            found = self._call_in_thread(credentials, method, asked)
        return parse(found)

    def _call_in_thread(self, credentials: KiteCredentials, method: str, arguments: dict[str, Any]) -> Any:
        return getattr(self._client_of(credentials), method)(**arguments)

    def _client_of(self, credentials: KiteCredentials) -> KiteOrderClient:
        client = self._client  # another thread may set it meanwhile, for other credentials
        if client is None or client.credentials != credentials:
            client = self._client = KiteOrderClient(credentials, self._pool_through(credentials.proxy))
        return client

    def _pool_through(self, proxy: Proxy | None) -> ConnectionPool:
        """Connections are kept over a change of the token, and none that leaves by another way is used again."""
        pool = self._pool
        if pool.destination.proxy == proxy:
            return pool
        pool.close()
        self._pool = changed = ConnectionPool(replace(pool.destination, proxy=proxy))
        return changed


def _as_it_is(found: Any) -> Any:
    return found


_Begun = BegunOrder | Exception | None
"""What `KiteGateway.place` has begun: an order under way, why it is not known to be, or nothing."""


async def _readable(descriptor: int, within_s: float) -> None:
    """Return when something can be read, or after this many seconds."""
    loop, arrived = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, arrived.set)
    try:
        async with asyncio.timeout(within_s):
            await arrived.wait()
    except TimeoutError:
        pass  # the read after it says so
    finally:
        loop.remove_reader(descriptor)


def order_fields(command: OrderCommand, market_protection: float) -> dict[str, Any]:
    """A command as `place_order` takes it: a protected MARKET order with the intent's tag."""
    return {
        "variety": "regular",
        "exchange": command.instrument.exchange,
        "tradingsymbol": command.instrument.tradingsymbol,
        "transaction_type": command.intent.side.value,
        "quantity": command.intent.quantity,
        "product": command.product.value,
        "order_type": "MARKET",
        "validity": "DAY",
        "tag": command.intent.tag,
        "market_protection": market_protection,
    }
