"""Running strategies: START, STOP and status (rows D1, D2, I1, L1)."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from actors.domain.strategy.spec import run_label
from actors.ports.engine import StopResult, StrategyEngine
from api.base.errors import ApiError, broker_not_connected, unauthorized
from api.base.idempotency import KeyedRequest, Repeated, give_answer_again, keep_answer
from api.strategies.joined_requests import KeyedLocks, SharedCalls
from api.strategies.new_run import first_intent, first_state, new_run
from api.strategies.panic.service import entries_forbidden
from api.strategies.rule_facts import StartFacts, StrategyChecks
from api.strategies.schemas import StrategyStarted, StrategyStatus
from api.strategies.service import found, stop_audited
from api.strategies.start_rate import STARTS_IN_WORK, StartRate
from api.strategies.status import started_answer, status_before_start, status_of_run
from api.strategies.strategy_rules import start_message
from config.capacity import Capacity
from config.settings import Settings
from persistence.database.engine import Sessions, tenant_transaction
from persistence.database.engine_load import EngineLoad
from persistence.database.models.brokers import BrokerAccount
from persistence.database.models.runs import Run
from persistence.database.models.strategies import Strategy
from persistence.database.repositories.audit import AuditLog
from persistence.database.repositories.brokers import BrokerAccounts
from persistence.database.repositories.panics import Panics
from persistence.database.repositories.runs import Runs
from persistence.database.repositories.strategies import Strategies
from persistence.database.repositories.users import Users
from persistence.database.schedules import Schedules
from persistence.errors import MirrorUnavailable
from persistence.mirror.fields import instrument_of, runtime_fields, strategy_fields
from persistence.mirror.mirror import RuntimeMirror

log = structlog.stdlib.get_logger(__name__)

FULL_RETRY_S = 60
"""When a START that found no place is worth repeating; places become free when runs end."""

STOP_TIMEOUT_S = 10.0
"""How long a STOP waits for the position to be sold before it answers 202."""

MOST_NOTES = 10
"""How many equal strategies START names."""


class Occasion(Protocol):
    """For what a START is made by the product itself. Both calls are part of the transaction that opens the run."""

    async def begin(self, session: AsyncSession) -> None:
        """No other START and no change of the strategy comes in from here on. Raises to prevent the START."""

    async def take(self, session: AsyncSession, run: Run) -> None:
        """The run that is open: a new one, or one of another START. Raises to undo, or not to take it."""


@dataclass(frozen=True, slots=True)
class _Opened:
    run: Run
    answer: StrategyStarted


class LifecycleService:
    """Starts and stops strategies, and tells where they stand. The database decides, the engine carries out."""

    def __init__(
        self,
        settings: Settings,
        capacity: Capacity,
        sessions: Sessions,
        reserved: Sessions,
        mirror: RuntimeMirror,
        engine: StrategyEngine,
        checks: StrategyChecks,
        now: Callable[[], datetime],
    ) -> None:
        """`reserved` are connections to the database that STOP shares with nothing that could use them up."""
        self._settings = settings
        self._capacity = capacity
        self._sessions = sessions
        self._reserved = reserved
        self._mirror = mirror
        self._engine = engine
        self._checks = checks
        self._now = now
        self._starts = StartRate(settings, capacity)
        self._starting = KeyedLocks[tuple[int, int]]()
        self._bringing_up = KeyedLocks[int](STARTS_IN_WORK)
        self._stopping = SharedCalls[int, StopResult]()
        self._pinging = SharedCalls[str, None]()

    async def start(
        self, user_id: int, strategy_id: int, keyed: KeyedRequest | None = None, occasion: Occasion | None = None
    ) -> StrategyStarted:
        """Row D1. Repeated, raced or retried, there is one run and the same answer (row D2).

        After an error of the engine the run may exist nevertheless; the recovery sweep or the next START finds it. A
        START that is repeated with its key arms no second run, also after the first has ended. One that has an
        `occasion` is recorded there together with its run, or not at all.

        Raises:
            Repeated: a START with this key has armed a run before, which is looked after if it is open.
            ApiError: 404; 409 `broker_not_connected`, `broker_token_expired`, `too_many_running`, `account_short`,
                `entries_forbidden`; 429 `rate_limited`; 503 `engine_full`.
            InvalidField: the strategy breaks a rule of row C1 by now, or `idempotency_key_reused`.
            MirrorUnavailable: with Redis down nothing new is taken on (row J3).
        """
        await self._pinging.run("mirror", self._mirror.ping)
        if user_id in await self._mirror.users_without_entries():  # also while PostgreSQL has not heard of the panic
            raise entries_forbidden()
        try:
            async with self._starting.of((user_id, strategy_id)):  # many STARTs ask the broker once
                strategy, opened = await self._look(user_id, strategy_id, keyed, occasion)
                while opened is None:
                    facts = await self._checks.start_facts(strategy)
                    opened = await self._open_run(strategy, facts, keyed, occasion)
        except Repeated:
            await self._ensure_open(user_id, strategy_id)  # the first request may have failed at the engine
            raise
        await self._bring_up(opened.run, strategy)
        return opened.answer

    async def stop(
        self, user_id: int, strategy_id: int, *, pause_schedule: bool = False
    ) -> tuple[StrategyStatus, bool]:
        """Row I1: the status afterwards, and whether the position is flat (else the exit is still working).

        The schedule of the strategy goes on with its next day, unless it is paused as well.
        """
        async with tenant_transaction(self._reserved, user_id) as session:
            strategy = found(await Strategies(session).get(user_id, strategy_id))
            if pause_schedule and await Schedules(session).pause(user_id, "by_user", strategy_id=strategy_id):
                await AuditLog(session).add("schedule_pause", user_id=user_id, subject=str(strategy_id))
            run = await Runs(session).open_of(user_id, strategy_id)
            if run is not None:
                await AuditLog(session).add(
                    "strategy_stop",
                    user_id=user_id,
                    subject=str(strategy_id),
                    run_id=str(run.id),
                    stop_loss=stop_audited(strategy.stop_loss_paise, strategy.stop_share),
                )
        if run is None:
            return await self._stored_status(self._reserved, user_id, strategy_id, {}), True
        log.info("strategy.stops", strategy_id=strategy_id, run_id=run.id)
        result = await self._stopping.run(run.id, lambda: self._engine.stop(run.id, strategy_id, STOP_TIMEOUT_S))
        status = await self._stored_status(self._reserved, user_id, strategy_id, dict(result.status))
        if result.gone is not None:
            await asyncio.shield(result.gone)
        return status, result.flat

    async def status(self, user_id: int, strategy_id: int) -> StrategyStatus:
        """Row L1, from Redis if it has it (one round trip), else from the database."""
        try:
            runtime, price = await self._mirror.get_status(strategy_id)
        except MirrorUnavailable:
            log.warning("status_without_mirror", strategy_id=strategy_id)
        else:
            if runtime.get("user_id") == str(user_id) and runtime.get("updated_at"):
                return status_of_run(strategy_id, runtime, price, self._now(), self._settings.zone)
        return await self._stored_status(self._sessions, user_id, strategy_id, {})

    async def _stored_status(
        self, sessions: Sessions, user_id: int, strategy_id: int, newer: dict[str, str]
    ) -> StrategyStatus:
        async with tenant_transaction(sessions, user_id) as session:
            strategy = found(await Strategies(session).get(user_id, strategy_id))
            run = await Runs(session).latest_of(user_id, strategy_id)
        if run is None:
            return status_before_start(strategy, self._settings.zone)
        runtime = runtime_fields(run, instrument_of(strategy).symbol) | newer
        return status_of_run(strategy_id, runtime, {}, self._now(), self._settings.zone)

    async def _look(
        self, user_id: int, strategy_id: int, keyed: KeyedRequest | None, occasion: Occasion | None
    ) -> tuple[Strategy, _Opened | None]:
        async with tenant_transaction(self._sessions, user_id) as session:
            await give_answer_again(session, user_id, keyed)
            strategy = found(await Strategies(session).get(user_id, strategy_id, lock=occasion is not None))
            run = await Runs(session).open_of(user_id, strategy_id)
            if occasion is not None:
                await occasion.begin(session)
                if run is not None:
                    await occasion.take(session, run)
            return strategy, None if run is None else await self._answered(session, strategy, run, keyed)

    async def _ensure_open(self, user_id: int, strategy_id: int) -> None:
        async with tenant_transaction(self._sessions, user_id) as session:
            run = await Runs(session).open_of(user_id, strategy_id)
            strategy = None if run is None else await Strategies(session).get(user_id, strategy_id)
        if run is not None and strategy is not None:
            await self._bring_up(run, strategy)

    async def _bring_up(self, run: Run, strategy: Strategy) -> None:
        label = run_label(strategy.tradingsymbol, run.quantity, run.buy_at)
        log.info("strategy.starts", strategy_id=run.strategy_id, run_id=run.id)
        async with self._bringing_up.of(run.user_id):
            await self._engine.ensure_running(run.id, run.strategy_id, label)

    async def _answered(
        self, session: AsyncSession, strategy: Strategy, run: Run, keyed: KeyedRequest | None
    ) -> _Opened:
        """What START says of a run that is open in this transaction, which keeps it under the request's key."""
        equal = await Strategies(session).equal_running(strategy, MOST_NOTES)
        answer = started_answer(run, equal, self._settings.zone)
        await keep_answer(session, run.user_id, keyed, 200, answer)
        return _Opened(run, answer)

    async def _open_run(
        self, seen: Strategy, facts: StartFacts, keyed: KeyedRequest | None, occasion: Occasion | None
    ) -> _Opened | None:
        """The open run of the strategy: a new one, or the one that another START has opened meanwhile.

        None if the user has connected another account meanwhile: what is known of the market is not of that one.
        """
        user_id, strategy_id = seen.user_id, seen.id
        async with tenant_transaction(self._sessions, user_id) as session:
            # Locks in this order: the user, what the user has, the strategy, the account, the places of all.
            if await Users(session).lock_live(user_id) is None:
                raise unauthorized("token_invalid", "Invalid token, please log in again")
            await Strategies(session).lock_count(user_id)
            await give_answer_again(session, user_id, keyed)  # another request with the key had the lock before
            strategy = found(await Strategies(session).get(user_id, strategy_id, lock=True))
            if occasion is not None:
                await occasion.begin(session)
            run = await Runs(session).open_of(user_id, strategy_id)
            if run is not None:
                if occasion is not None:
                    await occasion.take(session, run)
                return await self._answered(session, strategy, run, keyed)
            if await Panics(session).locking(user_id) is not None:
                raise entries_forbidden()
            account = await BrokerAccounts(session).of_user(user_id, lock=True)
            if account is None:
                raise broker_not_connected()
            if account.id != facts.account.id:
                return None
            run = await self._add_run(Runs(session), strategy, account, facts)
            if occasion is not None:
                await occasion.take(session, run)
            await AuditLog(session).add(
                "strategy_start",
                user_id=user_id,
                subject=str(strategy_id),
                run_id=str(run.id),
                buy_at=run.buy_at.astimezone(self._settings.zone).isoformat(),
            )
            opened = await self._answered(session, strategy, run, keyed)
            await self._take_place(EngineLoad(session))
            self._starts.count(user_id)
        await self._show_started(strategy, run, account.broker)
        return opened

    async def _take_place(self, load: EngineLoad) -> None:
        """Keep the new run, which counts already, unless it is one too many of the deployment."""
        await load.lock()
        taken, limits = await load.count(), self._capacity
        if taken.running > limits.running:
            raise _engine_full(f"All {limits.running} places for running strategies are taken")
        if taken.symbols > limits.symbols:
            raise _engine_full(f"Running strategies follow {limits.symbols} symbols already, and no other can be added")

    async def _add_run(self, runs: Runs, strategy: Strategy, account: BrokerAccount, facts: StartFacts) -> Run:
        running, may_run = await runs.count_open(strategy.user_id), self._capacity.running_of_user
        verdict = self._checks.judge_start(strategy, replace(facts, account=account), running=running, may_run=may_run)
        times, zone = verdict.permitted(), self._settings.zone
        message = start_message(times.buy_at, verdict.warnings)
        if facts.listed is not None:
            strategy.instrument_token = facts.listed.token  # the exchange gives new tokens every day
        strategy.status, strategy.updated_at = "running", self._now()
        tick = facts.listed.tick_paise if facts.listed is not None else 0
        run = await runs.add(new_run(strategy, account.id, times, message, tick_paise=tick))
        derivatives = facts.listed is not None and facts.listed.has_derivatives
        run.state = first_state(run, strategy, zone, has_derivatives=derivatives)
        await runs.add_intent(first_intent(run, strategy, zone))
        return run

    async def _show_started(self, strategy: Strategy, run: Run, broker: str) -> None:
        symbol = instrument_of(strategy).symbol
        runtime = runtime_fields(run, symbol, broker) | {"lock_state": ""}
        try:
            await self._mirror.put_run(strategy.id, symbol, strategy_fields(strategy), runtime)
            await self._hide_if_stopped(strategy, run)
        except MirrorUnavailable:  # the engine's first record writes them again
            log.warning("mirror_write_failed", strategy_id=strategy.id)

    async def _hide_if_stopped(self, strategy: Strategy, run: Run) -> None:
        """A STOP may have come between commit and mirror, and have removed the keys before they were written."""
        user_id, strategy_id = strategy.user_id, strategy.id
        async with tenant_transaction(self._sessions, user_id) as session:
            if await Runs(session).open_of(user_id, strategy_id) is not None:
                return
        async with tenant_transaction(self._sessions, user_id) as session:
            await Strategies(session).get(user_id, strategy_id, lock=True)  # no START may come in between
            latest = await Runs(session).latest_of(user_id, strategy_id)
            if latest is not None and latest.id == run.id:
                symbol = instrument_of(strategy).symbol
                await self._mirror.end_run(strategy_id, symbol, runtime_fields(latest, symbol), keep_seconds=0)


def _engine_full(fact: str) -> ApiError:
    sentence = f"{fact}. Nothing was started; please try again later"
    return ApiError(503, "engine_full", sentence, {"Retry-After": str(FULL_RETRY_S)})
