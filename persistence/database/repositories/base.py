"""What all repositories share."""

from typing import Any, NamedTuple

from sqlalchemy import Select, func, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

MOST_COUNTED = 1000
"""How many rows are counted at most: a count reads all that it counts."""


class Total(NamedTuple):
    """How many rows there are: `number` of them, or more if it is `capped`."""

    number: int
    capped: bool


class Repository:
    """Base: the session of the transaction."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def _total(self, rows: Select[Any]) -> Total:
        """How many rows a query has, counted up to `MOST_COUNTED`."""
        some = (
            rows.with_only_columns(literal(1), maintain_column_froms=True)
            .order_by(None)
            .limit(MOST_COUNTED + 1)
            .subquery()
        )
        count = await self._session.scalar(select(func.count()).select_from(some)) or 0
        return Total(min(count, MOST_COUNTED), count > MOST_COUNTED)
