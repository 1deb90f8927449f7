"""The status of a strategy out of the mirror's hashes (row L1), wherever these came from: Redis, or the database."""

from collections.abc import Iterable, Mapping
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import Any

from actors.domain.identifiers import Product, split_symbol
from actors.domain.money import round_rupees, to_rupees
from actors.domain.prices.stop_share import to_percent
from actors.domain.strategy.state import Phase, StatusDetail
from api.base.fields import PhaseWord
from api.strategies.guard_view import NOTHING_HELD, guard_of
from api.strategies.schemas import (
    EstimatedCharges,
    NextStep,
    OrderLogAnswer,
    StartNote,
    StrategyAnswer,
    StrategyStarted,
    StrategyStatus,
)
from broker.market.charges import round_trip_charges
from persistence.database.models.order_logs import OrderLog
from persistence.database.models.runs import Run
from persistence.database.models.strategies import Strategy
from persistence.journal.records import strategy_status
from persistence.mirror.fields import instrument_of

_ATTEMPT_TIMES = ("triggered_at", "sent_at")
_LINE_TIMES = ("occurred_at", "recorded_at")

_PHASES: Mapping[str, PhaseWord] = {
    Phase.SCHEDULED: "waiting",
    Phase.PAUSED: "paused",
    Phase.ENTERING: "buying",
    Phase.ARMING: "arming",
    Phase.GUARDING: "holding",
    Phase.EXITING: "selling",
    Phase.EXIT_FAILED: "exit_failed",
    Phase.ENDED: "ended",
}
"""The engine's phases in the API's words, which stay when the engine's change."""

_ROUNDED = Decimal("0.01")
"""How many rupees a share two averages, each rounded to the paisa, can be off."""

_NOT_STARTED = "Not started yet"


def status_of_run(
    strategy_id: int, runtime: Mapping[str, str], price: Mapping[str, str], now: datetime, zone: tzinfo
) -> StrategyStatus:
    """From `runtime:{id}` and `price:{symbol}`. An ended strategy keeps the last price it saw."""
    ended = bool(runtime["terminated_at"])
    price = {} if ended else price
    last_price, age_ms = _last_price(runtime, price, now)
    charges = _charges_of(runtime) if ended else None
    values: dict[str, Any] = {
        "strategy_id": strategy_id,
        "run_id": int(runtime["run_id"]),
        "symbol": runtime["symbol"],
        "product": runtime.get("product") or None,
        "strategy_status": strategy_status(runtime["status"], ended=ended),
        "phase": _phase(runtime),
        "position": runtime["position"],
        "status_detail": runtime["status_detail"],
        "last_action": runtime["last_action"],
        "last_price": last_price,
        "last_price_age_ms": age_ms,
        "feed": price.get("feed") or None,
        "feed_lag_ms": int(price["feed_lag_ms"]) if price.get("feed_lag_ms") else None,
        "feed_since": datetime.fromisoformat(price["feed_since"]).astimezone(zone) if price.get("feed_since") else None,
        "stop_loss": _number(runtime["stop_loss"]),
        "stop_loss_percent": _number(runtime.get("stop_loss_percent", "")),
        "quantity": int(runtime["quantity"]),
        "filled_quantity": int(runtime["filled_quantity"]),
        "buy_price": _number(runtime["buy_price"]),
        "sell_price": _number(runtime["sell_price"]),
        "pnl": _number(runtime["pnl"]),
        "charges": charges,
        "net_pnl": float(Decimal(runtime["pnl"]) - Decimal(str(charges.total))) if charges else None,
        "stop_now": _number(runtime["stop_loss"]) if runtime["position"] == "bought" and not ended else None,
        "target": None,  # row N5 is not built yet
        "unrealised_pnl": None if ended else _unrealised(runtime, last_price),
        "next": None if ended else _next_step(runtime, zone),
        "buy_at": datetime.fromisoformat(runtime["buy_at"]).astimezone(zone),
        "sell_at": datetime.fromisoformat(runtime["sell_at"]).astimezone(zone),
        "last_buy_order": runtime["last_buy_order"] or None,
        "last_sell_order": runtime["last_sell_order"] or None,
        "last_sl_order": runtime["last_sl_order"] or None,
        "guard": guard_of(runtime, now, zone),
        "message": runtime["message"],
        "updated_at": datetime.fromisoformat(runtime["updated_at"]).astimezone(zone),
    }
    return StrategyStatus(**values)


