"""Whatever happens, in whatever order: the promises of the machine, against a small model of the broker."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from actors.domain.errors import IllegalEvent
from actors.domain.identifiers import IntentId, Leg, Side
from actors.domain.orders.order import FailureKind, Intent, OrderEvent, OrderReport, OrderStage
from actors.domain.strategy.decisions import ArmIntent, CancelOrder, Decision, EndRun, SendOrder, SetTimer
from actors.domain.strategy.events import (
    BrokerRestored,
    CoverRead,
    Event,
    FeedLost,
    FeedRestored,
    IntentArmed,
    NoBuyers,
    OrderQueued,
    OrderReported,
    PlacementFailed,
    PlacementUnresolved,
    PositionClosedOutside,
    RunRecovered,
    StopLossMoved,
    StopLossTriggered,
    StopRequested,
    TickReceived,
    Timer,
    TimerFired,
)
from actors.domain.strategy.machine import step
from actors.domain.strategy.snapshot import dump_state, load_state, runtime_view
from actors.domain.strategy.state import Phase, StrategyState
from tests.kit.builders import BUY_AT, NOW, a_run, a_tick


@dataclass
class BrokerOrder:
    """An order in the model broker's book. It carries out exactly what was asked, when the test says so."""

    order_id: str
    intent: Intent
    stage: OrderStage = OrderStage.OPEN
    filled: int = 0

    @property
    def live(self) -> bool:
        return not self.stage.terminal

    def report(self) -> OrderReport:
        price = Decimal(1500) if self.filled else Decimal(0)
        return OrderReport(
            self.order_id, self.intent.tag, self.stage, self.intent.quantity, self.filled, price, "because"
        )


@dataclass
class ModelBroker:
    orders: list[BrokerOrder] = field(default_factory=list)

    def by_tag(self, tag: str) -> BrokerOrder | None:
        return next((order for order in self.orders if order.intent.tag == tag), None)

    def net(self) -> int:
        return sum(o.filled if o.intent.side is Side.BUY else -o.filled for o in self.orders)


