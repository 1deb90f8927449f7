"""When to send again, when to look first, when to give up: ruling 1 and mechanism 7 as functions.

An attempt is **definite** when it is proven that the broker has no order of it; everything else is **ambiguous**, and
is never repeated before the order book has been read completely, several times, over a quarantine. One placement makes
at most 1 + `retries` attempts, all under the same tag.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from actors.domain.orders.order import FailureKind, OrderReport, is_dead, precedence


class AttemptOutcome(StrEnum):
    """What one request to the broker has proven."""

    ACCEPTED = "accepted"
    """The broker gave an order id."""
    REFUSED = "refused"
    """Definite: the broker said no, and will say no again."""
    NOT_SENT = "not_sent"
    """Definite: the request never reached the broker (connection refused, name not found)."""
    RATE_LIMITED = "rate_limited"
    """Definite: 429, not taken on; may be sent in the next second."""
    SESSION_EXPIRED = "session_expired"
    """Definite: the access token is not valid any more."""
    AMBIGUOUS = "ambiguous"
    """The order may or may not exist."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Limits of one placement. `quarantine`: how long absence must last before it counts as proven."""

    retries: int = 3
    throttle_limit: int = 30
    quarantine: timedelta = timedelta(seconds=10)
    absent_reads: int = 3
    first_look: timedelta = timedelta(milliseconds=300)
    look_interval: timedelta = timedelta(milliseconds=700)
    slow_after: timedelta = timedelta(minutes=1)
    slow_look_interval: timedelta = timedelta(seconds=5)
    """An outcome that the book has not shown for this long is looked up more rarely."""
    resend_delay: timedelta = timedelta(milliseconds=100)
    hanging_looks: tuple[timedelta, ...] = (
        timedelta(milliseconds=300),
        timedelta(milliseconds=700),
        timedelta(milliseconds=1500),
        timedelta(seconds=3),
    )
    """When the book is read while a request hangs, counted from its sending: the order may be there already."""


@dataclass(frozen=True, slots=True)
class Placement:
    """How far the placing of one intent has come.

    `attempts` counts requests that may count at the broker; `throttled` those it would not take on (429).
    `doubt_since`: an attempt without a proven outcome lies behind us since then; nothing is sent until it is resolved.
    `reads_absent`: complete order books read since that did not list the tag. `reached`: some answer of the broker was
    seen. `not_after`: from then on nothing is sent any more.
    """

    attempts: int = 0
    throttled: int = 0
    doubt_since: datetime | None = None
    reads_absent: int = 0
    reached: bool = False
    last_reason: str = ""
    not_after: datetime | None = None


@dataclass(frozen=True, slots=True)
class SendAt:
    """Send a request, not before `at`."""

    at: datetime


@dataclass(frozen=True, slots=True)
class LookUpAt:
    """Read the whole order book for the tag, not before `at`."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Adopt:
    """The order exists: this is it. `others`: more live orders under the same tag, which must never be."""

    report: OrderReport
    others: tuple[OrderReport, ...] = ()


@dataclass(frozen=True, slots=True)
class GiveUp:
    """It is proven that the broker holds no order, and no attempts are left."""

    kind: FailureKind
    reason: str


TOO_LATE = "too late to send"

Move = SendAt | LookUpAt | Adopt | GiveUp


def begin(now: datetime, *, look_up_first: bool, not_after: datetime | None = None) -> tuple[Placement, Move]:
    """The first move: send at once, or look first when an earlier incarnation may have sent."""
    if look_up_first:
        return Placement(doubt_since=now, not_after=not_after), LookUpAt(now)
    if not_after is not None and now >= not_after:
        return Placement(not_after=not_after), GiveUp(FailureKind.EXHAUSTED, TOO_LATE)
    return Placement(not_after=not_after), SendAt(now)


def after_attempt(
    placement: Placement, outcome: AttemptOutcome, reason: str, now: datetime, policy: RetryPolicy
) -> tuple[Placement, Move]:
    """The next move after a request that did not give an order id."""
    if outcome is AttemptOutcome.RATE_LIMITED:
        throttled = replace(placement, throttled=placement.throttled + 1, reached=True, last_reason=reason)
        next_second = now.replace(microsecond=0) + timedelta(seconds=1, milliseconds=20)
        return _send_again(throttled, next_second, policy)
    tried = replace(placement, attempts=placement.attempts + 1, last_reason=reason)
    match outcome:
        case AttemptOutcome.REFUSED:
            return replace(tried, reached=True), GiveUp(FailureKind.REFUSED, reason)
        case AttemptOutcome.SESSION_EXPIRED:
            return replace(tried, reached=True), GiveUp(FailureKind.SESSION_EXPIRED, reason)
        case AttemptOutcome.NOT_SENT:
            return _send_again(tried, now + policy.resend_delay, policy)
    return replace(tried, doubt_since=now, reads_absent=0), LookUpAt(now + policy.first_look)


def after_look_up(
    placement: Placement, found: Sequence[OrderReport] | None, now: datetime, policy: RetryPolicy
) -> tuple[Placement, Move]:
    """The next move after a read of the order book; `None` means the read itself failed, which proves nothing."""
    if found is None:
        slow = placement.doubt_since is not None and now - placement.doubt_since >= policy.slow_after
        return placement, LookUpAt(now + (policy.slow_look_interval if slow else policy.look_interval))
    seen = replace(placement, reached=True)
    if found:
        first, *others = sorted(found, key=precedence)
        return seen, Adopt(first, tuple(other for other in others if not is_dead(other)))
    absent = replace(seen, reads_absent=seen.reads_absent + 1)
    since = placement.doubt_since or now
    if absent.reads_absent < policy.absent_reads or now - since < policy.quarantine:
        return absent, LookUpAt(now + policy.look_interval)
    return _send_again(replace(absent, doubt_since=None, reads_absent=0), now, policy)


def _send_again(placement: Placement, at: datetime, policy: RetryPolicy) -> tuple[Placement, Move]:
    out_of_time = placement.not_after is not None and at >= placement.not_after
    if placement.attempts > policy.retries or placement.throttled > policy.throttle_limit or out_of_time:
        kind = FailureKind.EXHAUSTED if placement.reached else FailureKind.UNREACHABLE
        return placement, GiveUp(kind, placement.last_reason or TOO_LATE)
    return placement, SendAt(at)