def status_before_start(strategy: Strategy, zone: tzinfo) -> StrategyStatus:
    """Of a strategy that never ran."""
    return StrategyStatus(
        strategy_id=strategy.id,
        run_id=None,
        symbol=instrument_of(strategy).symbol,
        product=Product(strategy.product),
        strategy_status="created",
        phase="created",
        position="none",
        status_detail="",
        last_action="",
        last_price=None,
        last_price_age_ms=None,
        feed=None,
        feed_lag_ms=None,
        feed_since=None,
        **_stop_of(strategy),
        quantity=strategy.quantity,
        filled_quantity=0,
        buy_price=None,
        sell_price=None,
        pnl=None,
        charges=None,
        net_pnl=None,
        stop_now=None,
        target=None,
        unrealised_pnl=None,
        next=None,
        buy_at=None,
        sell_at=None,
        last_buy_order=None,
        last_sell_order=None,
        last_sl_order=None,
        guard=NOTHING_HELD,
        message=_NOT_STARTED,
        updated_at=strategy.updated_at.astimezone(zone),
    )


def started_answer(run: Run, equal: Iterable[Strategy], zone: tzinfo) -> StrategyStarted:
    """Row D1, of an open run; `equal` are the user's other strategies that run for the same thing."""
    return StrategyStarted(
        strategy_id=run.strategy_id,
        strategy_status="paused" if strategy_status(run.status, ended=False) == "paused" else "running",
        buy_at=run.buy_at.astimezone(zone),
        sell_at=run.sell_at.astimezone(zone),
        message=run.message,
        notes=[equal_note(strategy) for strategy in equal],
    )


def equal_note(strategy: Strategy) -> StartNote:
    """What START says of another strategy of the user that runs for the same thing."""
    what = f"{strategy.quantity} {instrument_of(strategy).symbol} ({strategy.product})"
    times = f"{strategy.buy_time:%H:%M:%S} to {strategy.sell_time:%H:%M:%S}"
    stop_loss = f"stop-loss {stop_text(strategy.stop_loss_paise, strategy.stop_share)}"
    message = (
        f"Strategy {strategy.id} runs as well, for the same: {what}, {times}, {stop_loss}. "
        "If you want it only once, stop one of them"
    )
    return StartNote(code="equal_strategy_running", strategy_id=strategy.id, message=message)


def strategy_answer(strategy: Strategy, zone: tzinfo) -> StrategyAnswer:
    """What the user asked for, from the row."""
    values: dict[str, Any] = {
        "strategy_id": strategy.id,
        "symbol": instrument_of(strategy).symbol,
        "buy_time": strategy.buy_time.isoformat(),
        "sell_time": strategy.sell_time.isoformat(),
        **_stop_of(strategy),
        "quantity": strategy.quantity,
        "product": strategy.product,
        "strategy_status": strategy.status,
        "created_at": strategy.created_at.astimezone(zone),
        "updated_at": strategy.updated_at.astimezone(zone),
    }
    return StrategyAnswer(**values)


def stop_text(stop_loss_paise: int, stop_share: int | None) -> str:
    """A stop-loss as people read it, such as "₹1500.00" or "2.5 %"."""
    if stop_share is None:
        return f"₹{to_rupees(stop_loss_paise)}"
    percent = f"{to_percent(stop_share)} %"
    return f"₹{to_rupees(stop_loss_paise)} ({percent})" if stop_loss_paise else percent


def _stop_of(strategy: Strategy) -> dict[str, float | None]:
    share, level = strategy.stop_share, strategy.stop_loss_paise
    return {
        "stop_loss": float(to_rupees(level)) if share is None else None,
        "stop_loss_percent": None if share is None else float(to_percent(share)),
    }


