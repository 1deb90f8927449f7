"""Queries of users, their logins and refresh tokens."""

import uuid
from datetime import datetime

from sqlalchemy import Select, delete, exists, select, update
from sqlmodel import col

from persistence.database.models.users import Login, RefreshToken, User
from persistence.database.repositories.base import Repository


class Users(Repository):
    """Tenants."""

    async def add(self, email: str, password_hash: str) -> User:
        """Store a new user. The database refuses an address that is taken (`users_email_key`)."""
        user = User(email=email, password_hash=password_hash)
        self._session.add(user)
        await self._session.flush()
        return user

    async def by_email(self, email: str) -> User | None:
        """The user of an address in lower case."""
        return await self._session.scalar(select(User).where(col(User.email) == email))

    async def set_password_hash(self, user_id: int, password_hash: str) -> None:
        """Replace the stored hash: of another password, or a stronger one of the same."""
        await self._session.execute(update(User).where(col(User.id) == user_id).values(password_hash=password_hash))

    async def by_id(self, user_id: int) -> User | None:
        """The user, unless it was deleted."""
        return await self._session.scalar(self._live(user_id))

    async def lock_live(self, user_id: int) -> User | None:
        """The user, who cannot be deleted before this transaction ends; None if it was deleted already.

        Any number of transactions may hold this lock at once. Take it before any lock on what the user owns.
        """
        return await self._session.scalar(self._live(user_id).with_for_update(read=True, key_share=True))

    async def lock_password(self, user_id: int) -> User | None:
        """As `lock_live`, and no other changes the password in this transaction."""
        return await self._session.scalar(self._live(user_id).with_for_update(key_share=True))

    async def lock_for_deletion(self, user_id: int) -> User | None:
        """The user, of whom nothing new can be stored before this transaction ends. Waits for `lock_live`."""
        return await self._session.scalar(self._live(user_id).with_for_update())

    async def erase(self, user_id: int, at: datetime) -> None:
        """Forget who the user was: the address is free again, no password fits. The id stays, for the logs."""
        values = {"email": f"deleted-{user_id}@deleted.invalid", "password_hash": "deleted", "deleted_at": at}
        await self._session.execute(update(User).where(col(User.id) == user_id).values(values))

    @staticmethod
    def _live(user_id: int) -> Select[User]:
        statement = select(User).where(col(User.id) == user_id, col(User.deleted_at).is_(None))
        return statement.execution_options(populate_existing=True)


class Logins(Repository):
    """Logins, from the password to the logout."""

    async def start(self, login_id: uuid.UUID, user_id: int, at: datetime, address: str | None = None) -> None:
        """Store a new login; `address` is the network that the password came from."""
        self._session.add(Login(id=login_id, user_id=user_id, started_at=at, address=address))
        await self._session.flush()

    async def is_known(self, user_id: int | None, address: str) -> bool:
        """Whether a login of the user has begun at that network before. Unknown users cost the same query."""
        statement = select(exists().where(col(Login.user_id) == (user_id or 0), col(Login.address) == address))
        return bool(await self._session.scalar(statement))

    async def is_live(self, user_id: int, login_id: uuid.UUID) -> bool:
        """Whether the user's login has not ended, and the user is not deleted."""
        statement = select(col(User.id)).join(Login, col(Login.user_id) == col(User.id))
        live = (col(Login.id) == login_id, col(Login.ended_at).is_(None), col(User.deleted_at).is_(None))
        return await self._session.scalar(statement.where(col(User.id) == user_id, *live)) is not None

    async def end(self, user_id: int, at: datetime, reason: str, login_id: uuid.UUID | None = None) -> list[uuid.UUID]:
        """End one login of the user or, without `login_id`, all of them; the ids of those that went on until now.

        Their refresh tokens are forgotten. `reason` is one of the words of `logins.end_reason`.
        """
        statement = update(Login).where(col(Login.user_id) == user_id, col(Login.ended_at).is_(None))
        if login_id is not None:
            statement = statement.where(col(Login.id) == login_id)
        ended = await self._session.scalars(
            statement.values(ended_at=at, end_reason=reason).returning(col(Login.id)),
            execution_options={"synchronize_session": False},
        )
        ids = list(ended)
        tokens = (col(RefreshToken.user_id) == user_id, col(RefreshToken.login_id).in_(ids))
        await self._session.execute(delete(RefreshToken).where(*tokens))
        return ids


class RefreshTokens(Repository):
    """Refresh tokens by their hash."""

    async def add(
        self, user_id: int, token_hash: bytes, login_id: uuid.UUID, issued_at: datetime, expires_at: datetime
    ) -> None:
        """Store a token that was just issued."""
        token = RefreshToken(
            user_id=user_id,
            token_hash=token_hash,
            login_id=login_id,
            issued_at=issued_at,
            expires_at=expires_at,
        )
        self._session.add(token)
        await self._session.flush()

    async def owner(self, token_hash: bytes) -> int | None:
        """The id of the user whom the token was given to."""
        statement = select(col(RefreshToken.user_id)).where(col(RefreshToken.token_hash) == token_hash)
        return await self._session.scalar(statement)

    async def lock(self, user_id: int, token_hash: bytes) -> RefreshToken | None:
        """The user's token of a login that goes on; both are locked, so that the token is used at most once."""
        statement = select(RefreshToken).join(Login, col(Login.id) == col(RefreshToken.login_id))
        mine = (col(RefreshToken.user_id) == user_id, col(RefreshToken.token_hash) == token_hash)
        return await self._session.scalar(statement.where(*mine, col(Login.ended_at).is_(None)).with_for_update())

    async def remove_expired(self, user_id: int, now: datetime) -> None:
        """Forget the user's tokens that are too old to matter even if they were kept."""
        expired = (col(RefreshToken.user_id) == user_id, col(RefreshToken.expires_at) <= now)
        await self._session.execute(delete(RefreshToken).where(*expired))
