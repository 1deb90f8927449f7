"""Which runs a day has had, for the summaries of all users."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import and_, or_, select
from sqlmodel import col

from persistence.database.models.brokers import BrokerAccount
from persistence.database.models.runs import Run
from persistence.database.models.users import User
from persistence.database.repositories.base import Repository


class DayRuns(Repository):
    """Runs that have ended in a time, or were to buy before its end and are open."""

    async def by_user(self, begins: datetime, ends: datetime, broker: str | None) -> Mapping[int, Sequence[Run]]:
        """The runs at a broker, by their users. A run that its user stopped before it was to buy is none of the day.

        `broker` None: the runs whose account was disconnected.
        """
        ended = and_(col(Run.ended_at) >= begins, col(Run.ended_at) < ends, col(Run.buy_at) < ends)
        going_on = and_(col(Run.ended_at).is_(None), col(Run.buy_at) < ends)
        never_tried = and_(col(Run.filled_quantity) == 0, col(Run.status_detail) == "stopped_by_user")
        statement = (
            select(Run)
            .join(User, col(User.id) == col(Run.user_id))
            .outerjoin(BrokerAccount, col(BrokerAccount.id) == col(Run.broker_account_id))
            .where(col(BrokerAccount.broker).is_not_distinct_from(broker), or_(ended, going_on), ~never_tried)
            .where(col(User.deleted_at).is_(None))
            .order_by(col(Run.id))
        )
        found: dict[int, list[Run]] = {}
        for run in await self._session.scalars(statement):
            found.setdefault(run.user_id, []).append(run)
        return found
