"""Strategies in the database, more of them than a test could create through the API in a short time."""

from datetime import time

from sqlalchemy import insert, select
from sqlmodel import col

from persistence.database.engine import Sessions, transaction
from persistence.database.models.runs import Run
from persistence.database.models.strategies import Strategy
from persistence.database.models.users import User
from tests.integration.api_user import ApiUser
from tests.integration.rows import new_run


async def keep_strategies(sessions: Sessions, user: ApiUser, count: int) -> list[int]:
    """The ids of new strategies that the user keeps, and that do not run."""
    row = {
        "user_id": await _id_of(sessions, user),
        "exchange": "NSE",
        "tradingsymbol": "INFY",
        "instrument_token": 408065,
        "product": "MIS",
        "buy_time": time(9, 30),
        "sell_time": time(15, 10),
        "stop_loss_paise": 149_050,
        "quantity": 10,
    }
    async with transaction(sessions) as session:
        stored = await session.scalars(insert(Strategy).returning(col(Strategy.id)), [row] * count)
        return list(stored)


async def keep_run(sessions: Sessions, user: ApiUser) -> Run:
    """A strategy of the user that runs."""
    return await new_run(sessions, user_id=await _id_of(sessions, user))


async def _id_of(sessions: Sessions, user: ApiUser) -> int:
    async with transaction(sessions) as session:
        user_id = await session.scalar(select(col(User.id)).where(col(User.email) == user.email))
    assert user_id is not None
    return user_id
