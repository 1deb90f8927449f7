"""Users and logins (rows A1, A2)."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from api.base.errors import ApiError, InvalidField, unauthorized
from api.users.live_logins import LiveLogins
from api.users.passwords.check import PasswordCheck, too_many_attempts
from api.users.passwords.hashing import Passwords
from api.users.passwords.rules import LIKE_ADDRESS, resembles
from api.users.tokens import AccessTokens, new_refresh_token, refresh_token_hash
from persistence.database.engine import Sessions, tenant_transaction, transaction
from persistence.database.models.users import RefreshToken, User
from persistence.database.repositories.audit import AuditLog
from persistence.database.repositories.users import Logins, RefreshTokens, Users
from persistence.errors import ConstraintViolated
from persistence.login_throttle import LoginThrottle, network_of

REFRESH_LIFETIME = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class IssuedTokens:
    """What a login hands out."""

    access_token: str = field(repr=False)
    expires_in: int
    refresh_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Rotation:
    """The result of a refresh: the login goes on with `issued`, or the logins of `ended` end with it."""

    issued: IssuedTokens | None = None
    ended: tuple[uuid.UUID, ...] = ()


class AuthService:
    """Registers, logs in and out. Each method is one transaction, except that passwords are hashed outside it.

    Locks are taken in one order, so that none waits in a circle: the user, then the login with its tokens.
    """

    def __init__(
        self,
        sessions: Sessions,
        passwords: Passwords,
        tokens: AccessTokens,
        logins: LiveLogins,
        throttle: LoginThrottle,
        now: Callable[[], datetime],
        *,
        registration_open: bool = True,
    ) -> None:
        self._registration_open = registration_open
        self._sessions = sessions
        self._passwords = passwords
        self._tokens = tokens
        self._logins = logins
        self._throttle = throttle
        self._check = PasswordCheck(sessions, passwords, throttle)
        self._now = now

    async def register(self, email: str, password: str, address: str) -> IssuedTokens:
        """Store a new user and log in.

        Raises:
            ApiError: 403 `registration_closed`; 409 `email_taken`; 429 when an address registers too many.
        """
        if not self._registration_open:
            raise ApiError(403, "registration_closed", "Accounts are opened here by the operator only")
        wait_s = await self._throttle.registration(address)
        if wait_s:
            raise too_many_attempts(wait_s)
        password_hash = await self._passwords.hash(password)
        try:
            async with transaction(self._sessions) as session:
                user = await Users(session).add(email, password_hash)
                await AuditLog(session).add("register", user_id=user.id, address=address)
                return await self._start(session, user.id, address)
        except ConstraintViolated as error:
            if error.constraint != "users_email_key":
                raise
            raise ApiError(409, "email_taken", "This e-mail address is already registered") from error

    async def login(self, email: str, password: str, address: str) -> IssuedTokens:
        """Check a password. 401 `invalid_credentials`, whether or not the address is known; 429 when throttled."""
        user = await self._check.of_email(email, password, address)
        stronger = await self._passwords.hash(password) if self._passwords.is_outdated(user.password_hash) else None
        async with tenant_transaction(self._sessions, user.id) as session:
            await self._confirm(session, user, password)
            if stronger:
                await Users(session).set_password_hash(user.id, stronger)
            await AuditLog(session).add("login", user_id=user.id, address=address)
            return await self._start(session, user.id, address)

    async def refresh(self, refresh_token: str, address: str) -> IssuedTokens:
        """Exchange a refresh token, once. A second use means that it was stolen, and ends that login for both."""
        rotation = _Rotation()
        token_hash = refresh_token_hash(refresh_token)
        user_id = await self._owner(token_hash)
        if user_id is not None:  # the transaction is not left by raising: the end of a login is committed
            async with tenant_transaction(self._sessions, user_id) as session:
                stored = await _lock(session, user_id, token_hash)
                rotation = await self._rotate(session, stored, address) if stored else rotation
        self._logins.ended(rotation.ended)
        if rotation.issued is None:
            await self._throttle.failed(address)
            raise unauthorized("invalid_credentials", "This login has ended. Please log in again.")
        return rotation.issued

    async def logout(self, refresh_token: str, address: str) -> None:
        """End the login that a refresh token belongs to. Unknown tokens are already logged out."""
        token_hash = refresh_token_hash(refresh_token)
        user_id = await self._owner(token_hash)
        if user_id is None:
            return
        async with tenant_transaction(self._sessions, user_id) as session:
            stored = await _lock(session, user_id, token_hash)
            if stored is None:
                return
            ended = await Logins(session).end(user_id, self._now(), "logout", stored.login_id)
            await AuditLog(session).add("logout", user_id=user_id, address=address)
        self._logins.ended(ended)

    async def change_password(self, user_id: int, current: str, new: str, address: str) -> IssuedTokens:
        """Set another password, end every login of the user and begin a new one.

        Raises:
            ApiError: 401 `invalid_credentials` if `current` is wrong; 429 when throttled.
            InvalidField: if the new password is the user's e-mail address.
        """
        user = await self._check.of_user(user_id, current, address, "password")
        if resembles(new, user.email):
            raise InvalidField("new_password", LIKE_ADDRESS)
        password_hash = await self._passwords.hash(new)
        async with tenant_transaction(self._sessions, user.id) as session:
            await self._confirm(session, user, current)
            await Users(session).set_password_hash(user.id, password_hash)
            ended = await Logins(session).end(user.id, self._now(), "password_changed")
            await AuditLog(session).add("password_changed", user_id=user.id, address=address)
            issued = await self._start(session, user.id, address)
        self._logins.ended(ended)
        return issued

    async def user(self, user_id: int) -> User:
        """The user of a valid access token. 401 `token_invalid` if the user is deleted."""
        async with tenant_transaction(self._sessions, user_id) as session:
            user = await Users(session).by_id(user_id)
        if user is None:
            raise unauthorized("token_invalid", "Invalid token")
        return user

    async def _confirm(self, session: AsyncSession, user: User, password: str) -> None:
        # The password was checked before this transaction: it may have been changed, or the user deleted, since.
        stored = await Users(session).lock_password(user.id)
        same = stored is not None and stored.password_hash == user.password_hash
        if not same and not await self._passwords.matches(stored.password_hash if stored else None, password):
            raise unauthorized("invalid_credentials", "Wrong e-mail address or password")

    async def _owner(self, token_hash: bytes) -> int | None:
        async with transaction(self._sessions) as session:
            return await RefreshTokens(session).owner(token_hash)

    async def _rotate(self, session: AsyncSession, stored: RefreshToken, address: str) -> _Rotation:
        user_id, login_id, now = stored.user_id, stored.login_id, self._now()
        if stored.expires_at <= now:
            return _Rotation()
        if stored.used_at is not None:
            ended = await Logins(session).end(user_id, now, "token_reused", login_id)
            await AuditLog(session).add("refresh_token_reused", user_id=user_id, address=address)
            return _Rotation(ended=tuple(ended))
        stored.used_at = now
        await RefreshTokens(session).remove_expired(user_id, now)
        return _Rotation(issued=await self._issue(session, user_id, login_id))

    async def _start(self, session: AsyncSession, user_id: int, address: str) -> IssuedTokens:
        login_id = uuid.uuid4()
        await Logins(session).start(login_id, user_id, self._now(), network_of(address))
        return await self._issue(session, user_id, login_id)

    async def _issue(self, session: AsyncSession, user_id: int, login_id: uuid.UUID) -> IssuedTokens:
        refresh_token, now = new_refresh_token(), self._now()
        await RefreshTokens(session).add(
            user_id, refresh_token_hash(refresh_token), login_id, now, now + REFRESH_LIFETIME
        )
        access = self._tokens.issue(user_id, login_id)
        return IssuedTokens(access.text, access.expires_in, refresh_token)


async def _lock(session: AsyncSession, user_id: int, token_hash: bytes) -> RefreshToken | None:
    if await Users(session).lock_live(user_id) is None:
        return None
    return await RefreshTokens(session).lock(user_id, token_hash)
