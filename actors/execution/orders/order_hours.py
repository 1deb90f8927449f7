"""Commands against the hours of their account's market."""

from datetime import datetime

from actors.domain.identifiers import Product, Side
from actors.domain.market_hours import MarketHours, NotBefore, Request
from actors.domain.orders.order import FailureKind
from actors.domain.strategy.events import PlacementFailed
from actors.ports.strategy import OrderCommand


def refusal(command: OrderCommand, hours: MarketHours, at: datetime, request: Request) -> NotBefore | None:
    """None if a request for the command may leave at that instant; else from when on it may."""
    side, derivatives = command.intent.side, command.has_derivatives
    return hours.refusal(at, side, command.product, request, has_derivatives=derivatives)


def takes_changes(hours: MarketHours, at: datetime) -> bool:
    """Whether an order of any kind may be changed at that instant."""
    return hours.refusal(at, Side.SELL, Product.CNC, Request.CHANGE, has_derivatives=False) is None


def market_closed(command: OrderCommand, closed: NotBefore) -> PlacementFailed:
    """The failure of a command that nothing was sent for."""
    return PlacementFailed(command.intent.id, FailureKind.MARKET_CLOSED, closed.reason, closed.at)


def closed_to(command: OrderCommand, hours: MarketHours, now: datetime) -> PlacementFailed | None:
    """A command for a closed market, if it is certain that nothing of it has left us before."""
    if command.look_up_first or command.order_id is not None:
        return None
    at = max(now, command.not_before or now)
    closed = refusal(command, hours, at, Request.ORDER)
    return None if closed is None else market_closed(command, closed)
