"""What instruments cost now, for those of which the tick stream says nothing. Blocking: call it from a thread."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from actors.domain.identifiers import Instrument
from actors.domain.money import Paise, round_to_paise
from broker.exchange_time import IST
from broker.kite.credentials import KiteCredentials
from broker.kite.login import Timeout, explain, kite_client

T = TypeVar("T")

MOST_AT_ONCE = 500
"""Instruments that one call of `/quote` may name; Kite allows one such call a second (kite.md §1.5)."""

MOST_RUPEES = 10**9
"""No share costs more; what does is no price."""


class Quote(NamedTuple):
    """The last trade of an instrument: its price in paise, when it was made, timezone-aware, and today's token."""

    instrument: Instrument
    price: Paise
    traded_at: datetime
    token: int


def market_quotes(
    credentials: KiteCredentials, instruments: Sequence[Instrument], *, root: str, timeout_s: Timeout
) -> list[Quote]:
    """The quotes of up to 500 instruments, through the proxy of the credentials; those that the broker has none for are
    left out.

    Raises:
        BrokerError: whatever went wrong (`login.explain`).
    """
    keys = [instrument.key for instrument in instruments[:MOST_AT_ONCE]]
    return _read(credentials, root, timeout_s, lambda kite: quotes_of(instruments, kite.quote(keys)))


def quotes_of(instruments: Sequence[Instrument], rows: Mapping[str, Any]) -> list[Quote]:
    """The quotes of an answer that make sense; one that makes none is left out, as if the broker had none."""
    found = [(instrument, rows[instrument.key]) for instrument in instruments if instrument.key in rows]
    return [quote for instrument, row in found if (quote := _quote(instrument, row)) is not None]


def _quote(instrument: Instrument, row: Any) -> Quote | None:
    if not isinstance(row, Mapping):
        return None
    # an index has no trades of its own; a share that has never traded has no stamp at all
    stamp, price = row.get("last_trade_time") or row.get("timestamp"), row.get("last_price")
    token = row.get("instrument_token")
    if (
        not isinstance(token, int)
        or not isinstance(stamp, datetime)
        or not isinstance(price, int | float)
        or not 0 < price < MOST_RUPEES
    ):
        return None
    paise = round_to_paise(price)
    if paise <= 0:
        return None
    # the client drops the zone of what Kite writes in IST
    at = stamp if stamp.tzinfo is not None else stamp.replace(tzinfo=IST)
    return Quote(instrument, paise, at, token)


def market_tokens(
    credentials: KiteCredentials, instruments: Sequence[Instrument], *, root: str, timeout_s: Timeout
) -> dict[str, int]:
    """Today's token of each of up to 500 instruments, by their keys; what the broker does not list is left out.

    Raises:
        BrokerError: whatever went wrong (`login.explain`).
    """
    keys = [instrument.key for instrument in instruments[:MOST_AT_ONCE]]
    return _read(credentials, root, timeout_s, lambda kite: tokens_of(instruments, kite.ltp(keys)))


def tokens_of(instruments: Sequence[Instrument], rows: Mapping[str, Any]) -> dict[str, int]:
    """The tokens of an answer, by key. One that makes no sense changes nothing: the token that is known goes on."""
    found: dict[str, int] = {}
    for instrument in instruments:
        if instrument.key in rows:
            row = rows[instrument.key]
            token = row.get("instrument_token") if isinstance(row, Mapping) else None
            sound = isinstance(token, int) and not isinstance(token, bool) and token > 0
            found[instrument.key] = token if sound and token is not None else instrument.token
    return found


def _read(credentials: KiteCredentials, root: str, timeout_s: Timeout, read: Callable[[Any], T]) -> T:
    try:
        with kite_client(
            credentials.api_key, credentials.access_token, root=root, timeout_s=timeout_s, proxy=credentials.proxy
        ) as kite:
            return read(kite)
    except Exception as error:
        raise explain(error) from error
