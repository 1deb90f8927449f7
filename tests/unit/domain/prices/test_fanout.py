"""Who gets a tick, in which order and how soon, against a model that remembers everything."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from actors.domain.prices.fanout import CONFLATION, UNARMED_CONFLATION, Delivery, TickFanout
from actors.domain.prices.stop_loss import is_breached
from actors.domain.prices.tick import Tick
from tests.kit.builders import NOW, a_tick

MS = timedelta(milliseconds=1)
ids = st.integers(1, 6)
levels = st.none() | st.integers(1, 12)


@dataclass
class Follower:
    """A subscriber of the model: its level, and every tick since the level was set and since the last delivery."""

    level: int | None
    unseen: list[Tick] = field(default_factory=list)


class FanoutModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.fanout = TickFanout()
        self.followers: dict[int, Follower] = {}
        self.now = NOW
        self.served_at: dict[bool, datetime] = {}

    @rule(strategy_id=ids, level=levels)
    def subscribe(self, strategy_id: int, level: int | None) -> None:
        self.fanout.subscribe(strategy_id, level)
        known = self.followers.get(strategy_id)
        if known is None or known.level != level:
            self.followers.pop(strategy_id, None)
            self.followers[strategy_id] = Follower(level)

    @rule(strategy_id=ids)
    def unsubscribe(self, strategy_id: int) -> None:
        self.fanout.unsubscribe(strategy_id)
        self.followers.pop(strategy_id, None)

    @rule(price=st.integers(1, 14), dip=st.integers(0, 5), wait=st.sampled_from([0, 1, 100, 249, 250, 251, 1000]))
    def tick(self, price: int, dip: int, wait: int) -> None:
        self.now += wait * MS
        tick = a_tick(price, self.now, low=max(1, price - dip))
        deliveries = self.fanout.on_tick(tick)
        for follower in self.followers.values():
            follower.unseen.append(tick)
        urgent = self.the_breached_come_first(tick, deliveries)
        self.the_others_are_conflated(deliveries[len(urgent) :], {delivery.strategy_id for delivery in urgent})

    def the_breached_come_first(self, tick: Tick, deliveries: list[Delivery]) -> list[Delivery]:
        breached = [
            (follower.level, strategy_id)
            for strategy_id, follower in self.followers.items()
            if follower.level is not None and tick.low <= follower.level
        ]
        expected = [Delivery(strategy_id, tick) for _, strategy_id in sorted(breached, reverse=True)]
        assert deliveries[: len(expected)] == expected
        assert all(is_breached(level, tick, tick.extremes_since) for level, _ in breached)
        return expected

    def the_others_are_conflated(self, deliveries: list[Delivery], urgent: set[int]) -> None:
        due = {armed: self.is_due(armed) for armed in (True, False)}
        served = {id_: f for id_, f in self.followers.items() if due[f.level is not None]}
        expected = {id_: f.unseen for id_, f in served.items() if id_ not in urgent}
        assert len(deliveries) == len(expected)
        for delivery in deliveries:
            unseen = expected.pop(delivery.strategy_id)
            assert delivery.tick == replace(
                unseen[-1],
                low=min(tick.low for tick in unseen),
                high=max(tick.high for tick in unseen),
                extremes_since=unseen[0].extremes_since,
                extremes_from=unseen[0].extremes_from,
            )
        for follower in served.values():
            follower.unseen = []

    def is_due(self, armed: bool) -> bool:
        at, interval = self.served_at.get(armed), CONFLATION if armed else UNARMED_CONFLATION
        due = at is None or self.now - at >= interval
        if due:
            self.served_at[armed] = self.now
        return due

    @invariant()
    def subscribers_are_those_of_the_model(self) -> None:
        assert len(self.fanout) == len(self.followers)
        assert all(self.fanout.follows(id_, follower.level) for id_, follower in self.followers.items())
        assert set(self.fanout._levels.breached_by(1)) == {i for i, f in self.followers.items() if f.level is not None}


TestFanoutModel = FanoutModel.TestCase
TestFanoutModel.settings = settings(max_examples=150, stateful_step_count=40)


def fanout(**stops: int | None) -> TickFanout:
    made = TickFanout()
    for name, stop in stops.items():
        made.subscribe(int(name.removeprefix("s")), stop)
    return made


def test_breached_strategies_are_reached_most_distant_first() -> None:
    deliveries = fanout(s1=100, s2=120, s3=110, s4=90).on_tick(a_tick(100, NOW))
    assert [delivery.strategy_id for delivery in deliveries] == [2, 3, 1, 4]


def test_breached_strategy_is_reached_at_every_tick_however_fast() -> None:
    subject = fanout(s1=100)
    assert all(subject.on_tick(a_tick(100, NOW + n * MS)) == [Delivery(1, a_tick(100, NOW + n * MS))] for n in range(5))


def test_others_get_one_tick_in_a_quarter_of_a_second() -> None:
    subject = fanout(s1=1)
    delivered = [bool(subject.on_tick(a_tick(100 + n, NOW + n * MS))) for n in range(1000)]
    assert [n for n, got in enumerate(delivered) if got] == [0, 250, 500, 750]


def test_those_without_a_stop_loss_get_one_tick_in_a_second_and_are_quick_once_they_have_one() -> None:
    subject = fanout(s1=None)
    delivered = [bool(subject.on_tick(a_tick(100 + n, NOW + n * MS))) for n in range(3000)]
    assert [n for n, got in enumerate(delivered) if got] == [0, 1000, 2000]
    subject.subscribe(1, 50)
    delivered = [bool(subject.on_tick(a_tick(100 + n, NOW + n * MS))) for n in range(3000, 4000)]
    assert [n for n, got in enumerate(delivered) if got] == [0, 250, 500, 750]


def test_conflated_tick_carries_the_last_price_and_the_extremes() -> None:
    subject = fanout(s1=50)
    subject.on_tick(a_tick(100, NOW))
    for n, price in enumerate([90, 130, 110], 1):
        assert subject.on_tick(a_tick(price, NOW + n * MS)) == []
    [delivery] = subject.on_tick(a_tick(105, NOW + CONFLATION))
    assert (delivery.tick.price, delivery.tick.low, delivery.tick.high) == (105, 90, 130)
    assert delivery.tick.extremes_since == NOW + MS


def test_moved_level_forgets_the_lows_before_it() -> None:
    subject = fanout(s1=50)
    subject.on_tick(a_tick(100, NOW))
    subject.on_tick(a_tick(80, NOW + MS))
    subject.subscribe(1, 85)
    [delivery] = subject.on_tick(a_tick(100, NOW + CONFLATION))
    assert delivery.tick.low == 100


def test_same_level_again_keeps_the_lows() -> None:
    subject = fanout(s1=50)
    subject.on_tick(a_tick(100, NOW))
    subject.on_tick(a_tick(80, NOW + MS))
    subject.subscribe(1, 50)
    [delivery] = subject.on_tick(a_tick(100, NOW + CONFLATION))
    assert delivery.tick.low == 80


def test_unknown_subscriber_may_leave() -> None:
    subject = fanout(s1=100)
    subject.unsubscribe(9)
    assert len(subject) == 1


def test_nobody_is_reached_after_leaving() -> None:
    subject = fanout(s1=100, s2=100)
    subject.unsubscribe(1)
    assert [delivery.strategy_id for delivery in subject.on_tick(a_tick(90, NOW))] == [2]
