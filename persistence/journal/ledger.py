"""The engine's journal: every PostgreSQL and Redis write of a running strategy goes through `RunLedger`."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import case, exists, func, insert, literal_column, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlmodel import col

from actors.domain.orders.log_events import reported
from actors.domain.orders.order import OrderStage
from persistence.database.engine import Sessions, ping, transaction
from persistence.database.models.brokers import BrokerAccount
from persistence.database.models.order_logs import OrderLog
from persistence.database.models.runs import Intent, Run
from persistence.database.models.strategies import Strategy
from persistence.errors import MirrorUnavailable, RecordRefused, RunNotOpen, StaleEpoch
from persistence.journal import storable
from persistence.journal.account_reads import AccountReads
from persistence.journal.order_queue import pending_events, run_orders, sweep_orders
from persistence.journal.records import (
    WORKING_INTENT_STATES,
    IntentRecord,
    LogRecord,
    RunRecord,
    RunUpdate,
    strategy_status,
)
from persistence.journal.recovery_order import open_run_labels, open_runs
from persistence.journal.run_notices import notify
from persistence.mirror.fields import instrument_of, runtime_fields, strategy_fields
from persistence.mirror.mirror import KEEP_ENDED_SECONDS, RunOrders, RuntimeMirror

log = structlog.stdlib.get_logger(__name__)

_INTENT_FACTS = (
    "quantity", "cause", "state", "claim_epoch", "order_id", "filled_quantity", "average_price", "reason",
)  # fmt: skip
_BROKER = select(col(BrokerAccount.broker)).where(col(BrokerAccount.id) == col(Run.broker_account_id)).scalar_subquery()
_IST = ZoneInfo("Asia/Kolkata")
_CLAIMABLE = ("armed", *sorted(WORKING_INTENT_STATES))
_STAGES = {
    "filled": OrderStage.COMPLETE,
    "cancelled": OrderStage.CANCELLED,
    "rejected": OrderStage.REJECTED,
}


class RunLedger(AccountReads):
    """Durable memory of the runs of all strategies. Safe for any number of concurrent callers.

    Every call is one transaction and may be repeated: after `DatabaseUnavailable` the caller cannot know whether it
    took effect, and calling again is always right. Calls that write for a run carry the epoch that `load_run` gave;
    a later incarnation's `load_run` makes them raise `StaleEpoch`. Notices show instants in `zone`.
    """

    def __init__(self, sessions: Sessions, mirror: RuntimeMirror, zone: tzinfo = _IST) -> None:
        super().__init__(sessions)
        self._mirror, self._zone = mirror, zone

    async def load_run(self, run_id: int) -> RunRecord:
        """Take the run over: raises its epoch by one and returns all that is known of it (mechanism 12, row J1).

        Raises:
            RunNotOpen: if it does not exist or has ended.
        """
        async with transaction(self._sessions) as session:
            taken = (
                update(Run)
                .where(col(Run.id) == run_id, col(Run.ended_at).is_(None))
                .values(epoch=col(Run.epoch) + 1)
                .returning(Run)
            )
            run = (await session.scalars(taken)).one_or_none()
            if run is None:
                raise RunNotOpen(run_id)
            parents = (
                select(Strategy, col(BrokerAccount.broker))
                .join(BrokerAccount, col(BrokerAccount.id) == run.broker_account_id)
                .where(col(Strategy.id) == run.strategy_id)
            )
            strategy, broker = (await session.execute(parents)).one()
            wanted = select(Intent).where(col(Intent.run_id) == run_id).order_by(col(Intent.id))
            intents = (await session.scalars(wanted)).all()
        return run_record(run, strategy, broker, intents)

    async def claim_intent(self, run_id: int, leg: str, seq: int, epoch: int) -> bool:
        """Claim an intent in PostgreSQL, for when Redis is down (mechanism 5, ruling 6).

        True for the caller whose epoch is the run's current one, as often as it asks. False if the intent is settled
        or unknown, or a later incarnation owns the run.
        """
        owned = exists().where(col(Run.id) == run_id, col(Run.epoch) == epoch, col(Run.ended_at).is_(None))
        statement = (
            update(Intent)
            .where(col(Intent.run_id) == run_id, col(Intent.leg) == leg, col(Intent.seq) == seq)
            .where(col(Intent.state).in_(_CLAIMABLE), func.coalesce(col(Intent.claim_epoch), 0) <= epoch, owned)
            .values(
                claim_epoch=epoch,
                state=func.replace(col(Intent.state), "armed", "claimed"),
                updated_at=func.now(),
            )
            .returning(col(Intent.id))
        )
        async with transaction(self._sessions) as session:
            return (await session.scalar(statement)) is not None

    async def ping(self) -> None:
        """Ask whether PostgreSQL answers. Raises DatabaseUnavailable."""
        await ping(self._sessions)

    async def owns_run(self, run_id: int, epoch: int) -> bool:
        """Whether the run is open and no later incarnation than `epoch` has taken it over."""
        mine = select(exists().where(col(Run.id) == run_id, col(Run.epoch) == epoch, col(Run.ended_at).is_(None)))
        async with transaction(self._sessions) as session:
            return bool(await session.scalar(mine))

    async def record(self, update_: RunUpdate) -> bool:
        """Record one step of a strategy as a whole: run, intents, log lines and strategy status; then the mirror.

        When it returns, everything is durable. True: the mirror shows it too, and no settled intent is on
        `queue:orders`; False: it could not be reached (the next record, or `rebuild_mirror`, repairs it). An order id
        that an intent has for the first time gets a line of its own unless one of `logs` names it, so that every
        order that the run knows is in `order_logs`.

        Raises:
            StaleEpoch: if a later incarnation owns the run, or there is no such run; nothing was recorded.
            RecordRefused, ConstraintViolated: the database refuses the step even without its texts.
        """
        run, strategy = await self._written(update_)
        try:
            if strategy is None:  # a late line of an earlier run: the keys belong to the present one
                await self._mirror.settle_run(run.id)
                return True
            orders = run_orders(update_.intents)
            delete = update_.ended and update_.delete_mirror
            await self._mirror_run(run, strategy, update_.broker, orders, delete=delete)
        except MirrorUnavailable:
            log.warning("mirror_write_failed", run_id=run.id, strategy_id=run.strategy_id)
            return False
        return True

    async def _written(self, update_: RunUpdate) -> tuple[Run, Strategy | None]:
        """The step, in the database. One that it refuses for its content is written without what it cannot store."""
        for candidate in (update_, *storable.storable_updates(update_)):
            try:
                return await self._write(candidate)
            except RecordRefused as error:
                log.exception("record_refused", run_id=update_.run_id, strategy_id=update_.strategy_id)
                refused = error
        raise refused

    async def _write(self, update_: RunUpdate) -> tuple[Run, Strategy | None]:
        async with transaction(self._sessions) as session:
            run = await _update_run(session, update_)
            adopted = await upsert_intents(session, update_)
            lines = (*update_.logs, *adopted)
            await append_logs(session, update_, lines)
            await notify(session, update_, lines, run.sell_at, self._zone)
            return run, await _update_strategy(session, run)

    async def append_log(self, user_id: int, strategy_id: int, run_id: int, line: LogRecord) -> None:
        """One line of `order_logs` that is not part of a step: an attempt to place an order."""
        owner = {"run_id": run_id, "strategy_id": strategy_id, "user_id": user_id}
        for candidate in (line, *storable.storable_lines(line)):
            try:
                async with transaction(self._sessions) as session:
                    await session.execute(insert(OrderLog), [owner | _log_columns(candidate)])
            except RecordRefused as error:
                log.exception("log_line_refused", run_id=run_id, strategy_id=strategy_id)
                refused = error
            else:
                return
        raise refused

    async def ensure_mirror(self) -> None:
        """Rebuild the mirror if Redis has lost its keys (row J3); sweep `queue:orders` in any case.

        Raises:
            MirrorUnavailable: if Redis does not answer.
        """
        if await self._mirror.is_built():
            await sweep_orders(self._sessions, self._mirror)
            return
        rebuilt = await self.rebuild_mirror()
        log.info("mirror_rebuilt", runs=rebuilt)

    async def rebuild_mirror(self) -> int:
        """Write the keys of every open run again, from the database (rows J1, J3). Returns how many runs.

        `queue:orders` shows the working intents again, and nothing that is settled.

        Raises:
            MirrorUnavailable: if Redis does not answer.
        """
        statement = select(Run, Strategy, _BROKER).join(Strategy, col(Strategy.id) == col(Run.strategy_id))
        open_intents = select(Intent).join(Run, col(Run.id) == col(Intent.run_id))
        open_intents = open_intents.where(
            col(Run.ended_at).is_(None), col(Intent.state).in_(sorted(WORKING_INTENT_STATES))
        )
        async with transaction(self._sessions) as session:
            rows = (await session.execute(statement.where(col(Run.ended_at).is_(None)))).all()
            working: dict[int, list[Intent]] = {}
            for intent in await session.scalars(open_intents):
                working.setdefault(intent.run_id, []).append(intent)
        for run, strategy, broker in rows:
            pending = pending_events(run.strategy_id, working.get(run.id, ()))
            await self._mirror_run(run, strategy, broker, RunOrders(pending=pending))
        await sweep_orders(self._sessions, self._mirror)
        await self._mirror.mark_built()
        return len(rows)

    async def mirror_again(self, run_id: int, *, delete: bool) -> None:
        """Write a run's keys after its `record` could not, unless a later run of the strategy owns them by now.

        `queue:orders` shows the run's working intents.

        Raises:
            MirrorUnavailable: if Redis still does not answer.
        """
        later = aliased(Run)
        superseded = exists().where(col(later.strategy_id) == Run.strategy_id, col(later.id) > col(Run.id))
        wanted = select(Run, Strategy, _BROKER, superseded).join(Strategy, col(Strategy.id) == col(Run.strategy_id))
        async with transaction(self._sessions) as session:
            row = (await session.execute(wanted.where(col(Run.id) == run_id))).one_or_none()
            intents = (await session.scalars(select(Intent).where(col(Intent.run_id) == run_id))).all()
        if row is None:
            return
        run, strategy, broker, is_superseded = row
        if is_superseded:
            await self._mirror.settle_run(run_id)
            return
        orders = run_orders(intents, pending_events(run.strategy_id, intents))
        await self._mirror_run(run, strategy, broker, orders, delete=delete)

    async def running_runs(self, strategy_id: int | None = None) -> list[tuple[int, int]]:
        """(run_id, strategy_id) of every open run, the most urgent first; or of one strategy's."""
        async with transaction(self._sessions) as session:
            return await open_runs(session, strategy_id)

    async def running_labels(self) -> dict[int, str]:
        """What engineers find the actor of each open run by, by the run's id."""
        async with transaction(self._sessions) as session:
            return await open_run_labels(session)

    async def _mirror_run(
        self, run: Run, strategy: Strategy, broker: str | None, orders: RunOrders, *, delete: bool = False
    ) -> None:
        symbol = instrument_of(strategy).symbol
        runtime = runtime_fields(run, symbol, broker or "")
        if run.ended_at is None:
            fields = strategy_fields(strategy)
            await self._mirror.put_run_with_orders(run.strategy_id, symbol, fields, runtime, orders)
            return
        keep_seconds = 0 if delete else KEEP_ENDED_SECONDS
        await self._mirror.end_run(run.strategy_id, symbol, runtime, keep_seconds=keep_seconds)


