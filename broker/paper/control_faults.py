"""The control API's other half: faults, outages and orders from outside."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, HTTPException, Request

from broker.paper import control_models as models  # noqa: TC001 - FastAPI reads annotations at run time
from broker.paper.access import exchange_of
from broker.paper.control import account_called
from broker.paper.errors import KiteError
from broker.paper.faults import KINDS, Fault, FaultMatch, Stage
from broker.paper.ledger import OrderRequest
from broker.paper.order_form import read_new_order

router = APIRouter(prefix="/paper", tags=["control"])

REDIRECTED_ORDER_ID = "1" * 19
REQUEST_STAGES = frozenset({Stage.BEFORE, Stage.AFTER, Stage.ORDER})


@router.post("/faults", status_code=201)
async def arm_fault(request: Request, body: models.NewFault) -> dict[str, Any]:
    """Arm a fault; one of the ``ws-`` kinds except ``ws-refuse`` strikes at once and answers ``applied_to``."""
    exchange = exchange_of(request)
    if body.kind not in KINDS:
        raise HTTPException(422, f"unknown kind; known are: {', '.join(KINDS)}")
    fault = Fault(
        fault_id=exchange.faults.next_id(),
        match=_match(body),
        remaining=body.times or None,
        **body.model_dump(exclude={"match", "times"}),
    )
    if fault.stage is Stage.SOCKET:
        return {"fault_id": fault.fault_id, "kind": fault.kind, "applied_to": exchange.hub.strike(fault)}
    exchange.faults.arm(fault)
    return asdict(fault)


@router.get("/faults")
async def list_faults(request: Request) -> list[dict[str, Any]]:
    """Faults that still wait."""
    return [asdict(fault) for fault in exchange_of(request).faults.armed()]


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


@router.post("/orders", status_code=201)
async def foreign_order(request: Request, body: models.ForeignOrder) -> dict[str, str]:
    """Place an order for an account from outside: by hand on the web site, or the broker's square-off."""
    exchange = exchange_of(request)
    account = account_called(exchange, body.user_id)
    fields = body.model_dump(exclude={"user_id"}, exclude_none=True)
    form = {name: str(value) for name, value in fields.items()}
    entry = OrderRequest(
        received_ns=exchange.clock.now_ns(),
        method="POST",
        path="/paper/orders",
        user_id=account.user_id,
        form=form,
        source="foreign",
    )
    try:
        order = exchange.book.place(account, read_new_order("regular", form, exchange.instruments))
    except KiteError as error:
        entry.status, entry.error = error.status, error.message
        exchange.requests.add(entry)
        raise HTTPException(error.status, error.message) from error
    entry.status, entry.order_id = 201, order.order_id
    exchange.requests.add(entry)
    return {"order_id": order.order_id}


@router.delete("/orders/{order_id}")
async def cancel_by_exchange(request: Request, order_id: str) -> dict[str, str]:
    """Cancel a live order from the exchange's side."""
    exchange = exchange_of(request)
    order = exchange.book.find(order_id)
    if order is None:
        raise HTTPException(404, f"no order {order_id}")
    try:
        exchange.book.cancel_by_exchange(order)
    except KiteError as error:
        raise HTTPException(409, error.message) from error
    return {"order_id": order_id}


@router.api_route("/redirected", methods=["GET", "POST", "PUT", "DELETE"])
async def redirected() -> dict[str, Any]:
    """Where redirect faults lead: an order id for an order that was never placed."""
    return {"status": "success", "data": {"order_id": REDIRECTED_ORDER_ID}}


def _match(body: models.NewFault) -> FaultMatch:
    given = body.match.model_dump()
    # A fault without an aim means order placements, not the first poll that comes along.
    if KINDS[body.kind] in REQUEST_STAGES and given["method"] is None and given["route"] is None:
        given |= {"method": "POST", "route": "/orders"}
    return FaultMatch(**given)
