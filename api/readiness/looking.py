"""Finding out what the checks look at: the calendar, the connection, the rules, prices, positions and money.

A broker is asked five questions at most, in the user's name and within the user's turns, however many strategies wait:
about the login, and if that is good, about prices, positions, free money and margins. What it does not answer is not
known, and is not asked again.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import TypeVar

import structlog

from actors.domain.identifiers import Product
from actors.domain.money import to_rupees
from actors.domain.prices.stop_share import stop_below
from api.base.errors import ApiError, InvalidField
from api.brokers.lookups import BrokerLookups, is_past_its_morning
from api.brokers.service import BrokerService
from api.readiness.findings import Facts, Fault, Held, Login, Said, SessionDay, Trade
from api.readiness.operator import OperatorChecks
from api.readiness.planned import PlannedDay, PlannedTrade, what_is_to_trade
from api.readiness.times import closed_weekday, next_session, session_of_today
from api.strategies.rule_facts import StrategyChecks
from broker.errors import BrokerError, BrokerRefused, BrokerUnreachable, CredentialsRejected
from broker.kite.account_questions import DayQuote, Funds, Purchase, day_quotes, funds, shares_owed_of
from broker.kite.login import Position, token_expiry
from broker.market.charges import round_trip_charges
from broker.market.trading_calendar import TradingCalendar
from config.capacity import capacity_of
from config.settings import Settings
from persistence.database.engine import Sessions, tenant_transaction
from persistence.database.models.brokers import BrokerAccount
from persistence.database.models.runs import Run
from persistence.database.models.strategies import Strategy
from persistence.database.repositories.panics import Panics
from persistence.errors import MirrorUnavailable, UnreadableSecret
from persistence.mirror.fields import instrument_of
from persistence.mirror.mirror import RuntimeMirror

log = structlog.stdlib.get_logger(__name__)

Answer = TypeVar("Answer")

_FIELDS = {
    "stop_loss": "The stop-loss", "stop_loss_percent": "The stop-loss", "quantity": "The quantity",
    "symbol": "The symbol", "product": "The product", "buy_time": "The buy time", "sell_time": "The sell time",
}  # fmt: skip
_CODES = {
    "symbol": "not_listed", "product": "not_intraday", "buy_time": "hours", "sell_time": "hours",
    "stop_loss_percent": "stop_loss",
}  # fmt: skip
"""The codes of rules that have none of their own, by the field at fault; of others it is the field."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the broker said about the day; None where it did not answer."""

    quotes: Mapping[str, DayQuote] | None = None
    owed: Mapping[Position, int] | None = None
    funds: Funds | None = None


