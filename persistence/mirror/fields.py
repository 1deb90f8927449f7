"""Rows as the hashes of the mirror show them: one place for the text forms of all writers."""

from datetime import datetime
from decimal import Decimal

from actors.domain.identifiers import Instrument
from actors.domain.money import round_rupees, to_rupees
from actors.domain.strategy.snapshot import RuntimeView
from persistence.database.models.runs import Run
from persistence.database.models.strategies import Strategy


def instrument_of(strategy: Strategy) -> Instrument:
    """The strategy's instrument; its `symbol` is what Redis keys carry."""
    return Instrument(strategy.exchange, strategy.tradingsymbol, strategy.instrument_token)


def strategy_fields(strategy: Strategy) -> dict[str, str]:
    """`strategy:{id}`."""
    return {
        "user_id": str(strategy.user_id),
        "symbol": instrument_of(strategy).symbol,
        "buy_time": strategy.buy_time.isoformat(),
        "sell_time": strategy.sell_time.isoformat(),
        "stop_loss": str(to_rupees(strategy.stop_loss_paise)),
        "quantity": str(strategy.quantity),
        "product": strategy.product,
        "status": strategy.status,
    }


def runtime_fields(run: Run, symbol: str, broker: str = "") -> dict[str, str]:
    """`runtime:{id}`, complete, so that writing it replaces whatever was there. `broker`: where the run trades."""
    return {
        "run_id": str(run.id),
        "user_id": str(run.user_id),
        "symbol": symbol,
        "broker": broker,
        "position": run.position,
        "status": run.status,
        "status_detail": run.status_detail,
        "last_action": run.last_action,
        "message": run.message,
        "stop_loss": str(to_rupees(run.stop_loss_paise)),
        "quantity": str(run.quantity),
        "filled_quantity": str(run.filled_quantity),
        "buy_price": _rupees(run.buy_price),
        "sell_price": _rupees(run.sell_price),
        "pnl": _rupees(run.pnl),
        "last_price": "" if run.last_price_paise is None else str(to_rupees(run.last_price_paise)),
        "last_buy_order": run.last_buy_order or "",
        "last_sell_order": run.last_sell_order or "",
        "last_sl_order": run.last_sl_order or "",
        "buy_at": run.buy_at.isoformat(),
        "sell_at": run.sell_at.isoformat(),
        "terminated_at": _instant(run.ended_at),
        "updated_at": run.updated_at.isoformat(),
    }


def ended_fields(view: RuntimeView, at: datetime) -> dict[str, str]:
    """What the record of a run's end has changed in its `runtime_fields`: all that the step could change."""
    return {
        "position": str(view.position),
        "status": str(view.status),
        "status_detail": str(view.status_detail),
        "last_action": str(view.last_action),
        "message": view.message,
        "stop_loss": str(to_rupees(view.stop_loss)),
        "filled_quantity": str(view.filled_quantity),
        "buy_price": _rupees(view.buy_price),
        "sell_price": _rupees(view.sell_price),
        "pnl": _rupees(view.pnl),
        "last_price": "" if view.last_price is None else str(to_rupees(view.last_price)),
        "last_buy_order": view.last_buy_order or "",
        "last_sell_order": view.last_sell_order or "",
        "last_sl_order": view.last_sl_order or "",
        "terminated_at": at.isoformat(),
        "updated_at": at.isoformat(),
    }


def _rupees(amount: Decimal | None) -> str:
    return "" if amount is None else str(round_rupees(amount))


def _instant(moment: datetime | None) -> str:
    return "" if moment is None else moment.isoformat()
