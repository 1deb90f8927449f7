"""Row C1: what a strategy must be like. Pure: everything that has to be found out is an argument.

The same rules hold when a strategy is written, changed and started; each refusal names the field at fault.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import Decimal

from actors.domain.identifiers import Product
from actors.domain.money import Paise, round_rupees, to_rupees
from actors.domain.prices.stop_share import is_too_near
from actors.domain.session import SessionTimes
from api.base.errors import InvalidField
from broker.market.allowed_times import SessionRules, TimesRefused
from broker.market.instrument_list import EXCHANGES, INDEX_SEGMENT, ListedInstrument
from broker.market.nearest import Nearest
from broker.market.trading_calendar import TradingCalendar
from config.settings import Settings

_SYMBOL_LIKE = re.compile(r"[A-Z]+:[A-Z0-9][A-Z0-9&._ -]*")
_MOST_NAMED = 3
"""How many suggestions the sentence names; the answer has all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is to be traded, as far as rules apply to it.

    `stop_share`: the stop-loss is this many hundredths of a percent below the fill, and `stop_loss` 0 (row N5).
    """

    buy_time: time
    sell_time: time
    stop_loss: Paise
    quantity: int
    product: str
    stop_share: int | None = None


def check_listed(
    listed: ListedInstrument | None, exchange: str, tradingsymbol: str, near: Nearest | None = None
) -> ListedInstrument:
    """The broker's row of the symbol, if it is one of a share that can be bought; `near` is what may have been meant.

    Raises:
        InvalidField: on `symbol`, with the symbols of `near` as suggestions.
    """
    near = near or Nearest()
    suggestions = [row.instrument.key for row in near.instruments]
    if exchange not in EXCHANGES:
        message = f"must be on {' or '.join(EXCHANGES)}{_meant(suggestions)}"
        raise InvalidField("symbol", message, suggestions=suggestions)
    if listed is None:
        message = f"{_named(exchange, tradingsymbol)} is not known to your broker{_gone(near)}"
        advice = _meant(suggestions) or ". Write it as the exchange does, such as NSE:INFY"
        raise InvalidField("symbol", message + advice, suggestions=suggestions)
    if listed.segment == INDEX_SEGMENT:
        raise InvalidField("symbol", "is an index, which cannot be traded")
    if not listed.tradable:
        raise InvalidField("symbol", "is not a share that can be bought in the ordinary market")
    return listed


def check_tick(stop_loss: Paise, listed: ListedInstrument) -> None:
    """The exchange takes only prices on its grid. Raises InvalidField on `stop_loss`."""
    if listed.tick_paise > 0 and stop_loss % listed.tick_paise:
        raise InvalidField("stop_loss", f"must be a multiple of the tick size {to_rupees(listed.tick_paise)}")


def check_terms(
    terms: Terms, listed: ListedInstrument | None, calendar: TradingCalendar, now: datetime, settings: Settings
) -> SessionTimes:
    """All rules that need no price, and the session that a START at this moment would arm.

    Without `listed` (the broker's list cannot be had) the rules about the instrument are left out.

    Raises:
        InvalidField: on the first field that breaks a rule.
    """
    if listed is not None:
        check_tick(terms.stop_loss, listed)
        _check_product(terms, listed)
        _check_lot(terms, listed)
        _check_freeze(terms, listed)
    if terms.quantity > settings.max_quantity:
        raise InvalidField("quantity", f"must be at most {settings.max_quantity}")
    _check_notional(terms, to_rupees(terms.stop_loss), "stop-loss", settings)
    rules = SessionRules(
        calendar,
        has_derivatives=listed is not None and listed.has_derivatives,
        mis_cutoff=settings.mis_cutoff if terms.product == Product.MIS else None,
    )
    grace = timedelta(seconds=settings.missed_grace_s)
    try:
        return rules.session_times(terms.buy_time, terms.sell_time, now, settings.zone, grace)
    except TimesRefused as refusal:
        raise InvalidField(refusal.field, refusal.message) from refusal


def check_market_price(terms: Terms, last_price: Decimal, settings: Settings, tick: Paise = 0) -> None:
    """The rules about the price that the instrument trades at, in rupees, on a grid of `tick` paise (0: not known).

    Raises:
        InvalidField: on `stop_loss`, `stop_loss_percent` or `quantity`.
    """
    if terms.stop_share is not None and is_too_near(last_price, terms.stop_share, tick):
        what = f"is less than one tick ({to_rupees(max(tick, 1))}) at the market price {round_rupees(last_price)}"
        raise InvalidField("stop_loss_percent", f"{what}; choose a larger one")
    if to_rupees(terms.stop_loss) >= last_price:
        raise InvalidField("stop_loss", f"must be below the market price {round_rupees(last_price)}")
    _check_notional(terms, last_price, "market", settings)


def check_moved_stop(stop_loss: Paise, before: Paise, last_price: Decimal | None) -> None:
    """A stop-loss that is moved while the strategy runs, unless the user has confirmed it; `last_price` in rupees.

    At or above the price it would sell at once, or let the BUY be skipped: a slip of the finger must not. Where no
    price is known, a stop-loss that is not raised can do no such harm.

    Raises:
        InvalidField: on `stop_loss`, `stop_not_below_price` or `stop_price_unknown`.
    """
    wanted = to_rupees(stop_loss)
    if last_price is None:
        if stop_loss > before:
            message = f'may be above the market price, which is not known now; "confirm": true moves it to {wanted}'
            raise InvalidField("stop_loss", message, code="stop_price_unknown")
    elif wanted >= last_price:
        message = (
            f"{wanted} is not below the market price {round_rupees(last_price)}: the position would be sold at once, "
            'or not be bought; "confirm": true moves it nevertheless'
        )
        raise InvalidField("stop_loss", message, code="stop_not_below_price")


def start_message(buy_at: datetime, token_ends_at: datetime, *, asked: bool) -> str:
    """What the user reads of a START that succeeded; instants in the exchange's zone.

    `token_ends_at` is when the broker's access token is flushed; `asked`: the broker answered when it was asked for
    the market price.
    """
    sentences = [f"Waiting to buy at {buy_at:%Y-%m-%d %H:%M:%S}"]
    if token_ends_at <= buy_at:
        sentences.append(f"Log in to your broker again before that: its session ends at {token_ends_at:%Y-%m-%d %H:%M}")
    if not asked:
        sentences.append("Your broker could not be asked for the market price")
    return ". ".join(sentences)


def _named(exchange: str, tradingsymbol: str) -> str:
    """What was asked for, if it is written as symbols are; nothing else that was sent is repeated."""
    key = f"{exchange}:{tradingsymbol}"
    return key if _SYMBOL_LIKE.fullmatch(key) else "this symbol"


def _meant(suggestions: Sequence[str]) -> str:
    if not suggestions:
        return ""
    *first, last = suggestions[:_MOST_NAMED]
    return f". Did you mean {', '.join(first)} or {last}?" if first else f". Did you mean {last}?"


def _gone(near: Nearest) -> str:
    if near.change is None:
        return ""
    into = "merged into" if near.change.change == "merged" else "renamed"
    return f": on {near.change.on} it was {into} {near.change.successor}"


def _check_product(terms: Terms, listed: ListedInstrument) -> None:
    if terms.product == Product.MIS and not listed.intraday_allowed:
        raise InvalidField("product", f"must be CNC: {listed.tradingsymbol} is not traded intraday")


def _check_lot(terms: Terms, listed: ListedInstrument) -> None:
    if listed.lot_size > 1 and terms.quantity % listed.lot_size:
        raise InvalidField("quantity", f"must be a multiple of the lot size {listed.lot_size}")


def _check_freeze(terms: Terms, listed: ListedInstrument) -> None:
    most = listed.freeze_quantity
    if most is not None and terms.quantity > most:
        message = f"must be at most {most}: above its freeze quantity the exchange takes no order"
        raise InvalidField("quantity", message, code="quantity_above_freeze")


def _check_notional(terms: Terms, price: Decimal, which: str, settings: Settings) -> None:
    value = terms.quantity * price
    if value > settings.max_notional:
        limit = f"an order may be worth {settings.max_notional} rupees"
        raise InvalidField("quantity", f"is worth {round_rupees(value)} rupees at the {which} price; {limit}")
