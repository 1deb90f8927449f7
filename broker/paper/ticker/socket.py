"""The WebSocket: subscriptions, binary ticks, heartbeats and order updates, as KiteTicker expects them."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from broker.paper.base.errors import KiteError
from broker.paper.base.transport import reset, transport_of
from broker.paper.faults.faults import Fault, RequestContext
from broker.paper.faults.kinds import Stage
from broker.paper.ticker import packets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from broker.paper.accounts.accounts import Account, Accounts
    from broker.paper.base.clock import Clock
    from broker.paper.base.config import PaperConfig
    from broker.paper.base.instruments import InstrumentList
    from broker.paper.faults.faults import FaultRegistry
    from broker.paper.market.market import Tick

logger = structlog.get_logger(__name__)

# Ticks beyond this are dropped for a client that does not read; order updates never are.
OUTBOX_TICKS = 1000


class TickerConnection:
    """One client's socket: what it subscribed, and what is still to be sent to it."""

    def __init__(self, websocket: WebSocket, account: Account) -> None:
        self.account = account
        self.modes: dict[int, str] = {}
        self.is_frozen = False
        self._websocket = websocket
        self._outbox: deque[bytes | str] = deque()
        self._wake = asyncio.Event()

    def offer(self, message: bytes | str) -> None:
        """Queue a message; the writer task sends it in the same turn of the event loop if the socket is free."""
        if self.is_frozen or (isinstance(message, bytes) and len(self._outbox) >= OUTBOX_TICKS):
            return
        self._outbox.append(message)
        self._wake.set()

    def offer_ticks(self, ticks: Sequence[Tick], encoded: dict[tuple[int, str], bytes]) -> None:
        """Queue one frame with those of the ticks that are subscribed, each in its mode.

        ``encoded`` keeps packets for the other sockets that get the same ticks.
        """
        wanted = []
        for tick in ticks:
            token = tick.instrument.token
            mode = self.modes.get(token)
            if mode is None:
                continue
            if (token, mode) not in encoded:
                encoded[token, mode] = packets.packet(tick, mode)
            wanted.append(encoded[token, mode])
        if wanted:
            self.offer(packets.frame(wanted))

    async def write(self) -> None:
        """Send what is queued, for as long as the connection lasts."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._outbox:
                message = self._outbox.popleft()
                if isinstance(message, bytes):
                    await self._websocket.send_bytes(message)
                else:
                    await self._websocket.send_text(message)

    def abort(self) -> None:
        """Reset the TCP connection."""
        reset(transport_of(self._websocket.scope))

    def freeze(self) -> None:
        """Send nothing any more, not even answers to pings, while the connection stays open."""
        self.is_frozen = True
        self._outbox.clear()
        transport_of(self._websocket.scope).pause_reading()


class TickerHub:
    """All open sockets of the exchange."""

    def __init__(
        self,
        config: PaperConfig,
        clock: Clock,
        accounts: Accounts,
        instruments: InstrumentList,
        faults: FaultRegistry,
        tick_of: Callable[[int], Tick],
    ) -> None:
        self._config = config
        self._clock = clock
        self._accounts = accounts
        self._instruments = instruments
        self._faults = faults
        self._tick_of = tick_of
        self._connections: list[TickerConnection] = []
        self._held_back: dict[int, list[Callable[[], None]]] = {}

    def __len__(self) -> int:
        return len(self._connections)

    def publish(self, ticks: Sequence[Tick]) -> None:
        """Send new ticks to all who subscribed them."""
        encoded: dict[tuple[int, str], bytes] = {}
        for connection in self._connections:
            self._offer_ticks(connection, ticks, encoded)

    def _offer_ticks(
        self, connection: TickerConnection, ticks: Sequence[Tick], encoded: dict[tuple[int, str], bytes]
    ) -> None:
        context = RequestContext(method="TICK", path="/", user_id=connection.account.user_id)
        if not self._faults.has(Stage.TICK, context):
            connection.offer_ticks(ticks, encoded)

    def heartbeat(self) -> None:
        """Send the one byte that says that the connection is alive."""
        for connection in self._connections:
            connection.offer(packets.HEARTBEAT)

    def order_update(self, user_id: str, message: dict[str, Any]) -> None:
        """Send an order update to all sockets of the account, unless a fault delays, reorders, doubles or drops it."""
        context = RequestContext(
            method="UPDATE",
            path="/",
            transaction_type=message["transaction_type"],
            tag=message["tag"],
            user_id=user_id,
        )
        faults = {fault.kind: fault for fault in self._faults.take_all(Stage.UPDATE, context)}
        if "drop-updates" in faults or "ws-mute" in faults:
            return
        text = json.dumps({"type": "order", "data": message}, separators=(",", ":"))
        copies = 2 if "duplicate-updates" in faults else 1
        if "reorder-updates" in faults:
            self._hold_back(faults["reorder-updates"], partial(self._offer_text, user_id, text, copies))
            return
        delay = faults.get("delay-updates")
        if delay is None:
            self._offer_text(user_id, text, copies)
        else:
            self._clock.call_later(delay.seconds, lambda: self._offer_text(user_id, text, copies))

    def _hold_back(self, fault: Fault, send: Callable[[], None]) -> None:
        held = self._held_back.setdefault(fault.fault_id, [])
        if not held:
            self._clock.call_later(fault.seconds, partial(self._release, fault.fault_id))
        held.append(send)

    def _release(self, fault_id: int) -> None:
        for send in reversed(self._held_back.pop(fault_id)):
            send()

    def _offer_text(self, user_id: str, text: str, copies: int) -> None:
        for connection in self.of_user(user_id):
            for _ in range(copies):
                connection.offer(text)

    def of_user(self, user_id: str | None) -> list[TickerConnection]:
        """Open sockets of an account, or of all."""
        return [c for c in self._connections if user_id in (None, c.account.user_id)]

    def hang_up(self, user_id: str) -> None:
        """Close the sockets of an account whose token has ended, as the broker does."""
        for connection in self.of_user(user_id):
            connection.abort()

    def strike(self, fault: Fault) -> int:
        """Apply a socket fault to the sockets that are open now; how many there were."""
        struck = [c for c in self.of_user(fault.match.user_id) if not c.is_frozen]
        for connection in struck:
            match fault.kind:
                case "ws-abort":
                    connection.abort()
                case "ws-malformed":
                    connection.offer(packets.MALFORMED)
                case "ws-freeze":
                    connection.freeze()
                    # A frozen socket cannot notice that its client has left.
                    self._clock.call_later(fault.seconds, connection.abort)
                case "ws-text":
                    connection.offer(fault.message or "")
                case _:
                    kind = fault.kind.removeprefix("ws-")
                    connection.offer(json.dumps({"type": kind, "data": fault.message or ""}))
        return len(struck)

    async def serve(self, websocket: WebSocket) -> None:
        """One connection from handshake to end; a refused handshake is an HTTP 403, or 429 above the limit."""
        account = self._authenticate(websocket)
        if account is None:
            await websocket.close()
            return
        if len([c for c in self.of_user(account.user_id) if not c.is_frozen]) >= self._config.max_sockets:
            await websocket.send_denial_response(Response(status_code=429))
            return
        await websocket.accept()
        connection = TickerConnection(websocket, account)
        self._connections.append(connection)
        writer = asyncio.create_task(connection.write())
        try:
            await self._read(websocket, connection)
        except WebSocketDisconnect:
            logger.debug("ticker_disconnected", user_id=account.user_id)
        finally:
            self._connections.remove(connection)
            writer.cancel()
            # The writer ends by cancellation or because the peer is gone; neither needs an answer.
            await asyncio.gather(writer, return_exceptions=True)

    def _authenticate(self, websocket: WebSocket) -> Account | None:
        query = websocket.query_params
        try:
            account = self._accounts.authenticate(query.get("api_key", ""), query.get("access_token", ""))
        except KiteError:
            return None
        context = RequestContext(method="GET", path=websocket.url.path, user_id=account.user_id)
        return None if self._faults.take(Stage.HANDSHAKE, context) else account

    async def _read(self, websocket: WebSocket, connection: TickerConnection) -> None:
        while True:
            text = await websocket.receive_text()
            try:
                self._command(connection, json.loads(text))
            except (ValueError, TypeError, KeyError, AttributeError):
                connection.offer(json.dumps({"type": "error", "data": f"Invalid message: {text[:100]}"}))

    def _command(self, connection: TickerConnection, message: dict[str, Any]) -> None:
        action, value = message["a"], message["v"]
        if action == "unsubscribe":
            for token in value:
                connection.modes.pop(token, None)
            return
        mode, tokens = ("quote", value) if action == "subscribe" else value
        if action not in ("subscribe", "mode") or mode not in packets.MODES:
            raise ValueError(action)
        # Tokens sent as text are ignored without an answer, as Kite does.
        known = [t for t in tokens if isinstance(t, int) and self._instruments.by_token(t)]
        for token in known:
            if token in connection.modes or len(connection.modes) < self._config.max_subscriptions:
                connection.modes[token] = mode
        # The last snapshot follows at once, with the exchange time it was made at.
        self._offer_ticks(connection, [self._tick_of(token) for token in known], {})
