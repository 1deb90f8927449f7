"""The tokens of a login: begun with a password, exchanged again and again, until the login is too old or unused."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from api.base.client import Client
from api.users.tokens import AccessTokens, new_refresh_token, secret_hash
from persistence.database.models.users import Login, RefreshToken
from persistence.database.repositories.audit import AuditLog
from persistence.database.repositories.users import Logins, RefreshTokens
from persistence.login_throttle import network_of

GRACE = timedelta(seconds=60)
"""How long a browser may ask again what its refresh token was exchanged for. It is the longest of those that others
allow (Amazon Cognito, RetryGracePeriodSeconds): a phone has to notice that its network has gone, and come back."""


@dataclass(frozen=True, slots=True)
class IssuedTokens:
    """What a login hands out; `expires_in` and `refresh_expires_in` are seconds."""

    access_token: str = field(repr=False)
    expires_in: int
    refresh_token: str = field(repr=False)
    refresh_expires_in: int


@dataclass(frozen=True, slots=True)
class LoginLifetime:
    """How long a login goes on: at most `longest` from its password, and `unused` from when it last got tokens."""

    longest: timedelta
    unused: timedelta

    def goes_on(self, login: Login, now: datetime) -> bool:
        """Whether a login that has not been ended is still good."""
        return now < min(self.end_of(login), login.last_used_at + self.unused)

    def end_of(self, login: Login) -> datetime:
        """When the login ends however much it is used."""
        return login.started_at + self.longest


@dataclass(frozen=True, slots=True)
class Rotation:
    """The result of a refresh: the login goes on with `issued`, or the logins of `ended` end with it."""

    issued: IssuedTokens | None = None
    ended: tuple[uuid.UUID, ...] = ()


class LoginTokens:
    """Begins logins and exchanges their tokens, each within a transaction of the user."""

    def __init__(self, tokens: AccessTokens, lifetime: LoginLifetime, now: Callable[[], datetime]) -> None:
        self._tokens = tokens
        self._lifetime = lifetime
        self._now = now

    async def start(self, session: AsyncSession, user_id: int, client: Client) -> IssuedTokens:
        """Begin a login of a user who has just given the password."""
        login = await Logins(session).start(
            uuid.uuid4(), user_id, self._now(), network_of(client.address), client.user_agent
        )
        return await self._issue(session, login, new_refresh_token())

    async def rotate(
        self, session: AsyncSession, held: tuple[RefreshToken, Login], token: str, client: Client, *, repeatable: bool
    ) -> Rotation:
        """Exchange the refresh token `token` of a login that was not ended; both rows of `held` are locked.

        `repeatable`: for `GRACE` it may be asked again, and gives the same. Two tabs of a browser use one token at the
        same moment, and an answer may be lost. It gives the newest token of the login, which was not used yet: a
        thief who asks in time shares that with the owner, and the next use by the other ends the login for both.
        """
        stored, login = held
        now = self._now()
        if not self._lifetime.goes_on(login, now):
            return await self._end(session, login, "expired", "login_expired", client)
        if stored.expires_at <= now:
            return Rotation()
        if stored.used_at is not None:
            latest = await self._latest_after(session, stored, token) if repeatable else None
            if latest is None:
                return await self._end(session, login, "token_reused", "refresh_token_reused", client)
            return Rotation(issued=self._with_access(login, *latest))
        stored.used_at = now
        await RefreshTokens(session).remove_expired(login.user_id, now)
        await Logins(session).used(login.user_id, login.id, now, network_of(client.address))
        following = self._tokens.refresh_token_after(token) if repeatable else new_refresh_token()
        return Rotation(issued=await self._issue(session, login, following))

    async def _latest_after(
        self, session: AsyncSession, stored: RefreshToken, token: str
    ) -> tuple[str, datetime] | None:
        """The unused token that a used one has led to, by exchanges of the last `GRACE` only, and its end."""
        following: RefreshToken | None = stored
        while following is not None and following.used_at is not None:
            if self._now() - following.used_at > GRACE:
                return None
            token = self._tokens.refresh_token_after(token)
            following = await RefreshTokens(session).of_login(stored.user_id, stored.login_id, secret_hash(token))
        return None if following is None else (token, following.expires_at)

    async def _end(self, session: AsyncSession, login: Login, reason: str, action: str, client: Client) -> Rotation:
        ended = await Logins(session).end(login.user_id, self._now(), reason, login.id)
        await AuditLog(session).add(action, user_id=login.user_id, address=client.address)
        return Rotation(ended=tuple(ended))

    async def _issue(self, session: AsyncSession, login: Login, refresh_token: str) -> IssuedTokens:
        now, ends_at = self._now(), self._lifetime.end_of(login)
        expires_at = min(ends_at, now + self._lifetime.unused)
        await RefreshTokens(session).add(login.user_id, secret_hash(refresh_token), login.id, now, expires_at)
        return self._with_access(login, refresh_token, expires_at)

    def _with_access(self, login: Login, refresh_token: str, expires_at: datetime) -> IssuedTokens:
        access = self._tokens.issue(login.user_id, login.id, self._lifetime.end_of(login))
        left_s = int((expires_at - self._now()).total_seconds())
        return IssuedTokens(access.text, access.expires_in, refresh_token, left_s)
