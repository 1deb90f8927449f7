"""Each room of the API says in a protocol what it uses of what the process has opened: it must be there."""

from typing import Any, get_type_hints

import pytest

from api.bootstrap import Resources
from api.brokers import login_routes as broker_logins
from api.brokers import routes as brokers
from api.events import routes as events
from api.operations import routes as operations
from api.readiness import routes as readiness
from api.reference import routes as reference
from api.strategies import routes as strategies
from api.timeline import routes as timeline
from api.users import dependencies as users_dependencies
from api.users import routes as users

USED = [
    module.Used
    for module in (brokers, broker_logins, events, operations, readiness, reference, strategies, timeline, users)
]


@pytest.mark.parametrize(
    "used",
    [*USED, users_dependencies.UsedForClaims, users_dependencies.UsedForPasswords],
    ids=lambda used: f"{used.__module__} {used.__name__}",
)
def test_what_a_room_uses_is_opened(used: Any) -> None:
    assert get_type_hints(used).items() <= get_type_hints(Resources).items()
