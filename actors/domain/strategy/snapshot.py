"""The state as JSON, for the journal, and as the flat fields that people and the app read.

The snapshot is a hint for recovery, never the only record: orders are found again by their tags.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from actors.domain.identifiers import IntentId, Leg, Side
from actors.domain.money import Paise, round_rupees
from actors.domain.orders.order import FailureKind, Intent, Order, OrderEvent, OrderStage
from actors.domain.prices.stop_move_log import StopMoveLog
from actors.domain.strategy.spec import Restored, StrategyRun
from actors.domain.strategy.state import Phase, RunStatus, StatusDetail, StrategyState


@dataclass(frozen=True, slots=True)
class RuntimeView:
    """What `runtime:{id}` and the runs table show of a state. Prices in rupees, last_price in paise."""

    position: str
    status: str
    status_detail: str
    last_action: str
    message: str
    stop_loss: Paise
    stop_share: int | None
    filled_quantity: int
    open_quantity: int
    buy_price: Decimal | None
    sell_price: Decimal | None
    pnl: Decimal | None
    last_price: Paise | None
    last_buy_order: str | None
    last_sell_order: str | None
    last_sl_order: str | None
    terminated_at: datetime | None


def runtime_view(state: StrategyState) -> RuntimeView:
    """The state in the words of the status and of Redis (row L1)."""
    position = state.position
    detail = state.detail
    if detail is StatusDetail.NONE and not state.feed_live and state.phase in {Phase.ARMING, Phase.GUARDING}:
        detail = StatusDetail.FEED_DOWN
    return RuntimeView(
        position=state.position_status,
        status=state.status,
        status_detail=detail,
        last_action=state.last_action,
        message=state.message,
        stop_loss=state.stop_loss,
        stop_share=state.stop_share,
        filled_quantity=position.bought,
        open_quantity=position.open_quantity,
        buy_price=round_rupees(position.buy_price) if position.buy_price is not None else None,
        sell_price=round_rupees(position.sell_price) if position.sell_price is not None else None,
        pnl=position.pnl,
        last_price=state.last_price,
        last_buy_order=state.entry.order_id,
        last_sell_order=_last_exit_order(state, OrderEvent.SELL),
        last_sl_order=_last_exit_order(state, OrderEvent.STOPLOSS),
        terminated_at=state.terminated_at,
    )


def _last_exit_order(state: StrategyState, event: OrderEvent) -> str | None:
    return next((o.order_id for o in reversed(state.exits) if o.order_id and o.intent.event is event), None)


def dump_state(state: StrategyState) -> dict[str, Any]:
    """The state as a JSON object, without the run itself, which is stored as columns."""
    return {
        "phase": state.phase,
        "stop_loss": state.stop_loss,
        "stop_share": state.stop_share,
        "entry": _dump_order(state.entry),
        "exits": [_dump_order(order) for order in state.exits],
        "exit_event": state.exit_event,
        "exit_failures": state.exit_failures,
        "exit_alarmed": state.exit_alarmed,
        "stop_requested": state.stop_requested,
        "closed_outside": state.closed_outside,
        "status": state.status,
        "detail": state.detail,
        "message": state.message,
        "last_action": state.last_action,
        "last_price": state.last_price,
        "terminated_at": _dump_instant(state.terminated_at),
        "watched_since": _dump_instant(state.watched_since),
        "recalled": state.recalled,
        "forgiven": state.forgiven,
        "forgiven_on": state.forgiven_on.isoformat() if state.forgiven_on else None,
        "has_derivatives": state.has_derivatives,
        "no_buyers_since": state.no_buyers_since.isoformat() if state.no_buyers_since else None,
        "told_open": state.told_open.isoformat() if state.told_open else None,
        "exit_tries": state.exit_tries,
        "logged_stop": state.move_log.level,
        "restored": _dump_restored(state.restored),
    }


def load_state(run: StrategyRun, data: Mapping[str, Any] | None) -> StrategyState:
    """The inverse of `dump_state`; without a snapshot, the state that START makes.

    A restore marks each open run in its snapshot; for a run that had none yet, the mark is all that there is.

    Trades that the earlier incarnation has not heard of count like any since the first fill. A snapshot of an earlier
    release does not say when that was; the order book may (`recovery`).
    """
    state = StrategyState.scheduled(run)
    if data is None:
        return state
    if "phase" not in data:
        return replace(state, restored=_load_restored(data))
    return replace(
        state,
        phase=Phase(data["phase"]),
        stop_loss=data["stop_loss"],
        entry=_load_order(data["entry"]),
        exits=tuple(_load_order(order) for order in data["exits"]),
        exit_event=OrderEvent(data["exit_event"]) if data["exit_event"] else None,
        exit_failures=data["exit_failures"],
        exit_alarmed=data["exit_alarmed"],
        stop_requested=data["stop_requested"],
        closed_outside=data["closed_outside"],
        status=RunStatus(data["status"]),
        detail=StatusDetail(data["detail"]),
        message=data["message"],
        last_action=data["last_action"],
        last_price=data["last_price"],
        terminated_at=_load_instant(data["terminated_at"]),
        watched_since=_load_instant(data.get("watched_since")),
        recalled=data.get("recalled", 0),
        forgiven=data.get("forgiven", 0),
        forgiven_on=date.fromisoformat(day) if (day := data.get("forgiven_on")) else None,
        **_load_later(data),
    )


def _load_later(data: Mapping[str, Any]) -> dict[str, Any]:
    """Fields that snapshots of earlier versions do not have."""
    no_buyers_since, told_open = data.get("no_buyers_since"), data.get("told_open")
    return {
        "has_derivatives": data.get("has_derivatives", False),
        "stop_share": data.get("stop_share"),
        "no_buyers_since": datetime.fromisoformat(no_buyers_since) if no_buyers_since else None,
        "told_open": datetime.fromisoformat(told_open) if told_open else None,
        "exit_tries": data.get("exit_tries", 0),
        "move_log": StopMoveLog(data.get("logged_stop")),
        "restored": _load_restored(data),
    }


def _dump_order(order: Order) -> dict[str, Any]:
    return {
        "intent": str(order.intent.id),
        "tag": order.intent.tag,
        "quantity": order.intent.quantity,
        "event": order.intent.event,
        "sent": order.sent,
        "order_id": order.order_id,
        "stage": order.stage,
        "filled_quantity": order.filled_quantity,
        "average_price": str(order.average_price),
        "reason": order.reason,
        "failure": order.failure,
        "first_fill_at": _dump_instant(order.first_fill_at),
    }


def _load_order(data: dict[str, Any]) -> Order:
    intent_id = IntentId.parse(data["intent"])
    side = Side.BUY if intent_id.leg is Leg.ENTRY else Side.SELL
    return Order(
        Intent(intent_id, data["tag"], side, data["quantity"], OrderEvent(data["event"])),
        sent=data["sent"],
        order_id=data["order_id"],
        stage=OrderStage(data["stage"]),
        filled_quantity=data["filled_quantity"],
        average_price=Decimal(data["average_price"]),
        reason=data["reason"],
        failure=FailureKind(data["failure"]) if data["failure"] else None,
        first_fill_at=_load_instant(data.get("first_fill_at")),
    )


def _dump_instant(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _load_instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _dump_restored(restored: Restored | None) -> dict[str, str] | None:
    if restored is None:
        return None
    return {
        "backed_up_at": restored.backed_up_at.isoformat(),
        "provable_until": restored.provable_until.isoformat(),
    }


def _load_restored(data: Mapping[str, Any]) -> Restored | None:
    mark = data.get("restored")
    if mark is None:
        return None
    return Restored(datetime.fromisoformat(mark["backed_up_at"]), date.fromisoformat(mark["provable_until"]))
