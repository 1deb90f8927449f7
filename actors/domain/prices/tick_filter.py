"""The hygiene of ticks: which of them must not reach a decision."""

from datetime import datetime, timedelta

from actors.domain.money import Paise

AHEAD = timedelta(seconds=2)
"""A stamp that is further ahead of our clock, and of what its connection sends, is wrong."""

LARGEST_OFFSET = timedelta(minutes=30)
"""While nothing is known of a connection, its stamps are believed if our clock is off by no more than this."""

_NONE = timedelta(0)


class TickFilter:
    """Drops what must not reach a decision: prices of zero or less, what is older than the newest, impossible stamps.

    Ticks of the same exchange second pass, in the order of arrival: Kite stamps whole seconds. What is possible, our
    clock and the stamps of the whole connection say together: a stamp must be ahead of both to be refused, so that
    neither an offset of our clock nor a feed that catches up loses a tick.
    """

    def __init__(self) -> None:
        self._newest: dict[int, datetime] = {}
        self.dropped = 0

    def accepts(
        self, token: int, price: Paise, stamped_at: datetime, received_at: datetime, lag: timedelta | None = None
    ) -> bool:
        """Whether the tick is usable; counts it in `dropped` if not. `lag` is that of its connection, if it is known.

        A newest stamp that was taken before anything was known of the connection, and that turns out to be impossible,
        makes nothing look old.
        """
        possible = received_at + AHEAD if lag is None else received_at + AHEAD - min(lag, _NONE)
        newest = self._newest.get(token)
        older = newest is not None and stamped_at < newest <= possible
        if price <= 0 or older or stamped_at > (received_at + LARGEST_OFFSET if lag is None else possible):
            self.dropped += 1
            return False
        self._newest[token] = stamped_at
        return True
