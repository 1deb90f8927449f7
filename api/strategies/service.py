"""What users want traded: creating, reading, changing and deleting strategies (row C1)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import structlog
from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession

from actors.domain.money import Paise, to_paise, to_rupees
from actors.domain.prices.stop_share import stop_below, to_hundredths, to_percent
from actors.ports.engine import StrategyEngine
from api.base.errors import ApiError, strategy_not_found, unauthorized
from api.base.idempotency import KeyedRequest, give_answer_again, keep_answer
from api.strategies.rule_facts import StrategyChecks, terms_of
from api.strategies.schemas import StrategyCreateRequest, StrategyIdAnswer, StrategyPatchRequest
from api.strategies.strategy_rules import Terms, check_moved_stop, check_tick
from persistence.database.engine import Sessions, tenant_transaction
from persistence.database.models.order_logs import OrderLog
from persistence.database.models.runs import Run
from persistence.database.models.strategies import Strategy
from persistence.database.repositories.audit import AuditLog
from persistence.database.repositories.base import Total
from persistence.database.repositories.order_logs import OrderLogs
from persistence.database.repositories.runs import Runs
from persistence.database.repositories.strategies import Strategies
from persistence.database.repositories.users import Users
from persistence.database.schedules import Schedules
from persistence.errors import MirrorUnavailable
from persistence.mirror.fields import instrument_of
from persistence.mirror.mirror import RuntimeMirror

log = structlog.stdlib.get_logger(__name__)

_STOP_MATTERS = frozenset({"none", "buying", "bought"})
"""Positions of a run in which its stop-loss sells or will; later it has nothing left to do."""


class StrategyService:
    """Keeps the users' strategies. Another tenant's strategy does not exist here (row K1)."""

    def __init__(
        self,
        sessions: Sessions,
        mirror: RuntimeMirror,
        engine: StrategyEngine,
        checks: StrategyChecks,
    ) -> None:
        self._sessions = sessions
        self._mirror = mirror
        self._engine = engine
        self._checks = checks

    async def create(
        self, user_id: int, request: StrategyCreateRequest, keyed: KeyedRequest | None = None
    ) -> StrategyIdAnswer:
        """Store a new strategy, once for all requests with the same key.

        Raises:
            Repeated: a request with this key has stored it before.
            ApiError: 409 `broker_not_connected` (row B3), `broker_token_expired`, `too_many_strategies`.
            InvalidField: the symbol is unknown or not tradable, a value breaks row C1, or `idempotency_key_reused`.
            BrokerError: if the symbol cannot be checked.
        """
        if keyed is not None:  # before the broker is asked, which may refuse by now
            async with tenant_transaction(self._sessions, user_id) as session:
                await give_answer_again(session, user_id, keyed)
        exchange, _, tradingsymbol = request.symbol.partition(":")
        market = await self._checks.market(user_id, exchange, tradingsymbol)
        strategy = described(user_id, request, market.listed.token)
        terms = terms_of(strategy)
        self._checks.check(terms, market)
        async with tenant_transaction(self._sessions, user_id) as session:
            if await Users(session).lock_live(user_id) is None:
                raise unauthorized("token_invalid", "Invalid token, please log in again")
            others = await Strategies(session).lock_count(user_id)
            await give_answer_again(session, user_id, keyed)  # another request with the key had the lock before
            self._checks.check(terms, market, others)
            stored = await Strategies(session).add(strategy)
            await AuditLog(session).add("strategy_create", user_id=user_id, subject=str(stored.id))
            answer = StrategyIdAnswer(strategy_id=stored.id)
            await keep_answer(session, user_id, keyed, 201, answer)
        self._engine.expect_start(stored.id)
        await self._tell_changed(user_id, stored.id)
        return answer

    async def get(self, user_id: int, strategy_id: int) -> Strategy:
        """The user's strategy, or 404."""
        async with tenant_transaction(self._sessions, user_id) as session:
            return found(await Strategies(session).get(user_id, strategy_id))

    async def page(
        self,
        user_id: int,
        limit: int,
        offset: int,
        status: str | None = None,
        symbol: str | None = None,
    ) -> tuple[Sequence[Strategy], Total]:
        """The user's strategies, newest first, and how many there are; of one status or symbol (`NSE:INFY`)."""
        exchange, _, tradingsymbol = (symbol or "").partition(":")
        traded = (exchange, tradingsymbol) if symbol else None
        async with tenant_transaction(self._sessions, user_id) as session:
            return await Strategies(session).page(user_id, limit, offset, status, traded)

    async def orders(self, user_id: int, strategy_id: int, limit: int, offset: int) -> tuple[Sequence[OrderLog], Total]:
        """The order log of the user's strategy, oldest first, and how many lines there are; or 404."""
        async with tenant_transaction(self._sessions, user_id) as session:
            found(await Strategies(session).get(user_id, strategy_id))
            return await OrderLogs(session).page(user_id, strategy_id, limit, offset)

    async def patch(
        self, user_id: int, strategy_id: int, request: StrategyPatchRequest
    ) -> tuple[Strategy, bool | None]:
        """Change a strategy; while it runs, only its stop-loss, and then whether both guards of a position have it.

        While it runs, its actor and the ledger alone write the stop-loss, so that what is stored is what is watched,
        whichever of several changes comes last.

        Raises:
            ApiError: 404; 409 `strategy_running`; the 409s of `create`.
            InvalidField: the changed strategy would break row C1; the stop-loss of a running one would be reached at
                once, or that is not known, and it is not confirmed.
            BrokerError, EngineUnavailable: if the symbol cannot be checked, or the running strategy not be reached.
        """
        changes = _changes(request)
        done, guarded = False, None
        while not done:  # a START or an end may come in between
            strategy, run = await self._look(user_id, strategy_id)
            if run is None:
                done, guarded = await self._change_resting(strategy, changes), None
                if done:
                    await self._tell_changed(user_id, strategy_id)
            else:
                done, guarded = await self._change_running(strategy, run, changes, confirmed=request.confirm)
        return await self.get(user_id, strategy_id), guarded

    async def delete(self, user_id: int, strategy_id: int) -> None:
        """Delete a strategy that does not run. 409 `strategy_running` otherwise. Its order log is kept."""
        async with tenant_transaction(self._sessions, user_id) as session:
            strategies = Strategies(session)
            strategy = found(await strategies.get(user_id, strategy_id, lock=True))
            if await Runs(session).open_of(user_id, strategy_id):
                raise _running()
            await Schedules(session).remove(user_id, strategy_id)
            await strategies.remove(user_id, strategy_id)
            await AuditLog(session).add("strategy_delete", user_id=user_id, subject=str(strategy_id))
        try:
            await self._mirror.delete_strategy(strategy_id, instrument_of(strategy).symbol, tell=user_id)
        except MirrorUnavailable:
            log.warning("mirror_write_failed", strategy_id=strategy_id)

    async def _tell_changed(self, user_id: int, strategy_id: int) -> None:
        try:
            await self._mirror.tell_changed(user_id, strategy_id)
        except MirrorUnavailable:  # the user's other devices see it in their next snapshot
            log.warning("mirror_write_failed", strategy_id=strategy_id)

    async def _look(self, user_id: int, strategy_id: int) -> tuple[Strategy, Run | None]:
        async with tenant_transaction(self._sessions, user_id) as session:
            strategy = found(await Strategies(session).get(user_id, strategy_id))
            return strategy, await Runs(session).open_of(user_id, strategy_id)

    async def _price_heard(self, strategy_id: int) -> Mapping[str, str]:
        try:
            return (await self._mirror.get_status(strategy_id))[1]
        except MirrorUnavailable:
            log.warning("price_without_mirror", strategy_id=strategy_id)
            return {}

    async def _change_resting(self, seen: Strategy, changes: dict[str, Any]) -> bool:
        """Store the changes, judged together with what is stored by then. False if the strategy runs by then."""
        user_id, strategy_id = seen.user_id, seen.id
        market = await self._checks.market(user_id, seen.exchange, seen.tradingsymbol)
        async with tenant_transaction(self._sessions, user_id) as session:
            strategy = found(await Strategies(session).get(user_id, strategy_id, lock=True))
            if await Runs(session).open_of(user_id, strategy_id) is not None:
                return False
            self._checks.check(_changed(strategy, changes), market)
            await self._look_again(session, strategy, changes)
            audited = _audited(strategy, changes)
            await Strategies(session).change(user_id, strategy_id, changes)
            await AuditLog(session).add("strategy_patch", user_id=user_id, subject=str(strategy_id), **audited)
        return True

    async def _look_again(self, session: AsyncSession, strategy: Strategy, changes: dict[str, Any]) -> None:
        """A schedule takes the changed strategy at its next arming."""
        schedules = Schedules(session)
        if await schedules.get(strategy.user_id, strategy.id) is None:
            return
        if "stop_loss_paise" in changes and changes["stop_share"] is None:
            raise schedule_needs_percent()
        await schedules.change(strategy.user_id, strategy.id, {"next_look_at": func.now()})

    async def _change_running(
        self, seen: Strategy, run: Run, changes: dict[str, Any], *, confirmed: bool
    ) -> tuple[bool, bool | None]:
        """Move the stop-loss of the run; whether that is done, and whether both guards have it.

        It is not done if another run has begun meanwhile.
        """
        user_id, strategy_id = seen.user_id, seen.id
        if set(changes) != {"stop_loss_paise", "stop_share"}:
            raise _running()
        stop_loss: Paise = changes["stop_loss_paise"]
        share: int | None = changes["stop_share"]
        listed = await self._checks.listed(seen)
        if share is not None:  # a share of a fill that has not come is below any price
            level = 0 if run.buy_price is None else stop_below(run.buy_price, share, run.tick_paise)
        else:
            level = stop_loss
            if listed is not None:
                check_tick(stop_loss, listed)
        if not confirmed and run.position in _STOP_MATTERS:
            price = await self._checks.price_now(seen, await self._price_heard(strategy_id))
            check_moved_stop(level, run.stop_loss_paise, price)
        # Outside any transaction of ours: the engine's ledger writes the same rows.
        guarded = await self._engine.move_stop(strategy_id, stop_loss, share)
        async with tenant_transaction(self._sessions, user_id) as session:
            found(await Strategies(session).get(user_id, strategy_id, lock=True))
            latest = await Runs(session).open_of(user_id, strategy_id)
            if latest is not None and latest.id != run.id:
                return False, None
            if latest is None:  # it ended meanwhile, perhaps before it heard of the move
                await Strategies(session).change(user_id, strategy_id, changes)
            await AuditLog(session).add(
                "strategy_patch",
                user_id=user_id,
                subject=str(strategy_id),
                **_audited(seen, changes),
                **({"confirmed": "true"} if confirmed else {}),
            )
        return True, guarded


