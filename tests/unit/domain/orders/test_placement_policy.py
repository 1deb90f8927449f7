"""When an order is sent again, looked up or given up: never blind, never more than four times."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.domain.orders.order import FailureKind, OrderReport, OrderStage
from actors.domain.orders.placement_policy import (
    Adopt,
    AttemptOutcome,
    GiveUp,
    LookUpAt,
    Move,
    Placement,
    RetryPolicy,
    SendAt,
    after_attempt,
    after_look_up,
    begin,
)
from tests.kit.builders import NOW, a_report

POLICY = RetryPolicy()
SECOND = timedelta(seconds=1)
FOUND = a_report("42", OrderStage.OPEN, filled=0)
FAILURES = [outcome for outcome in AttemptOutcome if outcome is not AttemptOutcome.ACCEPTED]


def attempt(placement: Placement, outcome: AttemptOutcome, now: datetime = NOW) -> tuple[Placement, Move]:
    return after_attempt(placement, outcome, "because", now, POLICY)


def look(placement: Placement, found: list[OrderReport] | None, now: datetime) -> tuple[Placement, Move]:
    return after_look_up(placement, found, now, POLICY)


def in_doubt() -> Placement:
    return attempt(Placement(), AttemptOutcome.AMBIGUOUS)[0]


def test_first_attempt_is_sent_at_once() -> None:
    assert begin(NOW, look_up_first=False) == (Placement(), SendAt(NOW))


def test_what_an_earlier_incarnation_may_have_sent_is_looked_up_first() -> None:
    placement, move = begin(NOW, look_up_first=True)
    assert move == LookUpAt(NOW)
    assert placement.doubt_since == NOW


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (AttemptOutcome.REFUSED, FailureKind.REFUSED),
        (AttemptOutcome.SESSION_EXPIRED, FailureKind.SESSION_EXPIRED),
    ],
)
def test_definite_no_is_final(outcome: AttemptOutcome, kind: FailureKind) -> None:
    assert attempt(Placement(), outcome)[1] == GiveUp(kind, "because")


def test_request_that_never_left_is_repeated_three_times_then_the_broker_is_unreachable() -> None:
    placement, moves = Placement(), list[Move]()
    for _ in range(4):
        placement, move = attempt(placement, AttemptOutcome.NOT_SENT)
        moves.append(move)
    assert moves == [SendAt(NOW + POLICY.resend_delay)] * 3 + [GiveUp(FailureKind.UNREACHABLE, "because")]


def test_ambiguous_attempt_is_looked_up_not_repeated() -> None:
    placement, move = attempt(Placement(), AttemptOutcome.AMBIGUOUS)
    assert move == LookUpAt(NOW + POLICY.first_look)
    assert (placement.doubt_since, placement.attempts) == (NOW, 1)


@pytest.mark.parametrize(
    ("now", "move"),
    [
        (NOW, SECOND + 20 * SECOND / 1000),
        (NOW + 999_999 * SECOND / 1_000_000, SECOND + 20 * SECOND / 1000),
    ],
)
def test_throttled_request_goes_out_in_the_next_calendar_second(now: datetime, move: timedelta) -> None:
    placement, decided = attempt(Placement(), AttemptOutcome.RATE_LIMITED, now)
    assert decided == SendAt(NOW + move)
    assert (placement.attempts, placement.throttled) == (0, 1)


def test_throttled_request_does_not_use_up_the_retries_but_ends_some_day() -> None:
    placement, move = Placement(), SendAt(NOW)
    for _ in range(POLICY.throttle_limit):
        placement, move = attempt(placement, AttemptOutcome.RATE_LIMITED)  # type: ignore[assignment]
        assert isinstance(move, SendAt)
    assert attempt(placement, AttemptOutcome.RATE_LIMITED)[1] == GiveUp(FailureKind.EXHAUSTED, "because")


def test_order_found_by_its_tag_is_adopted() -> None:
    assert look(in_doubt(), [FOUND], NOW + SECOND)[1] == Adopt(FOUND)


def test_oldest_of_several_is_adopted_and_the_others_are_named() -> None:
    younger = a_report("43", OrderStage.OPEN, filled=0)
    assert look(in_doubt(), [younger, FOUND], NOW + SECOND)[1] == Adopt(FOUND, (younger,))


def test_failed_read_proves_nothing() -> None:
    placement = in_doubt()
    now = NOW
    for _ in range(50):
        now += SECOND
        assert look(placement, None, now) == (placement, LookUpAt(now + POLICY.look_interval))


def test_absence_is_not_proven_by_time_alone() -> None:
    late = NOW + 100 * POLICY.quarantine
    placement, move = look(in_doubt(), [], late)
    assert isinstance(move, LookUpAt)
    placement, move = look(placement, [], late)
    assert isinstance(move, LookUpAt)
    assert look(placement, [], late)[1] == SendAt(late)


def test_absence_is_not_proven_by_reads_alone() -> None:
    placement, move = in_doubt(), LookUpAt(NOW)
    almost = NOW + POLICY.quarantine - timedelta(microseconds=1)
    for _ in range(20):
        placement, move = look(placement, [], almost)  # type: ignore[assignment]
        assert isinstance(move, LookUpAt)
    assert isinstance(look(placement, [], NOW + POLICY.quarantine)[1], SendAt)


def test_nothing_is_sent_after_the_time_limit() -> None:
    placement, _ = begin(NOW, look_up_first=True, not_after=NOW + SECOND)
    for _ in range(3):
        placement, move = look(placement, [], NOW + POLICY.quarantine)
    assert move == GiveUp(FailureKind.EXHAUSTED, "too late to send")


def test_order_found_after_the_time_limit_is_adopted_all_the_same() -> None:
    placement, _ = begin(NOW, look_up_first=True, not_after=NOW + SECOND)
    assert look(placement, [FOUND], NOW + 60 * SECOND)[1] == Adopt(FOUND)


Step = tuple[AttemptOutcome, list[int] | None, int]
steps = st.tuples(
    st.sampled_from(FAILURES),
    st.none() | st.lists(st.integers(1, 3), max_size=1) | st.just([]) | st.just([]),
    st.integers(0, 5000),
)


@settings(max_examples=400)
@given(
    script=st.lists(steps, min_size=1, max_size=80),
    look_up_first=st.booleans(),
    allowed=st.none() | st.integers(0, 40),
)
def test_no_sequence_of_answers_leads_to_a_blind_or_a_fifth_attempt(
    script: list[Step], *, look_up_first: bool, allowed: int | None
) -> None:
    not_after = None if allowed is None else NOW + allowed * SECOND
    placement, move = begin(NOW, look_up_first=look_up_first, not_after=not_after)
    now, attempts = NOW, 0
    doubt: datetime | None = NOW if look_up_first else None
    absent = 0
    for outcome, found, delay in script:
        match move:
            case SendAt(at):
                assert doubt is None or (absent >= POLICY.absent_reads and now - doubt >= POLICY.quarantine)
                assert not_after is None or at <= not_after
                now = max(now, at) + timedelta(milliseconds=delay)
                attempts += outcome is not AttemptOutcome.RATE_LIMITED
                assert attempts <= 1 + POLICY.retries
                doubt, absent = (now, 0) if outcome is AttemptOutcome.AMBIGUOUS else (None, 0)
                placement, move = after_attempt(placement, outcome, "because", now, POLICY)
            case LookUpAt(at):
                assert doubt is not None, "a look-up without a doubt"
                now = max(now, at) + timedelta(milliseconds=delay)
                absent += found == []
                reports = None if found is None else [a_report(str(n), OrderStage.OPEN, filled=0) for n in found]
                placement, move = after_look_up(placement, reports, now, POLICY)
                assert isinstance(move, Adopt) == bool(reports)
            case _:
                break
    assert not isinstance(move, GiveUp) or doubt is None or absent >= POLICY.absent_reads


@given(st.lists(st.sampled_from([AttemptOutcome.NOT_SENT, AttemptOutcome.AMBIGUOUS]), min_size=4, max_size=4))
def test_every_placement_comes_to_an_end_when_the_broker_answers(outcomes: list[AttemptOutcome]) -> None:
    placement, move = begin(NOW, look_up_first=False)
    now, left = NOW, list(outcomes)
    for _ in range(200):
        match move:
            case SendAt(at):
                now = max(now, at)
                placement, move = attempt(placement, left.pop(0), now)
            case LookUpAt(at):
                now = max(now, at)
                placement, move = look(placement, [], now)
            case _:
                break
    reached = AttemptOutcome.AMBIGUOUS in outcomes
    assert move == GiveUp(FailureKind.EXHAUSTED if reached else FailureKind.UNREACHABLE, "because")
    assert left == []


def test_next_calendar_second_is_the_brokers_whatever_the_fraction() -> None:
    now = datetime(2026, 11, 23, 4, 59, 59, 990_000, tzinfo=UTC)
    assert attempt(Placement(), AttemptOutcome.RATE_LIMITED, now)[1] == SendAt(
        datetime(2026, 11, 23, 5, 0, 0, 20_000, tzinfo=UTC)
    )
