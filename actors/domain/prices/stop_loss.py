"""The stop-loss check, and which prices count for it."""

from datetime import datetime, timedelta

from actors.domain.money import Paise
from actors.domain.prices.tick import Tick


def watch_start(filled_at: datetime | None, now: datetime) -> datetime:
    """The instant from which trades count for the stop-loss of a position: its first fill, by the exchange's clock.

    `filled_at` is the broker's stamp of the fill. Without one, our clock must do. Kite stamps trades and fills with
    whole seconds, so the whole second of the fill counts. A trade of that second from before the fill would have been
    made within the same second as the BUY and at or below its stop-loss: a BUY that rested in the book would have had
    that trade itself, since it bids more. To leave the second out would lose the trade after the fill, and in a share
    that trades once in ten minutes that is ten minutes without a guard.
    """
    return (filled_at or now).replace(microsecond=0)


def move_start(watched_since: datetime, now: datetime, lag: timedelta) -> datetime:
    """The same for a stop-loss that is moved at `now`, with the stream `lag` behind our clock.

    Neither a feed that is late nor a clock of ours that is ahead may keep the new level from being watched, so the
    instant is where the stream was at that moment.
    """
    return max(watched_since, (now - lag).replace(microsecond=0))


def is_breached(stop_loss: Paise, tick: Tick, watched_since: datetime, level_set_at: datetime | None = None) -> bool:
    """Row F1: a trade stamped at or after `watched_since` was at or below the stop-loss, however late it is heard.

    What was stamped before never counts: not even as the price that Kite repeats at each subscribe (forum c/34446), or
    that a quote shows. A low counts if all that it may stem from does, and if it arrived after the trader moved the
    level (`level_set_at`, our clock). `watched_since` is of the exchange's clock (`watch_start`, `move_start`).
    """
    if tick.exchange_time < watched_since:
        return False
    if tick.price <= stop_loss:
        return True
    if tick.low > stop_loss or tick.extremes_from < watched_since:
        return False
    return level_set_at is None or tick.extremes_since >= level_set_at
