"""Finding out what the rules of a strategy depend on: the broker's list, its market price, and the calendar.

Everything that needs the network is done here, before the transaction that judges and stores.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import structlog

from actors.domain.identifiers import Instrument
from api.base.errors import ApiError, broker_not_connected
from api.brokers.lookups import BrokerLookups, login_needed
from api.brokers.service import BrokerService
from api.strategies.strategy_rules import (
    AccountFacts,
    Case,
    Question,
    Terms,
    Verdict,
    check_listed,
    judge,
    session_rules,
)
from broker.errors import BrokerRefused, BrokerUnreachable, ExpiredToken, InvalidToken
from broker.kite.login import token_expiry
from broker.market.allowed_times import SessionRules
from broker.market.instrument_list import ListedInstrument
from broker.market.nearest import Nearest
from broker.market.trading_calendar import TradingCalendar, TradingCalendars
from config.settings import Settings
from persistence.database.models.brokers import BrokerAccount
from persistence.database.models.strategies import Strategy
from persistence.mirror.fields import instrument_of

log = structlog.stdlib.get_logger(__name__)

_PRICE_FRESH = timedelta(seconds=3)
_PRICE_USABLE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Market:
    """Where a strategy would trade."""

    calendar: TradingCalendar
    listed: ListedInstrument


@dataclass(frozen=True, slots=True)
class StartFacts:
    """What a START found out: `listed` is None if the broker's list cannot be had.

    `last_price` in rupees; `owed`: shares that the account owes. `unanswered`: what the broker did not answer.
    """

    account: BrokerAccount
    calendar: TradingCalendar
    listed: ListedInstrument | None
    last_price: Decimal | None
    owed: int | None
    unanswered: frozenset[Question]


class StrategyChecks:
    """Asks the broker and the calendar, and applies the rules to the answers."""

    def __init__(
        self,
        settings: Settings,
        brokers: BrokerService,
        lookups: BrokerLookups,
        calendars: TradingCalendars,
        now: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._brokers, self._lookups = brokers, lookups
        self._calendars = calendars
        self._now = now

    async def market(self, user_id: int, exchange: str, tradingsymbol: str) -> Market:
        """Where the user would trade a symbol.

        Raises:
            ApiError: 409 `broker_not_connected` (row B3), `broker_token_expired`.
            InvalidField: the symbol is not one of a share that can be bought.
            BrokerError: if the symbol cannot be checked.
        """
        account = await self._connected_account(user_id)
        with login_needed():
            found = await self._lookups.find_instrument(account, exchange, tradingsymbol)
        listed = await self._check_listed(account, found, exchange, tradingsymbol)
        return Market(await self._calendar(account), listed)

    async def start_facts(self, strategy: Strategy) -> StartFacts:
        """What a START of the strategy depends on. A broker that does not answer does not prevent it.

        Raises:
            ApiError: 409 `broker_not_connected`; 409 `broker_token_expired` if the broker refuses the token.
            InvalidField: the strategy breaks a rule already without what only a START asks for.
        """
        account = await self._connected_account(strategy.user_id)
        with login_needed():
            listed = await self._listed_today(account, strategy)
            calendar = await self._calendar(account)
            # Before the broker is asked what a strategy that breaks a rule need not know.
            self._judge(terms_of(strategy), calendar, listed).permitted()
            instrument = instrument_of(strategy) if listed is None else listed.instrument
            (last_price, asked), owed = await asyncio.gather(
                self._last_price(account, instrument), self._shares_owed(account, strategy)
            )
        answers: dict[Question, bool] = {
            "instrument": listed is not None,
            "price": asked,
            "position": owed is not None,
        }
        unanswered = frozenset(question for question, answered in answers.items() if not answered)
        return StartFacts(account, calendar, listed, last_price, owed, unanswered)

    async def facts_from(
        self,
        strategy: Strategy,
        account: BrokerAccount,
        *,
        last_price: Decimal | None,
        price_asked: bool,
        owed: int | None,
    ) -> StartFacts:
        """As `start_facts`, where the broker has been asked about many strategies together.

        `last_price` in rupees; `price_asked`: whether the broker said which, or that there is none. `owed`: None if it
        did not say.

        Raises:
            ApiError: 409 `broker_token_expired`.
            InvalidField: the symbol is not on today's list.
        """
        with login_needed():
            listed = await self._listed_today(account, strategy)
        answers: dict[Question, bool] = {
            "instrument": listed is not None,
            "price": price_asked,
            "position": owed is not None,
        }
        unanswered = frozenset(question for question, answered in answers.items() if not answered)
        return StartFacts(account, await self._calendar(account), listed, last_price, owed, unanswered)

    def check(self, terms: Terms, market: Market, kept: int | None = None) -> None:
        """The rules of create, for a user who keeps this many strategies already. Raises ApiError, InvalidField."""
        self._judge(terms, market.calendar, market.listed, AccountFacts(kept=kept)).permitted()

    def judge_start(
        self, strategy: Strategy, facts: StartFacts, *, running: int, may_run: int, kept: int | None = None
    ) -> Verdict:
        """All rules about a START, and the session to arm.

        `running` of at most `may_run` strategies of the user run already. `kept`: how many the user has, if this one
        is not stored yet.
        """
        owed = None if not facts.owed else f"{facts.owed} {instrument_of(strategy).symbol} ({strategy.product})"
        account = AccountFacts(
            token_ends_at=token_expiry(facts.account.token_obtained_at).astimezone(self._settings.zone),
            owed=owed,
            kept=kept,
            running=running,
            may_run=may_run,
        )
        return judge(self._start_case(strategy, facts, account), self._settings)

    def hours(self, strategy: Strategy, facts: StartFacts) -> SessionRules:
        """Between which times of day the strategy may trade."""
        return session_rules(self._start_case(strategy, facts, AccountFacts()), self._settings)

    def _start_case(self, strategy: Strategy, facts: StartFacts, account: AccountFacts) -> Case:
        return Case(
            terms=terms_of(strategy),
            listed=facts.listed,
            calendar=facts.calendar,
            now=self._now(),
            account=account,
            last_price=facts.last_price,
            unanswered=facts.unanswered,
        )

    def _judge(
        self,
        terms: Terms,
        calendar: TradingCalendar,
        listed: ListedInstrument | None,
        account: AccountFacts | None = None,
    ) -> Verdict:
        case = Case(terms=terms, listed=listed, calendar=calendar, now=self._now(), account=account or AccountFacts())
        return judge(case, self._settings)

    async def calendar_of(self, broker: str | None) -> TradingCalendar:
        """That of a connected broker; without one, of the broker that users connect first."""
        name = broker or self._settings.brokers[0]
        return await self._calendars.get(self._settings.calendar_for("kite" if name == "kite" else "paper"))

    async def listed(self, strategy: Strategy) -> ListedInstrument | None:
        """Today's row of a running strategy's instrument, if the broker can be asked and has one."""
        try:
            account = await self._connected_account(strategy.user_id)
            return await self._lookups.find_instrument(account, strategy.exchange, strategy.tradingsymbol)
        except (BrokerUnreachable, BrokerRefused, ExpiredToken, InvalidToken) as error:
            log.warning("tick_size_unchecked", strategy_id=strategy.id, reason=str(error))
            return None

    async def price_now(self, strategy: Strategy, heard: Mapping[str, str]) -> Decimal | None:
        """What the strategy's instrument trades at, in rupees; None if it is not known.

        `heard`: the `price:{symbol}` of the feed, which is taken if it is of this moment; else the broker is asked. If
        that does not answer, what the feed said last will do: as long as the feed is live there was no trade since.
        """
        price = None
        if "price" in heard:
            live, age = heard.get("feed") == "live", self._now() - datetime.fromisoformat(heard["received_at"])
            price = Decimal(heard["price"]) if live or age < _PRICE_USABLE else None
            if live and age < _PRICE_FRESH:
                return price
        try:
            account = await self._connected_account(strategy.user_id)
            asked, _ = await self._last_price(account, instrument_of(strategy))
        except (ApiError, ExpiredToken, InvalidToken) as error:
            log.warning("market_price_unknown", strategy_id=strategy.id, reason=str(error))
            return price
        return price if asked is None else asked

    async def _check_listed(
        self, account: BrokerAccount, listed: ListedInstrument | None, exchange: str, tradingsymbol: str
    ) -> ListedInstrument:
        near = Nearest() if listed else await self._lookups.nearest(account, exchange, tradingsymbol)
        return check_listed(listed, exchange, tradingsymbol, near)

    async def _connected_account(self, user_id: int) -> BrokerAccount:
        account = await self._brokers.account(user_id)
        if account is None:
            raise broker_not_connected()
        return account

    async def _calendar(self, account: BrokerAccount) -> TradingCalendar:
        return await self.calendar_of(account.broker)

    async def _listed_today(self, account: BrokerAccount, strategy: Strategy) -> ListedInstrument | None:
        try:
            listed = await self._lookups.find_instrument(account, strategy.exchange, strategy.tradingsymbol)
        except (BrokerUnreachable, BrokerRefused) as error:
            log.warning("instrument_unchecked", strategy_id=strategy.id, reason=str(error))
            return None
        return await self._check_listed(account, listed, strategy.exchange, strategy.tradingsymbol)

    async def _last_price(self, account: BrokerAccount, instrument: Instrument) -> tuple[Decimal | None, bool]:
        try:
            return await self._lookups.last_price(account, instrument), True
        except (BrokerUnreachable, BrokerRefused) as error:  # a plan without market data is refused (kite.md §1.6)
            log.warning("market_price_unknown", symbol=instrument.key, reason=str(error))
            return None, False

    async def _shares_owed(self, account: BrokerAccount, strategy: Strategy) -> int | None:
        # None if the broker cannot be asked: the execution looks again when it buys.
        try:
            return await self._lookups.shares_owed(account, instrument_of(strategy), strategy.product)
        except (BrokerUnreachable, BrokerRefused) as error:
            log.warning("position_unchecked", strategy_id=strategy.id, reason=str(error))
            return None


def terms_of(strategy: Strategy) -> Terms:
    """What the rules look at, of a stored strategy."""
    return Terms(
        buy_time=strategy.buy_time,
        sell_time=strategy.sell_time,
        stop_loss=strategy.stop_loss_paise,
        stop_share=strategy.stop_share,
        quantity=strategy.quantity,
        product=strategy.product,
    )
