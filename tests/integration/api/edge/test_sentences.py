"""Every refusal of a field says what to send, in the words of a trader: no regular expression, no word of a library."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from api.app import create_app
from api.base.answers.sentences import NOT_ACCEPTABLE
from config.settings import Settings
from tests.integration.api_user import ApiUser

pytest_plugins = ["tests.integration.fixtures"]

DOCUMENT = create_app(Settings(_env_file=None)).openapi()
SCHEMAS = DOCUMENT["components"]["schemas"]

BAD: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 10**30, -0.001, 1e300, "", " ", "x", "x" * 5000, "\0", "\u202e", "\ud800", "<b>", "é" * 300,
    "1e5", "2026-11-29T10:00:00Z", "25:00", "NSE:INFY:EQ", "a@b", "ftp://x", "*" * 9, [], [1], {}, {"a": 1},
)  # fmt: skip
"""Values of which most fields refuse most."""

FOLLOWS = ("follow", "true")
"""A parameter of a stream that is taken, and has no end."""

SAYS_WHAT_TO_DO = re.compile(r"(must|needs?|has|is|may) ")
JARGON = re.compile(
    r"pattern|regex|\bmatch|\[|\]|\\|\^|\$|\{|\}|\.\*|input|\bvalue\b|valid \w+ instance|pars(e|ing)|literal|enum\b|"
    r"schema|finite|pydantic|string|boolean|integer|float|decimal|\bdict|none\b|null\b|\bstr\b|\bint\b|error|exception|constraint|"
    r"min_|max_|length|type\b|unable|invalid",
    re.IGNORECASE,
)


def operations() -> Iterator[Any]:
    """Every operation that takes a field, with its path."""
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            if "requestBody" in operation or operation.get("parameters"):
                yield pytest.param(method, path, operation, id=operation["operationId"])


def requests_of(method: str, path: str, operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The operation with one field after the other spoilt, left out, or one more than there is."""
    whole = path.replace("{strategy_id}", "1").replace("{login_id}", "1")
    parameters = operation.get("parameters", ())
    ends = {"follow": "false"} if any(parameter["name"] == "follow" for parameter in parameters) else {}
    for parameter in parameters:
        name = parameter["name"]
        for bad in BAD:
            text = bad if isinstance(bad, str) else json.dumps(bad)
            if parameter["in"] == "query" and "\ud800" not in text and (name, text) != FOLLOWS:
                yield whole, {"params": ends | {name: text}}
            elif parameter["in"] == "header" and text.isascii() and text.isprintable():
                yield whole, {"params": ends, "headers": {name: text}}
        if parameter["in"] == "path":
            yield path.replace(f"{{{name}}}", str(2**53)), {}
    if "requestBody" not in operation:
        return
    content = operation["requestBody"]["content"]["application/json"]
    fields = SCHEMAS[content["schema"]["$ref"].rpartition("/")[2]]["properties"]
    example = content["example"]
    for name in fields:
        for bad in BAD:
            yield whole, {"content": json.dumps(example | {name: bad})}
        yield whole, {"content": json.dumps({field: value for field, value in example.items() if field != name})}
    for body in ("", "[]", "null", "{", '"x"', '{"zzz": 1}', '{"a": 1, "a": 2}', "{}", '{"a": NaN}'):
        yield whole, {"content": body}
    yield whole, {"content": json.dumps(example | {"zzz": 1})}


@pytest.mark.parametrize(("method", "path", "operation"), list(operations()))
async def test_a_refusal_says_what_to_send_and_nothing_of_how_it_is_checked(
    user: ApiUser, method: str, path: str, operation: dict[str, Any]
) -> None:
    await user.is_in()
    authorized = {"Authorization": f"Bearer {user.tokens['access_token']}", "Content-Type": "application/json"}
    sentences: set[str] = set()
    for where, request in requests_of(method, path, operation):
        request["headers"] = authorized | request.get("headers", {})
        answer = await user.client.request(method, where, **request)
        assert answer.status_code < 500, (request, answer.text)
        if answer.status_code == 422:
            assert answer.json()["suggestions"] == []
            sentences |= {error["message"] for error in answer.json()["errors"]}
    assert sentences
    assert NOT_ACCEPTABLE not in sentences, "a kind of fault has no sentence of its own"
    plain = {re.sub(r"JSON object|valid JSON|valid Unicode text", "", sentence) for sentence in sentences}
    assert {sentence for sentence in plain if JARGON.search(sentence)} == set()
    assert {sentence for sentence in sentences if not SAYS_WHAT_TO_DO.match(sentence)} == set()


def test_a_field_that_has_a_pattern_is_described_in_words() -> None:
    bare: set[str] = set()
    for name, schema in SCHEMAS.items():
        for field, described in schema.get("properties", {}).items():
            kinds = [described, *described.get("anyOf", ())]
            patterns = {kind["pattern"] for kind in kinds if "pattern" in kind} - {"^[^\\u0000]*$"}
            if patterns and not any("description" in kind for kind in kinds):
                bare.add(f"{name}.{field}")
    assert bare == set()
