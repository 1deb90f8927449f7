"""Headers that a page of ours has in place of those which `api.edge.middleware` gives to every answer."""

from collections.abc import Mapping

from starlette.types import Scope

_KEY = "own_headers"


def set_own_headers(scope: Scope, headers: Mapping[str, str]) -> None:
    """Let the answer to this request have these. A header of the edge that is not among them stays as it is."""
    scope[_KEY] = headers


def own_headers(scope: Scope) -> Mapping[str, str]:
    """Those that the answer to this request has of its own; none, unless a route has said so."""
    headers: Mapping[str, str] = scope.get(_KEY, {})
    return headers
