"""How bars are walked, and until when a price stands."""

from datetime import datetime, timedelta

from actors.replay.bar import Bar
from actors.replay.ticks import walked
from tests.unit.replay.recordings import MINUTE, OPEN

CLOSES = OPEN.replace(hour=15, minute=30)


def bar(start: datetime) -> Bar:
    return Bar(start, 9500, 9600, 9390, 9485)


def test_a_bar_is_walked_from_open_to_low_to_high_to_close() -> None:
    assert [(tick.at - OPEN, tick.price) for tick in walked([bar(OPEN)], MINUTE, CLOSES)] == [
        (timedelta(seconds=0), 9500),
        (timedelta(seconds=15), 9390),
        (timedelta(seconds=30), 9600),
        (timedelta(seconds=45), 9485),
    ]


def test_a_price_stands_until_the_next_or_the_end_of_its_bar() -> None:
    ticks = walked([bar(OPEN), bar(OPEN + 10 * MINUTE)], MINUTE, CLOSES)
    assert [(tick.until - OPEN).total_seconds() for tick in ticks[:4]] == [15, 30, 45, 60]


def test_a_bar_that_is_a_little_late_leaves_no_gap() -> None:
    ticks = walked([bar(OPEN), bar(OPEN + timedelta(seconds=62))], MINUTE, CLOSES)
    assert ticks[3].until == ticks[4].at


def test_a_bar_that_comes_early_does_not_overlap_the_one_before() -> None:
    ticks = walked([bar(OPEN), bar(OPEN + timedelta(seconds=20))], MINUTE, CLOSES)
    assert [tick.at for tick in ticks] == sorted(tick.at for tick in ticks)
    assert ticks[3].until == ticks[4].at


def test_the_last_bar_ends_with_the_session() -> None:
    ticks = walked([bar(CLOSES - 15 * MINUTE)], 60 * MINUTE, CLOSES)
    assert ticks[-1].at < ticks[-1].until == CLOSES
