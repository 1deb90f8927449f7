"""Users and logins (rows A1, A2)."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from api.base.client import Client
from api.base.errors import ApiError, InvalidField, unauthorized
from api.users.live_logins import LiveLogins
from api.users.login_tokens import IssuedTokens, LoginTokens, Rotation
from api.users.passwords.check import PasswordCheck, too_many_attempts
from api.users.passwords.hashing import Passwords
from api.users.passwords.rules import LIKE_ADDRESS, resembles
from api.users.tokens import code_hash, secret_hash
from config.login_settings import Registration
from persistence.database.engine import Sessions, tenant_transaction, transaction
from persistence.database.models.users import Login, RefreshToken, User
from persistence.database.repositories.audit import AuditLog
from persistence.database.repositories.users import Invitations, Logins, RefreshTokens, Users
from persistence.errors import ConstraintViolated
from persistence.login_throttle import LoginThrottle


class AuthService:
    """Registers, logs in and out. Each method is one transaction, except that passwords are hashed outside it.

    Locks are taken in one order, so that none waits in a circle: the user, then the login with its tokens.
    """

    def __init__(
        self,
        sessions: Sessions,
        passwords: Passwords,
        tokens: LoginTokens,
        logins: LiveLogins,
        throttle: LoginThrottle,
        now: Callable[[], datetime],
        *,
        registration: Registration = "open",
    ) -> None:
        self._registration = registration
        self._sessions = sessions
        self._passwords = passwords
        self._tokens = tokens
        self._logins = logins
        self._throttle = throttle
        self._check = PasswordCheck(sessions, passwords, throttle)
        self._now = now

    async def register(self, email: str, password: str, client: Client, invitation: str | None = None) -> IssuedTokens:
        """Store a new user and log in. Nothing about the address is said before an invitation that is needed is good.

        Raises:
            ApiError: 403 `registration_closed`, `invitation_needed`, `invitation_invalid`; 409 `email_taken`; 429 when
                too many register.
        """
        if self._registration == "closed":
            raise ApiError(403, "registration_closed", "Accounts are opened here by the operator only: ask him for one")
        if invitation is None and self._registration == "invited":
            sentence = "Accounts are opened here by the operator's invitation only: ask him for one"
            raise ApiError(403, "invitation_needed", sentence)
        wait_s = await self._throttle.registration(client.address)
        if wait_s:
            raise too_many_attempts(wait_s)
        code = None if invitation is None else code_hash(invitation)
        if code is not None and not await self._is_invited(email, code):
            raise _invitation_invalid()
        password_hash = await self._passwords.hash(password, client.has_left)
        try:
            async with transaction(self._sessions) as session:
                taken = {} if code is None else await self._take_invitation(session, email, code)
                user = await Users(session).add(email, password_hash)
                await AuditLog(session).add("register", user_id=user.id, address=client.address, **taken)
                return await self._tokens.start(session, user.id, client)
        except ConstraintViolated as error:
            if error.constraint != "users_email_key":
                raise
            sentence = "This e-mail address is already registered: log in with it"
            raise ApiError(409, "email_taken", sentence) from error

    async def login(self, email: str, password: str, client: Client) -> IssuedTokens:
        """Check a password. 401 `invalid_credentials`, whether or not the address is known; 429 when throttled."""
        user, outdated = await self._check.of_email(email, password, client)
        stronger = await self._passwords.hash(password, client.has_left) if outdated else None
        async with tenant_transaction(self._sessions, user.id) as session:
            await self._confirm(session, user, password, client)
            if stronger:
                await Users(session).set_password_hash(user.id, stronger)
            await AuditLog(session).add("login", user_id=user.id, address=client.address)
            return await self._tokens.start(session, user.id, client)

    async def refresh(self, refresh_token: str, client: Client, *, repeatable: bool = False) -> IssuedTokens:
        """Exchange a refresh token, once. A second use means that it was stolen, and ends that login for both.

        `repeatable`: for a minute a second use gives the same (`LoginTokens.rotate`).
        """
        rotation = Rotation()
        token_hash = secret_hash(refresh_token)
        user_id = await self._owner(token_hash)
        if user_id is not None:  # the transaction is not left by raising: the end of a login is committed
            async with tenant_transaction(self._sessions, user_id) as session:
                stored = await _lock(session, user_id, token_hash)
                if stored:
                    rotation = await self._tokens.rotate(session, stored, refresh_token, client, repeatable=repeatable)
        self._logins.ended(rotation.ended)
        if rotation.issued is None:
            await self._throttle.failed(client.address)
            raise unauthorized("invalid_credentials", "This login has ended. Please log in again.")
        return rotation.issued

    async def logout(self, refresh_token: str, client: Client) -> None:
        """End the login that a refresh token belongs to. Unknown tokens are already logged out."""
        token_hash = secret_hash(refresh_token)
        user_id = await self._owner(token_hash)
        if user_id is None:
            return
        async with tenant_transaction(self._sessions, user_id) as session:
            stored = await _lock(session, user_id, token_hash)
            if stored is None:
                return
            ended = await Logins(session).end(user_id, self._now(), "logout", stored[1].id)
            await AuditLog(session).add("logout", user_id=user_id, address=client.address)
        self._logins.ended(ended)

    async def change_password(self, user_id: int, current: str, new: str, client: Client) -> IssuedTokens:
        """Set another password, end every login of the user and begin a new one.

        Raises:
            ApiError: 401 `invalid_credentials` if `current` is wrong; 429 when throttled.
            InvalidField: if the new password is the user's e-mail address.
        """
        user = await self._check.of_user(user_id, current, client, "password")
        if resembles(new, user.email):
            raise InvalidField("new_password", LIKE_ADDRESS)
        password_hash = await self._passwords.hash(new, client.has_left)
        async with tenant_transaction(self._sessions, user.id) as session:
            await self._confirm(session, user, current, client)
            await Users(session).set_password_hash(user.id, password_hash)
            ended = await Logins(session).end(user.id, self._now(), "password_changed")
            await AuditLog(session).add("password_changed", user_id=user.id, address=client.address)
            issued = await self._tokens.start(session, user.id, client)
        self._logins.ended(ended)
        return issued

    async def reset_password(self, code: str, new: str, client: Client) -> IssuedTokens:
        """Set another password with a code of the operator's, end every login of the user and begin a new one.

        The code is good once. Whatever is wrong with it, the answer is the same.

        Raises:
            ApiError: 401 `reset_code_invalid`.
            InvalidField: if the new password is the user's e-mail address.
        """
        hashed = code_hash(code)
        user = await self._of_reset_code(hashed)
        if user is None:
            await self._throttle.failed(client.address)
            raise _reset_code_invalid()
        if resembles(new, user.email):
            raise InvalidField("new_password", LIKE_ADDRESS)
        password_hash = await self._passwords.hash(new, client.has_left)
        async with tenant_transaction(self._sessions, user.id) as session:
            stored = await Users(session).lock_for_change(user.id)
            if stored is None or stored.reset_code_hash != hashed:  # used, replaced or void since it was looked up
                raise _reset_code_invalid()
            await Users(session).set_password_hash(user.id, password_hash)
            ended = await Logins(session).end(user.id, self._now(), "password_reset")
            await AuditLog(session).add("password_reset", user_id=user.id, address=client.address)
            issued = await self._tokens.start(session, user.id, client)
        self._logins.ended(ended)
        await self._check.forget_failures(user, client)
        return issued

    async def user(self, user_id: int) -> User:
        """The user of a valid access token. 401 `token_invalid` if the user is deleted."""
        async with tenant_transaction(self._sessions, user_id) as session:
            user = await Users(session).by_id(user_id)
        if user is None:
            raise unauthorized("token_invalid", "Invalid token, please log in again")
        return user

    async def _confirm(self, session: AsyncSession, user: User, password: str, client: Client) -> None:
        # The password was checked before this transaction: it may have been changed, or the user deleted, since.
        stored = await Users(session).lock_for_change(user.id)
        same = stored is not None and stored.password_hash == user.password_hash
        kept = stored.password_hash if stored else None
        if not same and not await self._passwords.matches(kept, password, client.has_left):
            raise unauthorized("invalid_credentials", "Wrong e-mail address or password")

    async def _owner(self, token_hash: bytes) -> int | None:
        async with transaction(self._sessions) as session:
            return await RefreshTokens(session).owner(token_hash)

    async def _is_invited(self, email: str, code: bytes) -> bool:
        async with transaction(self._sessions) as session:
            return await Invitations(session).is_good(email, code, self._now())

    async def _take_invitation(self, session: AsyncSession, email: str, code: bytes) -> dict[str, str]:
        """Use the invitation up; what the audit log says of it."""
        number = await Invitations(session).take(email, code, self._now())
        if number is None:
            raise _invitation_invalid()
        return {"invitation": str(number)}

    async def _of_reset_code(self, code: bytes) -> User | None:
        async with transaction(self._sessions) as session:
            return await Users(session).of_reset_code(code, self._now())


async def _lock(session: AsyncSession, user_id: int, token_hash: bytes) -> tuple[RefreshToken, Login] | None:
    if await Users(session).lock_live(user_id) is None:
        return None
    return await RefreshTokens(session).lock(user_id, token_hash)


def _invitation_invalid() -> ApiError:
    sentence = "This invitation is not for this e-mail address, or it was used or has ended: ask the operator"
    return ApiError(403, "invitation_invalid", sentence)


def _reset_code_invalid() -> ApiError:
    return unauthorized("reset_code_invalid", "This code is not good or was used: ask the operator for another")
