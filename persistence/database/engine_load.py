"""How much of the deployment is taken: running strategies and followed symbols of all tenants together."""

from dataclasses import dataclass

from sqlalchemy import func, select, text

from persistence.database.repositories.base import Repository

_ROOM_LOCK = 0x726F6F6D  # "room"; any constant that no other program uses in this database


@dataclass(frozen=True, slots=True)
class Load:
    """Open runs, and the different instruments that they trade; each of either is a process."""

    running: int
    symbols: int


class EngineLoad(Repository):
    """Counts past the walls between tenants, and tells two numbers only."""

    async def lock(self) -> None:
        """No other takes a place before this transaction ends. Take it last of all locks, and count after it."""
        await self._session.execute(select(func.pg_advisory_xact_lock(_ROOM_LOCK)))

    async def count(self) -> Load:
        """What is taken, with what this transaction has added."""
        row = (await self._session.execute(text("SELECT running, symbols FROM engine_load()"))).one()
        return Load(row.running, row.symbols)
