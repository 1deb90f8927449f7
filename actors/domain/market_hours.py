"""When a segment takes an order: the day's sessions as data, narrowed by the exchange and by the broker.

Sources: NSE's closing auction session (SEBI circular of 16 January 2026, in force since 2026-08-03), and Zerodha's
square-off of intraday positions: kite.md §7.2 and §7.3. Wall-clock times are those of the exchange.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum

from actors.domain.identifiers import Product, Side
from actors.domain.session import LOOK_AHEAD_DAYS, SessionHours

AUCTION_FROM = time(15, 15)
"""From then on, shares with derivatives trade in the closing auction only, and take no order for five minutes."""

AUCTION_OPENS, AUCTION_MARKET_ENDS = time(15, 20), time(15, 25)
"""Between these the auction takes MARKET orders; after them, until its random close, LIMIT orders only."""


class Request(StrEnum):
    """What is to be sent."""

    ORDER = "order"
    CHANGE = "change"


@dataclass(frozen=True, slots=True)
class Window:
    """A part of the day, from `opens` on and before `closes`. `auction`: exits and changes only, nothing is begun."""

    opens: time
    closes: time
    auction: bool = False


@dataclass(frozen=True, slots=True)
class NotBefore:
    """Nothing may be sent now; `at` is when it may, timezone-aware. `reason` completes a sentence."""

    at: datetime
    reason: str


def windows(session: SessionHours, product: Product, mis_cutoff: time | None, *, has_derivatives: bool) -> list[Window]:
    """The parts of one session in which a product may be traded."""
    if has_derivatives and session.opens < AUCTION_FROM < session.closes:
        parts = [
            Window(session.opens, AUCTION_FROM),
            Window(AUCTION_OPENS, min(AUCTION_MARKET_ENDS, session.closes), auction=True),
        ]
    else:
        parts = [Window(session.opens, session.closes)]
    cutoff = session.mis_cutoff(mis_cutoff) if product is Product.MIS else None
    return parts if cutoff is None else _ended(parts, cutoff)


def _ended(parts: Sequence[Window], at: time) -> list[Window]:
    return [Window(part.opens, min(part.closes, at), part.auction) for part in parts if part.opens < at]


@dataclass(frozen=True, slots=True)
class MarketHours:
    """The hours of one broker's market. `sessions` tells those of a day; None: it is always open."""

    sessions: Callable[[date], Sequence[SessionHours]] | None
    zone: tzinfo
    mis_cutoff: time | None = None

    def refusal(
        self, now: datetime, side: Side, product: Product, request: Request, *, has_derivatives: bool
    ) -> NotBefore | None:
        """None if the request may leave now; else from when on it may."""
        sessions = self.sessions
        if sessions is None:
            return None
        local = now.astimezone(self.zone)
        begins = side is Side.BUY and request is Request.ORDER
        for ahead in range(LOOK_AHEAD_DAYS):
            day = local.date() + timedelta(days=ahead)
            for part in self._parts(sessions(day), product, begins=begins, has_derivatives=has_derivatives):
                opens, closes = (datetime.combine(day, at, self.zone) for at in (part.opens, part.closes))
                if opens <= now < closes:
                    return None
                if now < opens:
                    return NotBefore(opens, self._reason(local, sessions(local.date()), product, begins=begins))
        return NotBefore(now + timedelta(days=1), "no session of the coming days is known")

    def _parts(
        self, sessions: Sequence[SessionHours], product: Product, *, begins: bool, has_derivatives: bool
    ) -> list[Window]:
        found: list[Window] = []
        for session in sessions:
            parts = windows(session, product, self.mis_cutoff, has_derivatives=has_derivatives)
            found += _ended([part for part in parts if not part.auction], session.entries_end) if begins else parts
        return sorted(found, key=lambda part: part.opens)

    def _reason(self, local: datetime, today: Sequence[SessionHours], product: Product, *, begins: bool) -> str:
        if begins:
            return "the exchange takes no such order now"
        cutoffs = [session.mis_cutoff(self.mis_cutoff) for session in today if session.opens <= local.time()]
        cutoff = cutoffs[-1] if cutoffs and product is Product.MIS else None
        if cutoff is not None and local.time() >= cutoff:
            return f"the broker squares MIS positions off from {cutoff:%H:%M} on"
        if any(session.opens <= local.time() < session.closes for session in today):
            return "the closing auction takes no such order now"
        return "the exchange takes no order now"


ALWAYS_OPEN = MarketHours(None, UTC)
"""Of the paper exchange, and of CALENDAR=24x7."""
