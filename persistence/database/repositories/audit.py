"""Queries of the audit log."""

from collections.abc import Sequence

import structlog
from sqlalchemy import select
from sqlmodel import col

from persistence.database.models.audit import AuditEntry
from persistence.database.repositories.base import Repository, Total


class AuditLog(Repository):
    """Rows that say which user did what."""

    async def add(
        self, action: str, *, user_id: int | None, subject: str = "", address: str | None = None, **detail: str
    ) -> None:
        """Append a line; neither `subject` nor `detail` may hold a secret. It names the request that the log names."""
        request_id = structlog.contextvars.get_contextvars().get("request_id")
        if request_id is not None:
            detail["request_id"] = str(request_id)
        self._session.add(AuditEntry(user_id=user_id, action=action, subject=subject, detail=detail, address=address))
        await self._session.flush()

    async def page(self, user_id: int, limit: int, offset: int) -> tuple[Sequence[AuditEntry], Total]:
        """The user's own lines, newest first, and how many there are."""
        mine = col(AuditEntry.user_id) == user_id
        newest_first = select(AuditEntry).where(mine).order_by(col(AuditEntry.id).desc())
        total = await self._total(newest_first)
        return (await self._session.scalars(newest_first.limit(limit).offset(offset))).all(), total
