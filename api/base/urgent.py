"""The requests by which a trader ends a position. They have a way of their own through every limit of the process."""

from starlette.types import Scope

URGENT = frozenset({("POST", "/strategy/stop"), ("POST", "/panic")})
"""Method and path. Each of them must be cheap, and ask no broker: what is kept for them is little."""


def is_urgent(scope: Scope) -> bool:
    """Whether a request has that way of its own."""
    return (scope["method"], scope["path"]) in URGENT