class Looking:
    """Gathers the facts of a user's day."""

    def __init__(
        self,
        settings: Settings,
        sessions: Sessions,
        mirror: RuntimeMirror,
        brokers: BrokerService,
        lookups: BrokerLookups,
        checks: StrategyChecks,
        operator: OperatorChecks,
        now: Callable[[], datetime],
    ) -> None:
        self._settings, self._sessions, self._mirror = settings, sessions, mirror
        self._brokers, self._lookups, self._checks = brokers, lookups, checks
        self._operator, self._now = operator, now
        self._may_run = capacity_of(settings).running_of_user

    async def calendar_of(self, broker: str | None) -> TradingCalendar:
        """The calendar of a connected broker; without one, of the broker that users connect first."""
        return await self._checks.calendar_of(broker)

    async def broker_of(self, user_id: int) -> str | None:
        """The broker that the user has connected."""
        account = await self._brokers.account(user_id)
        return account.broker if account else None

    async def session_of(self, user_id: int) -> SessionDay | None:
        """The session that goes on or comes today, at the user's exchange. No broker is asked."""
        calendar = await self._checks.calendar_of(await self.broker_of(user_id))
        return session_of_today(calendar, self._now(), self._settings.zone)

    async def has_changed(self, user_id: int, since: datetime, known: Mapping[int, datetime]) -> bool:
        """Whether the user has logged in at the broker, or today's trades have become others, since then.

        `known`: the BUYs that were found, by strategy. A strategy was started; or one that waits for its schedule was
        edited, skipped or paused. That one is armed, bought or ended is no change.
        """
        account = await self._brokers.account(user_id)
        calendar = await self._checks.calendar_of(account.broker if account else None)
        async with tenant_transaction(self._sessions, user_id) as session:
            day = await what_is_to_trade(session, user_id, self._now(), self._settings, calendar)
        waiting = {trade.strategy.id: trade.buy_at for trade in day.waiting}
        edited = any(not trade.started and trade.strategy.updated_at > since for trade in day.waiting)
        gone = known.keys() - waiting.keys() - day.with_runs
        connected = account is not None and account.connected_at > since
        return connected or edited or bool(gone) or not waiting.items() <= known.items()

    async def facts(self, user_id: int, *, whole: bool = True) -> Facts:
        """Everything about the user's day; without `whole`, only the login is asked about.

        Raises:
            PersistenceError: without the database nothing is known.
        """
        now, zone = self._now(), self._settings.zone
        account = await self._brokers.account(user_id)
        calendar = await self._checks.calendar_of(account.broker if account else None)
        async with tenant_transaction(self._sessions, user_id) as session:
            day = await what_is_to_trade(session, user_id, now, self._settings, calendar)
            locked = await Panics(session).locking(user_id) is not None
        session_day = session_of_today(calendar, now, zone)
        coming = next_session(calendar, now, zone)
        if session_day is None:
            trades = tuple(map(_unjudged, day.waiting))
            return Facts(
                now=now, session=None, login=Login.UNCHECKED, trades=trades, next_day=coming.day if coming else None
            )
        login, reason = await self._login(account)
        asked, trades = _Asked(), tuple(map(_unjudged, day.waiting))
        if whole and account is not None and login is Login.GOOD and day.waiting:
            asked = await self._ask(account, day)
            trades = await self._trades(account, day, asked)
        return Facts(
            now=now,
            session=session_day,
            login=login,
            reason=reason,
            login_ends_at=token_expiry(account.token_obtained_at).astimezone(zone) if account else None,
            trades=trades,
            next_day=coming.day if coming else None,
            closed_next=closed_weekday(calendar, now.astimezone(zone).date()),
            free=None if asked.funds is None else asked.funds.free,
            held=_held(day.held, asked.funds, len(day.waiting)),
            entries_forbidden=locked or await self._entries_forbidden(user_id),
            faults=self._concerning(account, await self._operator.faults()),
            traded=day.begun > 0,
            whole=whole,
        )

    def _concerning(self, account: BrokerAccount | None, faults: Sequence[Fault]) -> tuple[Fault, ...]:
        """An account's own proxy has the address that counts, and the paper exchange takes orders from any."""
        ours = account is not None and account.broker == "kite" and self._brokers.proxy_of(account) is None
        return tuple(fault for fault in faults if ours or not fault.of_address)

    async def _entries_forbidden(self, user_id: int) -> bool:
        try:
            return user_id in await self._mirror.users_without_entries()
        except MirrorUnavailable:  # which is a fault of its own
            return False

    async def _login(self, account: BrokerAccount | None) -> tuple[Login, str]:
        if account is None:
            return Login.MISSING, ""
        if is_past_its_morning(account, self._now()):
            return Login.ENDED, ""  # no broker has to be asked
        try:
            await self._lookups.owner_of_token(account)
        except CredentialsRejected:
            return Login.ENDED, ""
        except UnreadableSecret:
            return Login.UNREADABLE, ""
        except ApiError:  # `proxy_not_allowed`, the only one
            return Login.NOT_ALLOWED, ""
        except BrokerError as error:
            log.warning("login_unchecked", user_id=account.user_id, reason=str(error))
            return Login.UNCHECKED, str(error)
        return Login.GOOD, ""

    async def _ask(self, account: BrokerAccount, day: PlannedDay) -> _Asked:
        """The questions about the day, all at once: the user's turns let two of them go at a time."""
        strategies = [trade.strategy for trade in day.waiting]
        wanted = {(one.exchange, one.tradingsymbol, one.product) for one in strategies}
        purchases = [_purchase(strategy) for strategy in strategies] + [_purchase(held) for _, held in day.held]
        quotes, owed, money = await asyncio.gather(
            self._answer(account, partial(day_quotes, instruments=[instrument_of(one) for one in strategies])),
            self._answer(account, partial(shares_owed_of, wanted=wanted)),
            self._answer(account, partial(funds, purchases=purchases)),
        )
        return _Asked(quotes, owed, money)

    async def _answer(self, account: BrokerAccount, question: Callable[..., Answer]) -> Answer | None:
        try:
            return await self._lookups.of_account(account, question)
        except (BrokerRefused, BrokerUnreachable, CredentialsRejected) as error:
            log.warning("readiness_unanswered", user_id=account.user_id, reason=str(error))
            return None

    async def _trades(self, account: BrokerAccount, day: PlannedDay, asked: _Asked) -> tuple[Trade, ...]:
        needed = asked.funds.needed if asked.funds else ()
        trades: list[Trade] = []
        running = day.open_runs
        for number, plan in enumerate(day.waiting):
            quote = (asked.quotes or {}).get(instrument_of(plan.strategy).key)
            refusals, unanswered = await self._judged(account, plan, asked, quote, 0 if plan.started else running)
            running += not plan.started and not refusals
            strategy = plan.strategy
            price = quote.last if quote else None
            charges = None
            if price is not None:
                product = Product(strategy.product)
                charges = round_trip_charges(strategy.exchange, product, strategy.quantity, price, price).total
            trades.append(
                Trade(
                    strategy_id=strategy.id,
                    symbol=instrument_of(strategy).symbol,
                    buy_at=plan.buy_at,
                    sell_at=plan.sell_at,
                    stop_loss=_stop_at(strategy, price),
                    judged=True,
                    refusals=refusals,
                    unanswered=unanswered,
                    quote=quote,
                    needed=needed[number] if number < len(needed) else None,
                    charges=charges,
                )
            )
        return tuple(trades)

    async def _judged(
        self, account: BrokerAccount, plan: PlannedTrade, asked: _Asked, quote: DayQuote | None, running: int
    ) -> tuple[tuple[Said, ...], tuple[Said, ...]]:
        """What a START would refuse beside so many that run already, and what it could not find out."""
        if plan.refusal is not None:
            return (plan.refusal,), ()
        strategy = plan.strategy
        position = (strategy.exchange, strategy.tradingsymbol, strategy.product)
        try:
            facts = await self._checks.facts_from(
                strategy,
                account,
                last_price=quote.last if quote else None,
                price_asked=asked.quotes is not None,
                owed=None if asked.owed is None else asked.owed[position],
            )
            verdict = self._checks.judge_start(strategy, facts, running=running, may_run=self._may_run)
            times = verdict.permitted()
        except (ApiError, InvalidField) as refusal:
            return (_said(refusal),), ()
        except BrokerError as error:
            return (), (Said("instrument_unchecked", f"The broker could not be asked about the share: {error}"),)
        if times.buy_at != plan.buy_at:
            moved = f"Today's session does not take these times: by the rules it would buy on {times.buy_at:%A, %H:%M}"
            return (Said("hours", moved),), ()
        about_broker = [warned for warned in verdict.warnings if warned.code in _UNANSWERED]
        return (), tuple(Said(warned.code, warned.message) for warned in about_broker)


