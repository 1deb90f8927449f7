"""Faults on demand: which request they hit, how often, and what they do to an order."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

from broker.paper.faults.kinds import KINDS, Stage
from broker.paper.orders.order import OrderEffects

IDLE_CLOSE = "idle-close"


@dataclass(frozen=True, kw_only=True)
class RequestContext:
    """What a fault can be aimed by; for PUT and DELETE the order's side and tag.

    A read of the book or of the positions has no side and no tag of its own: ``among`` is then side and tag of
    every order of the account. ``is_reused``: the connection has served a request before.
    """

    method: str
    path: str
    transaction_type: str | None = None
    tag: str | None = None
    user_id: str | None = None
    among: tuple[tuple[str, str | None], ...] | None = None
    is_reused: bool = False


@dataclass(frozen=True, kw_only=True)
class FaultMatch:
    """Which requests a fault hits; ``None`` is any. ``route`` is the beginning of the path."""

    method: str | None = None
    route: str | None = None
    transaction_type: str | None = None
    tag: str | None = None
    user_id: str | None = None

    def hits(self, context: RequestContext) -> bool:
        """Whether the request is one of them."""
        return (
            self.method in (None, context.method)
            and (self.route is None or context.path.startswith(self.route))
            and self.user_id in (None, context.user_id)
            and self._hits_order(context)
        )

    def means(self, transaction_type: str | None, tag: str | None) -> bool:
        """Whether an order of this side and tag is aimed at."""
        return self.transaction_type in (None, transaction_type) and self.tag in (None, tag)

    def _hits_order(self, context: RequestContext) -> bool:
        if self.transaction_type is None and self.tag is None:
            return True
        if context.among is not None:
            return any(self.means(*order) for order in context.among)
        return self.means(context.transaction_type, context.tag)


@dataclass(kw_only=True)
class Fault:
    """One armed fault. ``remaining`` counts down with each hit; ``None`` stays until it is deleted.

    Of the other fields each kind uses its own (``kinds.KINDS``): ``seconds`` (hang, drip interval, hiding,
    delay, age of a book, freeze), ``message``, ``error_type`` and ``status`` (refusals), ``status``,
    ``content_type`` (empty: no such header) and ``body`` (a given answer), ``quantity`` (shares that fill),
    ``location`` (redirect), ``stall`` (a hidden order is also not processed while hidden), ``cut`` (of a book).
    """

    fault_id: int
    kind: str
    match: FaultMatch
    remaining: int | None = 1
    seconds: float = 5.0
    message: str | None = None
    error_type: str | None = None
    status: int | None = None
    content_type: str = "application/json"
    body: str = ""
    quantity: int = 0
    location: str = "/paper/redirected"
    stall: bool = False
    cut: bool = False
    hits: int = 0

    @property
    def stage(self) -> Stage:
        """Where it acts."""
        return KINDS[self.kind].stage

    def is_due(self, stage: Stage, context: RequestContext) -> bool:
        """Whether it acts at this stage of this request."""
        only = KINDS[self.kind].only
        return (
            self.stage is stage
            and only in (None, (context.method, context.path))
            and (context.is_reused or self.kind != IDLE_CLOSE)
            and self.match.hits(context)
        )


@dataclass
class FaultRegistry:
    """All armed faults, oldest first."""

    _faults: list[Fault] = field(default_factory=list)
    _ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def __len__(self) -> int:
        return len(self._faults)

    def next_id(self) -> int:
        """A number for a new fault."""
        return next(self._ids)

    def arm(self, fault: Fault) -> None:
        """Let a fault wait for its request."""
        self._faults.append(fault)

    def armed(self) -> list[Fault]:
        """Faults that still wait."""
        return list(self._faults)

    def disarm(self, fault_id: int | None = None) -> int:
        """Take away one fault, or all; how many there were."""
        kept = [fault for fault in self._faults if fault_id not in (None, fault.fault_id)]
        gone = len(self._faults) - len(kept)
        self._faults = kept
        return gone

    def lapse(self, fault_id: int) -> None:
        """Take one fault away because its time is over, if that was not done before."""
        self.disarm(fault_id)

    def has(self, stage: Stage, context: RequestContext) -> bool:
        """Whether a fault of a stage hits this, without using it up."""
        return any(fault.is_due(stage, context) for fault in self._faults)

    def take(self, stage: Stage, context: RequestContext) -> Fault | None:
        """The oldest fault of a stage that hits this request, used up by one."""
        for fault in self._faults:
            if fault.is_due(stage, context):
                self._use(fault)
                return fault
        return None

    def take_all(self, stage: Stage, context: RequestContext) -> list[Fault]:
        """Every fault of a stage that hits this request, each used up by one."""
        taken = [fault for fault in self._faults if fault.is_due(stage, context)]
        for fault in taken:
            self._use(fault)
        return taken

    def _use(self, fault: Fault) -> None:
        fault.hits += 1
        if fault.remaining is not None:
            fault.remaining -= 1
            if fault.remaining <= 0:
                self._faults.remove(fault)


def effects_of(faults: list[Fault]) -> OrderEffects:
    """What a set of ``ORDER`` faults means for the order that the request places.

    Where several say how much fills, the least holds.
    """
    by_kind = {fault.kind: fault for fault in faults}
    hidden = by_kind.get("late-visibility")
    rejected = by_kind.get("async-reject")
    cancelled = by_kind.get("exchange-cancel")
    slow = by_kind.get("slow-fill")
    caps = [by_kind[kind].quantity for kind in ("partial-fill", "exchange-cancel") if kind in by_kind]
    caps += [0] if "park" in by_kind else []
    reject = "RMS:Rule: Check circuit limit including square off order exceeds"
    return OrderEffects(
        hidden_seconds=hidden.seconds if hidden else 0,
        stalled_seconds=hidden.seconds if hidden and hidden.stall else 0,
        reject_message=(rejected.message or reject) if rejected else None,
        fill_cap=min(caps, default=None),
        fill_delay_seconds=slow.seconds if slow else 0,
        cancel_after_seconds=cancelled.seconds if cancelled else None,
    )
