"""Whether a caller knows a password: throttled, audited, and as slow for an unknown address as for a known one."""

from collections.abc import Awaitable, Callable

from sqlalchemy.ext.asyncio import AsyncSession

from api.base.errors import ApiError, unauthorized
from api.users.passwords.hashing import Passwords
from persistence.database.engine import Sessions, transaction
from persistence.database.models.users import User
from persistence.database.repositories.audit import AuditLog
from persistence.database.repositories.users import Logins, Users
from persistence.login_throttle import LoginThrottle, network_of

_Find = Callable[[AsyncSession], Awaitable[User | None]]


class PasswordCheck:
    """The only way from a password to a user."""

    def __init__(self, sessions: Sessions, passwords: Passwords, throttle: LoginThrottle) -> None:
        self._sessions = sessions
        self._passwords = passwords
        self._throttle = throttle

    async def of_email(self, email: str, password: str, address: str) -> User:
        """The user who logs in.

        Raises:
            ApiError: 401 `invalid_credentials`, whether or not the e-mail address is known; 429 `too_many_attempts`.
        """
        return await self._check(
            lambda session: Users(session).by_email(email), f"email:{email}", password, address, "login"
        )

    async def of_user(self, user_id: int, password: str, address: str, purpose: str) -> User:
        """The user who is logged in, and confirms it for a `purpose` that the audit log names.

        Throttled apart from logins: an attacker who keeps an account throttled must not keep its owner from changing
        the password.

        Raises:
            ApiError: 401 `invalid_credentials`; 429 `too_many_attempts`.
        """
        return await self._check(
            lambda session: Users(session).by_id(user_id), f"user:{user_id}", password, address, purpose
        )

    async def _check(self, find: _Find, account: str, password: str, address: str, purpose: str) -> User:
        known = await self._is_known(find, address)
        refusal = await self._throttle.attempt(account, address, known=known)
        if refusal:
            if refusal.is_first:  # one line a window, so that a flood of attempts does not flood the log
                await self._record("login_throttled", find, address, purpose, limit=refusal.limit)
            raise too_many_attempts(refusal.wait_s)
        async with transaction(self._sessions) as session:
            user = await find(session)
        if not await self._passwords.matches(user.password_hash if user else None, password) or user is None:
            reason = "wrong_password" if user else "unknown_address"
            await self._record("login_failed", find, address, purpose, reason=reason)
            raise unauthorized("invalid_credentials", "Wrong e-mail address or password")
        await self._throttle.succeeded(account, address, known=known)
        return user

    async def _is_known(self, find: _Find, address: str) -> bool:
        async with transaction(self._sessions) as session:
            user = await find(session)
            return await Logins(session).is_known(user.id if user else None, network_of(address))

    async def _record(self, action: str, find: _Find, address: str, purpose: str, **detail: str) -> None:
        async with transaction(self._sessions) as session:
            user = await find(session)
            user_id = user.id if user else None
            await AuditLog(session).add(action, user_id=user_id, subject=purpose, address=address, **detail)


def too_many_attempts(wait_s: int) -> ApiError:
    """429, with the seconds to wait."""
    headers = {"Retry-After": str(wait_s)}
    return ApiError(429, "too_many_attempts", "Too many attempts. Please wait a little.", headers)
