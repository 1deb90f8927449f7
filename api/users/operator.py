"""What the operator does with users past the API: adds them, and gives one a new password (rows A1, A2)."""

import secrets
from datetime import UTC, datetime

from pydantic import SecretStr, ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from api.users.passwords.hashing import Passwords
from api.users.schemas import RegisterRequest
from persistence.database.engine import open_database, sessions_of, transaction
from persistence.database.repositories.audit import AuditLog
from persistence.database.repositories.users import Logins, Users
from persistence.errors import ConstraintViolated

_BY = "operator"


class UserRefused(Exception):
    """The sentence for the operator: why nothing was done."""


def new_password() -> str:
    """A password that cannot be guessed: 120 random bits."""
    return secrets.token_urlsafe(15)


async def add_user(database_url: str, email: str, password: str) -> str:
    """Add a user, whether or not registration is open; the e-mail address as it is kept.

    Raises:
        UserRefused: the address or the password is not acceptable, or the address is registered already.
        DatabaseUnavailable: if PostgreSQL does not answer.
    """
    asked, password_hash = await _checked(email, password)
    engine = open_database(database_url, pool_size=1)
    try:
        async with transaction(sessions_of(engine)) as session:
            user = await Users(session).add(asked, password_hash)
            await AuditLog(session).add("register", user_id=user.id, subject=_BY)
    except ConstraintViolated as error:
        if error.constraint != "users_email_key":
            raise
        raise UserRefused(f"{asked} is already registered.") from error
    finally:
        await engine.dispose()
    return asked


async def reset_password(database_url: str, email: str, password: str) -> int:
    """Give a user another password and end all logins; how many there were. What runs goes on.

    Raises:
        UserRefused: the password is not acceptable, or no user has this address.
        DatabaseUnavailable: if PostgreSQL does not answer.
    """
    asked, password_hash = await _checked(email, password)
    engine = open_database(database_url, pool_size=1)
    try:
        async with transaction(sessions_of(engine)) as session:
            return await _replace(session, asked, password_hash)
    finally:
        await engine.dispose()


async def _replace(session: AsyncSession, email: str, password_hash: str) -> int:
    found = await Users(session).by_email(email)
    user = found and await Users(session).lock_password(found.id)
    if user is None:
        raise UserRefused(f"Nobody has registered as {email}.")
    await Users(session).set_password_hash(user.id, password_hash)
    ended = await Logins(session).end(user.id, datetime.now(UTC), "password_reset")
    await AuditLog(session).add("password_reset", user_id=user.id, subject=_BY)
    return len(ended)


async def _checked(email: str, password: str) -> tuple[str, str]:
    """The address as it is kept, and the hash of the password; by the rules of `POST /auth/register`."""
    try:
        asked = RegisterRequest(email=email, password=SecretStr(password))
    except ValidationError as invalid:
        faults = invalid.errors(include_input=False, include_url=False)
        sentences = [f"{fault['loc'][0]} {fault['msg'].removeprefix('Value error, ')}" for fault in faults]
        raise UserRefused(f"{'; '.join(sentences)}.".capitalize()) from None
    passwords = Passwords()
    try:
        return asked.email, await passwords.hash(password)
    finally:
        passwords.close()
