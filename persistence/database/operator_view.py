"""What an operator sees of all tenants at once: what runs, what waits, and what went wrong. Reads only.

Past the walls between tenants, so for the operator's own commands alone; no amount of money is read. Every age is by
the database's clock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, literal, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlmodel import col

from actors.domain.identifiers import Instrument
from actors.domain.strategy.state import StatusDetail
from persistence.database.models.audit import AuditEntry
from persistence.database.models.brokers import BrokerAccount
from persistence.database.models.notifications import Notification, NotificationDelivery
from persistence.database.models.order_logs import OrderLog
from persistence.database.models.panics import Panic
from persistence.database.models.runs import Run
from persistence.database.models.strategies import Strategy
from persistence.database.models.trading_day.readiness import OperatorFault
from persistence.database.models.trading_day.schedules import ScheduleDay
from persistence.database.repositories.base import Repository

ALERTS_OF = timedelta(hours=1)
"""How old a notice of an alert may be to be shown."""

_MOST_ALERTS = 20

RECENT_RUNS = 20_000
"""How many of the newest runs are looked at for what has ended: a look must not cost more after years of trading."""

_UNFINISHED_PANICS = select(col(Panic.asked_at)).where(col(Panic.finished_at).is_(None)).order_by(col(Panic.asked_at))
_FORBIDDEN = select(func.count()).select_from(Panic).where(col(Panic.unlocked_at).is_(None))


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSeen:
    """A run that is open, or has ended and waits for its trader's word. `epoch`: None if only Redis was asked."""

    strategy_id: int
    run_id: int
    user_id: int
    symbol: str
    broker: str
    position: str
    status: str
    detail: str
    message: str
    quantity: int
    filled: int
    buy_at: datetime
    sell_at: datetime
    updated_at: datetime
    started_at: datetime | None = None
    epoch: int | None = None
    open: bool = True

    @property
    def holds(self) -> bool:
        """Whether shares are held, as far as is known."""
        return self.open and self.position in {"bought", "selling"}


@dataclass(frozen=True, slots=True)
class AlertSeen:
    """The notice of an alert; `strategy_id` is None for one about an account."""

    code: str
    strategy_id: int | None
    text: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbox:
    """Notices on their way: to be sent, of which some are late, and those given up within the hour."""

    waiting: int = 0
    late: int = 0
    given_up: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorView:
    """Everything that was read, in one transaction, `now` by the database's clock."""

    now: datetime
    revision: str | None = None
    runs: Sequence[RunSeen] = ()
    ended_today: int = 0
    failed_today: int = 0
    alerts: Sequence[AlertSeen] = ()
    faults: Sequence[str] = ()
    outbox: Outbox = field(default_factory=Outbox)
    panics: Sequence[datetime] = ()
    forbidden: int = 0
    scheduled_today: Mapping[str, int] = field(default_factory=dict)


