"""Odd bodies of requests: each has the right status, a stable code and the field at fault, and none is a fault of ours.

`bodies.toml` has a table for each route; a line is a name, the body (a text, or `hex:` and its bytes) and the outcome.
Where a route names a strategy, it is a new one, whose stop-loss is in percent.
"""

import tomllib

import httpx
import pytest

from tests.corpus.outcomes import CORPUS
from tests.integration.api_user import ApiUser

pytest_plugins = ["tests.integration.fixtures"]

BODIES = tomllib.loads((CORPUS / "bodies.toml").read_text(encoding="utf-8"))
LINES = [(route, name, *line) for route, lines in BODIES.items() for name, line in lines.items()]


@pytest.mark.parametrize(
    ("route", "body", "outcome"),
    [pytest.param(route, body, outcome, id=f"{route}: {name}") for route, name, body, outcome in LINES],
)
async def test_the_body_is_taken_or_what_is_wrong_with_it_is_said(
    trader: ApiUser, route: str, body: str, outcome: str
) -> None:
    assert outcome_of(await sent(trader, route, body)) == outcome


async def sent(trader: ApiUser, route: str, body: str) -> httpx.Response:
    """The body, byte for byte, with the token of a user who has a broker."""
    method, path = route.split()
    if "{strategy_id}" in path:
        in_percent = {
            "symbol": "INFY",
            "buy_time": "09:30",
            "sell_time": "15:10",
            "quantity": 10,
            "stop_loss_percent": 2,
        }
        made = await trader.call("POST", "/strategy/create", **in_percent)
        path = path.format(strategy_id=made.json()["strategy_id"])
    headers = {"Authorization": f"Bearer {trader.tokens['access_token']}", "Content-Type": "application/json"}
    content = bytes.fromhex(body.removeprefix("hex:")) if body.startswith("hex:") else body.encode()
    return await trader.client.request(method, path, headers=headers, content=content)


def outcome_of(answer: httpx.Response) -> str:
    """The status, and of a refusal its code and what it says about each field."""
    if answer.is_success:
        return str(answer.status_code)
    problem = answer.json()
    fields = [f"{error['field']} {error['message']}" for error in problem.get("errors", [])]
    return "; ".join([f"{answer.status_code} {problem['code']}", *fields])
