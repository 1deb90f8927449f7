"""What a strategy must be like (row C1), and what its user's account, to be started. Pure: all facts are arguments.

`judge` alone decides, for create, PATCH, preview, START, readiness and schedules: what one of them refuses the others
refuse, given the same facts. A fact that is not known, or does not matter to the caller, is None, and the rules about
it are left out. What each looks at beside the rules is in tests/integration/api/readiness/test_one_judge.py.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from decimal import Decimal
from typing import Literal, TypeVar

from actors.domain.identifiers import Product
from actors.domain.money import Paise, round_rupees, to_rupees
from actors.domain.prices.stop_share import is_too_near
from actors.domain.session import SessionTimes
from api.base.errors import ApiError, InvalidField, broker_not_connected, broker_token_expired
from broker.market.allowed_times import SessionRules, TimesRefused
from broker.market.instrument_list import EXCHANGES, INDEX_SEGMENT, ListedInstrument
from broker.market.nearest import Nearest
from broker.market.trading_calendar import TradingCalendar
from config.settings import Settings

_SYMBOL_LIKE = re.compile(r"[A-Z]+:[A-Z0-9][A-Z0-9&._ -]*")
_MOST_NAMED = 3
"""How many suggestions the sentence names; the answer has all of them."""

Answer = TypeVar("Answer")

Question = Literal["instrument", "price", "position"]
"""What the broker is asked about a strategy."""

Refusal = ApiError | InvalidField
"""A code and a sentence; of a field, if one is at fault."""

_UNANSWERED = {
    "instrument": ("instrument_unchecked", "Your broker's list of shares could not be had: tick and lot are unchecked"),
    "price": ("price_unknown", "Your broker could not be asked for the market price"),
    "position": ("position_unchecked", "Your broker could not be asked for your positions; the BUY looks again"),
}
_LOGIN_FIRST = "login_before_buy"
_SAID_BY_START = (_LOGIN_FIRST, "price_unknown")
"""The warnings that stand in the message of a run; the others matter before a START."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFacts:
    """What the rules look at, of a user and the account at the broker.

    `token_ends_at`: when the broker flushes the access token, in the exchange's zone. `owed`: what the account is short
    of, of the same instrument and product: `10 INFY (MIS)`. `kept`: how many strategies the user has beside this one;
    `running`: how many of the user's run beside this one, of `may_run`.
    """

    connected: bool = True
    token_accepted: bool = True
    token_ends_at: datetime | None = None
    owed: str | None = None
    kept: int | None = None
    running: int | None = None
    may_run: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A strategy, and the facts that it is judged by at the instant `now` (timezone-aware).

    `listed`: the broker's row of today; without one the rules about the instrument are left out. `last_price` in
    rupees. `unanswered`: what the broker was asked and did not answer.
    """

    terms: Terms
    listed: ListedInstrument | None
    calendar: TradingCalendar
    now: datetime
    account: AccountFacts = AccountFacts()
    last_price: Decimal | None = None
    unanswered: frozenset[Question] = frozenset()


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that hinders nothing, and that the user should know before. `message` is a sentence without a stop."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the rules say: all refusals, the gravest first, and else the session that a START would arm."""

    times: SessionTimes | None
    refusals: tuple[Refusal, ...]
    warnings: tuple[Warned, ...]

    def permitted(self) -> SessionTimes:
        """The session to arm.

        Raises:
            ApiError, InvalidField: the first refusal.
        """
        for refusal in self.refusals:
            raise refusal
        if self.times is None:
            raise ValueError("a verdict has a session or a refusal")
        return self.times


def judge(case: Case, settings: Settings) -> Verdict:
    """Every rule of create and START about a strategy whose symbol is on the list (`check_listed`)."""
    terms, listed, refusals = case.terms, case.listed, list[Refusal]()

    def ask(rule: Callable[[], Answer]) -> Answer | None:
        try:
            return rule()
        except (ApiError, InvalidField) as refusal:
            refusals.append(refusal)
            return None

    ask(lambda: _check_account(case.account))
    if listed is not None:
        ask(lambda: check_tick(terms.stop_loss, listed))
        ask(lambda: _check_product(terms, listed))
        ask(lambda: _check_lot(terms, listed))
        ask(lambda: _check_freeze(terms, listed))
    ask(lambda: _check_quantity(terms, settings))
    ask(lambda: _check_notional(terms, to_rupees(terms.stop_loss), "stop-loss", settings))
    times = ask(lambda: _session_times(terms, session_rules(case, settings), case.now, settings))
    ask(lambda: _check_kept(case.account, settings))
    ask(lambda: _check_owed(case.account))
    ask(lambda: _check_running(case.account))
    if (price := case.last_price) is not None:
        ask(lambda: _check_below_market(terms, price, listed.tick_paise if listed is not None else 0))
        ask(lambda: _check_notional(terms, price, "market", settings))
    warnings = () if refusals or times is None else tuple(_warnings(case, times, settings.zone))
    return Verdict(times, tuple(refusals), warnings)


