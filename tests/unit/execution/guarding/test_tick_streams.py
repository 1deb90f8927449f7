"""Which account's stream brings which instrument: one that is up, and that has market data (kite.md §1)."""

import pytest

from actors.execution.guarding import tick_streams
from actors.execution.guarding.tick_streams import MUTE_AFTER_S, TickStreams
from actors.ports.prices import TooManyInstruments


class Streams(TickStreams):
    """Of accounts 1 and 2, which are up."""

    def __init__(self) -> None:
        self.asked: dict[int, frozenset[int]] = {}
        self.up, self.now = {1, 2}, 0.0
        super().__init__(self.asked.__setitem__, self.up.__contains__, lambda: self.now)
        self.join(1)
        self.join(2)

    def gather(self) -> None:
        """What the owner does with what is misplaced."""
        for account_id in self.misplaced():
            for token in self.asked[account_id]:
                self.unsubscribe(token)
                self.subscribe(token)


def test_a_token_is_asked_for_on_one_connection_and_moves_when_that_is_down() -> None:
    streams = Streams()
    assert streams.subscribe(7) == streams.subscribe(7) == 1
    streams.up.discard(1)
    assert streams.misplaced() == [1]
    streams.gather()
    assert streams.asked == {1: frozenset(), 2: frozenset({7})}
    streams.up.clear()
    assert streams.misplaced() == []


def test_what_a_stream_without_market_data_does_not_bring_is_asked_for_on_another() -> None:
    streams = Streams()
    streams.subscribe(7)
    streams.subscribe(8)
    streams.now = MUTE_AFTER_S - 0.1
    assert streams.misplaced() == []
    streams.now = MUTE_AFTER_S
    streams.gather()
    assert streams.asked == {1: frozenset(), 2: frozenset({7, 8})}
    assert streams.subscribe(9) == 2, "it has not been heard yet, and is not known to be mute"
    streams.brought(2)
    streams.now += 100 * MUTE_AFTER_S
    assert streams.misplaced() == []


def test_where_all_are_mute_nothing_moves_to_and_fro_until_one_connects_again_or_speaks() -> None:
    streams = Streams()
    streams.subscribe(7)
    for _ in range(3):
        streams.now += MUTE_AFTER_S
        streams.gather()
    assert streams.asked == {1: frozenset(), 2: frozenset({7})}
    streams.came_up(1)  # with another token of the day, perhaps of another plan
    streams.gather()
    assert streams.asked == {1: frozenset({7}), 2: frozenset()}
    streams.brought(1)
    streams.now += MUTE_AFTER_S
    assert streams.misplaced() == []


def test_a_stream_that_has_just_connected_again_has_its_time_to_speak() -> None:
    streams = Streams()
    streams.subscribe(7)
    streams.up.clear()
    streams.now = 10 * MUTE_AFTER_S
    streams.up.update((1, 2))
    streams.came_up(1)
    assert streams.misplaced() == []


def test_a_stream_that_is_full_is_no_better_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tick_streams, "MOST_INSTRUMENTS", 1)
    streams = Streams()
    assert (streams.subscribe(7), streams.subscribe(8)) == (1, 2)
    with pytest.raises(TooManyInstruments):
        streams.subscribe(9)
    streams.brought(2)
    streams.now = MUTE_AFTER_S
    assert streams.misplaced() == []
