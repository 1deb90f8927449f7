"""`GET /orders?date=`: what happened to all orders of a user on one day, as JSON or as a table for spreadsheets."""

import csv
import io
import re
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Annotated, Any, ClassVar, Literal, Protocol

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, BeforeValidator, Field
from starlette.responses import Response

from api.base.answers.problems import problems
from api.base.clock import utc_now
from api.base.dependencies import PageQuery, resources
from api.strategies.schemas import OrderLogAnswer
from api.strategies.status import order_log_answer
from api.users.dependencies import UserId
from config.settings import Settings
from persistence.database.engine import Sessions, tenant_transaction
from persistence.database.models.order_logs import OrderLog
from persistence.database.models.strategies import Strategy
from persistence.database.repositories.base import Total
from persistence.database.repositories.order_logs import OrderLogs
from persistence.mirror.fields import instrument_of

router = APIRouter(tags=["orders"])

_CSV = "text/csv; charset=utf-8"
_TABLE = {
    "schema": {"type": "string"},
    "example": "log_id,run_id,event,leg,order_id,status,quantity,price,reason,triggered_at,sent_at,occurred_at,"
    "recorded_at,strategy_id,symbol\r\n",
}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet takes for a formula: a reason is the broker's text (OWASP, CSV injection)."""


_DAY = "^20[0-9]{2}-[0-9]{2}-[0-9]{2}$"


def _check_day(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(_DAY, value):  # pydantic takes a number for seconds
        raise ValueError("must be a day of the years 2000 to 2099, such as 2026-11-27")
    try:
        return date.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError("must be a day that there is, such as 2026-11-27") from None


Day = Annotated[date, BeforeValidator(_check_day), Field(examples=["2026-11-27"], json_schema_extra={"pattern": _DAY})]


class Used(Protocol):
    """What the routes of this module use of `api.bootstrap.Resources`."""

    sessions: Sessions
    settings: Settings


Opened = Annotated[Used, Depends(resources)]


class DayOrdersQuery(PageQuery):
    """Which day, by the exchange's clock (today, if none is named), and in which form."""

    rows_each: ClassVar[int] = 2

    date: Day | None = None
    format: Literal["json", "csv"] = "json"


class DayOrder(OrderLogAnswer):
    """A line of the order log, with the strategy that it is of."""

    strategy_id: int
    symbol: str


class DayOrders(BaseModel):
    """Part of the lines of a day, oldest first."""

    date: date
    orders: list[DayOrder]
    total: int = Field(description="How many there are in all, counted up to 1000.")
    total_capped: bool = Field(description="Whether there are more than `total`.")
    limit: int
    offset: int


@router.get(
    "/orders",
    operation_id="orders_of_day",
    response_model=DayOrders,
    responses=problems(401) | {200: {"content": {"text/csv": _TABLE}}},
)
async def orders(asked: Annotated[DayOrdersQuery, Query()], user_id: UserId, opened: Opened) -> DayOrders | Response:
    """What happened to the orders of all your strategies on one day, oldest first.

    `format=csv` answers the same lines as a table.
    """
    zone = opened.settings.zone
    day = asked.date or utc_now().astimezone(zone).date()
    rows, total = await _read(opened.sessions, user_id, day, zone, asked)
    lines = [_line(line, strategy, zone) for line, strategy in rows]
    if asked.format == "csv":
        headers = {"Content-Disposition": f'attachment; filename="orders-{day}.csv"'}
        return Response(as_csv(lines), media_type=_CSV, headers=headers)
    return DayOrders(
        date=day, orders=lines, total=total.number, total_capped=total.capped, limit=asked.limit, offset=asked.offset
    )


async def _read(
    sessions: Sessions, user_id: int, day: date, zone: tzinfo, asked: PageQuery
) -> tuple[Sequence[tuple[OrderLog, Strategy]], Total]:
    first = datetime.combine(day, time(), zone)
    beyond = datetime.combine(day + timedelta(days=1), time(), zone)
    async with tenant_transaction(sessions, user_id) as session:
        return await OrderLogs(session).between(user_id, first, beyond, asked.limit, asked.offset)


def _line(line: OrderLog, strategy: Strategy, zone: tzinfo) -> DayOrder:
    shown = order_log_answer(line, zone).model_dump()
    return DayOrder(**shown, strategy_id=strategy.id, symbol=instrument_of(strategy).symbol)


def as_csv(lines: Sequence[DayOrder]) -> str:
    """The lines as a table, whose first row has the names of the columns. No cell is a formula."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\r\n")
    columns = list(DayOrder.model_fields)
    table.writerow(columns)
    for line in lines:
        cells = line.model_dump(mode="json")
        table.writerow([_cell(cells[column]) for column in columns])
    return text.getvalue()


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
