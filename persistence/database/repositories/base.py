"""What all repositories share."""

from sqlalchemy.ext.asyncio import AsyncSession


class Repository:
    """Base: the session of the transaction."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
