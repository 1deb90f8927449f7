"""A NUL, which PostgreSQL stores in no text, in every field of every operation."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from api.app import create_app
from config.settings import Settings
from tests.integration.api_user import ApiUser

pytest_plugins = ["tests.integration.fixtures"]

NUL = "a\0b"
OPERATIONS = create_app(Settings(_env_file=None)).openapi()
MODELS = OPERATIONS["components"]["schemas"]


def fields() -> Iterator[Any]:
    """Every field of a query and of a body, whatever it holds."""
    for path, methods in OPERATIONS["paths"].items():
        for method, operation in methods.items():
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "query":
                    yield pytest.param(
                        method, path, "query", parameter["name"], id=f"{method} {path} ?{parameter['name']}"
                    )
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            for name in MODELS.get(body.get("$ref", "").rpartition("/")[2], {}).get("properties", ()):
                yield pytest.param(method, path, "body", name, id=f"{method} {path} {name}")


@pytest.mark.parametrize(("method", "path", "place", "name"), list(fields()))
async def test_a_nul_is_refused_in_the_field_that_holds_it(
    user: ApiUser, method: str, path: str, place: str, name: str
) -> None:
    await user.is_in()
    path = path.replace("{strategy_id}", "1").replace("{channel_id}", "1")
    headers = {"Authorization": f"Bearer {user.tokens['access_token']}", "Content-Type": "application/json"}
    sent: dict[str, Any] = {"params": {name: NUL}} if place == "query" else {"content": json.dumps({name: NUL})}
    answer = await user.client.request(method, path, headers=headers, **sent)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    (message,) = {error["message"] for error in answer.json()["errors"] if error["field"].partition(".")[0] == name}
    assert "must" in message
    assert "a\\u0000b" not in answer.text


@pytest.mark.parametrize("path", ["/strategy/%00", "/strategy/1%00", "/strategy/status/1%00/", "/%00"])
async def test_a_nul_in_a_path_is_refused(user: ApiUser, path: str) -> None:
    answer = await user.call("GET", path)
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"field": "path", "message": "must not hold a NUL character"}]


@pytest.mark.parametrize("symbol", ["A%00B", "%00", "A%00", "NSE:A%00B", "%00A"])
async def test_a_symbol_with_a_nul_is_no_fault_of_ours(user: ApiUser, symbol: str) -> None:
    answer = await user.call("GET", f"/strategy/list?symbol={symbol}")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "symbol")
