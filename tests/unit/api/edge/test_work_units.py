"""How much work a request asks for."""

from typing import Any

import pytest
from fastapi import Request
from fastapi.routing import APIRoute, iter_route_contexts

from api.app import create_app, needs_token
from api.base.urgent import URGENT
from api.edge.work_budget import LOOKUP_UNITS, SNAPSHOT_UNITS, work_units
from config.settings import Settings

ROUTES: dict[str, APIRoute] = {
    route.operation_id: route
    for context in iter_route_contexts(create_app(Settings(_env_file=None)).routes)
    if isinstance(route := context.original_route, APIRoute) and needs_token(route) and route.operation_id
}
LISTS = [
    "list_strategies", "strategy_orders", "strategy_runs", "account_activity", "list_logins", "list_notifications",
]  # fmt: skip
TIMELINE = "strategy_timeline"


def units(operation: str, query: str = "") -> int:
    scope: dict[str, Any] = {"type": "http", "route": ROUTES[operation], "query_string": query.encode(), "headers": []}
    return work_units(Request(scope))


@pytest.mark.parametrize("operation", LISTS)
@pytest.mark.parametrize(
    ("query", "weight"),
    [("", 3), ("limit=1", 1), ("limit=20", 1), ("limit=21", 2), ("limit=200", 10), ("offset=3&limit=200", 10)],
)
def test_a_list_counts_by_the_rows_it_is_asked_for(operation: str, query: str, weight: int) -> None:
    assert units(operation, query) == weight


@pytest.mark.parametrize("query", ["limit=x", "limit=-1", "limit=", "limit=9999999999", "limit=%D9%A3"])
def test_a_limit_that_will_be_refused_breaks_nothing(query: str) -> None:
    assert 1 <= units("list_strategies", query) <= 10


def test_the_limit_that_counts_is_the_one_that_is_used() -> None:
    assert units("list_strategies", "limit=1&limit=200") == 10


def test_every_operation_is_weighed() -> None:
    weights = {operation: units(operation, "limit=50") for operation in ROUTES}
    heavy = (
        {"strategy_events": SNAPSHOT_UNITS, TIMELINE: 13, "orders_of_day": 5} | dict.fromkeys(LISTS, 3) | LOOKUP_UNITS
    )
    assert weights == dict.fromkeys(ROUTES, 1) | heavy
    assert LOOKUP_UNITS.keys() <= ROUTES.keys()
    assert units("strategy_events", "last_event_id=1-1") == SNAPSHOT_UNITS, "an old id gets a snapshot, too"


def test_every_request_that_has_a_way_of_its_own_exists() -> None:
    assert {(method, route.path) for route in ROUTES.values() for method in route.methods or ()} >= URGENT
