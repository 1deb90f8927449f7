"""What users want traded: creating, reading, changing and deleting strategies (row C1). Running them is next door."""

from collections.abc import Sequence
from datetime import time
from decimal import Decimal
from typing import Any

import structlog

from actors.domain.money import Paise, to_paise, to_rupees
from api.broker_service import BrokerService
from api.engine_port import StrategyEngine
from api.errors import ApiError, InvalidField, strategy_not_found
from api.schemas.strategy import StrategyCreateRequest, StrategyPatchRequest
from broker.errors import BrokerError
from broker.instruments import ListedInstrument
from persistence.database import Sessions, transaction
from persistence.errors import MirrorUnavailable
from persistence.mirror_fields import instrument_of
from persistence.models import BrokerAccount, OrderLog, Strategy
from persistence.repositories import AuditLog, OrderLogs, Runs, Strategies
from persistence.runtime_mirror import RuntimeMirror

log = structlog.stdlib.get_logger(__name__)


class StrategyService:
    """Keeps the users' strategies. Another tenant's strategy does not exist here (row K1)."""

    def __init__(
        self, sessions: Sessions, mirror: RuntimeMirror, brokers: BrokerService, engine: StrategyEngine
    ) -> None:
        self._sessions = sessions
        self._mirror = mirror
        self._brokers = brokers
        self._engine = engine

    async def create(self, user_id: int, request: StrategyCreateRequest) -> int:
        """Store a new strategy and return its id.

        Raises:
            ApiError: 409 `broker_not_connected` (row B3).
            InvalidField: the symbol is unknown or not tradable, or a value breaks row C1.
            BrokerError: if the symbol cannot be checked.
        """
        _check_times(request.buy_time, request.sell_time)
        account = await self.connected_account(user_id)
        listed = await self._listed(account, request.symbol)
        _check_tick(request.stop_loss, listed.tick_paise)
        strategy = Strategy(
            user_id=user_id,
            exchange=listed.exchange,
            tradingsymbol=listed.tradingsymbol,
            instrument_token=listed.token,
            product=request.product,
            buy_time=request.buy_time,
            sell_time=request.sell_time,
            stop_loss_paise=to_paise(request.stop_loss),
            quantity=request.quantity,
        )
        async with transaction(self._sessions) as session:
            stored = await Strategies(session).add(strategy)
            await AuditLog(session).add("strategy_create", user_id=user_id, subject=str(stored.id))
        return stored.id

    async def get(self, user_id: int, strategy_id: int) -> Strategy:
        """The user's strategy, or 404."""
        async with transaction(self._sessions) as session:
            return found(await Strategies(session).get(user_id, strategy_id))

    async def page(self, user_id: int, limit: int, offset: int) -> tuple[Sequence[Strategy], int]:
        """The user's strategies, newest first, and how many there are."""
        async with transaction(self._sessions) as session:
            return await Strategies(session).page(user_id, limit, offset)

    async def orders(self, user_id: int, strategy_id: int, limit: int, offset: int) -> tuple[Sequence[OrderLog], int]:
        """The order log of the user's strategy, oldest first, and how many lines there are; or 404."""
        async with transaction(self._sessions) as session:
            found(await Strategies(session).get(user_id, strategy_id))
            return await OrderLogs(session).page(user_id, strategy_id, limit, offset)

    async def patch(self, user_id: int, strategy_id: int, request: StrategyPatchRequest) -> Strategy:
        """Change a strategy; while it runs, only its stop-loss. 409 `strategy_running` otherwise."""
        strategy = await self.get(user_id, strategy_id)
        changes = _changes(request)
        _check_times(changes.get("buy_time", strategy.buy_time), changes.get("sell_time", strategy.sell_time))
        if request.stop_loss is not None:
            await self._check_new_stop(strategy, request.stop_loss)
        if await self._is_running(user_id, strategy_id):
            await self._move_stop(strategy, changes)
        async with transaction(self._sessions) as session:
            strategies = Strategies(session)
            found(await strategies.get(user_id, strategy_id, lock=True))
            if set(changes) - {"stop_loss_paise"} and await Runs(session).open_of(user_id, strategy_id):
                raise _running()
            await strategies.change(user_id, strategy_id, changes)
            await AuditLog(session).add("strategy_patch", user_id=user_id, subject=str(strategy_id))
        return await self.get(user_id, strategy_id)

    async def delete(self, user_id: int, strategy_id: int) -> None:
        """Delete a strategy that does not run. 409 `strategy_running` otherwise. Its order log is kept."""
        async with transaction(self._sessions) as session:
            strategies = Strategies(session)
            strategy = found(await strategies.get(user_id, strategy_id, lock=True))
            if await Runs(session).open_of(user_id, strategy_id):
                raise _running()
            await strategies.remove(user_id, strategy_id)
            await AuditLog(session).add("strategy_delete", user_id=user_id, subject=str(strategy_id))
        try:
            await self._mirror.delete_strategy(strategy_id, instrument_of(strategy).symbol)
        except MirrorUnavailable:
            log.warning("mirror_write_failed", strategy_id=strategy_id)

    async def connected_account(self, user_id: int) -> BrokerAccount:
        """The user's broker connection, or 409 (row B3)."""
        account = await self._brokers.account(user_id)
        if account is None:
            raise ApiError(409, "broker_not_connected", "Connect your broker first")
        return account

    async def _listed(self, account: BrokerAccount, symbol: str) -> ListedInstrument:
        exchange, _, tradingsymbol = symbol.partition(":")
        listed = await self._brokers.find_instrument(account, exchange, tradingsymbol)
        if listed is None:
            raise InvalidField("symbol", "is not known to your broker")
        if not listed.tradable:
            raise InvalidField("symbol", "is an index, which cannot be traded")
        return listed

    async def _check_new_stop(self, strategy: Strategy, stop_loss: Decimal) -> None:
        try:
            account = await self.connected_account(strategy.user_id)
            listed = await self._listed(account, instrument_of(strategy).key)
        except BrokerError as error:  # a stop must stay movable while the broker is down
            log.warning("tick_size_unchecked", strategy_id=strategy.id, reason=str(error))
        else:
            _check_tick(stop_loss, listed.tick_paise)

    async def _is_running(self, user_id: int, strategy_id: int) -> bool:
        async with transaction(self._sessions) as session:
            return await Runs(session).open_of(user_id, strategy_id) is not None

    async def _move_stop(self, strategy: Strategy, changes: dict[str, Any]) -> None:
        # The engine first, and outside any transaction of ours: its ledger writes the same rows.
        if set(changes) != {"stop_loss_paise"}:
            raise _running()
        stop_loss: Paise = changes["stop_loss_paise"]
        await self._engine.move_stop(strategy.id, stop_loss)
        try:
            await self._mirror.put_strategy(strategy.id, {"stop_loss": str(to_rupees(stop_loss))})
        except MirrorUnavailable:
            log.warning("mirror_write_failed", strategy_id=strategy.id)


def found(strategy: Strategy | None) -> Strategy:
    """The strategy, or 404."""
    if strategy is None:
        raise strategy_not_found()
    return strategy


def _running() -> ApiError:
    return ApiError(409, "strategy_running", "Stop the strategy first; only its stop-loss can be moved meanwhile")


def _changes(request: StrategyPatchRequest) -> dict[str, Any]:
    changes = {
        "buy_time": request.buy_time,
        "sell_time": request.sell_time,
        "quantity": request.quantity,
        "product": request.product,
        "stop_loss_paise": None if request.stop_loss is None else to_paise(request.stop_loss),
    }
    return {name: value for name, value in changes.items() if value is not None}


def _check_times(buy_time: time, sell_time: time) -> None:
    if buy_time >= sell_time:
        raise InvalidField("sell_time", "must be after buy_time")


def _check_tick(stop_loss: Decimal, tick: Paise) -> None:
    if tick > 0 and to_paise(stop_loss) % tick:
        raise InvalidField("stop_loss", f"must be a multiple of the tick size {to_rupees(tick)}")
