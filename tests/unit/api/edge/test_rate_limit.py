"""How much a user may ask for in a time, and how soon: buckets on a clock of their own."""

from typing import TYPE_CHECKING

import pytest

from api.base.errors import ApiError
from api.base.leaky_buckets import BURST_S, LeakyBuckets
from api.edge.rate_limit import RateLimits

if TYPE_CHECKING:
    from collections.abc import Callable


class Seconds:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Seconds:
    """The clock."""
    return Seconds()


def poured(buckets: LeakyBuckets, times: int, units: float = 1) -> int:
    """How many pours are taken."""
    return sum(buckets.pour("asha", units) == 0 for _ in range(times))


def test_a_minutes_requests_cannot_all_come_at_once(clock: Seconds) -> None:
    buckets = LeakyBuckets(6000, clock)
    assert poured(buckets, 6000) == 100 * BURST_S


def test_what_has_leaked_out_can_be_poured_again_and_no_more(clock: Seconds) -> None:
    buckets = LeakyBuckets(6000, clock)
    poured(buckets, 6000)
    clock.now += 1
    assert poured(buckets, 6000) == 100
    clock.now += 3600
    assert poured(buckets, 6000) == 100 * BURST_S


def test_in_the_long_run_the_limit_of_a_minute_holds(clock: Seconds) -> None:
    buckets = LeakyBuckets(600, clock)
    taken = 0
    for _ in range(600):
        taken += poured(buckets, 5)
        clock.now += 0.1
    assert 600 <= taken <= 600 + 10 * BURST_S


def test_work_that_turned_out_less_is_given_back(clock: Seconds) -> None:
    buckets = LeakyBuckets(6000, clock)
    for _ in range(400):
        assert buckets.pour("asha", 10) == 0
        buckets.give_back("asha", 9)
    assert poured(buckets, 6000) == 100 * BURST_S - 400
    buckets.give_back("ravi", 9)
    assert buckets.pour("ravi", 100 * BURST_S) == 0
    assert buckets.pour("ravi", 1) > 0


def test_a_refusal_says_when_the_work_would_fit(clock: Seconds) -> None:
    buckets = LeakyBuckets(6000, clock)
    poured(buckets, 50, units=10)
    wait_s = buckets.pour("asha", 10)
    assert wait_s == pytest.approx(0.1)
    clock.now += wait_s + 0.001
    assert buckets.pour("asha", 10) == 0


@pytest.mark.parametrize(("per_minute", "at_once"), [(1, 1), (5, 5), (60, 20), (240, 20), (600, 50)])
def test_a_low_limit_leaves_room_for_a_page(clock: Seconds, per_minute: int, at_once: int) -> None:
    assert poured(LeakyBuckets(per_minute, clock), 1000) == at_once


def test_work_that_no_bucket_holds_is_taken_by_an_empty_one(clock: Seconds) -> None:
    buckets = LeakyBuckets(5, clock)
    assert poured(buckets, 3, units=10) == 1
    clock.now += 61
    assert poured(buckets, 3, units=10) == 1


def test_stop_is_counted_apart_and_addresses_of_one_customer_together() -> None:
    limits = RateLimits(per_user=1, per_address=1)
    limits.count_user(7, 10)
    limits.count_user(7, urgent=True)
    limits.count_address("2001:db8::1")
    limits.count_address("192.0.2.1")
    beyond: tuple[Callable[[], None], ...] = (
        lambda: limits.count_user(7),
        lambda: limits.count_user(7, urgent=True),
        lambda: limits.count_address("2001:db8::2"),
        lambda: limits.count_address("::ffff:192.0.2.1"),
    )
    for one_more in beyond:
        with pytest.raises(ApiError) as refused:
            one_more()
        assert refused.value.code == "rate_limited"
        assert 1 <= int(refused.value.headers["Retry-After"]) <= 60
