"""How many idle workers a node should have, and how many are begun now."""

import pytest

from actors.runtime.driver.pool_size import AT_ONCE, MOST_WHEN_NEEDED, Fill, fill, still, wanted

GB = 2**30
AT_REST = 6


@pytest.mark.parametrize(
    ("expected", "recent", "available", "workers"),
    [
        (0, 0, 24 * GB, AT_REST),
        (0, 1, 24 * GB, AT_REST),  # a lone START is replaced, and no worker is added
        (0, 3, 24 * GB, AT_REST + 2),
        (0, 50, 24 * GB, 2 * AT_REST),
        (14, 0, 24 * GB, AT_REST + 14),
        (14, 50, 24 * GB, AT_REST + 14),  # they are the same strategies
        (200, 0, 24 * GB, MOST_WHEN_NEEDED),
        (200, 0, 2 * GB, 9),  # a quarter of what is available
        (200, 0, GB // 2, AT_REST),
        (200, 0, 0, AT_REST),
    ],
)
def test_the_pool_grows_with_the_starts_to_come_as_far_as_memory_allows(
    expected: int, recent: int, available: int, workers: int
) -> None:
    assert wanted(AT_REST, expected, recent, available) == workers


@pytest.mark.parametrize(
    ("idle", "wanted_workers", "begun"),
    [
        (0, AT_REST, Fill(AT_REST, 0)),
        (-2, AT_REST, Fill(AT_REST, 0)),
        (5, 20, Fill(1, 0)),  # what is missing at rest comes first
        (6, 20, Fill(0, AT_ONCE)),
        (19, 20, Fill(0, 1)),
        (20, 20, Fill(0, 0)),
        (20, AT_REST, Fill(0, 0)),  # Ray ends those that are too many
    ],
)
def test_the_pool_at_rest_comes_at_once_and_the_rest_one_after_another(
    idle: int, wanted_workers: int, begun: Fill
) -> None:
    assert fill(idle, AT_REST, wanted_workers) == begun


def test_only_what_is_recent_counts() -> None:
    assert still([10.0, 69.9, 70.1, 100.0], now=100.0, seconds=30.0) == 2
