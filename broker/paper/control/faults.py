"""The control API for faults and outages."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, HTTPException, Request

from broker.paper.control import models  # noqa: TC001 - FastAPI reads annotations at run time
from broker.paper.faults.faults import Fault, FaultMatch, RequestContext
from broker.paper.faults.kinds import KINDS, Kind, Stage
from broker.paper.kite_api.access import exchange_of

router = APIRouter(prefix="/paper", tags=["control"])

REDIRECTED_ORDER_ID = "1" * 19
REQUEST_STAGES = frozenset({Stage.BEFORE, Stage.AFTER, Stage.ORDER})
# What an order update or an open socket has to be aimed by.
AIMS = {
    Stage.UPDATE: frozenset({"transaction_type", "tag", "user_id"}),
    Stage.HANDSHAKE: frozenset({"route", "user_id"}),
    Stage.SOCKET: frozenset({"user_id"}),
}


@router.post("/faults", status_code=201)
async def arm_fault(request: Request, body: models.NewFault) -> dict[str, Any]:
    """Arm a fault; kinds of stage ``socket`` strike at once and answer ``applied_to``, the number of sockets."""
    exchange = exchange_of(request)
    kind = KINDS.get(body.kind)
    if kind is None:
        raise HTTPException(422, f"unknown kind; known are: {', '.join(KINDS)}")
    seconds = kind.seconds if body.seconds is None else body.seconds
    fault = Fault(
        fault_id=exchange.faults.next_id(),
        match=_match(kind, body.match),
        remaining=None if kind.lapses else body.times or None,
        **{**body.model_dump(exclude={"match", "times"}), "seconds": seconds},
    )
    if fault.stage is Stage.SOCKET:
        return {"fault_id": fault.fault_id, "kind": fault.kind, "applied_to": exchange.hub.strike(fault)}
    exchange.faults.arm(fault)
    if kind.lapses:
        exchange.clock.call_later(seconds, lambda: exchange.faults.lapse(fault.fault_id))
    return asdict(fault)


@router.get("/faults")
async def list_faults(request: Request) -> list[dict[str, Any]]:
    """Faults that still wait."""
    return [asdict(fault) for fault in exchange_of(request).faults.armed()]


@router.get("/faults/kinds")
async def list_kinds() -> list[dict[str, Any]]:
    """Every kind: its stage, what it does, and the fields it reads."""
    return [
        {"kind": name, "stage": kind.stage, "does": kind.does, "fields": kind.fields, "seconds": kind.seconds}
        for name, kind in KINDS.items()
    ]


@router.delete("/faults")
async def disarm_all(request: Request) -> dict[str, int]:
    """Take all faults away."""
    return {"removed": exchange_of(request).faults.disarm()}


@router.delete("/faults/{fault_id}")
async def disarm(request: Request, fault_id: int) -> dict[str, int]:
    """Take one fault away."""
    return {"removed": exchange_of(request).faults.disarm(fault_id)}


@router.post("/outage")
async def outage(request: Request, body: models.Outage) -> dict[str, bool]:
    """Let the whole REST side answer 503, for some seconds or until it is switched off."""
    exchange = exchange_of(request)
    if (body.seconds is None) == (body.on is None):
        raise HTTPException(422, "give either seconds or on")
    exchange.set_outage(body.seconds if body.on is None else float("inf") if body.on else None)
    return {"out": exchange.is_out}


@router.api_route("/redirected", methods=["GET", "POST", "PUT", "DELETE"])
async def redirected() -> dict[str, Any]:
    """Where redirect faults lead: an order id for an order that was never placed."""
    return {"status": "success", "data": {"order_id": REDIRECTED_ORDER_ID}}


def _match(kind: Kind, match: models.Match) -> FaultMatch:
    given = match.model_dump(exclude_none=True)
    useless = set(given) - AIMS.get(kind.stage, set(given))
    if useless:
        raise HTTPException(422, f"a fault of stage {kind.stage} cannot be aimed by {', '.join(sorted(useless))}")
    if not _can_hit(kind, given.get("method"), given.get("route")):
        raise HTTPException(422, "a fault of this kind never hits such a request")
    aimless = "method" not in given and "route" not in given
    # A fault without an aim means order placements, not the first poll that comes along.
    if kind.stage in REQUEST_STAGES and kind.only is None and aimless:
        given |= {"method": "POST", "route": "/orders"}
    return FaultMatch(**given)


def _can_hit(kind: Kind, method: str | None, route: str | None) -> bool:
    # An order fault acts on a placement of whatever route; some kinds act on one read only.
    placement = ("POST", route or "/orders") if kind.stage is Stage.ORDER else None
    request = kind.only or placement
    if request is None:
        return True
    context = RequestContext(method=request[0], path=request[1])
    return FaultMatch(method=method, route=route).hits(context)
