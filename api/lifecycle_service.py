"""Running strategies: START, STOP and status (rows D1, D2, I1, L1)."""

import asyncio
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from actors.domain.errors import InvalidValue
from actors.domain.identifiers import IntentId, Leg, Side, order_tag
from actors.domain.session import SessionTimes, next_session_times
from api.engine_port import StrategyEngine
from api.errors import ApiError, InvalidField
from api.schemas.strategy import StrategyStarted, StrategyStatus
from api.status_view import status_before_start, status_of_run
from api.strategy_service import found
from broker.trading_calendar import trading_calendar
from config.settings import Broker, Settings
from persistence.database import Sessions, transaction
from persistence.errors import MirrorUnavailable
from persistence.mirror_fields import instrument_of, runtime_fields, strategy_fields
from persistence.models import Intent, Run, Strategy
from persistence.repositories import AuditLog, BrokerAccounts, Runs, Strategies
from persistence.runtime_mirror import RuntimeMirror

log = structlog.stdlib.get_logger(__name__)

STOP_TIMEOUT_S = 10.0
"""How long a STOP waits for the position to be sold before it answers 202."""

_TAG_KEY_BYTES = 16


class LifecycleService:
    """Starts and stops strategies, and tells where they stand. The database decides, the engine carries out."""

    def __init__(
        self,
        settings: Settings,
        sessions: Sessions,
        mirror: RuntimeMirror,
        engine: StrategyEngine,
        now: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._sessions = sessions
        self._mirror = mirror
        self._engine = engine
        self._now = now

    async def start(self, user_id: int, strategy_id: int) -> StrategyStarted:
        """Row D1. Repeated, raced or retried, there is one run and the same answer (row D2).

        After an error of the engine the run may exist nevertheless; the recovery sweep or the next START finds it.

        Raises:
            ApiError: 404; 409 `broker_not_connected`.
            MirrorUnavailable: with Redis down nothing new is taken on (row J3).
        """
        await self._mirror.ping()
        async with transaction(self._sessions) as session:
            strategies, runs = Strategies(session), Runs(session)
            strategy = found(await strategies.get(user_id, strategy_id, lock=True))
            run = await runs.open_of(user_id, strategy_id)
            started = run is None
            if run is None:
                account = await BrokerAccounts(session).of_user(user_id)
                if account is None:
                    raise ApiError(409, "broker_not_connected", "Connect your broker first")
                times = await self._session_times(strategy, "kite" if account.broker == "kite" else "paper")
                run = await runs.add(_new_run(strategy, account.id, times))
                await runs.add_intent(_entry_intent(run))
                strategy.status, strategy.updated_at = "running", self._now()
                await AuditLog(session).add("strategy_start", user_id=user_id, subject=str(strategy_id))
        if started:
            await self._show_started(strategy, run)
        await self._engine.ensure_running(run_id=run.id, strategy_id=strategy_id)
        zone = self._settings.zone
        return StrategyStarted(
            strategy_id=strategy_id,
            strategy_status="paused" if strategy.status == "paused" else "running",
            buy_at=run.buy_at.astimezone(zone),
            sell_at=run.sell_at.astimezone(zone),
        )

    async def stop(self, user_id: int, strategy_id: int) -> tuple[StrategyStatus, bool]:
        """Row I1: the status afterwards, and whether the position is flat (else the exit is still working)."""
        async with transaction(self._sessions) as session:
            found(await Strategies(session).get(user_id, strategy_id))
            run = await Runs(session).open_of(user_id, strategy_id)
            if run is not None:
                await AuditLog(session).add("strategy_stop", user_id=user_id, subject=str(strategy_id))
        if run is None:
            return await self._stored_status(user_id, strategy_id, {}), True
        result = await self._engine.stop(strategy_id, STOP_TIMEOUT_S)
        return await self._stored_status(user_id, strategy_id, dict(result.status)), result.flat

    async def status(self, user_id: int, strategy_id: int) -> StrategyStatus:
        """Row L1, from Redis if it has it (one round trip), else from the database."""
        try:
            runtime, price = await self._mirror.get_status(strategy_id)
        except MirrorUnavailable:
            log.warning("status_without_mirror", strategy_id=strategy_id)
        else:
            if runtime.get("user_id") == str(user_id) and runtime.get("updated_at"):
                return status_of_run(strategy_id, runtime, price, self._now(), self._settings.zone)
        return await self._stored_status(user_id, strategy_id, {})

    async def _stored_status(self, user_id: int, strategy_id: int, newer: dict[str, str]) -> StrategyStatus:
        async with transaction(self._sessions) as session:
            strategy = found(await Strategies(session).get(user_id, strategy_id))
            run = await Runs(session).latest_of(user_id, strategy_id)
        if run is None:
            return status_before_start(strategy, self._settings.zone)
        runtime = runtime_fields(run, instrument_of(strategy).symbol) | newer
        return status_of_run(strategy_id, runtime, {}, self._now(), self._settings.zone)

    async def _session_times(self, strategy: Strategy, broker: Broker) -> SessionTimes:
        calendar = await asyncio.to_thread(trading_calendar, self._settings.calendar_for(broker))
        try:
            return next_session_times(
                strategy.buy_time,
                strategy.sell_time,
                self._now(),
                self._settings.zone,
                calendar.is_session,
                timedelta(seconds=self._settings.missed_grace_s),
            )
        except InvalidValue as error:
            raise InvalidField("buy_time", "is in no trading session of the coming weeks") from error

    async def _show_started(self, strategy: Strategy, run: Run) -> None:
        symbol = instrument_of(strategy).symbol
        runtime = runtime_fields(run, symbol) | {"lock_state": ""}
        try:
            await self._mirror.put_run(strategy.id, symbol, strategy_fields(strategy), runtime)
        except MirrorUnavailable:  # the engine's first record writes them again
            log.warning("mirror_write_failed", strategy_id=strategy.id)


def _new_run(strategy: Strategy, account_id: int, times: SessionTimes) -> Run:
    return Run(
        strategy_id=strategy.id,
        user_id=strategy.user_id,
        broker_account_id=account_id,
        tag_key=secrets.token_bytes(_TAG_KEY_BYTES),
        buy_at=times.buy_at,
        sell_at=times.sell_at,
        stop_loss_paise=strategy.stop_loss_paise,
        quantity=strategy.quantity,
        product=strategy.product,
        last_action="START",
        message=f"Waiting to buy at {times.buy_at:%Y-%m-%d %H:%M:%S}",
    )


def _entry_intent(run: Run) -> Intent:
    intent_id = IntentId(run.id, Leg.ENTRY, 1)
    return Intent(
        run_id=run.id,
        leg=intent_id.leg,
        seq=intent_id.seq,
        side=Side.BUY,
        quantity=run.quantity,
        cause="BUY",
        tag=order_tag(run.tag_key, intent_id),
    )