def described(user_id: int, request: StrategyCreateRequest, instrument_token: int) -> Strategy:
    """The row that create stores."""
    exchange, _, tradingsymbol = request.symbol.partition(":")
    return Strategy(
        user_id=user_id,
        exchange=exchange,
        tradingsymbol=tradingsymbol,
        instrument_token=instrument_token,
        product=request.product,
        buy_time=request.buy_time,
        sell_time=request.sell_time,
        stop_loss_paise=_paise(request.stop_loss),
        stop_share=_share(request.stop_loss_percent),
        quantity=request.quantity,
    )


def found(strategy: Strategy | None) -> Strategy:
    """The strategy, or 404."""
    if strategy is None:
        raise strategy_not_found()
    return strategy


def schedule_needs_percent() -> ApiError:
    """A level in rupees is right on the day on which it was written: the price moves away from it, or below it."""
    sentence = "A strategy with a schedule needs stop_loss_percent: an amount in rupees does not move with the price"
    return ApiError(409, "schedule_needs_percent", sentence)


def _running() -> ApiError:
    return ApiError(409, "strategy_running", "Stop the strategy first; only its stop-loss can be moved meanwhile")


def _changes(request: StrategyPatchRequest) -> dict[str, Any]:
    """The columns to change."""
    changes = {
        "buy_time": request.buy_time,
        "sell_time": request.sell_time,
        "quantity": request.quantity,
        "product": request.product,
    }
    kept: dict[str, Any] = {name: value for name, value in changes.items() if value is not None}
    if request.stop_loss is not None or request.stop_loss_percent is not None:  # the one takes the other's place
        kept |= {"stop_loss_paise": _paise(request.stop_loss), "stop_share": _share(request.stop_loss_percent)}
    return kept


