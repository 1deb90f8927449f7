"""The OpenAPI document: what generated clients are made of, and what must not change unnoticed."""

import difflib
import json
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema  # type: ignore[import-untyped]
import pytest
from fastapi.routing import iter_route_contexts

from api.app import create_app, needs_token
from config.settings import Settings

pytest_plugins = ["tests.integration.fixtures"]

DOCS = Path(__file__).parents[3] / "docs"
DESCRIPTION = create_app(Settings(_env_file=None)).openapi()
OPERATIONS = {
    operation["operationId"]: (method, path, operation)
    for path, methods in DESCRIPTION["paths"].items()
    for method, operation in methods.items()
}
OPEN = {"app_config", "register", "login", "refresh", "logout", "reset_password", "healthz", "readyz", "metrics"} | {
    "broker_callback", "open_login_link",  # browsers, which bring a secret of their own
}  # fmt: skip
"""All that may be asked without an access token. A developer who adds to it has thought about it."""

SECRETS = re.compile(r"secret|password|token|hash|box|(^|_)key$|user_id$", re.IGNORECASE)
NO_SECRETS = {
    "AppConfig": {"password"},  # how long one is
    "LoginAnswer": {"access_token", "token_type", "refresh_token"},  # the user's own, given once
    "ValidateAnswer": {"user_id"},
    "PushKeyAnswer": {"public_key"},
    "BrokerConnectAnswer": {"broker_user_id"},
    "BrokerStatusAnswer": {"broker_user_id", "token_obtained_at", "token_age_s", "token_expires_at", "token_expired"},
}


def test_the_description_has_not_changed_unnoticed() -> None:
    making = runpy.run_path(str(DOCS / "make_openapi.py"))
    committed, actual = (DOCS / "openapi.json").read_text(encoding="utf-8"), making["as_text"](making["document"]())
    changes = list(difflib.unified_diff(committed.splitlines(), actual.splitlines(), "committed", "now", lineterm=""))
    assert not changes, "if this change of the API is meant, run `make openapi`:\n" + "\n".join(changes[:200])


async def test_the_description_that_is_served_is_the_committed_one(client: httpx.AsyncClient) -> None:
    assert (await client.get("/openapi.json")).json() == json.loads((DOCS / "openapi.json").read_text(encoding="utf-8"))


def test_every_operation_has_a_name_of_its_own() -> None:
    assert len(OPERATIONS) == sum(len(methods) for methods in DESCRIPTION["paths"].values())


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_an_operation_is_fit_for_generated_clients(name: str) -> None:
    method, path, operation = OPERATIONS[name]
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", name)
    assert operation["tags"] == [
        {"healthz": "health", "readyz": "health", "metrics": "health"}.get(name, path.split("/")[1])
    ]
    assert 5 < len(operation["summary"]) <= 120
    assert operation["description"]
    assert ("security" in operation) == (name not in OPEN)
    for status, response in operation["responses"].items():
        assert response["headers"]["X-Request-ID"], status
        assert response["description"], status
        assert (status == "204") == ("content" not in response), status
    expected = {"401"} if "security" in operation else set()
    expected |= {"408", "413", "422"} if "requestBody" in operation else set()
    expected |= {"422"} if "parameters" in operation else set()
    expected |= {"404"} if "{" in path else set()
    expected |= {"429"} if operation["tags"] != ["health"] else set()
    assert expected <= set(operation["responses"])
    assert method != "get" or "requestBody" not in operation


def _messages() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, (_, _, operation) in OPERATIONS.items():
        if "requestBody" in operation:
            yield f"{name} body", operation["requestBody"]
        for status, response in operation["responses"].items():
            yield f"{name} {status}", response


@pytest.mark.parametrize(("name", "message"), [pytest.param(*pair, id=pair[0]) for pair in _messages()])
def test_every_body_and_answer_has_an_example_that_its_schema_accepts(name: str, message: dict[str, Any]) -> None:
    for media_type, content in message.get("content", {}).items():
        assert "example" in content, media_type
        if media_type == "application/json":
            schema = content["schema"] | {"components": DESCRIPTION["components"]}
            jsonschema.validate(content["example"], schema, cls=jsonschema.Draft202012Validator)


def test_answers_have_all_of_their_fields_always_and_requests_refuse_others() -> None:
    bodies = {
        message["content"]["application/json"]["schema"]["$ref"]
        for name, message in _messages()
        if name.endswith(" body")
    }
    for name, schema in DESCRIPTION["components"]["schemas"].items():
        if f"#/components/schemas/{name}" in bodies:
            assert schema["additionalProperties"] is False, name
        elif "properties" in schema:
            assert set(schema["required"]) == set(schema["properties"]), name


def test_no_answer_has_a_field_for_a_secret() -> None:
    for name, schema in DESCRIPTION["components"]["schemas"].items():
        telling = {field for field in schema.get("properties", {}) if SECRETS.search(field)}
        assert name.endswith("Request") or telling <= NO_SECRETS.get(name, set()), name


def test_every_route_needs_a_token_unless_it_is_known_not_to() -> None:
    open_routes = set()
    for route in iter_route_contexts(create_app(Settings(_env_file=None)).routes):
        if not needs_token(route.original_route):
            open_routes.add(getattr(route, "operation_id", None) or route.path)
    assert open_routes == OPEN | {"/docs", "/docs/{name}", "/openapi.json", "/", "/app", "/app/{name:path}"}


async def test_without_a_token_nothing_is_told(client: httpx.AsyncClient) -> None:
    for name in sorted(OPERATIONS.keys() - OPEN):
        method, path, operation = OPERATIONS[name]
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
        for authorization in (None, "Bearer", "Bearer x", "Basic YTpi", "bearer null"):
            headers = {} if authorization is None else {"Authorization": authorization}
            answer = await client.request(method, re.sub("{.+?}", "1", path), json=body, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid"), name
            assert answer.headers["WWW-Authenticate"].startswith("Bearer"), name
