"""The summary of the day: one for a user, whichever process makes it, after the close (row N1)."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select, update
from sqlmodel import col

from api.notifications.day_summaries import DaySummaries
from broker.market.trading_calendar import TradingCalendars
from config.settings import Settings, load_settings
from persistence.database.engine import Sessions, transaction
from persistence.database.models.notifications import Notification
from persistence.database.models.runs import Run
from tests.integration.persistence.database.new_database import migrated_database
from tests.integration.rows import new_run

pytest_plugins = ["tests.integration.fixtures"]

IST = ZoneInfo("Asia/Kolkata")
FRIDAY = datetime(2026, 11, 27, 15, 45, tzinfo=IST)


@pytest.fixture
async def own(postgres_url: str) -> AsyncIterator[Sessions]:
    async with migrated_database(postgres_url) as sessions:
        yield sessions


@pytest.fixture
def settings() -> Settings:
    return load_settings(env_file=None, secrets="optional", brokers=("paper",), calendar="XNSE")


def maker(settings: Settings, sessions: Sessions, now: datetime) -> DaySummaries:
    return DaySummaries(settings, sessions, TradingCalendars(), lambda: now)


async def told(sessions: Sessions) -> list[str]:
    async with transaction(sessions) as session:
        rows = await session.scalars(select(Notification).order_by(col(Notification.id)))
        return [row.text for row in rows if row.kind == "day_summary"]


async def run_of(sessions: Sessions, user_id: int | None = None, **facts: Any) -> int:
    """A run of Friday with some facts; its user."""
    run = await new_run(sessions, user_id=user_id)
    times = {"buy_at": FRIDAY - timedelta(hours=6), "sell_at": FRIDAY - timedelta(minutes=20)}
    async with transaction(sessions) as session:
        await session.execute(update(Run).where(col(Run.id) == run.id).values(times | facts))
    return run.user_id


def sold(result: str, ended_at: datetime = FRIDAY - timedelta(minutes=20)) -> dict[str, Any]:
    return {"ended_at": ended_at, "position": "sold", "filled_quantity": 10, "pnl": Decimal(result)}


async def test_a_user_hears_once_after_the_close_whichever_process_makes_it(own: Sessions, settings: Settings) -> None:
    await run_of(own, **sold("412.50"))
    assert await maker(settings, own, FRIDAY - timedelta(seconds=1)).make("paper") == 0
    makers = [maker(settings, own, FRIDAY) for _ in range(3)]
    made = await asyncio.gather(*(one.make("paper") for one in makers))
    assert sum(made) == 1
    assert await makers[0].make("paper") == 0
    assert await told(own) == ["Today: 1 trade, +₹412.50 before charges. Tomorrow the exchange is closed."]


async def test_what_was_of_another_day_or_never_tried_is_not_in_it(own: Sessions, settings: Settings) -> None:
    yesterday = FRIDAY - timedelta(days=1)
    await run_of(own, **sold("1.00", yesterday))
    await run_of(own, ended_at=FRIDAY, position="none", status_detail="stopped_by_user")
    await run_of(own, buy_at=FRIDAY + timedelta(days=3), sell_at=FRIDAY + timedelta(days=3, hours=1))
    assert await maker(settings, own, FRIDAY).make("paper") == 0


async def test_each_user_has_his_own_and_open_positions_are_said(own: Sessions, settings: Settings) -> None:
    await run_of(own, filled_quantity=10, position="bought")
    await run_of(own, ended_at=FRIDAY, position="buy_failed", broker_account_id=None)
    assert await maker(settings, own, FRIDAY).make("paper") == 2
    assert sorted(await told(own)) == [
        "Today: 1 not bought. Tomorrow the exchange is closed.",
        "Today: 1 still open. Tomorrow the exchange is closed.",
    ]


async def test_a_holiday_has_none(own: Sessions, settings: Settings) -> None:
    await run_of(own, **sold("1.00"))
    assert await maker(settings, own, FRIDAY + timedelta(days=1)).make("paper") == 0
