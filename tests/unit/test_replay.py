"""A strategy over a recorded day: the same decisions as in the market, in virtual time."""

from datetime import datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from actors.domain.errors import InvalidValue
from actors.domain.strategy.state import Phase
from actors.replay import RecordedTick, Replay, read_bars, replay

YESBANK = Path(__file__).parents[2] / "broker" / "paper" / "data" / "YESBANK-2019-07-09-1min.csv"
HEADER = "time_ist,open,high,low,close,volume"
OPEN = datetime.fromisoformat("2019-07-09T09:15:00+05:30")


def ticks(*prices: int, every: timedelta = timedelta(seconds=1)) -> list[RecordedTick]:
    return [RecordedTick(OPEN + i * every, price) for i, price in enumerate(prices)]


def run(recording: list[RecordedTick], buy: str, sell: str, stop: int) -> Replay:
    return replay(recording, time.fromisoformat(buy), time.fromisoformat(sell), stop, 10, "YESBANK")


def decisions(result: Replay) -> list[tuple[str, str, int | None]]:
    return [(f"{d.at:%H:%M:%S}", d.event, d.price) for d in result.decisions]


def a_file(folder: Path, *lines: str, header: str = HEADER) -> Path:
    path = folder / "day.csv"
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def test_it_buys_and_sells_at_the_prices_of_the_instants() -> None:
    result = run(ticks(9500, 9510, 9520, 9530, 9540), "09:15:01", "09:15:03", 9000)
    assert decisions(result) == [("09:15:01", "BUY", 9510), ("09:15:03", "SELL", 9530)]
    assert result.position.pnl == Decimal("2.00")
    assert result.state.phase is Phase.ENDED


def test_a_touch_of_the_stop_sells_at_the_price_that_touched_it() -> None:
    result = run(ticks(9500, 9510, 9200, 9100, 9540), "09:15:01", "15:20", 9200)
    assert decisions(result) == [("09:15:01", "BUY", 9510), ("09:15:02", "STOPLOSS", 9200)]


def test_a_touch_before_the_buy_sells_nothing() -> None:
    result = run(ticks(9000, 9000, 9510, 9520), "09:15:02", "09:15:03", 9200)
    assert [event for _, event, _ in decisions(result)] == ["BUY", "SELL"]


def test_the_stop_loss_wins_over_a_sell_of_the_same_instant() -> None:
    result = run(ticks(9500, 9510, 9200), "09:15:01", "09:15:02", 9200)
    assert [event for _, event, _ in decisions(result)] == ["BUY", "STOPLOSS"]


def test_what_is_open_at_the_end_of_the_recording_is_sold() -> None:
    result = run(ticks(9500, 9510, 9520), "09:15:01", "15:20", 9000)
    assert decisions(result)[-1] == ("09:15:02", "SELL", 9520)
    assert result.position.open_quantity == 0


def test_a_day_that_ends_before_the_buy_trades_nothing() -> None:
    result = run(ticks(9500, 9510), "10:00", "15:20", 9000)
    assert result.decisions == ()
    assert result.state.phase is Phase.ENDED


@pytest.mark.parametrize("buy", ["09:14:58", "09:00"])
def test_a_buy_before_the_first_price_is_refused_in_words(buy: str) -> None:
    with pytest.raises(InvalidValue, match="no price yet"):
        run(ticks(9500, 9510), buy, "15:20", 9000)


def test_a_buy_after_the_sell_is_refused() -> None:
    with pytest.raises(InvalidValue):
        run(ticks(9500), "10:00", "09:30", 9000)


def test_a_replay_is_the_same_every_time() -> None:
    bars = read_bars(YESBANK)
    first = run(bars, "09:30", "15:10", 9200)
    assert first == run(bars, "09:30", "15:10", 9200)
    assert first.decisions[0].event == "BUY"
    assert first.position.bought == first.position.sold == 10


def test_a_bar_is_walked_from_open_to_low_to_high_to_close(tmp_path: Path) -> None:
    bars = read_bars(a_file(tmp_path, "2019-07-09T09:15:00+05:30,95.00,96.00,93.90,94.85,100"))
    assert [(tick.at - OPEN, tick.price) for tick in bars] == [
        (timedelta(seconds=0), 9500),
        (timedelta(seconds=15), 9390),
        (timedelta(seconds=30), 9600),
        (timedelta(seconds=45), 9485),
    ]


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("2019-07-09T09:15:00+05:30,95.00,96.00,93.90",),
        ("2019-07-09T09:15:00+05:30,95.00,96.00,many,94.85,1",),
        ("2019-07-09T09:15:00+05:30,NaN,96.00,95.00,94.85,1",),
        ("2019-07-09T09:15:00+05:30,95.001,96.00,93.90,94.85,1",),
        ("09:15,95.00,96.00,93.90,94.85,1",),
        ("2019-07-09T09:15:00,95.00,96.00,93.90,94.85,1",),
        ("2019-07-09T09:16:00+05:30,95,96,94,95,1", "2019-07-09T09:15:00+05:30,95,96,94,95,1"),
    ],
)
def test_a_file_that_is_no_recording_is_refused_in_words(tmp_path: Path, lines: tuple[str, ...]) -> None:
    with pytest.raises(InvalidValue, match=r"day\.csv"):
        read_bars(a_file(tmp_path, *lines))


def test_a_file_of_other_columns_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="not a bar"):
        read_bars(a_file(tmp_path, "2019-07-09T09:15:00+05:30,95", header="time,price"))
