"""A strategy over a recorded day: the same decisions as in the market, in virtual time."""

from datetime import datetime, time, timedelta
from decimal import Decimal

import pytest

from actors.domain.errors import InvalidValue
from actors.domain.strategy.state import Phase
from actors.replay.files.reading import read_recording
from actors.replay.player import Replay, replay
from actors.replay.ticks import RecordedTick, walked
from tests.unit.replay.recordings import OPEN, YESBANK

SECOND = timedelta(seconds=1)


def ticks(*prices: int, at: datetime = OPEN, every: timedelta = SECOND) -> list[RecordedTick]:
    return [RecordedTick(at + i * every, price, at + (i + 1) * every) for i, price in enumerate(prices)]


def run(recording: list[RecordedTick], buy: str, sell: str, stop: int) -> Replay:
    return replay(recording, time.fromisoformat(buy), time.fromisoformat(sell), stop, 10, "YESBANK")


def decisions(result: Replay) -> list[tuple[str, str, int | None]]:
    return [(f"{d.at:%H:%M:%S}", d.event, d.price) for d in result.decisions]


def test_it_buys_and_sells_at_the_prices_of_the_instants() -> None:
    result = run(ticks(9500, 9510, 9520, 9530, 9540), "09:15:01", "09:15:03", 9000)
    assert decisions(result) == [("09:15:01", "BUY", 9510), ("09:15:03", "SELL", 9530)]
    assert result.position.pnl == Decimal("2.00")
    assert result.state.phase is Phase.ENDED
    assert result.notes == ()


def test_it_can_buy_at_the_first_price_of_the_recording() -> None:
    result = run(ticks(9500, 9501, 9502), "09:15", "09:15:02", 9000)
    assert [(event, price) for _, event, price in decisions(result)] == [("BUY", 9500), ("SELL", 9502)]
    assert result.position.pnl == Decimal("0.20")


def test_a_touch_of_the_stop_sells_at_the_price_that_touched_it() -> None:
    result = run(ticks(9500, 9510, 9200, 9100, 9540), "09:15:01", "15:20", 9200)
    assert decisions(result) == [("09:15:01", "BUY", 9510), ("09:15:02", "STOPLOSS", 9200)]


def test_a_touch_before_the_buy_sells_nothing() -> None:
    result = run(ticks(9000, 9000, 9510, 9520), "09:15:02", "09:15:03", 9200)
    assert [event for _, event, _ in decisions(result)] == ["BUY", "SELL"]


def test_the_stop_loss_wins_over_a_sell_of_the_same_instant() -> None:
    result = run(ticks(9500, 9510, 9200), "09:15:01", "09:15:02", 9200)
    assert [event for _, event, _ in decisions(result)] == ["BUY", "STOPLOSS"]


def test_a_day_that_ends_early_sells_nothing_and_says_what_is_still_held() -> None:
    result = run(ticks(9500, 9510, 9520), "09:15:01", "15:20", 9000)
    assert decisions(result) == [("09:15:01", "BUY", 9510)]
    assert result.state.position_status == "bought"
    (note,) = result.notes
    assert note == (
        "The recording ends at 09:15:03, and the SELL at 15:20:00 is not in it: nothing was sold. "
        "At the last price, ₹95.20, the profit or loss would be ₹1.00"
    )


def test_a_sell_at_the_very_end_of_the_recording_is_not_in_it() -> None:
    assert [event for _, event, _ in decisions(run(ticks(9500, 9510), "09:15:01", "09:15:02", 9000))] == ["BUY"]


def test_a_day_that_ends_before_the_buy_trades_nothing_and_says_so() -> None:
    result = run(ticks(9500, 9510), "10:00", "15:20", 9000)
    assert result.decisions == ()
    assert result.state.phase is Phase.ENDED
    assert result.notes == ("The recording has no price from the BUY at 10:00:00 to its end: nothing was bought",)


def test_a_buy_in_a_gap_takes_the_next_price_and_says_so() -> None:
    later = ticks(9800, 9810, at=OPEN + timedelta(minutes=17))
    result = run([*ticks(9500, 9510), *later], "09:20", "09:32:01", 9000)
    assert decisions(result) == [("09:32:00", "BUY", 9800), ("09:32:01", "SELL", 9810)]
    assert result.notes == ("No bar holds 09:20:00: the BUY takes the next one, of 09:32:00",)


def test_a_buy_whose_next_price_is_at_or_below_the_stop_buys_nothing() -> None:
    later = ticks(8900, at=OPEN + timedelta(minutes=17))
    result = run([*ticks(9500), *later], "09:20", "15:20", 9000)
    assert result.decisions == ()
    assert "at or below the stop-loss" in result.state.message


def test_a_buy_and_a_sell_in_one_gap_trade_nothing() -> None:
    later = ticks(9800, at=OPEN + timedelta(minutes=17))
    result = run([*ticks(9500), *later], "09:20", "09:30", 9000)
    assert result.decisions == ()
    assert result.notes == (
        "The recording has no price from the BUY at 09:20:00 to the SELL at 09:30:00: nothing was bought",
    )


def test_a_sell_in_a_gap_takes_the_next_price_and_says_so() -> None:
    later = ticks(9800, at=OPEN + timedelta(minutes=17))
    result = run([*ticks(9500, 9510), *later], "09:15:01", "09:20", 9000)
    assert decisions(result) == [("09:15:01", "BUY", 9510), ("09:32:00", "SELL", 9800)]
    assert result.notes == ("No bar holds 09:20:00: the SELL takes the next one, of 09:32:00",)


def test_a_stop_loss_before_a_sell_in_a_gap_says_nothing_about_the_sell() -> None:
    later = ticks(9800, at=OPEN + timedelta(minutes=17))
    result = run([*ticks(9500, 9510, 8900), *later], "09:15:01", "09:20", 9000)
    assert decisions(result)[-1] == ("09:15:02", "STOPLOSS", 8900)
    assert result.notes == ()


@pytest.mark.parametrize("buy", ["09:14:58", "09:00"])
def test_a_buy_before_the_first_price_is_refused_in_words(buy: str) -> None:
    with pytest.raises(InvalidValue, match="no price yet"):
        run(ticks(9500, 9510), buy, "15:20", 9000)


def test_a_buy_after_the_sell_is_refused() -> None:
    with pytest.raises(InvalidValue):
        run(ticks(9500), "10:00", "09:30", 9000)


def test_a_replay_is_the_same_every_time() -> None:
    day = read_recording(YESBANK)
    bars = walked(day.bars, day.spacing, day.closes)
    first = run(bars, "09:30", "15:10", 9200)
    assert first == run(bars, "09:30", "15:10", 9200)
    assert decisions(first) == [("09:30:00", "BUY", 9535), ("12:29:15", "STOPLOSS", 9140)]
    assert first.position.bought == first.position.sold == 10
