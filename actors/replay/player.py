"""A strategy over a recorded day, in virtual time: the same `step()` that trades, with fills at the last price.

Ticks come before timers of the same instant, so a stop-loss wins over a SELL (row F3) and a BUY is filled at the
price of its own instant.
"""

import dataclasses
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time

from actors.domain.errors import InvalidValue
from actors.domain.identifiers import Instrument, Product
from actors.domain.money import Paise, round_rupees, to_rupees
from actors.domain.orders.log_events import LogWord
from actors.domain.orders.order import OrderEvent, OrderReport, OrderStage
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
from actors.domain.strategy.state import StrategyState
from actors.replay.ticks import RecordedTick

_SHOWN = frozenset({LogWord.MISSED_EXECUTION, LogWord.ORDER_FAILED})
_REPLAY_INSTRUMENT_TOKEN = 1


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
    """How the day went. `state` is the strategy's last; `notes` are sentences about what the recording did not hold."""

    decisions: tuple[ReplayedDecision, ...]
    state: StrategyState
    notes: tuple[str, ...] = ()

    @property
    def position(self) -> Position:
        """Quantities, averages and profit."""
        return self.state.position

    @property
    def sold_by_time(self) -> bool:
        """Whether the timed SELL closed the position."""
        return any(decision.event == OrderEvent.SELL for decision in self.decisions)


def replay(
    ticks: Sequence[RecordedTick], buy: time, sell: time, stop_loss: Paise, quantity: int, symbol: str
) -> Replay:
    """Run one strategy over the recording. An order whose time is in a gap takes the next price.

    What the strategy holds when the recording ends before the SELL stays open: no price says what it would fetch.

    Raises:
        InvalidValue: the strategy or the recording cannot be used.
    """
    first = ticks[0].at
    wanted = _run(ticks, buy, sell, stop_loss, quantity, symbol)
    if wanted.buy_at < first:
        raise InvalidValue(
            f"the recording has no price yet at {buy:%H:%M:%S}; its first is of {first:%H:%M:%S}: choose a later --buy"
        )
    notes: list[str] = []
    buy_at = _at_a_price(ticks, "BUY", wanted.buy_at, notes)
    if buy_at is None or buy_at >= wanted.sell_at:
        missing = f"The recording has no price from the BUY at {buy:%H:%M:%S} to "
        missing += "its end" if buy_at is None else f"the SELL at {sell:%H:%M:%S}"
        return _Player(wanted).idle(ticks, f"{missing}: nothing was bought")
    sell_notes: list[str] = []
    sell_at = _at_a_price(ticks, "SELL", wanted.sell_at, sell_notes)
    run = dataclasses.replace(wanted, buy_at=buy_at, sell_at=sell_at or wanted.sell_at)
    played = _Player(run).play(ticks)
    if played.sold_by_time:
        notes += sell_notes
    if played.position.open_quantity:
        notes.append(_still_open(played, ticks[-1], sell))
    return dataclasses.replace(played, notes=tuple(notes))


def _run(
    ticks: Sequence[RecordedTick], buy: time, sell: time, stop_loss: Paise, quantity: int, symbol: str
) -> StrategyRun:
    first = ticks[0].at
    return StrategyRun(
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


def _at_a_price(ticks: Sequence[RecordedTick], order: str, due: datetime, notes: list[str]) -> datetime | None:
    """When an order that is due in a gap finds a price: the instant of the next one, or None if there is none."""
    after = bisect_right(ticks, due, key=lambda tick: tick.at)
    if due < ticks[after - 1].until:
        return due
    if after == len(ticks):
        return None
    found = ticks[after].at
    notes.append(f"No bar holds {due:%H:%M:%S}: the {order} takes the next one, of {found:%H:%M:%S}")
    return found


def _still_open(played: Replay, last: RecordedTick, sell: time) -> str:
    position = played.position
    worth = round_rupees((to_rupees(last.price) - (position.buy_price or 0)) * position.open_quantity)
    return (
        f"The recording ends at {last.until:%H:%M:%S}, and the SELL at {sell:%H:%M:%S} is not in it: nothing was sold. "
        f"At the last price, ₹{to_rupees(last.price)}, the profit or loss would be ₹{worth}"
    )


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
        self._fire_timers(before=ticks[-1].until)
        return Replay(tuple(self._decisions), self._state)

    def idle(self, ticks: Sequence[RecordedTick], note: str) -> Replay:
        """The day on which the BUY had no price: the strategy is stopped at its end."""
        self._take_in(RunRecovered(first=True), ticks[0].at)
        self._take_in(StopRequested(), ticks[-1].until)
        return Replay((), self._state, (note,))

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