async def _update_run(session: AsyncSession, update_: RunUpdate) -> Run:
    values = asdict(update_.runtime) | {"state": dict(update_.state), "epoch": update_.epoch}
    if update_.ended:
        values["ended_at"] = func.coalesce(col(Run.ended_at), update_.runtime.updated_at)
    statement = (
        update(Run)
        .where(col(Run.id) == update_.run_id, col(Run.strategy_id) == update_.strategy_id)
        .where(col(Run.user_id) == update_.user_id, col(Run.epoch) <= update_.epoch)
        .values(values)
        .returning(Run)
    )
    run = (await session.scalars(statement)).one_or_none()
    if run is None:
        raise StaleEpoch(update_.run_id, update_.epoch)
    return run


async def upsert_intents(session: AsyncSession, update_: RunUpdate) -> list[LogRecord]:
    """Lines for the order ids that were not logged: those a new incarnation has found in the book by their tag.

    One statement for all intents: each takes a turn of PostgreSQL's, for which an exit's record waits. A subquery sees
    the table as it was when the statement began.
    """
    if not update_.intents:
        return []
    stored = aliased(Intent)
    same = (col(stored.leg) == literal_column("intents.leg"), col(stored.seq) == literal_column("intents.seq"))
    before = select(col(stored.order_id)).where(col(stored.run_id) == update_.run_id, *same).scalar_subquery()
    statement = upsert(Intent).values([asdict(intent) for intent in update_.intents])
    facts: dict[str, Any] = {name: statement.excluded[name] for name in _INTENT_FACTS}
    facts["claim_epoch"] = func.coalesce(statement.excluded.claim_epoch, col(Intent.claim_epoch))
    written = statement.on_conflict_do_update(
        constraint="intents_run_id_leg_seq_key", set_=facts | {"updated_at": func.now()}
    )
    rows = await session.execute(written.returning(col(Intent.leg), col(Intent.seq), before))
    known = {(leg, seq): order_id for leg, seq, order_id in rows}
    named = {None, *(line.order_id for line in update_.logs)}
    found = [one for one in update_.intents if one.order_id not in {known[one.leg, one.seq], *named}]
    return [_adopted_line(intent, update_.runtime.updated_at) for intent in found]


