"""The picture of a day: well-formed, without scripts, with every decision marked within it."""

from datetime import time
from xml.etree import ElementTree as ET

import pytest

from actors.replay.chart.candles import candles_of
from actors.replay.chart.picture import picture
from actors.replay.chart.scales import Scales
from actors.replay.files.reading import read_recording
from actors.replay.player import replay
from actors.replay.ticks import walked
from tests.unit.replay.recordings import MINUTE, OPEN, YESBANK

SVG = "{http://www.w3.org/2000/svg}"


def drawn(stop: int, symbol: str = "YESBANK", buy: time = time(9, 30)) -> ET.Element:
    day = read_recording(YESBANK)
    ticks = walked(day.bars, day.spacing, day.closes)
    played = replay(ticks, buy, time(15, 10), stop, 100, symbol)
    return ET.fromstring(picture(day.bars, day.spacing, day.closes, played, "It ended"))  # noqa: S314 - ours


def texts(svg: ET.Element, layout: str) -> list[str]:
    found = svg.find(f"{SVG}svg[@class='{layout}']")
    assert found is not None
    return [text.text or "" for text in found.iter(f"{SVG}text")]


@pytest.mark.parametrize("layout", ["wide", "narrow"])
def test_buy_stop_loss_and_sale_are_named_in_both_layouts(layout: str) -> None:
    shown = texts(drawn(9200), layout)
    assert "100 YESBANK on 09 Jul 2019" in shown
    assert {"BUY 09:30:00 at ₹95.35", "STOPLOSS 12:29:15 at ₹91.40", "stop-loss ₹92.00"} <= set(shown)


def test_a_stop_loss_that_is_far_below_the_prices_is_named_at_the_edge() -> None:
    shown = texts(drawn(5000), "wide")
    assert "stop-loss ₹50.00, below the picture" in shown
    assert "SELL 15:10:00 at ₹91.10" in shown


def test_a_day_without_a_trade_shows_its_prices() -> None:
    svg = drawn(9200, buy=time(14, 50))
    assert not [text for text in texts(svg, "wide") if text.startswith(("BUY", "SELL", "STOPLOSS"))]
    assert [path for path in svg.iter(f"{SVG}path") if "wick" in path.get("class", "")]


@pytest.mark.parametrize("symbol", ["<script>alert(1)</script>", "M&M", '"\x00\ud83d]]>'])
def test_a_symbol_is_text_whatever_it_holds(symbol: str) -> None:
    svg = drawn(9200, symbol)
    assert not list(svg.iter(f"{SVG}script"))
    assert svg.findtext(f"{SVG}title", "").startswith("100 ")


def test_only_the_wide_layout_shows_where_styles_are_not_known() -> None:
    shown = {group.get("class"): group.get("display") for group in drawn(9200).findall(f"{SVG}svg")}
    assert shown == {"wide": None, "narrow": "none"}


def test_everything_is_within_the_picture() -> None:
    for layout in drawn(9200).findall(f"{SVG}svg"):
        width, height = (float(edge) for edge in layout.get("viewBox", "").split()[2:])
        for text in layout.iter(f"{SVG}text"):
            assert 0 <= float(text.get("x", "-1")) <= width
            assert 0 <= float(text.get("y", "-1")) <= height


def test_candles_join_bars_and_leave_gaps_empty() -> None:
    bars = [bar for bar in read_recording(YESBANK).bars if not 10 <= (bar.start - OPEN) / MINUTE < 20]
    candles = candles_of(bars, MINUTE, most=75)
    assert candles[0].open == bars[0].open
    assert candles[0].close == bars[4].close
    assert candles[0].low == min(bar.low for bar in bars[:5])
    assert [(candle.begins - OPEN) / MINUTE for candle in candles[:4]] == [0, 5, 20, 25]
    assert len(candles_of(bars, MINUTE, most=400)) == len(bars)


@pytest.mark.parametrize(("low", "high"), [(9500, 9502), (9032, 9728), (14_000_000, 14_900_050), (1, 1_000_000_000)])
def test_axes_name_a_few_round_prices_and_times(low: int, high: int) -> None:
    scales = Scales(0, 0, 100, 100, OPEN, OPEN.replace(hour=15, minute=30), low, high)
    assert 1 <= len(scales.round_prices(8)) <= 9
    assert [f"{at:%H:%M}" for at in scales.round_times(4)] == ["10:00", "12:00", "14:00"]