def _last_price(runtime: Mapping[str, str], price: Mapping[str, str], now: datetime) -> tuple[float | None, int | None]:
    if "price" not in price:
        return _number(runtime["last_price"]), None
    age = now - datetime.fromisoformat(price["exchange_time"] or price["received_at"])
    return float(price["price"]), max(0, round(age.total_seconds() * 1000))


def _unrealised(runtime: Mapping[str, str], last_price: float | None) -> float | None:
    known = runtime["buy_price"] and last_price is not None
    if runtime["position"] != "bought" or runtime["sell_price"] or not known:  # sold in part: how much, it does not say
        return None
    gain = Decimal(str(last_price)) - Decimal(runtime["buy_price"])
    return float(round_rupees(gain * int(runtime["filled_quantity"])))


def _phase(runtime: Mapping[str, str]) -> PhaseWord:
    """Without a phase, or with one of another version, the position says nearly as much."""
    if runtime["terminated_at"]:
        return "ended"
    if (known := _PHASES.get(runtime.get("phase", ""))) is not None:
        return known
    halted = runtime["status"] != "running"
    words: Mapping[str, PhaseWord] = {
        "none": "paused" if halted else "waiting",
        "buying": "buying",
        "bought": "holding",
        "selling": "exit_failed" if halted else "selling",
    }
    return words.get(runtime["position"], "ended")


def _charges_of(runtime: Mapping[str, str]) -> EstimatedCharges | None:
    """Of a finished trade that the engine itself has sold, and whole: else what was sold is not known here."""
    sold = runtime["position"] in {"sold", "exited_by_sl"} and runtime["status_detail"] != StatusDetail.CLOSED_OUTSIDE
    if not (sold and runtime["pnl"] and runtime["buy_price"] and runtime["sell_price"] and runtime.get("product")):
        return None
    quantity, paid, got = int(runtime["filled_quantity"]), Decimal(runtime["buy_price"]), Decimal(runtime["sell_price"])
    if abs(Decimal(runtime["pnl"]) - quantity * (got - paid)) > quantity * _ROUNDED:
        return None
    exchange, _ = split_symbol(runtime["symbol"])
    return estimated_charges(exchange, Product(runtime["product"]), quantity, paid, got)


def estimated_charges(
    exchange: str, product: Product, quantity: int, bought: Decimal, sold: Decimal
) -> EstimatedCharges:
    """Of one order that buys and one that sells `quantity` shares on NSE or BSE, at these prices in rupees.

    Raises KeyError for another exchange.
    """
    found = round_trip_charges(exchange, product, quantity, bought, sold)
    parts = EstimatedCharges.model_fields.keys() - {"estimated"}
    return EstimatedCharges(**{name: float(getattr(found, name)) for name in parts})


def _next_step(runtime: Mapping[str, str], zone: tzinfo) -> NextStep | None:
    """What a run that goes on waits for; none for one that holds beyond its sell time: only a stop sells it."""
    if runtime["status_detail"] == StatusDetail.MISSED_EXECUTION:
        return None
    due = {"none": ("buy", "buy_at"), "bought": ("sell", "sell_at")}.get(runtime["position"])
    if due is not None:
        what, column = due
        return NextStep.model_validate({"what": what, "at": datetime.fromisoformat(runtime[column]).astimezone(zone)})
    return NextStep(what="order", at=None) if runtime["position"] in {"buying", "selling"} else None


def _number(text: str) -> float | None:
    return float(text) if text else None


def order_log_answer(line: OrderLog, zone: tzinfo) -> OrderLogAnswer:
    """One line of the order log, as the app gets it."""
    columns = OrderLogAnswer.model_fields.keys() - {"log_id", "price", *_ATTEMPT_TIMES, *_LINE_TIMES}
    values = {name: getattr(line, name) for name in columns}
    times = {name: getattr(line, name).astimezone(zone) for name in _LINE_TIMES}
    for name in _ATTEMPT_TIMES:
        text = line.detail.get(name)
        times[name] = datetime.fromisoformat(text).astimezone(zone) if text else None
    price = None if line.price is None else float(round_rupees(line.price))
    return OrderLogAnswer(log_id=line.id, price=price, **values, **times)
