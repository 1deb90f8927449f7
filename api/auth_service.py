"""Accounts and logins (rows A1, A2)."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from api.errors import ApiError, unauthorized
from api.passwords import Passwords
from api.tokens import AccessTokens, new_refresh_token, refresh_token_hash
from persistence.database import Sessions, transaction
from persistence.errors import ConstraintViolated
from persistence.login_throttle import LoginThrottle
from persistence.models import User
from persistence.repositories import AuditLog, RefreshTokens, Users

REFRESH_LIFETIME = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Login:
    """What a successful login hands out."""

    access_token: str = field(repr=False)
    expires_in: int
    refresh_token: str = field(repr=False)


class AuthService:
    """Registers, logs in and out. Each method is one transaction, except that passwords are hashed outside it."""

    def __init__(
        self,
        sessions: Sessions,
        passwords: Passwords,
        tokens: AccessTokens,
        throttle: LoginThrottle,
        now: Callable[[], datetime],
    ) -> None:
        self._sessions = sessions
        self._passwords = passwords
        self._tokens = tokens
        self._throttle = throttle
        self._now = now

    async def register(self, email: str, password: str, address: str) -> Login:
        """Store a new user and log in. 409 `email_taken`."""
        password_hash = await self._passwords.hash(password)
        refresh_token = new_refresh_token()
        try:
            async with transaction(self._sessions) as session:
                user = await Users(session).add(email, password_hash)
                await self._store(RefreshTokens(session), user.id, refresh_token, uuid.uuid4())
                await AuditLog(session).add("register", user_id=user.id, address=address)
        except ConstraintViolated as error:
            if error.constraint != "users_email_key":
                raise
            raise ApiError(409, "email_taken", "This e-mail address is already registered") from error
        return self._login(user.id, refresh_token)

    async def login(self, email: str, password: str, address: str) -> Login:
        """Check a password. 401 `invalid_credentials`, whether or not the address is known; 429 when throttled."""
        wait = await self._throttle.seconds_to_wait(email, address)
        if wait:
            raise ApiError(
                429, "too_many_attempts", "Too many attempts. Please wait a little.", {"Retry-After": str(wait)}
            )
        async with transaction(self._sessions) as session:
            user = await Users(session).by_email(email)
        if not await self._passwords.matches(user.password_hash if user else None, password) or user is None:
            await self._throttle.failed(address)
            async with transaction(self._sessions) as session:
                await AuditLog(session).add("login_failed", user_id=user.id if user else None, address=address)
            raise unauthorized("invalid_credentials", "Wrong e-mail address or password")
        await self._throttle.succeeded(email)
        stronger = await self._passwords.hash(password) if self._passwords.is_outdated(user.password_hash) else None
        refresh_token = new_refresh_token()
        async with transaction(self._sessions) as session:
            if stronger:
                await Users(session).set_password_hash(user.id, stronger)
            await self._store(RefreshTokens(session), user.id, refresh_token, uuid.uuid4())
            await AuditLog(session).add("login", user_id=user.id, address=address)
        return self._login(user.id, refresh_token)

    async def refresh(self, refresh_token: str, address: str) -> Login:
        """Exchange a refresh token, once. A second use means that it was stolen, and ends that login for both."""
        successor = new_refresh_token()
        async with transaction(self._sessions) as session:  # not left by raising: a revocation must be committed
            user_id = await self._rotate(RefreshTokens(session), AuditLog(session), refresh_token, successor, address)
        if user_id is None:
            raise unauthorized("invalid_credentials", "This login has ended. Please log in again.")
        return self._login(user_id, successor)

    async def logout(self, refresh_token: str) -> None:
        """End the login that a refresh token belongs to. Unknown tokens are already logged out."""
        async with transaction(self._sessions) as session:
            tokens = RefreshTokens(session)
            stored = await tokens.lock(refresh_token_hash(refresh_token))
            if stored:
                await tokens.revoke_family(stored.family_id, self._now())
                await AuditLog(session).add("logout", user_id=stored.user_id)

    async def user(self, user_id: int) -> User:
        """The user of a valid access token. 401 `token_invalid` if there is none any more."""
        async with transaction(self._sessions) as session:
            user = await Users(session).by_id(user_id)
        if user is None:
            raise unauthorized("token_invalid", "Invalid token")
        return user

    async def _rotate(
        self, tokens: RefreshTokens, audit: AuditLog, refresh_token: str, successor: str, address: str
    ) -> int | None:
        stored = await tokens.lock(refresh_token_hash(refresh_token))
        if stored is None or stored.revoked_at is not None or stored.expires_at <= self._now():
            return None
        if stored.used_at is not None:
            await tokens.revoke_family(stored.family_id, self._now())
            await audit.add("refresh_token_reused", user_id=stored.user_id, address=address)
            return None
        stored.used_at = self._now()
        await self._store(tokens, stored.user_id, successor, stored.family_id)
        return stored.user_id

    async def _store(self, tokens: RefreshTokens, user_id: int, token: str, family: uuid.UUID) -> None:
        issued_at = self._now()
        await tokens.add(user_id, refresh_token_hash(token), family, issued_at, issued_at + REFRESH_LIFETIME)

    def _login(self, user_id: int, refresh_token: str) -> Login:
        access = self._tokens.issue(user_id)
        return Login(access.text, access.expires_in, refresh_token)
