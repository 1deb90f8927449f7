"""The trading session: which orders are taken and matched at which time of an Indian trading day.

Off by default: the exchange is then open round the clock. Hours of NSE with the closing auction of August 2026 for
shares with futures; the broker's cut-offs are settings, because they are not published for the days since then.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import time
from enum import StrEnum
from typing import TYPE_CHECKING

from broker.paper.base.clock import ist
from broker.paper.base.errors import input_error
from broker.paper.base.session_clock import SessionClock
from broker.paper.orders.order_form import TRIGGERED

if TYPE_CHECKING:
    from datetime import date

    from broker.paper.base.clock import Clock
    from broker.paper.base.instruments import Instrument, InstrumentList
    from broker.paper.orders.order import OrderTerms


class Phase(StrEnum):
    """What the exchange does with an instrument at a time."""

    CLOSED = "closed"
    PRE_OPEN = "pre-open"  # orders are collected and wait for the opening
    OPENING = "opening"  # no orders
    CONTINUOUS = "continuous"
    REFERENCE = "reference-price"  # no orders
    AUCTION = "auction"  # limit and market orders are collected
    AUCTION_LIMIT = "auction-limit-only"
    AUCTION_MATCH = "auction-match"  # no orders


class Group(StrEnum):
    """Instruments that keep the same hours."""

    FNO_SHARES = "fno_shares"
    SHARES = "shares"
    DERIVATIVES = "derivatives"


_MORNING = ((time(9, 0), Phase.PRE_OPEN), (time(9, 8), Phase.OPENING), (time(9, 15), Phase.CONTINUOUS))
AUCTION_MATCH_AT = time(15, 30)
HOURS: dict[Group, tuple[tuple[time, Phase], ...]] = {
    Group.FNO_SHARES: (
        *_MORNING,
        (time(15, 15), Phase.REFERENCE),
        (time(15, 20), Phase.AUCTION),
        (time(15, 25), Phase.AUCTION_LIMIT),
        (AUCTION_MATCH_AT, Phase.AUCTION_MATCH),
        (time(15, 35), Phase.CLOSED),
    ),
    Group.SHARES: (*_MORNING, (time(15, 30), Phase.CLOSED)),
    Group.DERIVATIVES: ((time(9, 15), Phase.CONTINUOUS), (time(15, 40), Phase.CLOSED)),
}
# Shares with futures must be squared off before their continuous trading ends.
MIS_CUTOFF = {Group.FNO_SHARES: time(15, 12), Group.SHARES: time(15, 20), Group.DERIVATIVES: time(15, 25)}
REFERENCE_FROM = time(15, 0)
AUCTION_BAND_PERCENT = 3

MARKET_CLOSED = "Your order could not be converted to a After Market Order (AMO)."
NO_ORDERS_NOW = "16387 : Security is not allowed to trade in this market"
NO_STOPS = "Stop loss orders are not allowed in the closing auction"
LIMIT_ONLY = "Only limit orders are allowed at the end of the closing auction"
OUTSIDE_AUCTION_BAND = "The price is outside the band of the closing auction"
DAY_ENDED = "Order cancelled at the end of the trading session."


@dataclass
class SessionSettings:
    """What of the session can be set. ``trading_days`` are special sessions at weekends; dates are ``YYYY-MM-DD``.

    ``square_off``: whether the broker squares off at ``mis_cutoff`` by itself. ``token_flush``: when access tokens
    end every morning; ``None`` is never.
    """

    on: bool = False
    holidays: frozenset[str] = frozenset()
    trading_days: frozenset[str] = frozenset()
    mis_cutoff: dict[Group, time] = field(default_factory=lambda: dict(MIS_CUTOFF))
    square_off: bool = True
    token_flush: time | None = time(6, 0)

    def is_trading_day(self, day: date) -> bool:
        """Whether the exchange opens on a day."""
        text = day.isoformat()
        return text in self.trading_days or (day.weekday() < 5 and text not in self.holidays)


class TradingSession:
    """Answers what is allowed now. It does nothing by itself: ``session_boundaries`` acts at the boundaries."""

    def __init__(self, clock: Clock, instruments: InstrumentList) -> None:
        self.settings = SessionSettings()
        self.reference: dict[int, int] = {}  # token -> reference price of today's closing auction, paise
        self.clock = SessionClock(clock)
        self._instruments = instruments

    def group(self, instrument: Instrument) -> Group:
        """The group whose hours apply to an instrument."""
        if instrument.is_derivative:
            return Group.DERIVATIVES
        return Group.FNO_SHARES if self._instruments.has_futures(instrument) else Group.SHARES

    def phase(self, group: Group) -> Phase:
        """What the exchange does with a group now; always continuous trading while the session is off."""
        if not self.settings.on:
            return Phase.CONTINUOUS
        now = ist(self.clock.now_ns())
        if not self.settings.is_trading_day(now.date()):
            return Phase.CLOSED
        hours = HOURS[group]
        begun = bisect_right(hours, now.time(), key=lambda entry: entry[0])
        return hours[begun - 1][1] if begun else Phase.CLOSED

    def may_trade(self, token: int) -> bool:
        """Whether an instrument is in continuous trading."""
        if not self.settings.on:
            return True
        instrument = self._instruments.by_token(token)
        return instrument is not None and self.phase(self.group(instrument)) is Phase.CONTINUOUS

    def is_past_cutoff(self, group: Group) -> bool:
        """Whether the broker takes no fresh intraday orders of a group any more today."""
        return self.settings.on and ist(self.clock.now_ns()).time() >= self.settings.mis_cutoff[group]

    def check_variety(self, terms: OrderTerms) -> None:
        """Refuse after market orders: only regular ones are played."""
        if self.settings.on and terms.variety == "amo":
            raise input_error("After market orders are not supported.")

    def check_cutoff(self, terms: OrderTerms, instrument: Instrument) -> None:
        """Refuse a fresh intraday order after the cut-off of its group."""
        group = self.group(instrument)
        if terms.product == "MIS" and self.is_past_cutoff(group):
            cutoff = self.settings.mis_cutoff[group].strftime("%H:%M")
            raise input_error(f"Intraday orders (MIS) are allowed only till {cutoff}. Try placing a CNC order.")

    def closed_reason(self, terms: OrderTerms) -> str | None:
        """Why the exchange rejects such an order at this time, if it does."""
        instrument = self._instruments.find(terms.key)
        if not self.settings.on or instrument is None:
            return None
        match self.phase(self.group(instrument)):
            case Phase.CLOSED:
                return MARKET_CLOSED
            case Phase.OPENING | Phase.REFERENCE | Phase.AUCTION_MATCH:
                return NO_ORDERS_NOW
            case (Phase.AUCTION | Phase.AUCTION_LIMIT) as phase:
                return self._auction_reason(terms, instrument.token, phase)
            case _:
                return None

    def auction_band(self, token: int) -> tuple[int, int] | None:
        """Lowest and highest price of the closing auction, paise; ``None`` before there is a reference price."""
        reference = self.reference.get(token)
        if reference is None:
            return None
        offset = reference * AUCTION_BAND_PERCENT // 100
        return reference - offset, reference + offset

    def _auction_reason(self, terms: OrderTerms, token: int, phase: Phase) -> str | None:
        if terms.order_type in TRIGGERED:
            return NO_STOPS
        if terms.order_type == "MARKET":
            return LIMIT_ONLY if phase is Phase.AUCTION_LIMIT else None
        band = self.auction_band(token)
        if band is not None and not band[0] <= terms.price_paise <= band[1]:
            return OUTSIDE_AUCTION_BAND
        return None
