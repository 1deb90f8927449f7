"""The trader's word about shares that he, or the broker, has moved behind the engine's back (row M1).

A word that is repeated does nothing twice, since each is compared with the account. With its Idempotency-Key it also
gets the answer of the first time, and not that there is nothing left to say it of.
"""

from collections.abc import Awaitable, Callable

from actors.domain.strategy.state import StatusDetail
from actors.ports.engine import StrategyEngine, WordTaken
from api.base.errors import ApiError
from api.base.idempotency import KeyedRequest, give_answer_again, keep_answer
from api.strategies.joined_requests import KeyedLocks
from api.strategies.schemas import StrategyStatus
from api.strategies.service import found
from persistence.database.engine import Sessions, tenant_transaction
from persistence.database.models.runs import Run
from persistence.database.models.strategies import Strategy
from persistence.database.repositories.audit import AuditLog
from persistence.database.repositories.runs import Runs
from persistence.database.repositories.strategies import Strategies

CLOSED_TIMEOUT_S = 10.0
"""How long the end of a run is waited for."""

StatusOf = Callable[[int, int], Awaitable[StrategyStatus]]
"""The status of a user's strategy."""


class WordService:
    """Takes the word, has it checked against the account, and has it carried out."""

    def __init__(self, sessions: Sessions, engine: StrategyEngine, status: StatusOf) -> None:
        self._sessions, self._engine, self._status = sessions, engine, status
        self._hearing = KeyedLocks[tuple[int, int]]()

    async def closed(self, user_id: int, strategy_id: int, keyed: KeyedRequest | None = None) -> StrategyStatus:
        """He has sold himself: the run ends, and nothing is sold any more. So does the doubt about a run that a restore
        has left in need of his word.

        Raises:
            ApiError: 404; 409 `nothing_held`, `still_held`.
            EngineUnavailable: the strategy, or its account, cannot be asked.
            Repeated, InvalidField: as `give_answer_again`.
        """
        async with self._hearing.of((user_id, strategy_id)):
            strategy, run = await self._look(user_id, strategy_id, keyed)
            if run is None or not (run.ended_at is None or _needs_word(run)):
                raise _nothing_held()
            taken = await self._engine.closed_by_trader(run.id, strategy_id, CLOSED_TIMEOUT_S)
            if not taken.done:
                raise _nothing_held() if taken.held is None else _still_held(strategy, run, taken.held)
            return await self._answered("strategy_closed", strategy, taken, keyed)

    async def held(self, user_id: int, strategy_id: int, keyed: KeyedRequest | None = None) -> StrategyStatus:
        """He still holds what was taken for sold: the run guards again what the account covers of it.

        Raises:
            ApiError: 404; 409 `not_closed_outside`, `not_held`.
            EngineUnavailable: the account cannot be asked, or the strategy not be started.
            Repeated, InvalidField: as `give_answer_again`.
        """
        async with self._hearing.of((user_id, strategy_id)):
            strategy, run = await self._look(user_id, strategy_id, keyed)
            if run is None or run.ended_at is None:
                raise _not_closed_outside()
            taken = await self._engine.held_by_trader(run.id, strategy_id)
            if not taken.done:
                raise _not_closed_outside() if taken.held is None else _not_held(strategy)
            return await self._answered("strategy_held", strategy, taken, keyed)

    async def _look(self, user_id: int, strategy_id: int, keyed: KeyedRequest | None) -> tuple[Strategy, Run | None]:
        async with tenant_transaction(self._sessions, user_id) as session:
            await give_answer_again(session, user_id, keyed)
            strategy = found(await Strategies(session).get(user_id, strategy_id))
            return strategy, await Runs(session).latest_of(user_id, strategy_id)

    async def _answered(
        self, action: str, strategy: Strategy, taken: WordTaken, keyed: KeyedRequest | None
    ) -> StrategyStatus:
        status = await self._status(strategy.user_id, strategy.id)
        async with tenant_transaction(self._sessions, strategy.user_id) as session:
            await AuditLog(session).add(
                action, user_id=strategy.user_id, subject=str(strategy.id), held=str(taken.held or 0)
            )
            await keep_answer(session, strategy.user_id, keyed, 200, status)
        return status


def _needs_word(run: Run) -> bool:
    return run.status_detail == StatusDetail.NEEDS_CONFIRMATION


def _nothing_held() -> ApiError:
    return ApiError(409, "nothing_held", "The strategy holds nothing, so there is nothing to close: look at its status")


def _still_held(strategy: Strategy, run: Run, held: int) -> ApiError:
    what = f"{held} {strategy.tradingsymbol} ({strategy.product})"
    instead = "press STOP" if run.ended_at is None else "say that you still hold them"
    return ApiError(409, "still_held", f"The account still shows {what} of this strategy. Sell them, or {instead}")


def _not_closed_outside() -> ApiError:
    sentence = (
        "The strategy did not end because its shares seemed to be sold elsewhere, so there is nothing to guard again"
    )
    return ApiError(409, "not_closed_outside", sentence)


def _not_held(strategy: Strategy) -> ApiError:
    what = f"{strategy.tradingsymbol} ({strategy.product})"
    sentence = f"The account shows no {what} beyond what other strategies hold, so nothing can be guarded: look there"
    return ApiError(409, "not_held", sentence)
