"""The picture of one replayed day: candles, the stop-loss while it was watched, BUY, and the sale."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from actors.domain.money import Paise, to_rupees
from actors.domain.orders.order import OrderEvent
from actors.replay.bar import Bar
from actors.replay.chart.candles import Candle, candles_of
from actors.replay.chart.elements import label, line, path, triangle, written
from actors.replay.chart.scales import Scales
from actors.replay.player import Replay, ReplayedDecision

_SPARE = 12
"""The part of the day's range of prices that stays free above and below: one twelfth."""

_STYLE = """
:root{color-scheme:light dark;width:100%;height:auto;max-height:100vh;background:#fff;--ink:#1b2430;--faint:#5b6775;
--rule:#e3e7ec;--up:#0a7d55;--down:#c0392b;--buy:#1558c0;--stop:#a4530a}
@media (prefers-color-scheme:dark){:root{background:#12171e;--ink:#e8edf3;--faint:#9fabb8;--rule:#28313c;--up:#35c493;
--down:#ff7a6b;--buy:#79b1ff;--stop:#ffb35c}}
text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;fill:var(--ink)}
.axis{fill:var(--faint);font-size:13px}.title{font-size:18px;font-weight:600}.told{font-size:14px;fill:var(--faint)}
.rule{stroke:var(--rule);stroke-width:1}.wick{stroke-width:1;fill:none}
.up.wick{stroke:var(--up)}.down.wick{stroke:var(--down)}.up.body{fill:var(--up)}.down.body{fill:var(--down)}
.stop{stroke:var(--stop);stroke-width:2;stroke-dasharray:6 4}
.held{stroke:var(--buy);stroke-width:1.5;stroke-dasharray:2 3}
.mark{stroke:var(--paper);stroke-width:1.5;paint-order:stroke}
.buy.mark{fill:var(--buy)}.sale.mark{fill:var(--down)}
.note{font-size:14px;font-weight:600;stroke:var(--paper);stroke-width:4px;stroke-linejoin:round;paint-order:stroke}
.note.buy{fill:var(--buy)}.note.sale{fill:var(--down)}.note.level{fill:var(--stop)}
:root{--paper:#fff}@media (prefers-color-scheme:dark){:root{--paper:#12171e}}
@media (max-width:600px){:root{height:140vw}.wide{display:none}.narrow{display:inline}}
"""


@dataclass(frozen=True, slots=True)
class _Layout:
    """One of the two layouts: where in the picture the plot is, and how much it has room for."""

    name: str
    width: int
    height: int
    left: int
    right: int
    top: int
    candles: int
    prices: int
    times: int
    size: int


_WIDE = _Layout("wide", 1000, 560, left=16, right=76, top=76, candles=400, prices=8, times=9, size=12)
_NARROW = _Layout("narrow", 400, 560, left=8, right=62, top=96, candles=100, prices=8, times=4, size=10)
_BELOW = 34
_LETTER = 8.4
"""How wide a letter of a note is, about."""


def picture(bars: Sequence[Bar], spacing: timedelta, closes: datetime, played: Replay, result: str) -> str:
    """The SVG of a day. `result` is the sentence under its title.

    It has two layouts; a window of 600 pixels or less shows the narrow one.
    """
    run = played.state.run
    title = f"{run.quantity} {run.instrument.symbol} on {bars[0].start:%d %b %Y}"
    parts = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDE.width}" height="{_WIDE.height}" role="img">',
        f"<title>{written(title)}</title><desc>{written(_described(played, result))}</desc><style>{_STYLE}</style>",
    ]
    for layout in (_WIDE, _NARROW):
        shown = "" if layout is _WIDE else ' display="none"'
        box = f"0 0 {layout.width} {layout.height}"
        parts.append(f'<svg class="{layout.name}"{shown} width="100%" height="100%" viewBox="{box}">')
        parts += _drawn(layout, bars, spacing, closes, played, title, result)
        parts.append("</svg>")
    return "\n".join([*parts, "</svg>", ""])


