"""Rows as the hashes of the mirror show them: one place for the text forms of all writers."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import inspect

from actors.domain.identifiers import Instrument
from actors.domain.money import round_rupees, to_rupees
from actors.domain.prices.stop_share import to_percent
from actors.domain.strategy.state import Phase
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
        "stop_loss": _level(strategy.stop_loss_paise),
        "stop_loss_percent": _percent(strategy.stop_share),
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
        "product": run.product,
        "phase": _phase(run),
        "position": run.position,
        "status": run.status,
        "status_detail": run.status_detail,
        "last_action": run.last_action,
        "message": run.message,
        "stop_loss": _level(run.stop_loss_paise),
        "stop_loss_percent": _percent(run.stop_share),
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


def _phase(run: Run) -> str:
    """Of the engine's last snapshot; empty without one, and where the row was read without it (`Runs.latest_of`).

    A run that a restore has ended has no snapshot of its end.
    """
    if run.ended_at is not None:
        return Phase.ENDED
    snapshot = None if "state" in inspect(run).unloaded else run.state
    return str((snapshot or {}).get("phase", ""))


def _level(stop_loss_paise: int) -> str:
    """Empty while the stop-loss waits for the fill that it is a share of."""
    return str(to_rupees(stop_loss_paise)) if stop_loss_paise else ""


def _percent(stop_share: int | None) -> str:
    return "" if stop_share is None else str(to_percent(stop_share))


def _rupees(amount: Decimal | None) -> str:
    return "" if amount is None else str(round_rupees(amount))


def _instant(moment: datetime | None) -> str:
    return "" if moment is None else moment.isoformat()
