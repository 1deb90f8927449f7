"""Queries of users, their logins and refresh tokens."""

import unicodedata
import uuid
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Select, delete, exists, or_, select, update
from sqlmodel import col

from persistence.database.models.users import Invitation, Login, RefreshToken, User
from persistence.database.repositories.base import Repository, Total
from persistence.errors import ConstraintViolated


class Users(Repository):
    """Tenants."""

    async def add(self, email: str, password_hash: str) -> User:
        """Store a new user, with the address in its canonical form.

        Raises:
            ConstraintViolated: `users_email_key`, when the address is taken.
        """
        if earlier_spelling(email) != email and await self.by_email(email) is not None:
            raise ConstraintViolated("users_email_key")
        user = User(email=email, password_hash=password_hash)
        self._session.add(user)
        await self._session.flush()
        return user

    async def by_email(self, email: str) -> User | None:
        """The user of an address in its canonical form, also one that was stored in the spelling of before."""
        spellings = list(dict.fromkeys((email, earlier_spelling(email))))
        canonical_first = (col(User.email) == email).desc()
        found = select(User).where(col(User.email).in_(spellings)).order_by(canonical_first).limit(1)
        return await self._session.scalar(found)

    async def set_password_hash(self, user_id: int, password_hash: str) -> None:
        """Replace the stored hash: of another password, or a stronger one of the same. A code to reset it is void."""
        values = {"password_hash": password_hash, "reset_code_hash": None, "reset_code_expires_at": None}
        await self._session.execute(update(User).where(col(User.id) == user_id).values(values))

    async def set_reset_code(self, user_id: int, code_hash: bytes, expires_at: datetime) -> None:
        """Store the code with which the user may set a new password until then, in place of any before it."""
        values = {"reset_code_hash": code_hash, "reset_code_expires_at": expires_at}
        await self._session.execute(update(User).where(col(User.id) == user_id).values(values))

    async def of_reset_code(self, code_hash: bytes, now: datetime) -> User | None:
        """The user, not deleted, whom a code that is still good was given to."""
        good = (col(User.reset_code_hash) == code_hash, col(User.reset_code_expires_at) > now)
        return await self._session.scalar(select(User).where(*good, col(User.deleted_at).is_(None)))

    async def set_disconnected_account(self, user_id: int, account: str) -> None:
        """Note the broker account that the user disconnects."""
        values = {"disconnected_account": account}
        await self._session.execute(update(User).where(col(User.id) == user_id).values(values))

    async def by_id(self, user_id: int) -> User | None:
        """The user, unless it was deleted."""
        return await self._session.scalar(self._live(user_id))

    async def lock_live(self, user_id: int) -> User | None:
        """The user, who cannot be deleted before this transaction ends; None if it was deleted already.

        Any number of transactions may hold this lock at once. Take it before any lock on what the user owns.
        """
        return await self._session.scalar(self._live(user_id).with_for_update(read=True, key_share=True))

    async def lock_for_change(self, user_id: int) -> User | None:
        """As `lock_live`, and no other transaction changes the password or the broker account meanwhile."""
        return await self._session.scalar(self._live(user_id).with_for_update(key_share=True))

    async def lock_for_deletion(self, user_id: int) -> User | None:
        """The user, of whom nothing new can be stored before this transaction ends. Waits for `lock_live`."""
        return await self._session.scalar(self._live(user_id).with_for_update())

    async def erase(self, user_id: int, at: datetime) -> None:
        """Forget who the user was: the address is free again, no password fits. The id stays, for the logs."""
        values = {
            "email": f"deleted-{user_id}@deleted.invalid", "password_hash": "deleted", "deleted_at": at,
            "reset_code_hash": None, "reset_code_expires_at": None, "disconnected_account": None,
        }  # fmt: skip
        await self._session.execute(update(User).where(col(User.id) == user_id).values(values))

    @staticmethod
    def _live(user_id: int) -> Select[User]:
        statement = select(User).where(col(User.id) == user_id, col(User.deleted_at).is_(None))
        return statement.execution_options(populate_existing=True)


