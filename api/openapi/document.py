"""The OpenAPI document: what FastAPI derives from the routes, and what holds for all of them.

Routes name only what is particular to them (`api.base.answers.problems`). Added here: the errors that follow from
having a token, a body or a rate limit, the headers of every answer, summaries, examples, and links between operations.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from fastapi.openapi.utils import get_openapi
from starlette.routing import BaseRoute

from api.base.answers.problems import problem_response
from api.base.idempotency import IDEMPOTENCY_KEY, REPLAYED
from api.openapi.examples import EVENT_STREAM, EXAMPLES, error_example

Json = dict[str, Any]

DESCRIPTION = """Buys and sells on the second, stops out on the tick: one actor per strategy.

Prices are rupees with two decimals, times of day are those of the exchange (IST), instants are ISO 8601 with an offset.
Every error is `{"detail": "<sentence>", "code": "<stable_snake_case>"}`. Every answer carries `X-Request-ID`; a
request may bring its own."""

TAGS = [
    {"name": "auth", "description": "Accounts, logins and tokens."},
    {"name": "broker", "description": "The one connection of a user to a broker."},
    {"name": "strategy", "description": "What is to be traded, running it, and what came of it."},
    {"name": "orders", "description": "What happened to the orders of all strategies."},
    {"name": "instruments", "description": "The shares that there are."},
    {"name": "market", "description": "When there is trading."},
    {"name": "app", "description": "What an app must know of this deployment before a login."},
    {"name": "readiness", "description": "Whether the strategies of today will trade."},
    {"name": "panic", "description": "Forbid entries and sell everything, in one call."},
    {"name": "risk", "description": "Whether entries are forbidden."},
    {"name": "notifications", "description": "What happened to the user's money, and where it is sent to."},
    {"name": "push", "description": "Browsers that are notified."},
    {"name": "health", "description": "For operators and load balancers."},
]
_HEADERS: Json = {
    "RequestId": {
        "description": "Names this request in the logs: the one it brought, or a new one.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
        "example": "6f1f9d0c5b0b4d7e8a3c2b1a09876543",
    },
    "Replayed": {
        "description": "Present if the request was carried out before: this is the answer of then.",
        "required": False,
        "schema": {"type": "string", "enum": ["true"]},
    },
    "RetryAfter": {
        "description": "Seconds to wait.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
        "example": 17,
    },
}
_OPEN_TAG = "health"
_STREAM = "text/event-stream"
_SUBJECT = "strategy_id"
_OF_FASTAPI = ("HTTPValidationError", "ValidationError")  # which nothing here answers


def describe(routes: Sequence[BaseRoute]) -> Json:
    """The document for the given routes."""
    document = get_openapi(title="TradeActors", version="1", description=DESCRIPTION, routes=routes, tags=TAGS)
    schemas = document["components"]["schemas"]
    document["components"]["headers"] = _HEADERS
    for operation in _operations(document):
        operation["summary"] = _first_sentence(operation["description"])
        for parameter in operation.get("parameters", ()):
            parameter["schema"] = _without_null(parameter["schema"])
        _complete_errors(operation)
        _add_headers(operation)
        _add_examples(operation)
    _add_links(document)
    for name in _OF_FASTAPI:
        schemas.pop(name, None)
    for name in schemas.keys() - _reachable(document, _bodies(document)):
        _require_all(schemas[name])
    return document


def _operations(document: Json) -> Iterator[Json]:
    for path in document["paths"].values():
        yield from path.values()


def _first_sentence(text: str) -> str:
    return text.partition("\n\n")[0].replace("\n", " ").partition(". ")[0].removesuffix(".")


def _without_null(schema: Json) -> Json:
    """A parameter is left out when it is null: it has no way to say so."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    kind: Json = kinds[0]
    return {name: value for name, value in schema.items() if name != "anyOf"} | kind


def _complete_errors(operation: Json) -> None:
    responses = operation["responses"]
    if _OPEN_TAG not in operation["tags"]:
        responses.setdefault("429", problem_response(429))
    if "security" in operation:
        responses.setdefault("401", problem_response(401))
    if "requestBody" in operation:
        responses.update({"408": problem_response(408), "413": problem_response(413)})
    if "requestBody" in operation or "parameters" in operation:
        responses["422"] = problem_response(422)
    else:
        responses.pop("422", None)
    operation["responses"] = dict(sorted(responses.items()))


def _add_headers(operation: Json) -> None:
    for status, response in operation["responses"].items():
        headers = response.setdefault("headers", {})
        headers["X-Request-ID"] = {"$ref": "#/components/headers/RequestId"}
        if _takes_key(operation) and status.startswith("2"):
            headers[REPLAYED] = {"$ref": "#/components/headers/Replayed"}
        if status == "429":
            headers["Retry-After"] = {"$ref": "#/components/headers/RetryAfter"}


def _takes_key(operation: Json) -> bool:
    return any(parameter["name"] == IDEMPOTENCY_KEY for parameter in operation.get("parameters", ()))


def _add_examples(operation: Json) -> None:
    if "requestBody" in operation:
        _add_example(operation["requestBody"])
    for status, response in operation["responses"].items():
        if _schema_of(response) == "Problem":
            response["content"]["application/json"]["example"] = error_example(operation["operationId"], status)
        else:
            _add_example(response)


def _add_example(message: Json) -> None:
    if (name := _schema_of(message)) in EXAMPLES:
        message["content"]["application/json"].setdefault("example", EXAMPLES[name])
    if _STREAM in message.get("content", {}):
        message["content"][_STREAM].setdefault("example", EVENT_STREAM)


def _schema_of(message: Json) -> str:
    """The name of the schema of a body or answer, or an empty text."""
    reference: str = message.get("content", {}).get("application/json", {}).get("schema", {}).get("$ref", "")
    return reference.rpartition("/")[2]


def _add_links(document: Json) -> None:
    """From the answer that brings a new id to every operation that takes one."""
    operations = {operation["operationId"]: operation for operation in _operations(document)}
    links = {name: link for name, target in operations.items() if (link := _link_to(target, document))}
    operations["create_strategy"]["responses"]["201"]["links"] = links


def _link_to(target: Json, document: Json) -> Json | None:
    link: Json = {"operationId": target["operationId"]}
    if any(parameter["name"] == _SUBJECT for parameter in target.get("parameters", ())):
        return link | {"parameters": {_SUBJECT: f"$response.body#/{_SUBJECT}"}}
    body = document["components"]["schemas"].get(_schema_of(target.get("requestBody", {})), {})
    if _SUBJECT in body.get("properties", {}):
        return link | {"requestBody": {_SUBJECT: f"$response.body#/{_SUBJECT}"}}
    return None


def _bodies(document: Json) -> list[Json]:
    return [operation["requestBody"] for operation in _operations(document) if "requestBody" in operation]


def _reachable(document: Json, start: object) -> set[str]:
    """The names of all schemas that are referred to from `start`, directly or not."""
    found: set[str] = set()
    pending = [start]
    while pending:
        match pending.pop():
            case {"$ref": str(reference)} if (name := reference.rpartition("/")[2]) not in found:
                found.add(name)
                pending.append(document["components"]["schemas"][name])
            case dict(parts):
                pending += parts.values()
            case list(parts):
                pending += parts
    return found


def _require_all(answer: Json) -> None:
    """An answer has all of its fields always: also those for which the code has a default."""
    if "properties" in answer:
        answer["required"] = list(answer["properties"])
