"""The gate in front of the Kite routes: logs every order request, and applies outages and faults."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from broker.paper.accounts.accounts import credentials_of
from broker.paper.accounts.ledger import OrderRequest
from broker.paper.base.envelope import failure
from broker.paper.base.errors import PaperError, unavailable
from broker.paper.base.transport import is_reused
from broker.paper.faults.book_view import BOOK_FAULT
from broker.paper.faults.faults import RequestContext, effects_of
from broker.paper.faults.kinds import Stage
from broker.paper.faults.replies import CapturedReply, send_after, send_before

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from broker.paper.exchange import PaperExchange

CONTROL_PREFIX = "/paper"
EFFECTS = "paper_order_effects"
ACCOUNT_READS = frozenset({"/orders", "/trades", "/portfolio/positions", "/portfolio/holdings"})
MAX_BODY = 64 * 1024


class _TornRequestError(PaperError):
    """The connection ended before the request was whole."""


@dataclass(frozen=True)
class _Body:
    """A request body read ahead, handed on to the app and then followed by the real ``receive``."""

    content: bytes
    receive: Receive

    def replay(self) -> Receive:
        pending: list[Message] = [{"type": "http.request", "body": self.content, "more_body": False}]

        async def receive() -> Message:
            return pending.pop() if pending else await self.receive()

        return receive


class Gate:
    """ASGI middleware. The log entry of an order request is written before its answer leaves."""

    def __init__(self, app: ASGIApp, exchange: PaperExchange) -> None:
        self._app = app
        self._exchange = exchange

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"].startswith(CONTROL_PREFIX):
            await self._app(scope, receive, send)
            return
        received_ns = self._exchange.clock.now_ns()
        is_order = scope["path"].startswith("/orders") and scope["method"] in ("POST", "PUT", "DELETE")
        if not (is_order or self._exchange.faults or self._exchange.is_out):
            await self._app(scope, receive, send)
            return
        try:
            body = _Body(await _read_body(receive), receive)
        except _TornRequestError as torn:
            # Half a form could read as a smaller order: it is never executed.
            request = self._request(scope, b"", received_ns)
            request.error = str(torn)
            self._log(request, None, is_order=is_order)
            return
        request = self._request(scope, body.content, received_ns)
        reply = await self._serve(scope, body, send, request, is_order=is_order)
        if reply is not None:
            await reply.send_whole(send)

    async def _serve(
        self, scope: Scope, body: _Body, send: Send, request: OrderRequest, *, is_order: bool
    ) -> CapturedReply | None:
        """Answer, or hand back the answer to be sent as it is."""
        if self._exchange.is_out:
            response = failure(unavailable())
            self._log(request, CapturedReply(response.status_code, [], bytes(response.body)), is_order=is_order)
            await response(scope, body.receive, send)
            return None
        context = self._context(scope, request)
        before = self._exchange.faults.take(Stage.BEFORE, context)
        if before is not None:
            request.faults.append(before.kind)
            self._log(request, None, is_order=is_order)
            await send_before(before, scope, body.receive, send)
            return None
        book = self._exchange.faults.take(Stage.BOOK, context)
        after = book if book and book.cut else self._exchange.faults.take(Stage.AFTER, context)
        # Only a placement makes an order that they could act on.
        effects = self._exchange.faults.take_all(Stage.ORDER, context) if request.method == "POST" else []
        request.faults += [fault.kind for fault in (*effects, *([after] if after else []))]
        scope.setdefault("state", {}).update({EFFECTS: effects_of(effects), BOOK_FAULT: book})
        reply = CapturedReply()
        await self._app(scope, body.replay(), reply.collect)
        self._log(request, reply, is_order=is_order)
        if after is not None:
            await send_after(after, reply, scope, body.receive, send)
            return None
        if is_order and self._exchange.config.reply_seconds:
            await asyncio.sleep(self._exchange.config.reply_seconds)
        return reply

    def _request(self, scope: Scope, content: bytes, received_ns: int) -> OrderRequest:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        form = dict(parse_qsl(content.decode("utf-8", "replace"), keep_blank_values=True))
        form |= dict(parse_qsl(scope["query_string"].decode("latin-1")))
        pair = credentials_of(headers.get(b"authorization"))
        api_key = pair[0] if pair else form.get("api_key", "")
        account = self._exchange.accounts.by_api_key(api_key)
        named = [order for part in scope["path"].split("/") if (order := self._exchange.book.find(part))]
        terms = named[0].terms if named else None
        client = scope.get("client")
        return OrderRequest(
            received_ns=received_ns,
            method=scope["method"],
            path=scope["path"],
            user_id=account.user_id if account else None,
            form=form,
            transaction_type=terms.transaction_type if terms else None,
            tag=terms.tag if terms else None,
            ip=client[0] if client else None,
        )

    def _context(self, scope: Scope, request: OrderRequest) -> RequestContext:
        among = None
        if request.method == "GET" and request.path in ACCOUNT_READS and request.user_id is not None:
            orders = self._exchange.book.orders(request.user_id, hidden_too=True)
            among = tuple((order.terms.transaction_type, order.terms.tag) for order in orders)
        return RequestContext(
            method=request.method,
            path=request.path,
            transaction_type=request.transaction_type,
            tag=request.tag,
            user_id=request.user_id,
            among=among,
            is_reused=is_reused(scope),
        )

    def _log(self, request: OrderRequest, reply: CapturedReply | None, *, is_order: bool) -> None:
        if not is_order:
            return
        if reply is not None:
            request.status = reply.status
            outcome = _json_or_nothing(reply.body)
            request.order_id = (outcome.get("data") or {}).get("order_id")
            request.error = outcome.get("message")
        self._exchange.requests.add(request)


def _json_or_nothing(body: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(body)
    except ValueError:
        return {"message": "not JSON"}
    return parsed if isinstance(parsed, dict) else {"message": "not a JSON object"}


async def _read_body(receive: Receive) -> bytes:
    content: bytes = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _TornRequestError("the client left before the request was whole")
        content += message.get("body", b"")
        if not message.get("more_body"):
            return content
        if len(content) > MAX_BODY:
            # Kite forms are a few hundred bytes. The rest is left unread; an empty form fails its checks.
            return b""