class Logins(Repository):
    """Logins, from the password to the logout."""

    async def start(
        self, login_id: uuid.UUID, user_id: int, at: datetime, address: str | None = None, user_agent: str = ""
    ) -> Login:
        """Store a new login; `address` is the network that the password came from. Its password counts as confirmed."""
        login = Login(
            id=login_id, user_id=user_id, address=address, last_address=address, user_agent=user_agent,
            started_at=at, last_used_at=at, confirmed_at=at,
        )  # fmt: skip
        self._session.add(login)
        await self._session.flush()
        return login

    async def used(self, user_id: int, login_id: uuid.UUID, at: datetime, address: str) -> None:
        """Note that new tokens of the login were handed out to that network."""
        await self._set(user_id, login_id, last_used_at=at, last_address=address)

    async def confirm(self, user_id: int, login_id: uuid.UUID, at: datetime) -> None:
        """Note that the user has given the password again in this login."""
        await self._set(user_id, login_id, confirmed_at=at)

    async def confirmed_at(self, user_id: int, login_id: uuid.UUID) -> datetime | None:
        """When the user last gave the password in this login; None if it is not one of the user's."""
        mine = (col(Login.user_id) == user_id, col(Login.id) == login_id)
        return await self._session.scalar(select(col(Login.confirmed_at)).where(*mine))

    async def page(
        self, user_id: int, started_after: datetime, used_after: datetime, limit: int, offset: int
    ) -> tuple[Sequence[Login], Total]:
        """The user's logins that go on, the one used last first, and how many there are."""
        live = (
            col(Login.user_id) == user_id, col(Login.ended_at).is_(None),
            col(Login.started_at) > started_after, col(Login.last_used_at) > used_after,
        )  # fmt: skip
        newest_first = select(Login).where(*live).order_by(col(Login.last_used_at).desc(), col(Login.number).desc())
        rows = (await self._session.scalars(newest_first.limit(limit).offset(offset))).all()
        return rows, await self._total(newest_first)

    async def id_of(self, user_id: int, number: int) -> uuid.UUID | None:
        """The id of the user's login of that number."""
        mine = (col(Login.user_id) == user_id, col(Login.number) == number)
        return await self._session.scalar(select(col(Login.id)).where(*mine))

    async def is_known(self, user_id: int | None, address: str) -> bool:
        """Whether a login of the user has begun at that network before. Unknown users cost the same query."""
        statement = select(exists().where(col(Login.user_id) == (user_id or 0), col(Login.address) == address))
        return bool(await self._session.scalar(statement))

    async def is_live(self, user_id: int, login_id: uuid.UUID) -> bool:
        """Whether the user's login has not ended, and the user is not deleted."""
        statement = select(col(User.id)).join(Login, col(Login.user_id) == col(User.id))
        live = (col(Login.id) == login_id, col(Login.ended_at).is_(None), col(User.deleted_at).is_(None))
        return await self._session.scalar(statement.where(col(User.id) == user_id, *live)) is not None

    async def end(
        self,
        user_id: int,
        at: datetime,
        reason: str,
        login_id: uuid.UUID | None = None,
        *,
        but: uuid.UUID | None = None,
    ) -> list[uuid.UUID]:
        """End one login of the user or, without `login_id`, all of them `but` one; the ids of those that went on.

        Their refresh tokens are forgotten. `reason` is one of the words of `logins.end_reason`.
        """
        statement = update(Login).where(col(Login.user_id) == user_id, col(Login.ended_at).is_(None))
        if login_id is not None:
            statement = statement.where(col(Login.id) == login_id)
        if but is not None:
            statement = statement.where(col(Login.id) != but)
        ended = await self._session.scalars(
            statement.values(ended_at=at, end_reason=reason).returning(col(Login.id)),
            execution_options={"synchronize_session": False},
        )
        ids = list(ended)
        tokens = (col(RefreshToken.user_id) == user_id, col(RefreshToken.login_id).in_(ids))
        await self._session.execute(delete(RefreshToken).where(*tokens))
        return ids

    async def _set(self, user_id: int, login_id: uuid.UUID, **values: object) -> None:
        mine = (col(Login.user_id) == user_id, col(Login.id) == login_id)
        await self._session.execute(update(Login).where(*mine).values(values))


def earlier_spelling(email: str) -> str:
    """How an address that was typed in capitals was stored before small letters were composed again: `ǰ` as two."""
    local, at, domain = email.rpartition("@")
    small = unicodedata.normalize("NFC", local.upper()).lower()
    return small + at + domain if unicodedata.normalize("NFC", small) == local else email


class Invitations(Repository):
    """The operator's invitations to register, by e-mail address."""

    async def put(self, email: str, code_hash: bytes, now: datetime, expires_at: datetime) -> int:
        """Invite an address, in place of an earlier invitation of it; the invitation's id.

        Invitations that are too old are forgotten.
        """
        forgotten = or_(col(Invitation.email) == email, col(Invitation.expires_at) <= now)
        await self._session.execute(delete(Invitation).where(forgotten))
        invitation = Invitation(email=email, code_hash=code_hash, invited_at=now, expires_at=expires_at)
        self._session.add(invitation)
        await self._session.flush()
        return invitation.id

    async def is_good(self, email: str, code_hash: bytes, now: datetime) -> bool:
        """Whether a code is that of an address's invitation, and still good."""
        right = (col(Invitation.email) == email, col(Invitation.code_hash) == code_hash)
        return bool(await self._session.scalar(select(exists().where(*right, col(Invitation.expires_at) > now))))

    async def take(self, email: str, code_hash: bytes, now: datetime) -> int | None:
        """Use up the invitation of an address; its id, if its code is the right one and still good."""
        right = (col(Invitation.email) == email, col(Invitation.code_hash) == code_hash)
        taken = delete(Invitation).where(*right, col(Invitation.expires_at) > now).returning(col(Invitation.id))
        return await self._session.scalar(taken)


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

    async def lock(self, user_id: int, token_hash: bytes) -> tuple[RefreshToken, Login] | None:
        """The user's token with its login, which goes on; both are locked, so that the token is used at most once.

        The login first, as where it is ended (`Logins.end`): two devices would wait for each other otherwise.
        """
        mine = (col(RefreshToken.user_id) == user_id, col(RefreshToken.token_hash) == token_hash)
        its_login = select(col(RefreshToken.login_id)).where(*mine).scalar_subquery()
        live = (col(Login.id) == its_login, col(Login.user_id) == user_id, col(Login.ended_at).is_(None))
        login = await self._session.scalar(select(Login).where(*live).with_for_update())
        token = await self._session.scalar(select(RefreshToken).where(*mine).with_for_update()) if login else None
        return None if login is None or token is None else (token, login)

    async def of_login(self, user_id: int, login_id: uuid.UUID, token_hash: bytes) -> RefreshToken | None:
        """The token of that hash, if it is one of that login of the user."""
        mine = (col(RefreshToken.user_id) == user_id, col(RefreshToken.login_id) == login_id)
        return await self._session.scalar(select(RefreshToken).where(*mine, col(RefreshToken.token_hash) == token_hash))

    async def remove_expired(self, user_id: int, now: datetime) -> None:
        """Forget the user's tokens that are too old to matter even if they were kept."""
        expired = (col(RefreshToken.user_id) == user_id, col(RefreshToken.expires_at) <= now)
        await self._session.execute(delete(RefreshToken).where(*expired))
