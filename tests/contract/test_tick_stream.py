"""What every `TickStream` promises of its places, on the fake of the unit tests and on the real one.

The real one is not connected: `tests/integration/broker/kite/test_market_feed.py` has it deliver ticks.
"""

import pytest

from actors.ports.prices import TickStream, TooManyInstruments
from broker.kite.streams.market_feed import MOST_CONNECTIONS, MarketFeed
from tests.kit.fakes.tick_stream import FakeTickStream

PLACES = 2


@pytest.fixture(params=["fake", "kite"])
def stream(request: pytest.FixtureRequest) -> TickStream:
    """A stream with two places on each connection."""
    if request.param == "fake":
        return FakeTickStream(most_instruments=PLACES)
    return MarketFeed(
        "ws://127.0.0.1:9",
        on_ticks=lambda _ticks: None,
        on_heard=lambda _connection: None,
        on_lost=lambda _connection, _reason: None,
        on_refused=lambda: None,
        most_instruments=PLACES,
    )


def test_an_instrument_keeps_its_connection(stream: TickStream) -> None:
    assert [stream.subscribe(token) for token in (1, 2, 3, 1, 2, 3)] == [0, 0, 1, 0, 0, 1]


def test_a_place_that_is_free_again_is_given_to_another_and_moves_none(stream: TickStream) -> None:
    for token in (1, 2, 3):
        stream.subscribe(token)
    stream.unsubscribe(1)
    assert [stream.subscribe(token) for token in (2, 3)] == [0, 1]
    assert [stream.subscribe(token) for token in (4, 5)] == [0, 1]


def test_an_instrument_that_is_not_subscribed_can_be_taken_off(stream: TickStream) -> None:
    stream.unsubscribe(1)
    stream.subscribe(1)
    stream.unsubscribe(1)
    stream.unsubscribe(1)
    assert stream.subscribe(1) == 0


def test_a_full_stream_refuses_one_more_until_a_place_is_free(stream: TickStream) -> None:
    for token in range(PLACES * MOST_CONNECTIONS):
        stream.subscribe(token)
    with pytest.raises(TooManyInstruments):
        stream.subscribe(100)
    assert stream.subscribe(0) == 0, "what is subscribed needs no further place"
    stream.unsubscribe(3)
    assert stream.subscribe(100) == 1
