"""The shell of one strategy: one state, one inbox, one consumer; that is the strategy's lock.

`StrategyShell` owns the timers and carries decisions out through ports. What a caller may believe:

* Events are taken in one at a time, each completely; the new state is stored before anything is awaited.
* A request to the broker is handed over before anything is recorded; recording is retried until the journal has it.
* When `run()` returns, the run is over and recorded, a newer incarnation has taken it over, or it was left to one.
"""

import asyncio
import logging
from collections.abc import Coroutine
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from actors import failpoints
from actors.domain.errors import DomainError
from actors.domain.identifiers import IntentId, Side
from actors.domain.money import Paise
from actors.domain.strategy.decisions import (
    ArmIntent,
    AskCover,
    CancelOrder,
    CancelTimers,
    Decision,
    EndRun,
    LogEvent,
    ProbeBroker,
    RaiseAlert,
    SendOrder,
    SetTimer,
    WatchPrice,
    WithdrawOrder,
)
from actors.domain.strategy.events import (
    ClosedByTrader,
    Event,
    IntentArmed,
    OrderQueued,
    OrderReported,
    PlacementFailed,
    PlacementUnresolved,
    RunRecovered,
    StopLossMoved,
    StopRequested,
    TickReceived,
    TimerFired,
    inbox_rank,
)
from actors.domain.strategy.exits import waits_for_broker
from actors.domain.strategy.machine import step
from actors.domain.strategy.reconciliation import expected_tags
from actors.domain.strategy.snapshot import load_state
from actors.domain.strategy.state import Phase, StrategyState
from actors.ports.common import CALM, Clock, PeerUnavailable, StaleEpoch
from actors.ports.engine import WordTaken
from actors.ports.prices import PriceWatch
from actors.ports.strategy import Journal, LoadedRun, OrderCommand, OrderExecution
from actors.strategy.decision_lines import decision_line
from actors.strategy.execution_calls import PEER_RETRY_S, ExecutionCalls, order_command
from actors.strategy.holding_reports import GuardCalls
from actors.strategy.leaving import Leaving
from actors.strategy.order_first import OrderFirst
from actors.strategy.price_subscription import WatchCalls
from actors.strategy.recorder import RunRecorder, only_price_moved
from actors.strategy.timers import WallClockTimers
from actors.waiting import end_tasks, until_answered, within

log = logging.getLogger(__name__)

ARMING_PATIENCE_S = 0.5
"""How long the stop-loss waits for the journal. The exit's tag is deterministic, so recovery finds it anyway."""

CLOSING_TIMEOUT_S = 5.0
"""How long an ended strategy waits until its alerts and cancellations are taken over."""

RECOVERY_ALERT_AFTER = timedelta(seconds=3)
"""A position that cannot be recovered for this long is not guarded, and an alert goes out."""

FIRST_EPOCH = 1

TROUBLES = ("recovery_waits", "strategy_crashing")
"""Alerts about a strategy that does not guard, which are over when it does."""

_Posted = tuple[int, int, Event, asyncio.Future[None] | None]
"""Rank, place within the rank, the event, and what is done once it was taken in."""


