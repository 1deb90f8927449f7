"""Every error of the application in the shape of `api.base.errors`, wherever it was raised."""

import re
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

import structlog
from anyio import BrokenResourceError
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException

from api.base.answers.sentences import sentence_of_fault
from api.base.answers.translations import RETRY_AFTER_S, TRANSLATIONS
from api.base.errors import ApiError, ClientLeft, FieldProblem, InvalidField, InvalidRequest
from api.base.fields import NO_NUL
from api.base.idempotency import REPLAYED, Repeated

log = structlog.stdlib.get_logger(__name__)


_NAME = re.compile(r"[\w-]{1,64}", re.ASCII)
"""What the name of a field may look like in an answer: others have been sent, and are input."""

_STATUS_CODES = {404: "not_found", 405: "method_not_allowed", 408: "request_timeout", 413: "request_too_large"}

_AND_IN_A_VALUE = "; a & within a value, as of M&M, is written %26"

_SENTENCES = {
    "Not Found": "Nothing is served at this path: check how it is written; ids in it are whole numbers above 0",
    "Method Not Allowed": "This path is not served by that method: use one that the header Allow names",
}
"""In place of Starlette's words, which do not say what to do."""


def install_error_handlers(app: FastAPI) -> None:
    """Give every error of the application the shape of this module."""
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(InvalidField, _invalid_field)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(ClientLeft, _client_left)
    app.add_exception_handler(Repeated, _repeated)
    for kind in TRANSLATIONS:
        app.add_exception_handler(kind, _translated)
    app.add_exception_handler(Exception, _internal_error)


def _problem(status: int, detail: str, code: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": detail, "code": code}, status, dict(headers or {}))


async def _api_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiError)  # noqa: S101 - registered for this type only
    return _problem(error.status, error.detail, error.code, error.headers)


async def _repeated(_request: Request, told: Exception) -> Response:
    assert isinstance(told, Repeated)  # noqa: S101 - registered for this type only
    return Response(told.answer, told.status, {REPLAYED: "true"}, media_type="application/json")


async def _translated(_request: Request, error: Exception) -> JSONResponse:
    status, code, sentence = TRANSLATIONS[type(error)]
    if status >= 500:
        log.warning("request_not_served", code=code, cause=type(error.__cause__).__name__)
    wait_s = RETRY_AFTER_S.get(type(error))
    return _problem(status, sentence or str(error), code, {"Retry-After": str(wait_s)} if wait_s else None)


async def _http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type only
    if error.status_code == 400:  # FastAPI could not read the body: nested too deeply, not UTF-8, a number too long
        return _unprocessable([_packed(request) or FieldProblem(field="body", message="is not valid JSON")])
    if error.status_code == 404 and "\0" in request.scope["path"]:
        return _unprocessable([FieldProblem(field="path", message=NO_NUL)])
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(sorted(_allowed_methods(request)))
    code = _STATUS_CODES.get(error.status_code, "http_error")
    detail = _SENTENCES.get(error.detail, error.detail)
    return _problem(error.status_code, detail, code, headers)


def _allowed_methods(request: Request) -> set[str]:
    """Those of all routes of the path; Starlette names those of the first only."""
    path = request.scope["path"]
    matching = [route for route in iter_route_contexts(request.app.routes) if route.path_regex.match(path)]
    exact = [route for route in matching if route.path == path]  # /strategy/list, and not what /strategy/1 allows
    return {method for route in exact or matching for method in route.methods or ()}


async def _invalid_field(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, InvalidField)  # noqa: S101 - registered for this type only
    return _unprocessable([FieldProblem(field=error.field, message=error.message)], error.code, error.suggestions)


async def _invalid_request(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this type only
    faults = error.errors()
    if faults[0]["type"] == "json_invalid" and (packed := _packed(request)) is not None:
        return _unprocessable([packed])
    return _unprocessable([_field_problem(fault) for fault in faults])


def _packed(request: Request) -> FieldProblem | None:
    """What is wrong with a body that was sent compressed: nothing here unpacks it, since it may be a bomb."""
    coding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if coding in {"", "identity"}:
        return None
    return FieldProblem(field="body", message="is compressed: send it as it is, without Content-Encoding")


def _unprocessable(
    problems: list[FieldProblem], code: str = "invalid_request", suggestions: Sequence[str] = ()
) -> JSONResponse:
    detail = "; ".join(f"{problem.field}: {problem.message}" for problem in problems)
    body = InvalidRequest(detail=detail, code=code, errors=problems, suggestions=list(suggestions))
    return JSONResponse(body.model_dump(), 422)


def _field_problem(fault: Mapping[str, Any]) -> FieldProblem:
    message, place = sentence_of_fault(fault), str(fault["loc"][0])
    if fault["type"] == "extra_forbidden":  # its location is the name that was sent, which is input too
        return FieldProblem(field=place, message=message + _AND_IN_A_VALUE * (place == "query"))
    if fault["type"] == "json_invalid":
        return FieldProblem(field="body", message=message)
    path = [str(part) for part in fault["loc"] if part not in ("body", "path", "query", "header")]
    if fault["type"] == "model_attributes_type" and path:  # an object in the body
        message = "must be a JSON object"
    if path[-1:] == ["[key]"]:  # the part before is the name that was sent in an object of names
        return FieldProblem(field=".".join(path[:-2]) or "body", message=f"has a wrong name in it: each {message}")
    known = list(takewhile(_NAME.fullmatch, path))
    return FieldProblem(field=".".join(known) or "body", message=message)


async def _client_left(request: Request, _error: Exception) -> JSONResponse:
    log.info("client_left", route=_route_of(request))
    return _problem(499, "The client has left.", "client_left")  # never delivered


async def _internal_error(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, ExceptionGroup) and error.split(BrokenResourceError)[1] is None:
        return await _client_left(request, error)  # in the middle of an event stream, as FastAPI puts it
    route = _route_of(request)
    log.error("request_failed", error=type(error).__name__, method=request.method, route=route, exc_info=error)
    return _problem(500, "Something went wrong on our side.", "internal_error")


def _route_of(request: Request) -> str | None:
    return getattr(request.scope.get("route"), "path_format", None)
