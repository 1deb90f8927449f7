"""Previews: the rules of create and START, and figures to look at before (`POST /strategy/preview`)."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from actors.domain.identifiers import Product
from actors.domain.money import Paise, round_rupees, to_rupees
from actors.domain.prices.stop_share import stop_below, to_percent
from actors.domain.session import SessionTimes
from api.strategies.panic.service import entries_forbidden
from api.strategies.preview.schemas import (
    PreviewWarning,
    SessionOfDay,
    StrategyPreview,
    StrategyPreviewRequest,
)
from api.strategies.rule_facts import StartFacts, StrategyChecks, terms_of
from api.strategies.schemas import EstimatedCharges
from api.strategies.service import described, found
from api.strategies.start_and_stop import MOST_NOTES
from api.strategies.status import equal_note, estimated_charges
from api.strategies.strategy_rules import start_message
from broker.market.allowed_times import SessionRules
from broker.market.trading_calendar import TradingCalendar
from config.capacity import Capacity
from config.settings import Settings
from persistence.database.engine import Sessions, tenant_transaction
from persistence.database.engine_load import EngineLoad
from persistence.database.models.runs import Run
from persistence.database.models.strategies import Strategy
from persistence.database.repositories.panics import Panics
from persistence.database.repositories.runs import Runs
from persistence.database.repositories.strategies import Strategies
from persistence.mirror.fields import instrument_of
from persistence.mirror.mirror import RuntimeMirror

_SATURDAY = 5


class PreviewService:
    """Says what create and START would say, and stores nothing. Another tenant's strategy does not exist (row K1)."""

    def __init__(
        self,
        settings: Settings,
        capacity: Capacity,
        sessions: Sessions,
        mirror: RuntimeMirror,
        checks: StrategyChecks,
    ) -> None:
        self._settings, self._capacity = settings, capacity
        self._sessions, self._mirror, self._checks = sessions, mirror, checks

    async def preview(self, user_id: int, request: StrategyPreviewRequest) -> StrategyPreview:
        """What a START would arm: of a stored strategy, or of one that create would store.

        A strategy that runs is not judged, as START does not judge it: the answer is of its run.

        Raises:
            ApiError, InvalidField, BrokerError: what create or START would raise.
            MirrorUnavailable: with Redis down START takes nothing on (row J3).
        """
        await self._mirror.ping()
        if request.is_stored:
            async with tenant_transaction(self._sessions, user_id) as session:
                strategy = found(await Strategies(session).get(user_id, request.strategy_id))
                run = await Runs(session).open_of(user_id, request.strategy_id)
            if run is not None:
                return await self._running(strategy, run)
        else:
            exchange, _, tradingsymbol = request.symbol.partition(":")
            market = await self._checks.market(user_id, exchange, tradingsymbol)
            strategy = described(user_id, request.asked(), market.listed.token)
            self._checks.check(terms_of(strategy), market)
        if user_id in await self._mirror.users_without_entries():
            raise entries_forbidden()
        facts = await self._checks.start_facts(strategy)
        async with tenant_transaction(self._sessions, user_id) as session:
            if await Panics(session).locking(user_id) is not None:
                raise entries_forbidden()
            kept = None if request.is_stored else await Strategies(session).count(user_id)
            running = await Runs(session).count_open(user_id)
            equal = await Strategies(session).equal_running(strategy, MOST_NOTES)
            taken = await EngineLoad(session).count()
        verdict = self._checks.judge_start(
            strategy, facts, running=running, may_run=self._capacity.running_of_user, kept=kept
        )
        times = verdict.permitted()
        warnings = [PreviewWarning(code=warned.code, message=warned.message) for warned in verdict.warnings]
        if taken.running >= self._capacity.running:
            full = f"All {self._capacity.running} places for running strategies are taken at this moment"
            warnings.append(PreviewWarning(code="engine_full", message=full))
        return self._answer(
            strategy,
            times,
            facts.last_price,
            session=self._session(strategy, facts, times),
            message=start_message(times.buy_at, verdict.warnings),
            warnings=[*warnings, *_equal(equal)],
            tick=facts.listed.tick_paise if facts.listed is not None else 0,
        )

    async def _running(self, strategy: Strategy, run: Run) -> StrategyPreview:
        zone = self._settings.zone
        times = SessionTimes(run.buy_at.astimezone(zone), run.sell_at.astimezone(zone))
        warned = PreviewWarning(code="already_running", message="It runs already: START changes nothing")
        last_price = await self._checks.price_now(strategy, {})
        return self._answer(
            strategy, times, last_price, session=None, message=run.message, warnings=[warned], tick=run.tick_paise
        )

    def _session(self, strategy: Strategy, facts: StartFacts, times: SessionTimes) -> SessionOfDay | None:
        rules = self._checks.hours(strategy, facts)
        return session_of_day(facts.calendar, rules, times.buy_at, times.sell_at)

    def _answer(
        self,
        strategy: Strategy,
        times: SessionTimes,
        last_price: Decimal | None,
        *,
        session: SessionOfDay | None,
        message: str,
        warnings: list[PreviewWarning],
        tick: Paise,
    ) -> StrategyPreview:
        price, quantity = last_price, strategy.quantity
        stop, share = _stop_at(strategy, price, tick), strategy.stop_share
        loss = None if price is None or stop is None else quantity * max(price - stop, Decimal(0))
        return StrategyPreview(
            strategy_id=strategy.id,
            symbol=instrument_of(strategy).symbol,
            product=Product(strategy.product),
            quantity=quantity,
            stop_loss=None if stop is None else float(stop),
            stop_loss_percent=None if share is None else float(to_percent(share)),
            session=session,
            buy_at=times.buy_at,
            sell_at=times.sell_at,
            last_price=None if price is None else float(price),
            notional=None if price is None else float(round_rupees(quantity * price)),
            worst_case_loss=None if loss is None else float(round_rupees(loss)),
            charges=None if price is None else _charges(strategy, price),
            message=message,
            warnings=warnings,
        )


def session_of_day(
    calendar: TradingCalendar, rules: SessionRules, buy_at: datetime, sell_at: datetime
) -> SessionOfDay | None:
    """The session that holds both instants (of the exchange's zone); None if the calendar has changed meanwhile."""
    day = buy_at.date()
    for whole, narrowed in zip(calendar.sessions(day), rules.sessions(day), strict=False):
        if narrowed.hold(buy_at.time(), sell_at.time()):
            ordinary = calendar.regular is None or (day.weekday() < _SATURDAY and whole == calendar.regular)
            return SessionOfDay(
                date=day,
                opens=whole.opens.isoformat(),
                closes=whole.closes.replace(microsecond=0).isoformat(),
                sell_before=narrowed.closes.replace(microsecond=0).isoformat(),
                special=not ordinary,
            )
    return None


def _stop_at(strategy: Strategy, price: Decimal | None, tick: Paise) -> Decimal | None:
    """The level in rupees that a BUY at this price would be guarded at."""
    if strategy.stop_share is None:
        return to_rupees(strategy.stop_loss_paise)
    return None if price is None else to_rupees(stop_below(price, strategy.stop_share, tick))


def _equal(strategies: Iterable[Strategy]) -> list[PreviewWarning]:
    return [PreviewWarning(**equal_note(strategy).model_dump()) for strategy in strategies]


def _charges(strategy: Strategy, price: Decimal) -> EstimatedCharges:
    return estimated_charges(strategy.exchange, Product(strategy.product), strategy.quantity, price, price)
