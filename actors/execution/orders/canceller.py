"""Cancelling what is open of an order: until its row in the book is final, with growing pauses and a bound."""

import asyncio
from collections.abc import Callable
from itertools import count
from typing import Any

import structlog

from actors.domain.orders.order import OrderEvent
from actors.execution.account.budget import ChasesUsedUp, DayUsedUp
from actors.execution.account.trading_account import TradingAccount
from actors.ports.execution import BrokerUnavailable

log = structlog.get_logger(__name__)

_PAUSES_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
_MOST_REQUESTS = 20
"""How many requests a call makes: the broker will refuse the next one, too. From then on only the book is read."""


async def cancel_order(
    account: TradingAccount, order_id: str, follower: "asyncio.Task[Any] | None", may_change: Callable[[], bool]
) -> None:
    """Return when the order is final, or its follower has ended.

    Nothing is sent while `may_change` says no. The first request has the rank of an exit, since it may free the way of
    one; repeats share the budget of the chases.

    Raises:
        BrokerUnavailable: the order has no follower, and it could not be cancelled.
    """
    for tried in count():
        sends = tried < _MOST_REQUESTS and may_change()
        refusal = await _request(account, order_id, tried) if sends else None
        if sends and refusal is None and follower is None:
            return
        if (refusal is not None or tried or not sends) and await _is_final(account, order_id):
            return
        if follower is None:
            raise BrokerUnavailable(refusal or f"order {order_id} could not be cancelled")
        pause = _PAUSES_S[min(tried, len(_PAUSES_S) - 1)]
        if (await asyncio.wait([follower], timeout=pause))[0]:
            return


async def _request(account: TradingAccount, order_id: str, tried: int) -> str | None:
    """Why the request was refused, or None."""
    try:
        budget = account.budget
        with await (budget.acquire(OrderEvent.SELL) if tried == 0 else budget.acquire_chase()):
            await account.gateway.cancel(order_id)
    except (BrokerUnavailable, DayUsedUp, ChasesUsedUp) as error:
        log.warning("execution.cancel_failed", order_id=order_id, reason=str(error))
        return str(error)
    return None


async def _is_final(account: TradingAccount, order_id: str) -> bool:
    try:
        book = await account.read_book()
    except BrokerUnavailable:
        return False
    return any(report.order_id == order_id and report.stage.terminal for report in book)