class StrategyShell:
    """One running strategy. Give it events with `post`; `run()` returns when its run is over."""

    def __init__(
        self, loaded: LoadedRun, *, execution: OrderExecution, journal: Journal, prices: PriceWatch, clock: Clock
    ) -> None:
        self._run = loaded.run
        self._epoch = loaded.epoch
        self._state = load_state(loaded.run, loaded.snapshot)
        self._execution, self._journal, self._clock = execution, journal, clock
        self._inbox: asyncio.PriorityQueue[_Posted] = asyncio.PriorityQueue()
        self._calls = ExecutionCalls(execution, self._run.account_id, clock, self.post)
        self._guard = GuardCalls(execution, self._run, self._epoch, clock, self.post)
        about = (lambda: self._state.watched_since, lambda: self._guard.shared)
        self._orders = OrderFirst()
        self._watch = WatchCalls(prices, self._run, self.post, self._orders.wait, *about)
        self._posted = 0
        self._timers = WallClockTimers(clock, self.post)
        self._settled = asyncio.Event()
        self._over = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._calming: set[asyncio.Task[None]] = set()
        self._closing_calls: set[asyncio.Task[None]] = set()
        self._about = {"strategy_id": self._run.strategy_id, "run_id": self._run.run_id, "epoch": self._epoch}
        self._recorder = RunRecorder(
            journal,
            self._epoch,
            clock,
            self._orders,
            state=lambda: self._state,
            raise_alert=self._raise_alert,
            about=self._about,
        )
        self.leaving = Leaving(
            lambda: self._state, clock, self._guard, at_rest=self._is_at_rest, record=self._next_record
        )

    @property
    def state(self) -> StrategyState:
        """The state after the last event."""
        return self._state

    def post(self, event: Event, taken: "asyncio.Future[None] | None" = None) -> None:
        """Put an event into the inbox, behind those of its rank; `taken` is done once it was taken in, or refused.

        After `leaving` nothing is taken in: the next incarnation finds out by itself, or is asked again.
        """
        if self.leaving.left:
            return
        self._posted += 1
        self._inbox.put_nowait((inbox_rank(event), self._posted, event, taken))

    async def stop(self, timeout_s: float) -> bool:
        """STOP (row I1): ask for the exit; whether the run is over and recorded within `timeout_s` seconds."""
        self.post(StopRequested())
        return await within(self._settled, timeout_s)

    async def move_stop(self, stop_loss: Paise, stop_share: int | None = None) -> bool | None:
        """Move the stop-loss between two ticks; returns when that is recorded, and both guards have it.

        To `stop_loss` in paise, or to `stop_share` hundredths of a percent below the average fill.

        False: execution does not confirm it; None: nothing is guarded.
        """
        taken = asyncio.get_running_loop().create_future()
        self.post(StopLossMoved(stop_loss, self._watch.feed_lag, stop_share), taken)
        settled = asyncio.create_task(self._over.wait())
        await asyncio.wait([taken, settled], return_when=asyncio.FIRST_COMPLETED)
        settled.cancel()
        await self._next_record()
        return await self._guard.confirmed()

    async def closed_by_trader(self, timeout_s: float) -> WordTaken:
        """The trader's word that he has closed the position himself; ends the run if the account does not contradict.

        Raises:
            PeerUnavailable: the account cannot be read.
        """
        if self._state.phase is Phase.ENDED or self._state.open_quantity <= 0:
            return WordTaken(done=False)
        cover = await self._guard.cover(self._state)
        if cover.covered > 0:
            return WordTaken(done=False, held=min(cover.covered, self._state.open_quantity))
        self.post(ClosedByTrader())
        await within(self._settled, timeout_s)
        return WordTaken(done=True)

    def ask_broker_now(self) -> None:
        """The account has a new access token: a run that waits for the broker does not wait for its timer."""
        if waits_for_broker(self._state):
            self._spawn(self._calls.probe())

    async def _next_record(self) -> None:
        """Wait for a record that is made after now, or for the end of the run."""
        recorded = self._recorder.next_record()
        settled: asyncio.Future[Any] = asyncio.create_task(self._over.wait())
        try:
            await asyncio.wait([recorded, settled], return_when=asyncio.FIRST_COMPLETED)
        finally:
            settled.cancel()

    def _is_at_rest(self) -> bool:
        """Whether all that this strategy has heard is taken in, carried out and recorded.

        That its troubles are over is said minutes later; the next incarnation says it as well.
        """
        return self._recorder.at_rest and self._inbox.empty() and not self._tasks - self._calming

    async def run(self) -> bool:
        """Recover, then take in events until the run is over and recorded, or left: True. False: a newer one owns it.

        Raises:
            Exception: whatever broke a part of this actor; it must be started again, since it may be deaf.
        """
        self._spawn(self._calls.warm_up())
        self.post(await self._recover())
        if self._epoch > FIRST_EPOCH:
            self._calming.add(self._spawn(self._call_troubles_over()))
        # what was recovered is taken in first: the router must not hear that no stop-loss is watched
        left = within(self.leaving.done, None)
        work = (self._recorder.run(), self._consume(), self._watch.run(), self._guard.run(), left)
        parts = [asyncio.create_task(part) for part in work]
        try:
            await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            for part in parts:
                if part.done():
                    part.result()
            if self.leaving.left:  # neither guard nor router hears of it: the next incarnation takes its place
                return True
            self._settled.set()
            if self._closing_calls:
                await asyncio.wait(set(self._closing_calls), timeout=CLOSING_TIMEOUT_S)
        except StaleEpoch:
            self._say(logging.WARNING, "strategy.superseded")
            return False
        finally:
            self._over.set()
            self._timers.cancel_all()
            await end_tasks([*parts, *self._tasks])
        await asyncio.gather(self._guard.tell(), self._watch.leave())
        return True

    async def _recover(self) -> RunRecovered:
        """The first incarnation cannot have sent anything; every later one must know the book before it acts."""
        if self._epoch == FIRST_EPOCH and self._state.phase is Phase.SCHEDULED and self._state.restored is None:
            return RunRecovered(first=True)
        begun, told = self._clock.now(), False

        def say(error: PeerUnavailable) -> None:
            nonlocal told
            self._say(logging.WARNING, "strategy.recovery_waits", reason=str(error))
            if not told and self._clock.now() - begun >= RECOVERY_ALERT_AFTER:
                told = True
                self._raise_alert("recovery_waits", f"Not guarded: the order book cannot be read ({error})")

        account_id, tags = self._run.account_id, expected_tags(self._state)
        return RunRecovered(
            await until_answered(lambda: self._execution.orders_by_tag(account_id, tags), PEER_RETRY_S, say)
        )

    # --- events in, decisions out --------------------------------------------------------------------------------

    async def _consume(self) -> None:
        while True:
            _, _, event, taken = await self._inbox.get()
            self._take_in(event)
            if taken is not None and not taken.done():
                taken.set_result(None)

    def _take_in(self, event: Event) -> None:
        now = self._clock.now()
        before = self._state
        if isinstance(event, TickReceived | TimerFired | StopRequested):
            failpoints.hit("decide.before", self._run.strategy_id)
        try:
            self._state, decisions = step(before, event, now)
        except DomainError as error:
            self._raise_alert("event_refused", f"{type(event).__name__} refused while {before.phase}: {error}")
            return
        if isinstance(event, OrderReported | PlacementFailed | PlacementUnresolved | OrderQueued):
            self._orders.heard_of()
        for decision in decisions:
            if isinstance(decision, SendOrder):
                failpoints.hit("decide.after", self._run.strategy_id)
                if decision.not_before is None or decision.not_before <= now:
                    self._orders.left()
        self._guard.update(self._state, event.tick if isinstance(event, TickReceived) else None)
        for decision in decisions:
            self._carry_out(decision, event)
            if (line := decision_line(decision)) is not None:
                # later, since writing takes some hundredths of a millisecond, and an order may be about to leave
                line |= {"phase": str(self._state.phase)}
                asyncio.get_running_loop().call_soon(partial(self._say, logging.INFO, "strategy.event", **line))
        if decisions or not only_price_moved(before, self._state):
            self._recorder.changed()

    def _carry_out(self, decision: Decision, cause: Event) -> None:
        match decision:
            case SendOrder():
                self._spawn(self._calls.execute(self._command(decision, cause)))
            case WithdrawOrder(intent_id):
                self._spawn(self._calls.withdraw(intent_id))
            case CancelOrder(intent_id, order_id):
                self._closing_calls.add(self._spawn(self._calls.cancel(intent_id, order_id)))
            case ArmIntent(intent):
                self._spawn(self._arm(intent.id))
            case AskCover():
                self._spawn(self._guard.ask(self._state))
            case ProbeBroker():
                self._spawn(self._calls.probe())
            case _:
                self._carry_out_here(decision)

    def _carry_out_here(self, decision: Decision) -> None:
        match decision:
            case SetTimer(timer, at):
                self._timers.set(timer, at)
            case CancelTimers():
                self._timers.cancel_all()
            case WatchPrice(stop_loss):
                self._watch.set_level(stop_loss)
            case LogEvent():
                self._recorder.log(decision)
            case RaiseAlert(code, message):
                self._raise_alert(code, message)
            case EndRun():
                self._recorder.end(decision)

    def _command(self, send: SendOrder, cause: Event) -> OrderCommand:
        stake = self._guard.stake(self._state) if send.intent.side is Side.SELL else None
        return order_command(self._state, self._epoch, send, stake, triggered_at=self._triggered_at(send, cause))

    def _triggered_at(self, send: SendOrder, cause: Event) -> datetime:
        """The instant from which the order's latency counts."""
        if isinstance(cause, TickReceived):
            return cause.tick.received_at
        if isinstance(cause, TimerFired):
            return send.not_before or cause.due
        now = self._clock.now()
        return max(now, send.not_before or now)

    def _say(self, level: int, event: str, **about: object) -> None:
        log.log(level, event, extra={**self._about, **about})

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._closing_calls.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._say(logging.ERROR, "strategy.task_failed", error=repr(error))

    # --- peers ---------------------------------------------------------------------------------------------------

    async def _arm(self, intent_id: IntentId) -> None:
        failpoints.hit("arm.before", self._run.strategy_id)
        durable = True
        try:
            async with asyncio.timeout(ARMING_PATIENCE_S):
                await self._next_record()
        except TimeoutError:
            durable = False
            self._say(logging.WARNING, "strategy.arming_not_durable", intent=str(intent_id))
        self.post(IntentArmed(intent_id, durable))

    def _raise_alert(self, code: str, message: str) -> None:
        self._say(logging.WARNING, "alert", code=code, sentence=message)
        self._closing_calls.add(self._spawn(self._alert(code, message)))

    async def _alert(self, code: str, message: str) -> None:
        of_run = (self._run.user_id, self._run.strategy_id, code, message, f"run:{self._run.run_id}")
        await until_answered(lambda: self._journal.alert(*of_run), PEER_RETRY_S)

    async def _call_troubles_over(self) -> None:
        """This incarnation has recovered and has lasted: what was said of it, or of an earlier one, is over."""
        await asyncio.sleep(CALM.total_seconds())
        if self._closing_calls:  # an alert of it may not be taken over yet
            await asyncio.wait(set(self._closing_calls))
        of_run = (self._run.user_id, self._run.strategy_id, TROUBLES, f"run:{self._run.run_id}")
        await until_answered(lambda: self._journal.alert_over(*of_run), PEER_RETRY_S)
