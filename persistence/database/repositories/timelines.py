"""Queries of one run as its timeline shows it: a page of its exits and notes, and what a sentence about it needs.

A run may have thousands of exits and lines. What is read here is bounded by the page, never by the run.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import ColumnElement, Select, exists, func, select, tuple_
from sqlalchemy.orm import aliased
from sqlmodel import col

from actors.domain.identifiers import Leg
from actors.domain.orders.log_events import REPORTS, ExitCause, LogWord
from actors.domain.orders.order import OrderEvent
from persistence.database.models.order_logs import OrderLog
from persistence.database.models.runs import Intent, Run
from persistence.database.repositories.base import Repository, Total

LINES_OF_A_LEG = 20
"""How many lines of a leg are read: of each kind of line the first and the last ones, which hold every instant."""

STOP_IN_OLD_LINES = "STOP pressed"
"""The reason of a decision to sell on STOP, in lines that were written before they named what an exit is for."""

_FAILURES = (LogWord.ORDER_FAILED, LogWord.ORDER_REJECTED, LogWord.ORDER_CANCELLED)
_CLOCKS_APART = timedelta(days=1)

LegKey = tuple[str, int]


@dataclass(frozen=True, slots=True)
class LegLines:
    """Lines of one leg, oldest first, and how many attempts it has in all."""

    lines: Sequence[OrderLog] = ()
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Exits:
    """All exits of a run together: how many, how many shares they sold, and in how many orders."""

    number: int = 0
    sold: int = 0
    orders: int = 0


_NONE = Total(0, capped=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPage:
    """A page of a run.

    `exits` are the page's, in their order; `after_stop`: the exit before them was asked for by STOP. `lines` are those
    of the page's exits, of the entry, and of the first and the last exit. `failure` is the last reason why an order
    failed.
    """

    entry: Intent | None = None
    first_exit: Intent | None = None
    last_exit: Intent | None = None
    exits: Sequence[Intent] = ()
    after_stop: bool = False
    lines: Mapping[LegKey, LegLines] = field(default_factory=dict)
    notes: Sequence[OrderLog] = ()
    notes_total: Total = _NONE
    all_exits: Exits = Exits()
    failure: str | None = None


class Timelines(Repository):
    """Reads pages of runs."""

    async def page(self, run: Run, limit: int, offset: int) -> RunPage:
        """The newest `limit` exits and notes of a run, but for the `offset` newest of either."""
        ends = {intent.leg: intent for intent in await self._intents(run, col(Intent.seq) == 1)}
        exits = await self._newest_exits(run, limit, offset)
        last = exits[-1] if exits and not offset else next(iter(await self._newest_exits(run, 1, 0)), None)
        entry, first = ends.get(Leg.ENTRY), ends.get(Leg.EXIT)
        shown = {(intent.leg, intent.seq) for intent in (entry, first, last, *exits) if intent is not None}
        notes, notes_total = await self._notes(run, limit, offset)
        return RunPage(
            entry=entry,
            first_exit=first,
            last_exit=last,
            exits=exits,
            after_stop=bool(exits) and await self._is_for_stop(run, exits[0].seq - 1),
            lines=await self._lines(run, shown),
            notes=notes,
            notes_total=notes_total,
            all_exits=await self._all_exits(run),
            failure=await self._last_failure(run),
        )

    async def _intents(self, run: Run, *wanted: ColumnElement[bool]) -> Sequence[Intent]:
        return (await self._session.scalars(select(Intent).where(col(Intent.run_id) == run.id, *wanted))).all()

    async def _newest_exits(self, run: Run, limit: int, offset: int) -> Sequence[Intent]:
        mine = select(Intent).where(col(Intent.run_id) == run.id, col(Intent.leg) == Leg.EXIT)
        newest = mine.order_by(col(Intent.seq).desc()).limit(limit).offset(offset)
        return (await self._session.scalars(newest)).all()[::-1]

    async def _all_exits(self, run: Run) -> Exits:
        filled = col(Intent.filled_quantity)
        sums = select(func.count(), func.coalesce(func.sum(filled), 0), func.count().filter(filled > 0))
        row = await self._session.execute(sums.where(col(Intent.run_id) == run.id, col(Intent.leg) == Leg.EXIT))
        number, sold, orders = row.one()
        return Exits(number, int(sold), orders)

    async def _is_for_stop(self, run: Run, seq: int) -> bool:
        """Whether this exit, or the one whose remainder it is, was asked for by STOP; SELL is the word for both."""
        cause = col(OrderLog.detail)["exit_cause"].astext
        asked = (cause == ExitCause.STOP) | (cause.is_(None) & (col(OrderLog.reason) == STOP_IN_OLD_LINES))
        decided = _of_run(run).where(
            col(OrderLog.leg) == Leg.EXIT,
            col(OrderLog.seq) <= seq,
            col(OrderLog.event) == LogWord.SELL_TRIGGERED,
            asked,
        )
        since = await self._session.scalar(decided.with_only_columns(func.max(col(OrderLog.seq))))
        if since is None:
            return False
        remainders = (col(Intent.leg) == Leg.EXIT, col(Intent.seq) > since, col(Intent.seq) <= seq)
        others = exists().where(
            col(Intent.run_id) == run.id, *remainders, col(Intent.cause).is_distinct_from(OrderEvent.SELL)
        )
        return not await self._session.scalar(select(others))

    async def _lines(self, run: Run, legs: Collection[LegKey]) -> Mapping[LegKey, LegLines]:
        of_legs = tuple_(col(OrderLog.leg), col(OrderLog.seq)).in_(sorted(legs))
        leg = (col(OrderLog.leg), col(OrderLog.seq))
        kind = (*leg, col(OrderLog.event), col(OrderLog.status))
        time = (col(OrderLog.occurred_at), col(OrderLog.id))
        back = tuple(column.desc() for column in time)
        place = func.least(
            func.row_number().over(partition_by=kind, order_by=time),
            func.row_number().over(partition_by=kind, order_by=back),
        )
        attempts = func.count().filter(col(OrderLog.event).in_(OrderEvent)).over(partition_by=leg)
        placed = _of_run(run).where(of_legs).add_columns(place.label("place"), attempts.label("attempts")).subquery()
        rank = func.row_number().over(
            partition_by=(placed.c.leg, placed.c.seq), order_by=(placed.c.place, placed.c.id.desc())
        )
        ranked = select(placed, rank.label("rank")).subquery()
        few = select(aliased(OrderLog, ranked), ranked.c.attempts).where(ranked.c.rank <= LINES_OF_A_LEG)
        found: dict[LegKey, tuple[list[OrderLog], int]] = {}
        for line, count in await self._session.execute(few.order_by(ranked.c.occurred_at, ranked.c.id)):
            found.setdefault((line.leg, line.seq), ([], count))[0].append(line)
        return {key: LegLines(lines, count) for key, (lines, count) in found.items()}

    async def _notes(self, run: Run, limit: int, offset: int) -> tuple[Sequence[OrderLog], Total]:
        """Lines that give a reason, and those that no leg shows; the newest ones, oldest first."""
        known = exists().where(
            col(Intent.run_id) == run.id, col(Intent.leg) == OrderLog.leg, col(Intent.seq) == OrderLog.seq
        )
        quiet = col(OrderLog.event).in_(sorted(REPORTS)) & (func.coalesce(col(OrderLog.reason), "") == "")
        notes = _of_run(run).where(~((col(OrderLog.event).in_(OrderEvent) | quiet) & known))
        newest = notes.order_by(col(OrderLog.occurred_at).desc(), col(OrderLog.id).desc())
        total = await self._total(newest)
        return (await self._session.scalars(newest.limit(limit).offset(offset))).all()[::-1], total

    async def _last_failure(self, run: Run) -> str | None:
        told = (col(OrderLog.event).in_(_FAILURES), func.coalesce(col(OrderLog.reason), "") != "")
        newest = _of_run(run).where(*told).order_by(col(OrderLog.occurred_at).desc(), col(OrderLog.id).desc())
        return await self._session.scalar(newest.with_only_columns(col(OrderLog.reason)).limit(1))


def _of_run(run: Run) -> Select[OrderLog]:
    """The lines of a run. The log is kept by months, and those before the run need not be looked at."""
    mine = (col(OrderLog.user_id) == run.user_id, col(OrderLog.run_id) == run.id)
    return select(OrderLog).where(*mine, col(OrderLog.recorded_at) >= run.started_at - _CLOCKS_APART)