class StrategyRuns(RuleBasedStateMachine):
    """One run, its model broker, and requests that are on their way (`outbox`)."""

    @initialize(
        head_start=st.sampled_from(["none", "sent", "filled", "filled in part", "guarding", "guarding", "exiting"])
    )
    def start(self, head_start: str) -> None:
        self.now: datetime = NOW
        self.state = StrategyState.scheduled(a_run())
        self.broker = ModelBroker()
        self.outbox: list[SendOrder] = []
        self.arming: list[IntentId] = []
        self.timers: dict[Timer, datetime] = {}
        self.ended = False
        self.closed_outside = False
        self.sends: list[SendOrder] = []
        self.feed(RunRecovered(first=True))
        self.run_ahead(head_start)

    def run_ahead(self, head_start: str) -> None:
        """Most runs end before they become interesting; begin some of them later."""
        if head_start == "none":
            return
        self.now = BUY_AT
        self.feed(TimerFired(Timer.BUY, BUY_AT))
        if head_start == "sent":
            return
        self.request_arrives(fate="accepted")
        order = self.broker.orders[0]
        order.filled = 4 if head_start == "filled in part" else order.intent.quantity
        order.stage = OrderStage.OPEN if head_start == "filled in part" else OrderStage.COMPLETE
        self.tell(order)
        if head_start in {"guarding", "exiting"}:
            self.journal_answers()
        if head_start == "exiting":
            self.feed(TickReceived(a_tick(self.state.stop_loss, self.now)))

    def feed(self, event: Event) -> tuple[Decision, ...]:
        before = self.state
        try:
            self.state, decisions = step(self.state, event, self.now)
        except IllegalEvent:
            assert self.state is before
            return ()
        for decision in decisions:
            self.carry_out(decision, event, before)
        return decisions

    def carry_out(self, decision: Decision, cause: Event, before: StrategyState) -> None:
        match decision:
            case SetTimer(timer, at):
                self.timers[timer] = at
            case SendOrder():
                self.check_send(decision, cause, before)
                self.outbox.append(decision)
                self.sends.append(decision)
            case ArmIntent(intent):
                self.arming.append(intent.id)
            case CancelOrder(_, order_id):
                order = next(o for o in self.broker.orders if o.order_id == order_id)
                if order.live:
                    order.stage = OrderStage.CANCELLED
            case EndRun():
                self.ended = True

    def check_send(self, send: SendOrder, cause: Event, before: StrategyState) -> None:
        if send.intent.side is Side.SELL:
            assert self.state.entry.filled_quantity > 0, "a SELL without a BUY"
            assert send.intent.quantity <= self.state.entry.filled_quantity
        if send.intent.event is OrderEvent.STOPLOSS and isinstance(cause, TickReceived):
            assert before.phase is Phase.GUARDING, "a stop-loss that was not armed"
        if send.intent.side is Side.BUY and not send.look_up_first:
            assert self.now - BUY_AT < timedelta(seconds=5), "a BUY later than the grace"

    # --- the world -------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1, 4, 29, 31, 60, 3600, 5 * 3600]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(timer=st.sampled_from(list(Timer)), early=st.booleans())
    def timer_fires(self, timer: Timer, early: bool) -> None:
        due = self.timers.get(timer)
        if due is not None:
            self.now = self.now if early else max(self.now, due)
            self.feed(TimerFired(timer, due))

    @rule(price=st.integers(144000, 146000), stale=st.booleans())
    def price_ticks(self, price: int, stale: bool) -> None:
        before = self.state
        since = before.watched_since or self.now
        age = self.now - since + timedelta(microseconds=1) if stale else timedelta(0)
        self.feed(TickReceived(a_tick(price, self.now, age=age)))
        if stale:
            assert self.state.phase is before.phase, "a trade of before the fill decided something"
        elif before.unproven:
            assert self.state.phase is before.phase, "shares that may be gone were sold without a question"
        elif before.phase is Phase.GUARDING and price <= before.stop_loss:
            assert self.state.phase is Phase.EXITING, "a breached stop did not exit"

    @precondition(lambda self: self.state.unproven)
    @rule(covered=st.integers(0, 10))
    def account_is_read(self, covered: int) -> None:
        self.feed(CoverRead(covered, "sold by hand"))

    @precondition(lambda self: self.state.exits)
    @rule(price=st.none() | st.integers(144000, 146000))
    def second_guard_sends_the_exit(self, price: int | None) -> None:
        before = self.state
        self.feed(StopLossTriggered(before.exits[-1].intent.id, price))
        guarded = before.phase is Phase.GUARDING
        assert self.state.phase is (Phase.EXITING if guarded else before.phase)

    @rule()
    def journal_answers(self) -> None:
        for intent_id in self.arming:
            self.feed(IntentArmed(intent_id))
        self.arming = []

    @precondition(lambda self: self.outbox)
    @rule(
        fate=st.sampled_from(
            ["accepted", "refused", "exhausted", "unreachable", "expired", "day used up", "closed", "missed", "lost"]
        )
    )
    def request_arrives(self, fate: str) -> None:
        send = self.outbox.pop(0)
        known = self.broker.by_tag(send.intent.tag)
        if known is not None:
            self.feed(OrderReported(send.intent.id, known.report()))
        elif fate == "accepted":
            order = BrokerOrder(str(1000 + len(self.broker.orders)), send.intent)
            self.broker.orders.append(order)
            self.feed(OrderReported(send.intent.id, order.report()))
        elif fate == "lost":
            self.outbox.append(send)
            self.feed(PlacementUnresolved(send.intent.id, "timeout"))
        else:
            kind = {
                "refused": FailureKind.REFUSED,
                "exhausted": FailureKind.EXHAUSTED,
                "unreachable": FailureKind.UNREACHABLE,
                "expired": FailureKind.SESSION_EXPIRED,
                "day used up": FailureKind.BUDGET_USED_UP,
                "closed": FailureKind.MARKET_CLOSED,
                "missed": FailureKind.MISSED if send.intent.side is Side.BUY else FailureKind.EXHAUSTED,
            }[fate]
            opens = self.now + timedelta(hours=17) if fate == "closed" else None
            self.feed(PlacementFailed(send.intent.id, kind, fate, opens))

    @precondition(lambda self: any(o.live for o in self.broker.orders))
    @rule(data=st.data(), share=st.sampled_from([0.3, 1.0]), told=st.booleans())
    def order_fills(self, data: st.DataObject, share: float, told: bool) -> None:
        order = data.draw(st.sampled_from([o for o in self.broker.orders if o.live]))
        rest = order.intent.quantity - order.filled
        order.filled += max(1, int(rest * share))
        if order.filled == order.intent.quantity:
            order.stage = OrderStage.COMPLETE
        if told:
            self.tell(order)

    @precondition(lambda self: any(o.live for o in self.broker.orders))
    @rule(data=st.data(), stage=st.sampled_from([OrderStage.CANCELLED, OrderStage.REJECTED]))
    def order_dies(self, data: st.DataObject, stage: OrderStage) -> None:
        order = data.draw(st.sampled_from([o for o in self.broker.orders if o.live]))
        order.stage = OrderStage.CANCELLED if order.filled else stage
        self.tell(order)

    @precondition(lambda self: self.broker.orders)
    @rule(data=st.data())
    def broker_repeats_itself(self, data: st.DataObject) -> None:
        self.tell(data.draw(st.sampled_from(self.broker.orders)))

    def tell(self, order: BrokerOrder) -> None:
        self.feed(OrderReported(order.intent.id, order.report()))

    @rule(
        event=st.sampled_from(
            [
                FeedLost(),
                FeedRestored(),
                BrokerRestored(),
                NoBuyers(IntentId(7, Leg.EXIT, 1), 144000),
                NoBuyers(IntentId(7, Leg.EXIT, 2), 144000),
                OrderQueued(IntentId(7, Leg.EXIT, 1), BUY_AT),
                OrderQueued(IntentId(7, Leg.ENTRY, 1), BUY_AT),
                StopLossMoved(144500),
                IntentArmed(IntentId(99, Leg.EXIT, 1)),
                OrderReported(IntentId(99, Leg.EXIT, 1), OrderReport("5", None, OrderStage.OPEN, 1, 0, Decimal(0))),
            ]
        )
    )
    def something_happens(self, event: Event) -> None:
        self.feed(event)

    @precondition(lambda self: self.state.phase is not Phase.SCHEDULED)
    @rule(event=st.sampled_from([StopRequested(), StopRequested(), PositionClosedOutside("squared off")]))
    def somebody_wants_out(self, event: Event) -> None:
        self.feed(event)

    @rule()
    def actor_is_killed_and_restarted(self) -> None:
        self.state = load_state(self.state.run, dump_state(self.state))
        self.outbox, self.arming, self.timers = [], [], {}
        self.feed(RunRecovered({order.intent.tag: order.report() for order in self.broker.orders}))

    # --- the promises ----------------------------------------------------------------------------------------

    @invariant()
    def never_two_live_orders_of_one_leg(self) -> None:
        for leg in Leg:
            live = [o for o in self.broker.orders if o.live and o.intent.id.leg is leg]
            assert len(live) <= 1, live

    @invariant()
    def never_short(self) -> None:
        live_exits = sum(
            o.intent.quantity - o.filled for o in self.broker.orders if o.live and o.intent.side is Side.SELL
        )
        assert self.broker.net() - live_exits >= 0

    @invariant()
    def an_open_position_is_guarded_or_says_why(self) -> None:
        known_open = self.state.entry.filled_quantity - sum(o.filled_quantity for o in self.state.exits)
        assert known_open >= 0
        match self.state.phase:
            case Phase.GUARDING:
                assert known_open > 0
                assert self.state.watched_since is not None
            case Phase.EXIT_FAILED:
                assert Timer.RETRY in self.timers
                assert self.state.message
            case Phase.ENDED:
                assert self.ended
                assert known_open == 0 or self.state.closed_outside or self.late_fill()
            case Phase.SCHEDULED | Phase.PAUSED | Phase.ENTERING:
                assert known_open == 0

    def late_fill(self) -> bool:
        return self.state.entry.failure is not None

    @invariant()
    def a_wait_for_buyers_is_that_of_a_working_exit(self) -> None:
        if self.state.no_buyers_since is not None:
            assert self.state.phase is Phase.EXITING
            assert self.state.exits[-1].live

    @invariant()
    def the_snapshot_carries_the_state(self) -> None:
        loaded = load_state(self.state.run, dump_state(self.state))
        assert runtime_view(loaded).position == runtime_view(self.state).position
        assert dump_state(loaded) == dump_state(self.state)

    def teardown(self) -> None:
        if hasattr(self, "state"):
            for _ in self.settle():
                pass
            assert self.state.phase is Phase.ENDED, self.state
            assert self.broker.net() == 0 or self.state.closed_outside or self.late_fill()

    def settle(self) -> Iterator[None]:
        """STOP, a broker that does what it is asked, and time: every run must come to its end (row I1)."""
        self.feed(StopRequested())
        for _ in range(40):
            if self.state.phase is Phase.ENDED:
                return
            self.journal_answers()
            while self.outbox:
                self.request_arrives(fate="accepted")
            for order in self.broker.orders:
                if order.live:
                    order.filled, order.stage = order.intent.quantity, OrderStage.COMPLETE
                self.tell(order)
            retry_at = self.timers.get(Timer.RETRY)
            if retry_at is not None:
                self.now = max(self.now, retry_at)
                self.feed(TimerFired(Timer.RETRY, retry_at))
            yield


TestStrategyRuns = StrategyRuns.TestCase
TestStrategyRuns.settings = settings(max_examples=300, stateful_step_count=40)
