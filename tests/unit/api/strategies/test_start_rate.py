"""How often one user may start."""

import pytest

from api.base.errors import ApiError
from api.strategies.start_rate import STARTS_AT_ONCE, StartRate
from config.capacity import Capacity
from config.settings import Settings


def rate(running_of_user: int, per_minute: int = 12) -> StartRate:
    settings = Settings(_env_file=None, starts_per_minute=per_minute)
    return StartRate(settings, Capacity(running=1000, symbols=1000, running_of_user=running_of_user))


@pytest.mark.parametrize(("running_of_user", "at_once"), [(5, STARTS_AT_ONCE), (80, 80)])
def test_all_strategies_of_a_user_may_start_at_once_and_the_next_has_to_wait(
    running_of_user: int, at_once: int
) -> None:
    starts = rate(running_of_user)
    for _ in range(at_once):
        starts.count(user_id=1)
    with pytest.raises(ApiError) as refused:
        starts.count(user_id=1)
    assert (refused.value.status, refused.value.code) == (429, "rate_limited")
    assert (refused.value.headers or {})["Retry-After"] == "5"
    starts.count(user_id=2)


def test_the_operator_may_let_any_number_through() -> None:
    starts = rate(1, per_minute=0)
    for _ in range(1000):
        starts.count(user_id=1)
