"""What an account can pay for, and what its instruments trade at: questions in numbers of many, not one by one.

Blocking: call it from a thread. Importing `kiteconnect` is left to the first call (`broker.kite.login`).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

from actors.domain.identifiers import Instrument, Product
from broker.kite.login import Position, Timeout, explain, kite_client, owed
from broker.proxy import Proxy

QUOTES_AT_A_TIME = 500
"""How many instruments one request may name (kite.md §1.5)."""

MARGINS_AT_A_TIME = 100
"""How many orders one request names; Kite documents no limit."""

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class DayQuote:
    """Rupees; None where the broker gives no such price. The circuits are those of the day."""

    last: Decimal | None
    previous_close: Decimal | None
    lower_circuit: Decimal | None
    upper_circuit: Decimal | None


@dataclass(frozen=True, slots=True)
class Purchase:
    """A BUY at the market price that is to be placed later."""

    instrument: Instrument
    product: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Funds:
    """Rupees: what the account has free for new orders, and what each purchase would need by itself."""

    free: Decimal
    needed: tuple[Decimal, ...]


def day_quotes(
    api_key: str,
    access_token: str,
    instruments: Collection[Instrument],
    *,
    root: str,
    timeout_s: Timeout,
    proxy: Proxy | None = None,
) -> Mapping[str, DayQuote]:
    """Quotes by `Instrument.key`; an instrument that the broker does not know is absent.

    Raises:
        InvalidToken, ExpiredToken: if the access token is refused.
        BrokerRefused, BrokerUnreachable: for any other answer, or none.
    """
    keys = sorted({instrument.key for instrument in instruments})
    found: dict[str, DayQuote] = {}
    with _asking(api_key, access_token, root, timeout_s, proxy) as kite:
        for part in _parts(keys, QUOTES_AT_A_TIME):
            found |= {key: _quote(row) for key, row in kite.quote(*part).items() if key in part}
    return found


def shares_owed_of(
    api_key: str,
    access_token: str,
    wanted: Collection[Position],
    *,
    root: str,
    timeout_s: Timeout,
    proxy: Proxy | None = None,
) -> Mapping[Position, int]:
    """By how many shares the account is short of each; raises as `day_quotes`. See `owed`."""
    with _asking(api_key, access_token, root, timeout_s, proxy) as kite:
        positions = kite.positions()["net"]
        owing = {position: owed(position, positions, ()) for position in wanted}
        if any(owing[position] for position in wanted if position[2] == Product.CNC):
            holdings = kite.holdings()
            owing = {position: owed(position, positions, holdings) for position in wanted}
    return owing


def funds(
    api_key: str,
    access_token: str,
    purchases: Sequence[Purchase],
    *,
    root: str,
    timeout_s: Timeout,
    proxy: Proxy | None = None,
) -> Funds:
    """What is free, and the margin of each purchase in its order (kite.md §1.10); raises as `day_quotes`."""
    with _asking(api_key, access_token, root, timeout_s, proxy) as kite:
        free = _amount(kite.margins("equity")["net"])
        needed: list[Decimal] = []
        for part in _parts(purchases, MARGINS_AT_A_TIME):
            rows = kite.order_margins([_order(purchase) for purchase in part])
            if [(row["exchange"], row["tradingsymbol"]) for row in rows] != [
                (purchase.instrument.exchange, purchase.instrument.tradingsymbol) for purchase in part
            ]:
                raise ValueError("the broker's margins are not those of the orders that were asked about")
            needed += [_amount(row["total"]) for row in rows]
    return Funds(free, tuple(needed))


@contextmanager
def _asking(api_key: str, access_token: str, root: str, timeout_s: Timeout, proxy: Proxy | None) -> Iterator[Any]:
    try:
        with kite_client(api_key, access_token, root=root, timeout_s=timeout_s, proxy=proxy) as kite:
            yield kite
    except Exception as error:
        raise explain(error) from error


def _parts(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]


def _order(purchase: Purchase) -> dict[str, Any]:
    return {
        "exchange": purchase.instrument.exchange,
        "tradingsymbol": purchase.instrument.tradingsymbol,
        "transaction_type": "BUY",
        "variety": "regular",
        "product": purchase.product,
        "order_type": "MARKET",
        "quantity": purchase.quantity,
        "price": 0,
        "trigger_price": 0,
    }


def _quote(row: Mapping[str, Any]) -> DayQuote:
    return DayQuote(
        last=_price(row["last_price"]),
        previous_close=_price(row.get("ohlc", {}).get("close")),
        lower_circuit=_price(row.get("lower_circuit_limit")),
        upper_circuit=_price(row.get("upper_circuit_limit")),
    )


def _price(number: object) -> Decimal | None:
    price = Decimal(0) if number is None else Decimal(str(number))
    return price if price.is_finite() and price > 0 else None


def _amount(number: object) -> Decimal:
    amount = Decimal(str(number))
    if not amount.is_finite():
        raise ValueError("the broker's answer has something else where an amount belongs")
    return amount
