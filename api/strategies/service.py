"""What users want traded: creating, reading, changing and deleting strategies (row C1)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import structlog

from actors.domain.money import Paise, to_paise, to_rupees
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
from persistence.errors import MirrorUnavailable
from persistence.mirror.fields import instrument_of
from persistence.mirror.mirror import RuntimeMirror

log = structlog.stdlib.get_logger(__name__)

T = TypeVar("T")

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
                raise unauthorized("token_invalid", "Invalid token")
            others = await Strategies(session).lock_count(user_id)
            await give_answer_again(session, user_id, keyed)  # another request with the key had the lock before
            self._checks.check(terms, market, others)
            stored = await Strategies(session).add(strategy)
            await AuditLog(session).add("strategy_create", user_id=user_id, subject=str(stored.id))
            answer = StrategyIdAnswer(strategy_id=stored.id)
            await keep_answer(session, user_id, keyed, 201, answer)
        self._engine.expect_start(stored.id)
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
            await strategies.remove(user_id, strategy_id)
            await AuditLog(session).add("strategy_delete", user_id=user_id, subject=str(strategy_id))
        try:
            await self._mirror.delete_strategy(strategy_id, instrument_of(strategy).symbol, tell=user_id)
        except MirrorUnavailable:
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
            audited = _audited(strategy, changes)
            await Strategies(session).change(user_id, strategy_id, changes)
            await AuditLog(session).add("strategy_patch", user_id=user_id, subject=str(strategy_id), **audited)
        return True

    async def _change_running(
        self, seen: Strategy, run: Run, changes: dict[str, Any], *, confirmed: bool
    ) -> tuple[bool, bool | None]:
        """Move the stop-loss of the run; whether that is done, and whether both guards have it.

        It is not done if another run has begun meanwhile.
        """
        user_id, strategy_id = seen.user_id, seen.id
        if set(changes) != {"stop_loss_paise"}:
            raise _running()
        stop_loss: Paise = changes["stop_loss_paise"]
        listed = await self._checks.listed(seen)
        if listed is not None:
            check_tick(stop_loss, listed)
        if not confirmed and run.position in _STOP_MATTERS:
            price = await self._checks.price_now(seen, await self._price_heard(strategy_id))
            check_moved_stop(stop_loss, run.stop_loss_paise, price)
        # Outside any transaction of ours: the engine's ledger writes the same rows.
        guarded = await self._engine.move_stop(strategy_id, stop_loss)
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
        stop_loss_paise=to_paise(request.stop_loss),
        quantity=request.quantity,
    )


def found(strategy: T | None) -> T:
    """The strategy, with what was asked for besides, or 404."""
    if strategy is None:
        raise strategy_not_found()
    return strategy


def _running() -> ApiError:
    return ApiError(409, "strategy_running", "Stop the strategy first; only its stop-loss can be moved meanwhile")


def _changes(request: StrategyPatchRequest) -> dict[str, Any]:
    """The columns to change."""
    changes = {
        "buy_time": request.buy_time,
        "sell_time": request.sell_time,
        "quantity": request.quantity,
        "product": request.product,
        "stop_loss_paise": None if request.stop_loss is None else to_paise(request.stop_loss),
    }
    return {name: value for name, value in changes.items() if value is not None}


def _changed(strategy: Strategy, changes: dict[str, Any]) -> Terms:
    renamed = {name.removesuffix("_paise"): value for name, value in changes.items()}
    return replace(terms_of(strategy), **renamed)


def _audited(before: Strategy, changes: dict[str, Any]) -> dict[str, str]:
    """What was, and what is to be, for the audit log; the stop-loss in rupees."""
    audited: dict[str, str] = {}
    for column, new in changes.items():
        name, old = column.removesuffix("_paise"), getattr(before, column)
        if name != column:
            old, new = to_rupees(old), to_rupees(new)  # noqa: PLW2901 - the same values in the form people read
        audited |= {f"old_{name}": str(old), f"new_{name}": str(new)}
    return audited
