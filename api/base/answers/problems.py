"""The error answers of routes, for the OpenAPI description."""

from typing import Any

from api.base.errors import InvalidRequest, Problem

Responses = dict[int | str, dict[str, Any]]

_SENTENCES = {
    401: "The token or the credentials are not accepted",
    403: "The broker refuses, or the operator does; or the page that asks is of another origin",
    404: "No such strategy or login of yours",
    408: "The body came too slowly",
    409: "Not in this state",
    413: "The body has more than 64 KiB",
    422: "A field is not acceptable",
    429: "Too many requests or attempts; `Retry-After` says how long to wait",
    503: "A part that is needed does not answer, or too many ask at once; try again",
}


def problems(*statuses: int) -> Responses:
    """Descriptions of the errors that are particular to a route, and of 422 and 503, which most routes may answer.

    Those that follow from having a token, a body or a rate limit are added by `api.openapi.document`.
    """
    described: Responses = {
        status: {"model": Problem, "description": _SENTENCES[status]} for status in (*statuses, 503)
    }
    return described | {422: {"model": InvalidRequest, "description": _SENTENCES[422]}}


def problem_response(status: int) -> dict[str, Any]:
    """The OpenAPI response object of an error."""
    model = InvalidRequest if status == 422 else Problem
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"description": _SENTENCES[status], "content": {"application/json": {"schema": schema}}}