def _adopted_line(intent: IntentRecord, at: datetime) -> LogRecord:
    """In the words of the lines that report an order (row H4), so that the timeline shows it like any other."""
    stage = _STAGES.get(intent.state, OrderStage.OPEN if intent.filled_quantity else OrderStage.PENDING)
    return LogRecord(
        event=reported(stage, intent.filled_quantity),
        occurred_at=at,
        leg=intent.leg,
        seq=intent.seq,
        order_id=intent.order_id,
        status=stage,
        quantity=intent.filled_quantity,
        price=intent.average_price,
        reason=intent.reason,
        detail={"adopted": True, "tag": intent.tag} | ({"cause": intent.cause} if intent.cause else {}),
    )


async def append_logs(session: AsyncSession, update_: RunUpdate, lines: Sequence[LogRecord]) -> None:
    """Add lines to `order_logs` under the names of the run."""
    if lines:
        owner = {"run_id": update_.run_id, "strategy_id": update_.strategy_id, "user_id": update_.user_id}
        # with its nulls each line has the same columns, so that one statement takes them all
        statement = insert(OrderLog).execution_options(render_nulls=True)
        await session.execute(statement, [owner | _log_columns(line) for line in lines])


def _log_columns(line: LogRecord) -> dict[str, object]:
    return {name: getattr(line, name) for name in LogRecord.__dataclass_fields__} | {"detail": dict(line.detail)}


