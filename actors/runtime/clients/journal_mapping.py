"""From the domain's values to the journal's records and back; only ledgers need both."""

from collections.abc import Iterable
from datetime import timedelta, tzinfo

from actors.domain.identifiers import Instrument, Product
from actors.domain.orders.order import Order, OrderStage
from actors.domain.session import LateExit
from actors.domain.strategy.snapshot import dump_state, runtime_view
from actors.domain.strategy.spec import StrategyRun
from actors.ports.execution import Attempt, OrderNote
from actors.ports.strategy import JournalEntry, LoadedRun, LoggedEvent, OrderCommand
from persistence.journal.records import IntentRecord, LogRecord, RunRecord, RunRuntime, RunUpdate

_STATES = {
    OrderStage.COMPLETE: "filled",
    OrderStage.CANCELLED: "cancelled",
    OrderStage.REJECTED: "rejected",
}


def loaded_run(record: RunRecord, zone: tzinfo, late_exit: LateExit, missed_grace: timedelta) -> LoadedRun:
    """A run as its actor wants it: instants in the exchange's zone, and the operator's settings."""
    run = StrategyRun(
        run_id=record.run_id,
        strategy_id=record.strategy_id,
        user_id=record.user_id,
        account_id=record.account_id,
        instrument=Instrument(record.exchange, record.tradingsymbol, record.instrument_token),
        product=Product(record.product),
        quantity=record.quantity,
        stop_loss=record.stop_loss_paise,
        stop_share=record.stop_share,
        tick=record.tick_paise,
        buy_at=record.buy_at.astimezone(zone),
        sell_at=record.sell_at.astimezone(zone),
        tag_key=record.tag_key,
        late_exit=late_exit,
        missed_grace=missed_grace,
        broker=record.broker,
    )
    return LoadedRun(run, record.epoch, record.state)


def run_update(entry: JournalEntry) -> RunUpdate:
    """One step of a strategy as the journal records it."""
    state, run = entry.state, entry.state.run
    view = runtime_view(state)
    orders = (state.entry, *state.exits)
    return RunUpdate(
        run_id=run.run_id,
        strategy_id=run.strategy_id,
        user_id=run.user_id,
        epoch=entry.epoch,
        symbol=run.instrument.symbol,
        runtime=RunRuntime(
            status=view.status,
            position=view.position,
            status_detail=view.status_detail,
            last_action=view.last_action,
            message=view.message,
            stop_loss_paise=view.stop_loss,
            stop_share=view.stop_share,
            filled_quantity=view.filled_quantity,
            updated_at=entry.at,
            buy_price=view.buy_price,
            sell_price=view.sell_price,
            pnl=view.pnl,
            last_price_paise=view.last_price,
            last_buy_order=view.last_buy_order,
            last_sell_order=view.last_sell_order,
            last_sl_order=view.last_sl_order,
        ),
        state=dump_state(state),
        intents=tuple(_intent(order, entry.epoch) for order in orders),
        logs=tuple(_log_lines(entry.logs, orders)),
        ended=entry.ended,
        delete_mirror=entry.manual,
        broker=run.broker,
    )


def _intent(order: Order, epoch: int) -> IntentRecord:
    intent = order.intent
    return IntentRecord(
        run_id=intent.id.run_id,
        leg=intent.id.leg,
        seq=intent.id.seq,
        side=intent.side,
        quantity=intent.quantity,
        tag=intent.tag,
        cause=intent.event if order.sent else None,
        state=_intent_state(order),
        claim_epoch=epoch if order.sent else None,
        order_id=order.order_id,
        filled_quantity=order.filled_quantity,
        average_price=order.average_price if order.filled_quantity else None,
        reason=order.reason or None,
    )


def _intent_state(order: Order) -> str:
    if order.failure is not None:
        return "rejected" if order.order_id is not None else "failed"
    if order.stage.terminal:
        return _STATES[order.stage]
    if order.order_id is not None:
        return "acknowledged"
    return "sent" if order.sent else "armed"


def _log_lines(logged: Iterable[LoggedEvent], orders: tuple[Order, ...]) -> Iterable[LogRecord]:
    causes = {order.intent.id: order.intent.event for order in orders}
    for line in logged:
        event = line.event
        cause = causes.get(event.intent_id) if event.intent_id is not None else None
        yield LogRecord(
            event=event.event,
            occurred_at=line.at,
            leg=event.intent_id.leg if event.intent_id else None,
            seq=event.intent_id.seq if event.intent_id else None,
            order_id=event.order_id,
            status=event.status,
            quantity=event.quantity,
            price=event.price,
            reason=event.reason or None,
            detail=({"cause": cause} if cause else {}) | ({"exit_cause": event.cause} if event.cause else {}),
        )


def attempt_line(attempt: Attempt) -> LogRecord:
    """One request to the broker as a line of `order_logs`; its instants are what the latency figures come from."""
    command, result = attempt.command, attempt.result
    return LogRecord(
        event=command.intent.event,
        occurred_at=attempt.at,
        leg=command.intent.id.leg,
        seq=command.intent.id.seq,
        order_id=result.order_id,
        status=result.outcome,
        quantity=command.intent.quantity,
        reason=result.reason or None,
        detail={
            "attempt": attempt.number,
            "tag": command.intent.tag,
            "triggered_at": command.triggered_at.isoformat(),
            "sent_at": result.sent_at.isoformat(),
            "answered_at": attempt.at.isoformat(),
        },
    )


def note_line(note: OrderNote) -> LogRecord:
    """What was done about an order that exists, as a line of `order_logs`."""
    intent = note.command.intent
    return LogRecord(
        event=note.event,
        occurred_at=note.at,
        leg=intent.id.leg,
        seq=intent.id.seq,
        order_id=note.order_id,
        quantity=intent.quantity,
        reason=note.reason or None,
        detail={"tag": intent.tag, "cause": intent.event},
    )


def command_about(command: OrderCommand, order_id: str | None) -> dict[str, object]:
    """What every line of the log about an order says, so that it is found by any of its ids."""
    return {
        "strategy_id": command.strategy_id,
        "run_id": command.run_id,
        "user_id": command.user_id,
        "epoch": command.epoch,
        "intent": str(command.intent.id),
        "tag": command.intent.tag,
        "order_id": order_id,
    }


def attempt_about(attempt: Attempt) -> dict[str, object]:
    """One request to the broker, for the log: which one of its order, when it left, and what came of it."""
    result = attempt.result
    return {
        "kind": f"{attempt.command.intent.event} {result.outcome}",
        "attempt": attempt.number,
        "triggered_at": attempt.command.triggered_at.isoformat(),
        "sent_at": result.sent_at.isoformat(),
        "reason": result.reason or None,
        **command_about(attempt.command, result.order_id),
    }
