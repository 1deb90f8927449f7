"""The inbox and the preferences of a user. Another tenant's do not exist here (row K1)."""

from dataclasses import dataclass

from actors.domain.notices.notice import USUAL_LEVELS
from api.notifications.sending.preferences import Preferences, preferences_of
from persistence.database.engine import Sessions, tenant_transaction
from persistence.database.models.notifications import Notification
from persistence.database.repositories.base import Total
from persistence.database.repositories.notifications import Notifications


@dataclass(frozen=True, slots=True)
class InboxPart:
    """A page of the inbox, and how much of it is unread."""

    rows: tuple[Notification, ...]
    total: Total
    unread: int


class InboxService:
    """Reads inboxes, and keeps preferences."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def page(self, user_id: int, limit: int, offset: int, *, unread: bool) -> InboxPart:
        """The user's notices, newest first."""
        async with tenant_transaction(self._sessions, user_id) as session:
            inbox = Notifications(session)
            rows, total = await inbox.page(user_id, limit, offset, unread=unread)
            left = total if unread else await inbox.unread(user_id)
        return InboxPart(tuple(rows), total, left.number)

    async def mark_read(self, user_id: int, through: int) -> int:
        """The user has seen all up to a notice; how many are left."""
        async with tenant_transaction(self._sessions, user_id) as session:
            inbox = Notifications(session)
            await inbox.mark_read(user_id, through)
            return (await inbox.unread(user_id)).number

    async def preferences(self, user_id: int) -> Preferences:
        """How the user wants notices."""
        async with tenant_transaction(self._sessions, user_id) as session:
            return preferences_of(await Notifications(session).preferences(user_id))

    async def set_preferences(self, user_id: int, wanted: Preferences) -> None:
        """Keep how the user wants notices from now on; of the levels, those that are not the usual ones."""
        quiet = None if wanted.quiet is None else (wanted.quiet.begins, wanted.quiet.ends)
        levels = {kind.value: level.value for kind, level in wanted.levels.items() if level is not USUAL_LEVELS[kind]}
        async with tenant_transaction(self._sessions, user_id) as session:
            await Notifications(session).set_preferences(user_id, quiet, levels, amounts=wanted.amounts)