class OperatorRows(Repository):
    """Queries of `OperatorView`."""

    async def look(self, today: date, begins: datetime) -> OperatorView:
        """All of it. `today` is the day of the exchange, which began at `begins`."""
        now: datetime = (await self._session.execute(select(func.clock_timestamp()))).scalar_one()
        revision = await self._session.scalar(text("SELECT version_num FROM alembic_version"))
        failed = func.count().filter(col(Run.status) == "failed")
        ended = await self._session.execute(select(func.count(), failed).where(_recent(), col(Run.ended_at) >= begins))
        ended_today, failed_today = ended.one()
        return OperatorView(
            now=now,
            revision=revision,
            runs=await self._runs(),
            ended_today=ended_today,
            failed_today=failed_today,
            alerts=await self._alerts(now),
            faults=list(await self._session.scalars(select(col(OperatorFault.code)).order_by(col(OperatorFault.code)))),
            outbox=await self._outbox(now),
            panics=list(await self._session.scalars(_UNFINISHED_PANICS)),
            forbidden=await self._session.scalar(_FORBIDDEN) or 0,
            scheduled_today=await self._scheduled(today),
        )

    async def _runs(self) -> Sequence[RunSeen]:
        later = aliased(Run)
        superseded = exists().where(
            col(later.strategy_id) == col(Run.strategy_id), col(later.started_at) > col(Run.started_at)
        )
        waits_for_word = and_(
            _recent(),
            col(Run.ended_at).is_not(None),
            col(Run.status_detail) == StatusDetail.NEEDS_CONFIRMATION,
            ~superseded,
        )
        statement = (
            select(
                col(Run.id), col(Run.strategy_id), col(Run.user_id), col(Strategy.exchange),
                col(Strategy.tradingsymbol), func.coalesce(col(BrokerAccount.broker), ""), col(Run.position),
                col(Run.status), col(Run.status_detail), col(Run.message), col(Run.quantity),
                col(Run.filled_quantity), col(Run.buy_at), col(Run.sell_at), col(Run.updated_at),
                col(Run.started_at), col(Run.epoch), col(Run.ended_at).is_(None),
            )
            .join(Strategy, col(Strategy.id) == col(Run.strategy_id))
            .outerjoin(BrokerAccount, col(BrokerAccount.id) == col(Run.broker_account_id))
        )  # fmt: skip
        # Two queries, each by an index: an OR of both would read every run that there ever was.
        rows = [
            *await self._session.execute(statement.where(col(Run.ended_at).is_(None)).order_by(col(Run.strategy_id))),
            *await self._session.execute(statement.where(waits_for_word).order_by(col(Run.strategy_id))),
        ]
        return [
            RunSeen(
                run_id=run_id, strategy_id=strategy_id, user_id=user_id,
                symbol=Instrument(exchange, tradingsymbol, 0).symbol, broker=broker, position=position, status=status,
                detail=detail, message=message, quantity=quantity, filled=filled, buy_at=buy_at,
                sell_at=sell_at, updated_at=updated_at, started_at=started_at,
                epoch=epoch, open=is_open,
            )
            for (
                run_id, strategy_id, user_id, exchange, tradingsymbol, broker, position, status, detail, message,
                quantity, filled, buy_at, sell_at, updated_at, started_at, epoch, is_open,
            ) in rows
        ]  # fmt: skip

    async def _alerts(self, now: datetime) -> Sequence[AlertSeen]:
        statement = (
            select(Notification)
            .where(col(Notification.recorded_at) > now - ALERTS_OF, col(Notification.key).startswith("alert:"))
            .order_by(col(Notification.id).desc())
            .limit(_MOST_ALERTS)
        )
        found = (await self._session.scalars(statement)).all()
        return [AlertSeen(one.key.split(":")[1], one.strategy_id, one.brief, one.at) for one in found]

    async def _outbox(self, now: datetime) -> Outbox:
        late_after, row = literal(timedelta(minutes=5)), NotificationDelivery
        unsettled = col(row.outcome).is_(None)
        untried = and_(unsettled, col(row.due_at) < now - late_after, col(row.attempts) == 0)
        given_up = and_(col(row.outcome).in_(("failed", "expired")), col(row.settled_at) > now - timedelta(hours=1))
        counts = select(
            func.count().filter(unsettled), func.count().filter(untried), func.count().filter(given_up)
        ).where(or_(unsettled, col(row.settled_at) > now - timedelta(hours=1)))
        waiting, late, lost = (await self._session.execute(counts)).one()
        unseen = select(func.count()).where(
            col(Notification.handed_over_at).is_(None), col(Notification.recorded_at) < now - late_after
        )
        late += await self._session.scalar(unseen) or 0
        return Outbox(waiting=waiting, late=late, given_up=lost)

    async def _scheduled(self, today: date) -> Mapping[str, int]:
        by_outcome = select(col(ScheduleDay.outcome), func.count()).where(col(ScheduleDay.session_date) == today)
        rows = await self._session.execute(by_outcome.group_by(col(ScheduleDay.outcome)))
        return {str(outcome): int(number) for outcome, number in rows}


def _recent() -> ColumnElement[bool]:
    return col(Run.id) > select(func.max(col(Run.id)) - RECENT_RUNS).scalar_subquery()


async def owner_of(session: AsyncSession, strategy_id: int) -> int | None:
    """The user whose strategy it is, also if it was deleted; None if there is none."""
    return await session.scalar(select(col(Strategy.user_id)).where(col(Strategy.id) == strategy_id))


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of the order log, or of the audit log where a request was about the strategy (`source`)."""

    source: str
    id: int
    at: datetime
    event: str
    run_id: int | None = None
    leg: str = ""
    order_id: str | None = None
    status: str | None = None
    quantity: int | None = None
    price: str | None = None
    reason: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


async def log_lines(session: AsyncSession, user_id: int, strategy_id: int, limit: int) -> list[LogLine]:
    """The newest `limit` lines about a strategy, oldest first."""
    mine = (col(OrderLog.user_id) == user_id, col(OrderLog.strategy_id) == strategy_id)
    of_orders = select(OrderLog).where(*mine).order_by(col(OrderLog.occurred_at).desc(), col(OrderLog.id).desc())
    asked = (
        col(AuditEntry.user_id) == user_id,
        col(AuditEntry.subject) == str(strategy_id),
        or_(col(AuditEntry.action).startswith("strategy"), col(AuditEntry.action).startswith("schedule")),
    )
    of_requests = select(AuditEntry).where(*asked).order_by(col(AuditEntry.id).desc())
    found = [
        *(_order_line(line) for line in await session.scalars(of_orders.limit(limit))),
        *(_request_line(line) for line in await session.scalars(of_requests.limit(limit))),
    ]
    return sorted(found, key=lambda line: (line.at, line.id))[-limit:]


def _order_line(line: OrderLog) -> LogLine:
    leg = "" if line.leg is None else f"{line.leg}-{line.seq}"
    price = None if line.price is None else f"{line.price:.2f}"
    facts = (line.order_id, line.status, line.quantity, price, line.reason, line.detail)
    return LogLine("order", line.id, line.occurred_at, line.event, line.run_id, leg, *facts)


def _request_line(line: AuditEntry) -> LogLine:
    return LogLine("request", line.id, line.at, line.action, detail=line.detail)
