"""The operator's panic, past the API: it sets the marks, and the processes of the API go after them (row N8)."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlmodel import col

from api.base.clock import utc_now
from api.strategies.panic.marks import EntryMarks
from persistence.database.engine import open_database, sessions_of, transaction
from persistence.database.models.panics import new_panic_id
from persistence.database.models.users import User
from persistence.database.repositories.panics import Panics
from persistence.database.repositories.users import Users
from persistence.errors import DatabaseUnavailable
from persistence.mirror.mirror import RuntimeMirror


class UnknownUser(Exception):
    """The sentence for the operator: no user has the address, and nothing was done."""


@dataclass(frozen=True, slots=True)
class Forbidden:
    """For how many users entries are forbidden now, how many of their runs are open, and whether Redis has it too."""

    users: int
    open_runs: int
    in_redis: bool


async def panic(database_url: str, redis_url: str, email: str | None) -> Forbidden:
    """Forbid the entries of one user, or with None of all, and have everything that they run ended.

    Raises:
        UnknownUser: no user has this address.
        DatabaseUnavailable: PostgreSQL does not answer. Marks that were set before stay.
    """
    engine, mirror = open_database(database_url, pool_size=2), RuntimeMirror.connect(redis_url)
    sessions = sessions_of(engine)
    marks = EntryMarks(sessions, mirror)
    in_redis, open_runs = True, 0
    try:
        async with transaction(sessions) as session:
            if email is None:
                users = list(await session.scalars(select(col(User.id)).where(col(User.deleted_at).is_(None))))
            else:
                found = await Users(session).by_email(email.strip().lower())
                if found is None:
                    raise UnknownUser(f"Nobody has registered as {email}: correct the address.")
                users = [found.id]
        for user_id in users:
            marked = await marks.forbid(user_id, new_panic_id(utc_now()), "operator")
            if not marked.in_postgresql:
                raise DatabaseUnavailable("PostgreSQL does not answer")
            in_redis = in_redis and marked.in_redis
            async with transaction(sessions) as session:
                stored = await Panics(session).of_user(user_id, marked.panic_id)
                open_runs += 0 if stored is None else len(await Panics(session).open_runs(stored))
    finally:
        await mirror.close()
        await engine.dispose()
    return Forbidden(len(users), open_runs, in_redis)
