"""The matrix: what is traded, what the broker does wrong meanwhile, and where a process is killed.

Crossed are: every action with every fault; every action with every failpoint it passes; and every action with the
faults after which the broker's answer is missing or its order is not final, each with the four kills around a request.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Action(StrEnum):
    """What a case is about: the entry, or the exit by one of its three causes."""

    BUY = "BUY"
    SELL = "SELL"
    STOPLOSS = "STOPLOSS"
    STOP = "STOP"

    @property
    def side(self) -> str:
        """The transaction type of its order."""
        return "BUY" if self is Action.BUY else "SELL"


@dataclass(frozen=True)
class Fault:
    """Faults of the exchange that are armed together. `setting`: what else is done (see `case_run.CaseRun`).

    `lossy`: the answer is lost or the order is not final, so that a kill at the same time is worth a case.
    `alone`: it touches every account, so its cases share a stack with no others.
    """

    name: str
    parts: tuple[tuple[str, dict[str, Any]], ...] = ()
    setting: str = ""
    lossy: bool = False
    alone: bool = False
    exits_only: bool = False


@dataclass(frozen=True)
class Case:
    """One cell of the matrix."""

    action: Action
    fault: Fault | None = None
    failpoint: str | None = None

    @property
    def name(self) -> str:
        """`STOPLOSS accepted-drop kill:send.after`."""
        kill = f" kill:{self.failpoint}" if self.failpoint else ""
        return f"{self.action} {self.fault.name if self.fault else 'no-fault'}{kill}"


def _one(kind: str, name: str = "", *, lossy: bool = False, **fields: Any) -> Fault:
    return Fault(name or kind, ((kind, fields),), lossy=lossy)


def _reply(name: str, body: str, status: int = 200, kind: str = "accepted-reply") -> Fault:
    return _one(kind, name, status=status, content_type="application/json", body=body)


LOST: tuple[str, dict[str, Any]] = ("accepted-drop", {})

ANSWERS_LATE, HANGS = "accepted, answers late", "accepted, hangs"

FAULTS: tuple[Fault, ...] = (
    # the broker has the order, and we do not hear of it
    _one("accepted-hang", ANSWERS_LATE, seconds=1.0, lossy=True),
    _one("accepted-hang", HANGS, seconds=8.0, lossy=True),
    _one("accepted-drop", lossy=True),
    _one("accepted-close"),
    _one("accepted-html-502", lossy=True),
    _one("accepted-503"),
    _one("accepted-cut-body"),
    _one("accepted-bad-json"),
    _one("accepted-no-content-type"),
    _one("accepted-timeout-400", lossy=True),
    _reply("accepted, JSON list", "[]"),
    _reply("accepted, data null", '{"status": "success", "data": null}'),
    _reply("accepted, no order id", '{"status": "success", "data": {}}'),
    _reply(
        "accepted, 500", '{"status": "error", "error_type": "OrderException", "message": "oops", "data": null}', 500
    ),
    _one("drip", "accepted, drips", seconds=0.5),
    Fault("lost, listed late", (LOST, ("late-visibility", {"seconds": 0.7})), lossy=True),
    Fault("lost, stalled", (LOST, ("late-visibility", {"seconds": 0.7, "stall": True}))),
    # the broker does not have it
    _one("not-accepted-hang", seconds=8.0, lossy=True),
    _one("not-accepted-drop", lossy=True),
    _one("not-accepted-close"),
    _one("html-502"),
    _one("unavailable-503"),
    _one("idle-close"),
    _one("redirect", "redirect 302", status=302),
    _one("redirect", "redirect 307", status=307),
    _one("rate-limit-429"),
    _one("sync-reject"),
    _one("token-403"),
    Fault("four requests lost", (("not-accepted-drop", {"times": 4}),)),
    # the broker has it, and it does not simply fill
    _one("async-reject", lossy=True),
    _one("partial-fill", quantity=4, lossy=True),
    _one("park", lossy=True),
    _one("slow-fill", seconds=2.5),
    _one("exchange-cancel", quantity=4, seconds=0.5),
    Fault("parked, modify refused", (("park", {}), ("sync-reject", {"method": "PUT", "times": 2})), exits_only=True),
    # what we read is wrong
    Fault("lost, book truncated", (LOST, ("truncated-book", {"times": 2}))),
    Fault("lost, book cut", (LOST, ("truncated-book", {"times": 2, "cut": True}))),
    Fault("lost, book stale", (LOST, ("stale-book", {"times": 2, "seconds": 30.0}))),
    Fault("lost, book fails", (LOST, ("book-error", {"times": 4}))),
    Fault("lost, positions fail", (("not-accepted-drop", {}), ("positions-error", {"times": 3})), exits_only=True),
    # updates
    _one("drop-updates", times=50),
    _one("duplicate-updates", times=50),
    _one("delay-updates", times=50, seconds=2.0),
    _one("reorder-updates", times=50, seconds=1.0),
    # more than one request
    Fault("session expires", setting="expire", exits_only=True),
    Fault("outage of 4 s", setting="outage", alone=True),
    Fault("sold by hand", setting="hand", exits_only=True),
    Fault("partly sold by hand", setting="hand-partly", exits_only=True),
    Fault("squared off by the broker", setting="square-off", exits_only=True),
)

BEFORE_A_REQUEST = ("decide.after", "claim.after")
"""An order whose answer hangs is found in the book and seen to its end before that comes: nothing lies between."""

AROUND_A_REQUEST = ("decide.after", "claim.after", "send.after", "reply.after")
PASSED = {
    Action.BUY: (
        "decide.before", "decide.after", "claim.before", "claim.after", "send.before", "send.after", "reply.after",
        "arm.before", "record.before", "record.after",
    ),
}  # fmt: skip
PASSED_BY_EXITS = tuple(name for name in PASSED[Action.BUY] if name != "arm.before")


def cases() -> Iterator[Case]:
    """The whole matrix."""
    for action in Action:
        applicable = [fault for fault in FAULTS if action is not Action.BUY or not fault.exits_only]
        yield Case(action)
        yield from (Case(action, fault) for fault in applicable)
        yield from (Case(action, None, point) for point in PASSED.get(action, PASSED_BY_EXITS))
        for fault in applicable:
            if fault.lossy:
                points = BEFORE_A_REQUEST if fault.name in {ANSWERS_LATE, HANGS} else AROUND_A_REQUEST
                yield from (Case(action, fault, point) for point in points)


CUT = (
    "BUY accepted-drop",
    "BUY four requests lost",
    "BUY no-fault kill:claim.after",
    "BUY no-fault kill:send.after",
    "BUY no-fault kill:arm.before",
    "SELL accepted, hangs",
    "SELL exchange-cancel",
    "STOPLOSS park",
    "STOPLOSS lost, listed late",
    "STOPLOSS accepted-drop kill:claim.after",
    "STOPLOSS no-fault kill:decide.after",
    "STOP not-accepted-drop",
    "STOP partly sold by hand",
)
"""What `make test` runs of it."""


def cut() -> list[Case]:
    """The representative cut, by name."""
    by_name = {case.name: case for case in cases()}
    return [by_name[name] for name in CUT]