def _paise(stop_loss: Decimal | None) -> Paise:
    return 0 if stop_loss is None else to_paise(stop_loss)


def _share(percent: Decimal | None) -> int | None:
    return None if percent is None else to_hundredths(percent)


def _changed(strategy: Strategy, changes: dict[str, Any]) -> Terms:
    renamed = {name.removesuffix("_paise"): value for name, value in changes.items()}
    return replace(terms_of(strategy), **renamed)


def _audited(before: Strategy, changes: dict[str, Any]) -> dict[str, str]:
    """What was, and what is to be, for the audit log; the stop-loss in the form people read."""
    audited: dict[str, str] = {}
    for name in changes.keys() - {"stop_loss_paise", "stop_share"}:
        audited |= {f"old_{name}": str(getattr(before, name)), f"new_{name}": str(changes[name])}
    if "stop_loss_paise" in changes:
        audited["old_stop_loss"] = stop_audited(before.stop_loss_paise, before.stop_share)
        audited["new_stop_loss"] = stop_audited(changes["stop_loss_paise"], changes["stop_share"])
    return audited


def stop_audited(stop_loss: Paise, share: int | None) -> str:
    """A stop-loss in the audit log: rupees, or "2.5%" of the fill."""
    return str(to_rupees(stop_loss)) if share is None else f"{to_percent(share)}%"