_UNANSWERED = frozenset({"instrument_unchecked", "price_unknown", "position_unchecked"})


def _said(refusal: ApiError | InvalidField) -> Said:
    if isinstance(refusal, ApiError):
        return Said(refusal.code, refusal.detail)
    code = _CODES.get(refusal.field, refusal.field) if refusal.code == "invalid_request" else refusal.code
    return Said(code, f"{_FIELDS.get(refusal.field, refusal.field)} {refusal.message}", refusal.field)


def _unjudged(plan: PlannedTrade) -> Trade:
    return Trade(
        strategy_id=plan.strategy.id,
        symbol=instrument_of(plan.strategy).symbol,
        buy_at=plan.buy_at,
        sell_at=plan.sell_at,
        stop_loss=_stop_at(plan.strategy, None),
    )


def _stop_at(strategy: Strategy, price: Decimal | None) -> Decimal | None:
    """Where the stop-loss would stand if it was bought at that price, as near as a paisa."""
    if strategy.stop_share is None:
        return to_rupees(strategy.stop_loss_paise)
    return None if price is None else to_rupees(stop_below(price, strategy.stop_share, 0))


def _purchase(strategy: Strategy) -> Purchase:
    return Purchase(instrument_of(strategy), strategy.product, strategy.quantity)


def _held(held: Sequence[tuple[Run, Strategy]], money: Funds | None, first: int) -> tuple[Held, ...]:
    """What is held frees its margin at its sale: the broker's figure for the same purchase, for what was filled."""
    if money is None:
        return ()
    shares = [(run, run.filled_quantity or run.quantity, run.quantity) for run, _ in held]
    return tuple(
        Held(run.sell_at, amount * filled / quantity)
        for (run, filled, quantity), amount in zip(shares, money.needed[first:], strict=True)
    )
