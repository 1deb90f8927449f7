"""One account at Kite (or at the Kite-compatible paper exchange), through the official client.

The client blocks, so calls run in a few threads of the account's own, each call with a warm HTTP session to itself,
because a `requests.Session` is not safe to share.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from actors.domain.identifiers import Instrument, Product
from actors.domain.order import OrderReport
from actors.domain.retry_policy import AttemptOutcome
from actors.ports import BrokerUnavailable, OrderCommand, PlaceResult, PositionKey, position_key
from broker.kite_mapping import is_session_error, outcome_of, reason_of, report_of
from broker.kite_order_client import KiteOrderClient

_SESSIONS = 32
"""Threads, and so warm sessions, of one account: a request that hangs must not hold up the next."""


@dataclass(frozen=True, slots=True)
class KiteCredentials:
    """What a session at the broker needs."""

    api_key: str = field(repr=False)
    access_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KiteEndpoint:
    """Where the broker is, and how long to wait for it: seconds to connect, seconds between bytes."""

    root: str
    timeout_s: tuple[float, float] = (0.5, 3.0)
    market_protection: int = -1


class KiteGateway:
    """`OrderGateway` over `kiteconnect`. Credentials are read again after the broker refused them."""

    def __init__(self, endpoint: KiteEndpoint, credentials: Callable[[], Awaitable[KiteCredentials]]) -> None:
        self._endpoint = endpoint
        self._load_credentials = credentials
        self._credentials: KiteCredentials | None = None
        self._threads = ThreadPoolExecutor(_SESSIONS, thread_name_prefix="kite")
        self._idle: list[KiteOrderClient] = []
        """Sessions that nobody uses, the warmest last."""

    async def place(self, command: OrderCommand) -> PlaceResult:
        """One protected MARKET order. See `OrderGateway.place`."""
        sent_at = datetime.now(UTC)
        try:
            order_id = await self._call(
                "place_order",
                variety="regular",
                exchange=command.instrument.exchange,
                tradingsymbol=command.instrument.tradingsymbol,
                transaction_type=command.intent.side.value,
                quantity=command.intent.quantity,
                product=command.product.value,
                order_type="MARKET",
                validity="DAY",
                tag=command.intent.tag,
                market_protection=self._endpoint.market_protection,
            )
        except BrokerUnavailable as error:  # no credentials could be read: nothing left us
            return PlaceResult(AttemptOutcome.NOT_SENT, sent_at, reason=str(error))
        except Exception as error:  # noqa: BLE001 - anything unproven is ambiguous, and the client raises anything
            return PlaceResult(outcome_of(error), sent_at, reason=reason_of(error))
        if not isinstance(order_id, str) or not order_id:
            return PlaceResult(AttemptOutcome.AMBIGUOUS, sent_at, reason="the broker gave no order id")
        return PlaceResult(AttemptOutcome.ACCEPTED, sent_at, order_id)

    async def orders(self) -> Sequence[OrderReport]:
        """The whole order book of the day."""
        reports: list[OrderReport] = await self._read("orders", lambda rows: [report_of(row) for row in rows])
        return reports

    async def widen_protection(self, order_id: str, percent: Decimal) -> None:
        """Modify a parked LIMIT back to a MARKET order with wider protection (kite.md §4)."""
        await self._read(
            "modify_order",
            variety="regular",
            order_id=order_id,
            order_type="MARKET",
            market_protection=float(percent),
        )

    async def cancel(self, order_id: str) -> None:
        """Cancel what is open of the order."""
        await self._read("cancel_order", variety="regular", order_id=order_id)

    async def net_quantity(self, instrument: Instrument, product: Product) -> int:
        """Shares held in the product: today's net position, and for delivery what is in the demat account."""
        held = (await self._positions()).get(position_key(instrument, product), 0)
        if product is Product.CNC:
            held += (await self._demat()).get(instrument.tradingsymbol, 0)
        return held

    async def net_quantities(self, *, demat: bool) -> Mapping[PositionKey, int]:
        """The same for everything. Shares in the demat account count on both exchanges: they may be sold on each."""
        held, shares = dict(await self._positions()), await self._demat() if demat else {}
        for exchange in ("NSE", "BSE"):
            for symbol, quantity in shares.items():
                key = (exchange, symbol, Product.CNC.value)
                held[key] = held.get(key, 0) + quantity
        return held

    async def _positions(self) -> Mapping[PositionKey, int]:
        def parse(found: Any) -> Mapping[PositionKey, int]:
            net: dict[PositionKey, int] = {}
            for row in found["net"]:
                key = (str(row["exchange"]), str(row["tradingsymbol"]), str(row["product"]))
                net[key] = net.get(key, 0) + int(row["quantity"])
            return net

        held: Mapping[PositionKey, int] = await self._read("positions", parse)
        return held

    async def _demat(self) -> Mapping[str, int]:
        def parse(rows: Any) -> Mapping[str, int]:
            return {str(row["tradingsymbol"]): int(row["quantity"]) + int(row.get("t1_quantity") or 0) for row in rows}

        held: Mapping[str, int] = await self._read("holdings", parse)
        return held

    async def _read(self, method: str, parse: Callable[[Any], Any] = lambda found: found, **arguments: Any) -> Any:
        """A call that may be repeated freely. An answer that makes no sense is a failed one."""
        try:
            return parse(await self._call(method, **arguments))
        except BrokerUnavailable:
            raise
        except Exception as error:
            raise BrokerUnavailable(reason_of(error)) from error

    async def _call(self, method: str, **arguments: Any) -> Any:
        used = self._credentials
        try:
            return await self._call_as(used or await self._fresh_credentials(), method, arguments)
        except Exception as error:
            if not is_session_error(error):
                raise
            self._credentials = None
            # definite: nothing was placed. The user may have connected again since these credentials were read.
            if used is None or (fresh := await self._fresh_credentials()) == used:
                raise
            return await self._call_as(fresh, method, arguments)

    async def _fresh_credentials(self) -> KiteCredentials:
        self._credentials = await self._load_credentials()
        return self._credentials

    async def _call_as(self, credentials: KiteCredentials, method: str, arguments: dict[str, Any]) -> Any:
        loop = asyncio.get_running_loop()
        call = loop.run_in_executor(self._threads, self._call_in_thread, credentials, method, arguments)
        deadline = sum(self._endpoint.timeout_s) + 1  # the client's timeout is per byte, a drip would never end
        return await asyncio.wait_for(call, deadline)

    def _call_in_thread(self, credentials: KiteCredentials, method: str, arguments: dict[str, Any]) -> Any:
        try:
            kite = self._idle.pop()  # one step, so no two threads get the same
        except IndexError:
            kite = KiteOrderClient(self._endpoint.root, self._endpoint.timeout_s)
        try:
            kite.log_in(credentials.api_key, credentials.access_token)
            return getattr(kite, method)(**arguments)
        finally:
            self._idle.append(kite)
