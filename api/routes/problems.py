"""The error answers of routes, for the OpenAPI description."""

from typing import Any

from api.errors import InvalidRequest, Problem

Responses = dict[int | str, dict[str, Any]]

_SENTENCES = {
    401: "The token or the credentials are not accepted",
    403: "The broker refuses",
    404: "No such strategy of yours",
    409: "Not in this state",
    429: "Too many attempts; `Retry-After` says how long to wait",
    503: "A part that is needed does not answer; try again",
}


def problems(*statuses: int) -> Responses:
    """Descriptions of the given statuses, and of 422, which every route may answer."""
    described: Responses = {
        status: {"model": Problem, "description": _SENTENCES[status]} for status in (*statuses, 503)
    }
    return described | {422: {"model": InvalidRequest, "description": "A field is not acceptable"}}
