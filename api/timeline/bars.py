"""The minute bars of a run's day: what the engine heard of the symbol, for a chart. Kept for two days."""

from datetime import date, datetime, timedelta, tzinfo

from actors.domain.money import to_rupees
from api.base.errors import ApiError
from api.strategies.service import found
from api.timeline.schemas import BarsQuery, MinuteBar, StrategyBars
from persistence.database.engine import Sessions, tenant_transaction
from persistence.database.models.brokers import BrokerAccount
from persistence.database.models.runs import Run
from persistence.database.repositories.brokers import BrokerAccounts
from persistence.database.repositories.runs import Runs
from persistence.database.repositories.strategies import Strategies
from persistence.mirror.fields import instrument_of
from persistence.mirror.mirror import RuntimeMirror

_LONGEST = timedelta(days=3)
"""How far back bars are looked for: none is kept longer."""


async def read_bars(
    sessions: Sessions,
    mirror: RuntimeMirror,
    zone: tzinfo,
    user_id: int,
    strategy_id: int,
    asked: BarsQuery,
    now: datetime,
) -> StrategyBars:
    """The bars of the day of the run that is asked for or, without one, of the latest; none if it never ran.

    Raises:
        ApiError: 404 `strategy_not_found`; 404 `run_not_found`, also for a run of another strategy (row K1).
        MirrorUnavailable: Redis, which alone has them, does not answer.
    """
    async with tenant_transaction(sessions, user_id) as session:
        strategy = found(await Strategies(session).get(user_id, strategy_id))
        runs = Runs(session)
        if asked.run_id is None:
            run = await runs.latest_of(user_id, strategy_id)
        elif (run := await runs.of_strategy(user_id, strategy_id, asked.run_id)) is None:
            raise ApiError(404, "run_not_found", "No such run of this strategy")
        account = await BrokerAccounts(session).of_user(user_id)
    symbol = instrument_of(strategy).symbol
    broker = await _broker(mirror, run, account) if run else None
    bars = await mirror.get_bars(symbol, _days(run, now), broker) if run and broker is not None else []
    return StrategyBars(
        strategy_id=strategy_id,
        run_id=run.id if run else None,
        symbol=symbol,
        interval=asked.interval,
        bars=[
            MinuteBar(
                at=bar.at.astimezone(zone),
                open=float(to_rupees(bar.open)),
                high=float(to_rupees(bar.high)),
                low=float(to_rupees(bar.low)),
                close=float(to_rupees(bar.close)),
            )
            for bar in bars
        ],
    )


async def _broker(mirror: RuntimeMirror, run: Run, account: BrokerAccount | None) -> str | None:
    """Where the run has traded; None if that is no longer known: prices of another exchange are none of this run."""
    if account is not None and account.id == run.broker_account_id:
        return account.broker
    ((runtime, _),) = await mirror.get_statuses([run.strategy_id])
    return runtime.get("broker", "") if runtime.get("run_id") == str(run.id) else None


def _days(run: Run, now: datetime) -> list[date]:
    """The days of UTC from the START, or the day of the BUY if that is later, to the end of a run or now."""
    last = (run.ended_at or now).date()
    first = max(min(run.buy_at.date(), last), run.started_at.date(), last - _LONGEST)
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]