def session_rules(case: Case, settings: Settings) -> SessionRules:
    """Between which times of day the strategy may trade."""
    return SessionRules(
        case.calendar,
        has_derivatives=case.listed is not None and case.listed.has_derivatives,
        mis_cutoff=settings.mis_cutoff if case.terms.product == Product.MIS else None,
    )


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
        raise InvalidField("symbol", "is an index, which cannot be traded: choose a share")
    if not listed.tradable:
        raise InvalidField("symbol", "is not a share that can be bought in the ordinary market: choose another one")
    return listed


def check_tick(stop_loss: Paise, listed: ListedInstrument) -> None:
    """The exchange takes only prices on its grid. Raises InvalidField on `stop_loss`."""
    if listed.tick_paise > 0 and stop_loss % listed.tick_paise:
        raise InvalidField("stop_loss", f"must be a multiple of the tick size {to_rupees(listed.tick_paise)}")


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


def start_message(buy_at: datetime, warnings: Sequence[Warned]) -> str:
    """What the user reads of a START that succeeded; the instant in the exchange's zone."""
    sentences = [f"Waiting to buy at {buy_at:%Y-%m-%d %H:%M:%S}"]
    return ". ".join(sentences + [warned.message for warned in warnings if warned.code in _SAID_BY_START])


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
    return "" if near.change is None else f": {near.change.sentence}"


def _session_times(terms: Terms, rules: SessionRules, now: datetime, settings: Settings) -> SessionTimes:
    grace = timedelta(seconds=settings.missed_grace_s)
    try:
        return rules.session_times(terms.buy_time, terms.sell_time, now, settings.zone, grace)
    except TimesRefused as refusal:
        raise InvalidField(refusal.field, refusal.message) from refusal


def _warnings(case: Case, times: SessionTimes, zone: tzinfo) -> Iterator[Warned]:
    ends_at = case.account.token_ends_at
    if times.buy_at.date() != case.now.astimezone(zone).date():
        yield Warned("not_today", f"It will trade on {times.buy_at:%A, %Y-%m-%d}, not today")
    if ends_at is not None and ends_at <= times.buy_at:
        again = f"Log in to your broker again before that: its login ends at {ends_at:%Y-%m-%d %H:%M}"
        yield Warned(_LOGIN_FIRST, again)
    for question, warned in _UNANSWERED.items():
        if question in case.unanswered:
            yield Warned(*warned)


def _check_account(account: AccountFacts) -> None:
    if not account.connected:
        raise broker_not_connected()
    if not account.token_accepted:
        raise broker_token_expired()


def _check_kept(account: AccountFacts, settings: Settings) -> None:
    limit = settings.max_strategies
    if account.kept is not None and account.kept >= limit:
        raise ApiError(409, "too_many_strategies", f"At most {limit} strategies can be kept; delete one first")


def _check_owed(account: AccountFacts) -> None:
    if account.owed is not None:
        sentence = f"The account is short of {account.owed}; a buy would only cover it: buy it back at the broker first"
        raise ApiError(409, "account_short", sentence)


def _check_running(account: AccountFacts) -> None:
    limit = account.may_run
    if account.running is not None and account.running >= limit:
        raise ApiError(409, "too_many_running", f"At most {limit} strategies can run at once; stop one first")


def _check_quantity(terms: Terms, settings: Settings) -> None:
    if terms.quantity > settings.max_quantity:
        raise InvalidField("quantity", f"must be at most {settings.max_quantity}")


def _check_below_market(terms: Terms, last_price: Decimal, tick: Paise) -> None:
    if terms.stop_share is not None and is_too_near(last_price, terms.stop_share, tick):
        what = f"is less than one tick ({to_rupees(max(tick, 1))}) at the market price {round_rupees(last_price)}"
        raise InvalidField("stop_loss_percent", f"{what}; choose a larger one")
    if to_rupees(terms.stop_loss) >= last_price:
        raise InvalidField("stop_loss", f"must be below the market price {round_rupees(last_price)}")


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