def _drawn(
    layout: _Layout,
    bars: Sequence[Bar],
    spacing: timedelta,
    closes: datetime,
    played: Replay,
    title: str,
    result: str,
) -> Iterator[str]:
    scales = _scales(layout, bars, closes, played.state.run.stop_loss)
    yield label("title", layout.left, 28, title)
    for number, told in enumerate(_wrapped(result, layout.width // 8)):
        yield label("told", layout.left, 50 + 18 * number, told)
    yield from _axes(layout, scales)
    yield from _candles(candles_of(bars, spacing, layout.candles), scales)
    yield from _stop(scales, played)
    yield from _marks(layout, scales, played)


def _scales(layout: _Layout, bars: Sequence[Bar], closes: datetime, stop: Paise) -> Scales:
    low, high = min(bar.low for bar in bars), max(bar.high for bar in bars)
    span = max(high - low, 2)
    if low - span <= stop <= high + span:  # a stop-loss that is further away would leave no room for the prices
        low, high = min(low, stop), max(high, stop)
    spare = max((high - low) // _SPARE, 1)
    return Scales(
        left=layout.left,
        top=layout.top,
        width=layout.width - layout.left - layout.right,
        height=layout.height - layout.top - _BELOW,
        begins=bars[0].start,
        ends=closes,
        lowest=low - spare,
        highest=high + spare,
    )


def _axes(layout: _Layout, scales: Scales) -> Iterator[str]:
    right, bottom = scales.left + scales.width, scales.top + scales.height
    for price in scales.round_prices(layout.prices):
        y = scales.y(price)
        yield line("rule", scales.left, y, right, y)
        yield label("axis", right + 8, y + 4, str(to_rupees(price)))
    for at in scales.round_times(layout.times):
        x = scales.x(at)
        yield line("rule", x, scales.top, x, bottom)
        yield label("axis", x, bottom + 20, f"{at:%H:%M}", "middle")


def _candles(candles: Sequence[Candle], scales: Scales) -> Iterator[str]:
    for css, rises in (("up", True), ("down", False)):
        wicks, bodies = "", ""
        for candle in (candle for candle in candles if candle.rises is rises):
            left, right = scales.x(candle.begins), scales.x(candle.ends)
            middle, air = (left + right) / 2, (right - left) * 0.15
            wicks += f"M{middle:.1f} {scales.y(candle.high):.1f}V{scales.y(candle.low):.1f}"
            top, bottom = sorted((scales.y(candle.open), scales.y(candle.close)))
            bodies += f"M{left + air:.1f} {top:.1f}H{right - air:.1f}V{max(bottom, top + 0.8):.1f}H{left + air:.1f}Z"
        if wicks:
            yield path(f"{css} wick", wicks)
            yield path(f"{css} body", bodies)


def _stop(scales: Scales, played: Replay) -> Iterator[str]:
    """The level while it was watched; all day if nothing was bought."""
    stop = played.state.run.stop_loss
    bought, sold = _trade(played, OrderEvent.BUY), _sale(played)
    left = scales.x(bought.at) if bought else scales.left
    right = scales.x(sold.at) if sold else scales.left + scales.width
    text = f"stop-loss ₹{to_rupees(stop)}"
    if scales.lowest < stop < scales.highest:
        y = scales.y(stop)
        yield line("stop", left, y, right, y)
        yield label("note level", left + 6, y - 7, text)
    else:
        side, y = ("below", scales.top + scales.height - 6) if stop <= scales.lowest else ("above", scales.top + 16)
        yield label("note level", scales.left + 6, y, f"{text}, {side} the picture")


def _marks(layout: _Layout, scales: Scales, played: Replay) -> Iterator[str]:
    bought, sold = _trade(played, OrderEvent.BUY), _sale(played)
    if bought and sold and bought.price is not None and sold.price is not None:
        yield line("held", scales.x(bought.at), scales.y(bought.price), scales.x(sold.at), scales.y(sold.price))
    for css, decision, up in (("buy", bought, True), ("sale", sold, False)):
        if decision is None or decision.price is None:
            continue
        x, y = scales.x(decision.at), scales.y(decision.price)
        yield triangle(f"{css} mark", x, y, layout.size, up=up)
        below = up or decision.event == OrderEvent.STOPLOSS  # the level of the stop-loss is above such a sale
        text_y = y + (layout.size if up else 0) + 18 if below else y - layout.size - 6
        text_y = min(max(text_y, scales.top + 14), scales.top + scales.height - 6)
        text = f"{decision.event} {decision.at:%H:%M:%S} at ₹{to_rupees(decision.price)}"
        yield label(f"note {css}", _beside(x, len(text) * _LETTER, scales), text_y, text)


def _beside(x: float, width: float, scales: Scales) -> float:
    """Where a text begins that belongs to x: on the side that has more room, and within the plot."""
    begins = x - width if x > scales.left + scales.width / 2 else x
    return max(min(begins, scales.left + scales.width - width), scales.left)


def _trade(played: Replay, event: OrderEvent) -> ReplayedDecision | None:
    return next((decision for decision in played.decisions if decision.event == event), None)


def _sale(played: Replay) -> ReplayedDecision | None:
    return _trade(played, OrderEvent.STOPLOSS) or _trade(played, OrderEvent.SELL)


def _described(played: Replay, result: str) -> str:
    trades = [
        f"{decision.event} at {decision.at:%H:%M:%S} for ₹{to_rupees(decision.price)}"
        for decision in played.decisions
        if decision.price is not None
    ]
    return f"{', '.join(trades) or 'No trades'}. {result}"


def _wrapped(text: str, columns: int) -> Sequence[str]:
    """Two lines at most: the sentence stands in full in the description."""
    return textwrap.wrap(text, columns, max_lines=2, placeholder=" …")