async def _update_strategy(session: AsyncSession, run: Run) -> Strategy | None:
    later = aliased(Run)
    superseded = exists().where(col(later.strategy_id) == run.strategy_id, col(later.id) > run.id)
    statement = (
        update(Strategy)
        .where(col(Strategy.id) == run.strategy_id, ~superseded)
        .values(
            status=strategy_status(run.status, ended=run.ended_at is not None),
            **_stop_of(run),
            updated_at=func.now(),
        )
        .returning(Strategy)
    )
    return (await session.scalars(statement)).one_or_none()


def _stop_of(run: Run) -> dict[str, Any]:
    """What a move of the run's stop-loss makes of its strategy's. A level in rupees for today leaves a share alone: the
    next run reckons it from its own fill.
    """
    if run.stop_share is not None:
        return {"stop_share": run.stop_share, "stop_loss_paise": 0}
    return {"stop_loss_paise": case((col(Strategy.stop_share).is_(None), run.stop_loss_paise), else_=0)}


def run_record(run: Run, strategy: Strategy, broker: str, intents: Sequence[Intent]) -> RunRecord:
    """A run as its actor needs it. Raises RunNotOpen if its account was disconnected."""
    if run.broker_account_id is None:
        raise RunNotOpen(run.id)
    return RunRecord(
        run_id=run.id,
        strategy_id=run.strategy_id,
        user_id=run.user_id,
        account_id=run.broker_account_id,
        broker=broker,
        exchange=strategy.exchange,
        tradingsymbol=strategy.tradingsymbol,
        instrument_token=strategy.instrument_token,
        product=run.product,
        quantity=run.quantity,
        stop_loss_paise=run.stop_loss_paise,
        stop_share=run.stop_share,
        tick_paise=run.tick_paise,
        buy_at=run.buy_at,
        sell_at=run.sell_at,
        tag_key=run.tag_key,
        epoch=run.epoch,
        state=run.state,
        intents=tuple(_intent_record(intent) for intent in intents),
    )


def _intent_record(intent: Intent) -> IntentRecord:
    return IntentRecord(**{name: getattr(intent, name) for name in IntentRecord.__dataclass_fields__})
