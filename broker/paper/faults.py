"""Faults on demand: what they are, which request they hit, and how often."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from enum import StrEnum

from broker.paper.order import OrderEffects


class Stage(StrEnum):
    """Where a kind of fault acts.

    ``BEFORE`` faults keep the request from being executed, ``AFTER`` faults execute it and spoil the answer,
    ``ORDER`` faults change what becomes of an accepted order, ``UPDATE`` faults the order updates on sockets,
    ``HANDSHAKE`` faults refuse a socket, ``SOCKET`` faults act at once on the sockets that are open.
    """

    BEFORE = "before"
    AFTER = "after"
    ORDER = "order"
    UPDATE = "update"
    HANDSHAKE = "handshake"
    SOCKET = "socket"


KINDS: dict[str, Stage] = {
    "not-accepted-hang": Stage.BEFORE,
    "not-accepted-drop": Stage.BEFORE,
    "rate-limit-429": Stage.BEFORE,
    "unavailable-503": Stage.BEFORE,
    "html-502": Stage.BEFORE,
    "token-403": Stage.BEFORE,
    "sync-reject": Stage.BEFORE,
    "redirect": Stage.BEFORE,
    "accepted-hang": Stage.AFTER,
    "accepted-drop": Stage.AFTER,
    "accepted-html-502": Stage.AFTER,
    "accepted-503": Stage.AFTER,
    "accepted-cut-body": Stage.AFTER,
    "accepted-bad-json": Stage.AFTER,
    "accepted-no-content-type": Stage.AFTER,
    "accepted-timeout-400": Stage.AFTER,
    "drip": Stage.AFTER,
    "late-visibility": Stage.ORDER,
    "async-reject": Stage.ORDER,
    "partial-fill": Stage.ORDER,
    "park": Stage.ORDER,
    "slow-fill": Stage.ORDER,
    "duplicate-updates": Stage.UPDATE,
    "delay-updates": Stage.UPDATE,
    "drop-updates": Stage.UPDATE,
    "ws-refuse": Stage.HANDSHAKE,
    "ws-freeze": Stage.SOCKET,
    "ws-abort": Stage.SOCKET,
    "ws-malformed": Stage.SOCKET,
    "ws-error": Stage.SOCKET,
    "ws-message": Stage.SOCKET,
}


@dataclass(frozen=True, kw_only=True)
class RequestContext:
    """What a fault can be aimed by; for PUT and DELETE the order's side and tag."""

    method: str
    path: str
    transaction_type: str | None = None
    tag: str | None = None
    user_id: str | None = None


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
            and self.transaction_type in (None, context.transaction_type)
            and self.tag in (None, context.tag)
            and self.user_id in (None, context.user_id)
        )


@dataclass(kw_only=True)
class Fault:
    """One armed fault. ``remaining`` counts down with each hit; ``None`` stays until it is deleted.

    Of the parameters each kind uses its own: ``seconds`` (hang, drip interval, hiding, delay, freeze), ``message``,
    ``error_type`` and ``status`` (refusals), ``quantity`` (partial fill), ``location`` (redirect), ``stall`` (a
    hidden order is also not processed while hidden).
    """

    fault_id: int
    kind: str
    match: FaultMatch
    remaining: int | None = 1
    seconds: float = 5.0
    message: str | None = None
    error_type: str | None = None
    status: int | None = None
    quantity: int = 0
    location: str = "/paper/redirected"
    stall: bool = False
    hits: int = 0

    @property
    def stage(self) -> Stage:
        """Where it acts."""
        return KINDS[self.kind]


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

    def take(self, stage: Stage, context: RequestContext) -> Fault | None:
        """The oldest fault of a stage that hits this request, used up by one."""
        for fault in self._faults:
            if fault.stage is stage and fault.match.hits(context):
                self._use(fault)
                return fault
        return None

    def take_all(self, stage: Stage, context: RequestContext) -> list[Fault]:
        """Every fault of a stage that hits this request, each used up by one."""
        taken = [fault for fault in self._faults if fault.stage is stage and fault.match.hits(context)]
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
    """What a set of ``ORDER`` faults means for the order that the request places."""
    by_kind = {fault.kind: fault for fault in faults}
    hidden = by_kind.get("late-visibility")
    rejected = by_kind.get("async-reject")
    partial = by_kind.get("partial-fill")
    slow = by_kind.get("slow-fill")
    cap = 0 if "park" in by_kind else partial.quantity if partial else None
    reject = "RMS:Rule: Check circuit limit including square off order exceeds"
    return OrderEffects(
        hidden_seconds=hidden.seconds if hidden else 0,
        stalled_seconds=hidden.seconds if hidden and hidden.stall else 0,
        reject_message=(rejected.message or reject) if rejected else None,
        fill_cap=cap,
        fill_delay_seconds=slow.seconds if slow else 0,
    )
