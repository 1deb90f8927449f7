"""Whether a caller knows a password: throttled, audited, and as slow for an unknown address as for a known one."""

from collections.abc import Awaitable, Callable

from sqlalchemy.ext.asyncio import AsyncSession

from api.base.client import Client
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

    async def of_email(self, email: str, password: str, client: Client) -> tuple[User, bool]:
        """The user who logs in, and whether the stored hash of the password is to be replaced.

        Raises:
            ApiError: 401 `invalid_credentials`, whether or not the e-mail address is known; 429 `too_many_attempts`.
            ClientLeft: the client has left before its turn came.
        """
        return await self._check(lambda session: Users(session).by_email(email), email, password, client, "login")

    async def of_user(self, user_id: int, password: str, client: Client, purpose: str) -> User:
        """The user who is logged in, and confirms it for a `purpose` that the audit log names.

        Counted together with the attempts to log in: a stolen access token gives no further attempts.

        Raises:
            ApiError: 401 `invalid_credentials`; 429 `too_many_attempts`.
            ClientLeft: the client has left before its turn came.
        """
        user, _ = await self._check(
            lambda session: Users(session).by_id(user_id), f"user:{user_id}", password, client, purpose
        )
        return user

    async def forget_failures(self, user: User, client: Client) -> None:
        """The user has come back in without the password: failures from the same address do not keep the user out."""
        await self._throttle.succeeded(_account_of(user), client.address, known=True)

    async def _check(self, find: _Find, unknown: str, password: str, client: Client, purpose: str) -> tuple[User, bool]:
        account, known = await self._counted_as(find, unknown, client.address)
        refusal = await self._throttle.attempt(account, client.address, known=known)
        if refusal:
            if refusal.is_first:  # one line a window, so that a flood of attempts does not flood the log
                await self._record("login_throttled", find, client, purpose, limit=refusal.limit)
            raise too_many_attempts(refusal.wait_s)
        async with transaction(self._sessions) as session:
            user = await find(session)
        stored = user.password_hash if user else None
        comparison = await self._passwords.compare(stored, password, client.has_left)
        if not comparison.right or user is None:
            reason = "wrong_password" if user else "unknown_address"
            await self._record("login_failed", find, client, purpose, reason=reason)
            raise unauthorized("invalid_credentials", "Wrong e-mail address or password")
        await self._throttle.succeeded(account, client.address, known=known)
        return user, comparison.outdated

    async def _counted_as(self, find: _Find, unknown: str, address: str) -> tuple[str, bool]:
        """What the account's attempts are counted under, and whether the address is one of its owner's."""
        async with transaction(self._sessions) as session:
            user = await find(session)
            known = await Logins(session).is_known(user.id if user else None, network_of(address))
            return _account_of(user) if user else f"email:{unknown}", known

    async def _record(self, action: str, find: _Find, client: Client, purpose: str, **detail: str) -> None:
        async with transaction(self._sessions) as session:
            user = await find(session)
            user_id = user.id if user else None
            await AuditLog(session).add(action, user_id=user_id, subject=purpose, address=client.address, **detail)


def _account_of(user: User) -> str:
    """What the throttle counts the user's attempts under."""
    return f"email:{user.email}"


def too_many_attempts(wait_s: int) -> ApiError:
    """429, with the seconds to wait."""
    headers = {"Retry-After": str(wait_s)}
    return ApiError(429, "too_many_attempts", "Too many attempts. Please wait a little.", headers)
