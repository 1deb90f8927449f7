"""The trader's word about shares that he, or the broker, has moved behind the engine's back (row M1)."""

from actors.ports.engine import StrategyEngine, WordTaken
from api.base.errors import ApiError
from api.strategies.service import found
from persistence.database.engine import Sessions, tenant_transaction
from persistence.database.models.runs import Run
from persistence.database.models.strategies import Strategy
from persistence.database.repositories.audit import AuditLog
from persistence.database.repositories.runs import Runs
from persistence.database.repositories.strategies import Strategies

CLOSED_TIMEOUT_S = 10.0
"""How long the end of a run is waited for."""


class WordService:
    """Takes the word, has it checked against the account, and has it carried out."""

    def __init__(self, sessions: Sessions, engine: StrategyEngine) -> None:
        self._sessions, self._engine = sessions, engine

    async def closed(self, user_id: int, strategy_id: int) -> None:
        """He has sold himself: the run ends, and nothing is sold any more.

        Raises:
            ApiError: 404; 409 `nothing_held`, `still_held`.
            EngineUnavailable: the strategy, or its account, cannot be asked.
        """
        strategy, run = await self._look(user_id, strategy_id)
        if run is None or run.ended_at is not None:
            raise _nothing_held()
        taken = await self._engine.closed_by_trader(strategy_id, CLOSED_TIMEOUT_S)
        if not taken.done:
            raise _nothing_held() if taken.held is None else _still_held(strategy, taken.held)
        await self._audit("strategy_closed", strategy, taken)

    async def held(self, user_id: int, strategy_id: int) -> None:
        """He still holds what was taken for sold: the run guards again what the account covers of it.

        Raises:
            ApiError: 404; 409 `not_closed_outside`, `not_held`.
            EngineUnavailable: the account cannot be asked, or the strategy not be started.
        """
        strategy, run = await self._look(user_id, strategy_id)
        if run is None or run.ended_at is None:
            raise _not_closed_outside()
        taken = await self._engine.held_by_trader(run.id, strategy_id)
        if not taken.done:
            raise _not_closed_outside() if taken.held is None else _not_held(strategy)
        await self._audit("strategy_held", strategy, taken)

    async def _look(self, user_id: int, strategy_id: int) -> tuple[Strategy, Run | None]:
        async with tenant_transaction(self._sessions, user_id) as session:
            strategy = found(await Strategies(session).get(user_id, strategy_id))
            return strategy, await Runs(session).latest_of(user_id, strategy_id)

    async def _audit(self, action: str, strategy: Strategy, taken: WordTaken) -> None:
        async with tenant_transaction(self._sessions, strategy.user_id) as session:
            await AuditLog(session).add(
                action, user_id=strategy.user_id, subject=str(strategy.id), held=str(taken.held or 0)
            )


def _nothing_held() -> ApiError:
    return ApiError(409, "nothing_held", "The strategy holds nothing")


def _still_held(strategy: Strategy, held: int) -> ApiError:
    what = f"{held} {strategy.tradingsymbol} ({strategy.product})"
    return ApiError(409, "still_held", f"The account still shows {what} of this strategy. Sell them, or press STOP")


def _not_closed_outside() -> ApiError:
    sentence = (
        "The strategy did not end because its shares seemed to be sold elsewhere, so there is nothing to guard again"
    )
    return ApiError(409, "not_closed_outside", sentence)


def _not_held(strategy: Strategy) -> ApiError:
    what = f"{strategy.tradingsymbol} ({strategy.product})"
    return ApiError(409, "not_held", f"The account shows no {what} beyond what other strategies hold")
