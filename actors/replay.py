"""A strategy over a recorded day, in virtual time: the same `step()` that trades, with fills at the last price.

Ticks come before timers of the same instant, so a stop-loss wins over a SELL (row F3) and a BUY is filled at the
price of its own instant.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from pathlib import Path

from actors.domain.errors import InvalidValue
from actors.domain.identifiers import Instrument, Product
from actors.domain.money import Paise, to_paise, to_rupees
from actors.domain.orders.log_events import LogWord
from actors.domain.orders.order import OrderReport, OrderStage
from actors.domain.orders.position import Position
from actors.domain.prices.tick import Tick
from actors.domain.strategy.decisions import ArmIntent, CancelTimers, Decision, LogEvent, SendOrder, SetTimer
from actors.domain.strategy.events import (
    Event,
    IntentArmed,
    OrderReported,
    RunRecovered,
    StopRequested,
    TickReceived,
    Timer,
    TimerFired,
)
from actors.domain.strategy.machine import step
from actors.domain.strategy.spec import StrategyRun
from actors.domain.strategy.state import Phase, StrategyState

_BAR = timedelta(minutes=1)
_SHOWN = frozenset({LogWord.MISSED_EXECUTION, LogWord.ORDER_FAILED})
_REPLAY_INSTRUMENT_TOKEN = 1


@dataclass(frozen=True, slots=True)
class RecordedTick:
    """One price of the recording, in paise, at its market time."""

    at: datetime
    price: Paise


@dataclass(frozen=True, slots=True)
class ReplayedDecision:
    """Something the strategy decided: `event` is BUY, SELL, STOPLOSS or a log event such as MISSED_EXECUTION."""

    at: datetime
    event: str
    price: Paise | None
    quantity: int | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of the day. `state` is the strategy's last."""

    decisions: tuple[ReplayedDecision, ...]
    state: StrategyState

    @property
    def position(self) -> Position:
        """Quantities, averages and profit."""
        return self.state.position


def read_bars(path: Path) -> list[RecordedTick]:
    """The ticks of a CSV `time_ist,open,high,low,close,volume`; a bar is walked open → low → high → close.

    Raises:
        InvalidValue: the file is not such a recording, or its bars are out of order.
    """
    ticks: list[RecordedTick] = []
    with path.open(newline="", encoding="utf-8") as file:
        for line, row in enumerate(csv.DictReader(file), start=2):
            try:
                start = datetime.fromisoformat(row["time_ist"])
                prices = [to_paise(row[name]) for name in ("open", "low", "high", "close")]
            except (KeyError, TypeError, ValueError, ArithmeticError) as error:
                columns = "time_ist,open,high,low,close,volume"
                raise InvalidValue(f"{path.name}, line {line}: not a bar of {columns}") from error
            if start.tzinfo is None or (ticks and start <= ticks[-1].at):
                raise InvalidValue(f"{path.name}, line {line}: times must carry an offset and rise")
            ticks += [RecordedTick(start + _BAR * i / 4, price) for i, price in enumerate(prices)]
    if not ticks:
        raise InvalidValue(f"{path.name} holds no bars")
    return ticks


def replay(
    ticks: Sequence[RecordedTick], buy: time, sell: time, stop_loss: Paise, quantity: int, symbol: str
) -> Replay:
    """Run one strategy over the recording. STOP is pressed at its end if something is still open.

    Raises:
        InvalidValue: the strategy or the recording cannot be used.
    """
    first = ticks[0].at
    run = StrategyRun(
        run_id=1,
        strategy_id=1,
        user_id=1,
        account_id=1,
        instrument=Instrument("NSE", symbol, _REPLAY_INSTRUMENT_TOKEN),
        product=Product.MIS,
        quantity=quantity,
        stop_loss=stop_loss,
        buy_at=datetime.combine(first.date(), buy, first.tzinfo),
        sell_at=datetime.combine(first.date(), sell, first.tzinfo),
        tag_key=b"replay",
    )
    return _Player(run).play(ticks)


class _Player:
    """The world of a replay: a virtual clock, an exchange that fills at once, and a journal that always answers."""

    def __init__(self, run: StrategyRun) -> None:
        self._state = StrategyState.scheduled(run)
        self._timers: dict[Timer, datetime] = {}
        self._decisions: list[ReplayedDecision] = []
        self._price: Paise | None = None
        self._orders = 0

    def play(self, ticks: Sequence[RecordedTick]) -> Replay:
        self._take_in(RunRecovered(first=True), ticks[0].at)
        for tick in ticks:
            self._fire_timers(before=tick.at)
            self._price = tick.price
            single = Tick.single(_REPLAY_INSTRUMENT_TOKEN, tick.price, tick.at, tick.at)
            self._take_in(TickReceived(single), tick.at)
        end = ticks[-1].at
        self._fire_timers(before=end + timedelta(microseconds=1))
        if self._state.phase is not Phase.ENDED:
            self._take_in(StopRequested(), end)
        return Replay(tuple(self._decisions), self._state)

    def _fire_timers(self, before: datetime) -> None:
        while self._timers:
            timer = min(self._timers, key=lambda timer: self._timers[timer])
            at = self._timers[timer]
            if at >= before:
                return
            del self._timers[timer]
            self._take_in(TimerFired(timer, at), at)

    def _take_in(self, event: Event, now: datetime) -> None:
        self._state, decisions = step(self._state, event, now)
        for answer in [answer for decision in decisions for answer in self._carry_out(decision, now)]:
            self._take_in(answer, now)

    def _carry_out(self, decision: Decision, now: datetime) -> Iterator[Event]:
        match decision:
            case SetTimer(timer, at):  # an exchange that fills at once needs no notice
                self._timers[timer] = self._state.run.buy_at if timer is Timer.BUY else at
            case CancelTimers():
                self._timers = {}
            case ArmIntent(intent):
                yield IntentArmed(intent.id)
            case SendOrder():
                yield self._fill(decision, now)
            case LogEvent(event=event, reason=reason) if event in _SHOWN:
                self._decisions.append(ReplayedDecision(now, event, None, None, reason))
            case _:
                return

    def _fill(self, send: SendOrder, now: datetime) -> OrderReported:
        if self._price is None:
            raise InvalidValue(f"the recording has no price yet at {now:%H:%M:%S}")
        self._orders += 1
        intent = send.intent
        self._decisions.append(ReplayedDecision(now, intent.event, self._price, intent.quantity))
        return OrderReported(
            intent.id,
            OrderReport(
                str(self._orders),
                intent.tag,
                OrderStage.COMPLETE,
                intent.quantity,
                intent.quantity,
                to_rupees(self._price),
            ),
        )
