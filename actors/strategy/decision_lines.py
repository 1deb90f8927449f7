"""What the log says of a decision: which intent and order it is about, so that a line is found by either."""

from actors.domain.strategy.decisions import (
    ArmIntent,
    CancelOrder,
    Decision,
    EndRun,
    LogEvent,
    SendOrder,
    WithdrawOrder,
)


def decision_line(decision: Decision) -> dict[str, object] | None:
    """The fields of its line. None: one that concerns no order, as timers and prices do, or that is logged as such."""
    match decision:
        case LogEvent():
            return _without_gaps(
                kind=str(decision.event),
                reason=decision.reason,
                intent=_text(decision.intent_id),
                order_id=decision.order_id,
                status=decision.status,
                quantity=decision.quantity,
                price=_text(decision.price),
                cause=_text(decision.cause),
            )
        case SendOrder(intent):
            return _without_gaps(
                kind="send_order",
                intent=str(intent.id),
                tag=intent.tag,
                side=str(intent.side),
                order_id=decision.order_id,
                quantity=intent.quantity,
                not_before=_text(decision.not_before),
                look_up_first=decision.look_up_first or None,
            )
        case ArmIntent(intent):
            return {"kind": "arm_intent", "intent": str(intent.id), "tag": intent.tag, "quantity": intent.quantity}
        case WithdrawOrder(intent_id):
            return {"kind": "withdraw_order", "intent": str(intent_id)}
        case CancelOrder(intent_id, order_id):
            return {"kind": "cancel_order", "intent": str(intent_id), "order_id": order_id}
        case EndRun(manual):
            return {"kind": "end_run", "manual": manual}
        case _:
            return None


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _without_gaps(**fields: object) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}
