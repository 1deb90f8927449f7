"""The orders of a day, over all strategies of a user: of that user and day alone, and no formula in a table."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from persistence.database.engine import Sessions, transaction
from persistence.database.models.order_logs import OrderLog
from tests.integration.api_user import ApiUser
from tests.kit.paper import PaperExchange

pytest_plugins = ["tests.integration.fixtures"]

TODAY = datetime.now(UTC) + timedelta(hours=5, minutes=30)


async def ordered(user: ApiUser, sessions: Sessions, symbol: str, **line: Any) -> int:
    """The id of a strategy with one line in its order log."""
    strategy_id = await user.started(symbol=symbol, stop_loss=100)
    run_id = (await user.call("GET", f"/strategy/status/{strategy_id}")).json()["run_id"]
    user_id = (await user.call("GET", "/auth/validate")).json()["user_id"]
    values: dict[str, Any] = {"event": "BUY", "detail": {}, "occurred_at": datetime.now(UTC)} | line
    async with transaction(sessions) as session:
        session.add(OrderLog(user_id=user_id, strategy_id=strategy_id, run_id=run_id, **values))
    return strategy_id


async def of_day(user: ApiUser, query: str = "") -> dict[str, Any]:
    answer = await user.call("GET", f"/orders{query}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_the_orders_of_all_strategies_of_a_day_and_of_no_other_user(
    trader: ApiUser, client: httpx.AsyncClient, paper: PaperExchange, sessions: Sessions
) -> None:
    infy = await ordered(trader, sessions, "INFY")
    tcs = await ordered(trader, sessions, "TCS", event="SELL")
    yesterday = datetime.now(UTC) - timedelta(days=1)
    await ordered(trader, sessions, "SBIN", occurred_at=yesterday)
    other = await ApiUser.register(client)
    other.paper = paper.control.new_account()
    assert (await other.connect()).status_code == 200
    await ordered(other, sessions, "INFY")

    page = await of_day(trader)
    assert page["date"] == TODAY.date().isoformat()
    shown = [(line["strategy_id"], line["symbol"], line["event"]) for line in page["orders"]]
    assert [line for line in shown if line[2] in {"BUY", "SELL"}] == [(infy, "INFY", "BUY"), (tcs, "TCS", "SELL")]
    assert page["total"] == len(shown)
    before = await of_day(trader, f"?date={TODAY.date() - timedelta(days=1)}")
    assert [line["symbol"] for line in before["orders"]] == ["SBIN"]
    rest = await of_day(trader, "?limit=1&offset=1")
    assert (rest["orders"], rest["total"]) == (page["orders"][1:2], page["total"])
    assert (await of_day(trader, "?date=2001-01-01"))["orders"] == []


async def test_a_table_for_spreadsheets_holds_no_formula(trader: ApiUser, sessions: Sessions) -> None:
    await ordered(trader, sessions, "INFY", reason='=HYPERLINK("http://evil.example"),"x"\nmore', quantity=10)
    answer = await trader.call("GET", "/orders?format=csv")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="orders-{TODAY.date()}.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    (line,) = [row for row in rows if row["event"] == "BUY"]
    assert line["reason"] == '\'=HYPERLINK("http://evil.example"),"x"\nmore'
    assert (line["quantity"], line["symbol"], line["order_id"]) == ("10", "INFY", "")


@pytest.mark.parametrize(
    "day", ["", "x", "27-11-2026", "2026-02-30", "0001-01-01", "9999-12-31", "1795236949", "٢٠٢٦-١١-٢٧"]
)
async def test_what_is_no_day_is_refused(trader: ApiUser, day: str) -> None:
    answer = await trader.call("GET", f"/orders?date={day}")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "date")
