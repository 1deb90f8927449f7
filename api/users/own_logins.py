"""What users do about their own logins: see them, end them, and give the password again."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from api.base.client import Client
from api.base.errors import ApiError, unauthorized
from api.users.live_logins import LiveLogins
from api.users.login_tokens import LoginLifetime
from api.users.passwords.check import PasswordCheck
from api.users.tokens import AccessClaims
from persistence.database.engine import Sessions, tenant_transaction
from persistence.database.models.users import Login
from persistence.database.repositories.audit import AuditLog
from persistence.database.repositories.base import Total
from persistence.database.repositories.users import Logins

CONFIRMED_FOR = timedelta(minutes=5)
"""How long a password that was given counts for what an access token alone must not do."""


class OwnLogins:
    """The logins of one user. Another tenant's do not exist here (row K1)."""

    def __init__(
        self,
        sessions: Sessions,
        check: PasswordCheck,
        live: LiveLogins,
        lifetime: LoginLifetime,
        now: Callable[[], datetime],
    ) -> None:
        self._sessions = sessions
        self._check = check
        self._live = live
        self._lifetime = lifetime
        self._now = now

    async def page(self, user_id: int, limit: int, offset: int) -> tuple[Sequence[Login], Total]:
        """The logins that go on, the one used last first, and how many there are."""
        now = self._now()
        async with tenant_transaction(self._sessions, user_id) as session:
            return await Logins(session).page(
                user_id, now - self._lifetime.longest, now - self._lifetime.unused, limit, offset
            )

    async def end(self, user_id: int, number: int, address: str) -> None:
        """End one login. 404 `login_not_found` also for one that has ended, and for another tenant's."""
        async with tenant_transaction(self._sessions, user_id) as session:
            login_id = await Logins(session).id_of(user_id, number)
            ended = await Logins(session).end(user_id, self._now(), "ended_by_user", login_id) if login_id else []
            if not ended:
                raise ApiError(404, "login_not_found", "No such login")
            await AuditLog(session).add("login_ended", user_id=user_id, subject=str(number), address=address)
        self._live.ended(ended)

    async def end_others(self, claims: AccessClaims, address: str) -> int:
        """End every login but the one that asks; how many there were."""
        async with tenant_transaction(self._sessions, claims.user_id) as session:
            logins = Logins(session)
            ended = await logins.end(claims.user_id, self._now(), "ended_by_user", but=claims.login_id)
            await AuditLog(session).add("other_logins_ended", user_id=claims.user_id, address=address)
        self._live.ended(ended)
        return len(ended)

    async def confirm(self, claims: AccessClaims, password: str, client: Client) -> datetime:
        """Take the password once more; until when it counts.

        Raises:
            ApiError: 401 `invalid_credentials`; 429 `too_many_attempts`.
        """
        await self._check.of_user(claims.user_id, password, client, "confirm")
        now = self._now()
        async with tenant_transaction(self._sessions, claims.user_id) as session:
            await Logins(session).confirm(claims.user_id, claims.login_id, now)
        return now + CONFIRMED_FOR

    async def has_recent_password(self, claims: AccessClaims) -> bool:
        """Whether the password was given in the last five minutes in this login, and not its access token alone.

        Raises:
            ApiError: 401 `token_invalid` if the login is not there any more.
        """
        async with tenant_transaction(self._sessions, claims.user_id) as session:
            confirmed_at = await Logins(session).confirmed_at(claims.user_id, claims.login_id)
        if confirmed_at is None:
            raise unauthorized("token_invalid", "Invalid token, please log in again")
        return self._now() < confirmed_at + CONFIRMED_FOR
