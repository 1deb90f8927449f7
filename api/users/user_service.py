"""What users do about themselves: read what was done in their name, and have it all deleted."""

from collections.abc import Callable, Sequence
from datetime import datetime

import structlog

from api.base.client import Client
from api.base.errors import ApiError, unauthorized
from api.users.live_logins import LiveLogins
from api.users.passwords.check import PasswordCheck
from persistence.database.engine import Sessions, tenant_transaction
from persistence.database.models.audit import AuditEntry
from persistence.database.models.strategies import Strategy
from persistence.database.readiness import ReadinessRows
from persistence.database.repositories.audit import AuditLog
from persistence.database.repositories.base import Total
from persistence.database.repositories.brokers import BrokerAccounts
from persistence.database.repositories.kept_answers import KeptAnswers
from persistence.database.repositories.notifications import Notifications
from persistence.database.repositories.runs import Runs
from persistence.database.repositories.strategies import Strategies
from persistence.database.repositories.users import Logins, Users
from persistence.database.schedules import Schedules
from persistence.errors import MirrorUnavailable
from persistence.mirror.fields import instrument_of
from persistence.mirror.mirror import RuntimeMirror
from persistence.notifications.channels import Channels
from persistence.notifications.telegram import TelegramCodes

log = structlog.stdlib.get_logger(__name__)


class UserService:
    """Deletes users and reads their audit log. Another tenant's lines do not exist here (row K1)."""

    def __init__(
        self,
        sessions: Sessions,
        mirror: RuntimeMirror,
        check: PasswordCheck,
        logins: LiveLogins,
        now: Callable[[], datetime],
    ) -> None:
        self._sessions = sessions
        self._mirror = mirror
        self._check = check
        self._logins = logins
        self._now = now

    async def activity(self, user_id: int, limit: int, offset: int) -> tuple[Sequence[AuditEntry], Total]:
        """The user's lines of the audit log, newest first, and how many there are."""
        async with tenant_transaction(self._sessions, user_id) as session:
            return await AuditLog(session).page(user_id, limit, offset)

    async def delete(self, user_id: int, password: str, client: Client) -> None:
        """Forget the user; order log and audit log are records of trades, and are kept under the bare id.

        A START that races this waits for it and finds no user (`Users.lock_live`), or is seen by it as an open run.

        Raises:
            ApiError: 401 `invalid_credentials` if the password is wrong; 429 when throttled; 409
                `strategies_running`.
        """
        user = await self._check.of_user(user_id, password, client, "delete")
        async with tenant_transaction(self._sessions, user.id) as session:
            stored = await Users(session).lock_for_deletion(user.id)
            if stored is None or stored.password_hash != user.password_hash:
                raise unauthorized("invalid_credentials", "Wrong e-mail address or password")
            if await Runs(session).any_open(user.id):
                raise ApiError(409, "strategies_running", "Stop your strategies before deleting the account")
            await BrokerAccounts(session).remove(user.id)
            strategies = await Strategies(session).remove_all(user.id)
            await Schedules(session).remove_all(user.id)
            await KeptAnswers(session).remove_all(user.id)
            await Notifications(session).remove_all(user.id)
            await ReadinessRows(session).remove(user.id)
            await Channels(session).remove_all(user.id)
            await TelegramCodes(session).remove(user.id)
            ended = await Logins(session).end(user.id, self._now(), "account_deleted")
            await Users(session).erase(user.id, self._now())
            await AuditLog(session).add("account_deleted", user_id=user.id, address=client.address)
        self._logins.ended(ended)
        await self._clear_mirror(user.id, strategies)

    async def _clear_mirror(self, user_id: int, strategies: Sequence[Strategy]) -> None:
        try:
            for strategy in strategies:
                await self._mirror.delete_strategy(strategy.id, instrument_of(strategy).symbol)
            await self._mirror.forget_user(user_id)
        except MirrorUnavailable:  # no user is left who could read it
            log.warning("mirror_write_failed", user_id=user_id)
