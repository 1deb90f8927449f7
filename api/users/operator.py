"""What the operator does with users past the API: adds and invites them, and lets one back in (rows A1, A2)."""

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from pydantic import SecretStr, TypeAdapter, ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from api.base.answers.sentences import sentence_of_fault
from api.base.email_addresses import NOT_AN_ADDRESS, Email
from api.users.passwords.hashing import Passwords
from api.users.schemas import RegisterRequest
from api.users.tokens import code_hash, new_code
from persistence.database.engine import open_database, sessions_of, transaction
from persistence.database.repositories.audit import AuditLog
from persistence.database.repositories.users import Invitations, Logins, Users
from persistence.errors import ConstraintViolated

_BY = "operator"

INVITATION_LIFETIME = timedelta(days=7)
RESET_CODE_LIFETIME = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class GivenCode:
    """A code for a user, shown once; it is good once, until `expires_at`."""

    email: str
    code: str = field(repr=False)
    expires_at: datetime


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
        raise UserRefused(f"{asked} is already registered: `tradeactors reset-password` lets him in again.") from error
    finally:
        await engine.dispose()
    return asked


async def invite(database_url: str, email: str) -> GivenCode:
    """Let one address register where registration is closed, with a code. An earlier invitation of it is void.

    Raises:
        UserRefused: the address is not acceptable, or is registered already.
        DatabaseUnavailable: if PostgreSQL does not answer.
    """
    asked, now, code = _address(email), datetime.now(UTC), new_code()
    engine = open_database(database_url, pool_size=1)
    try:
        async with transaction(sessions_of(engine)) as session:
            if await Users(session).by_email(asked) is not None:
                raise UserRefused(f"{asked} is already registered: `tradeactors reset-password` lets him in again.")
            number = await Invitations(session).put(asked, code_hash(code), now, now + INVITATION_LIFETIME)
            # Without the address: lines of the audit log are kept when a user is deleted.
            await AuditLog(session).add("invitation", user_id=None, subject=_BY, invitation=str(number))
    finally:
        await engine.dispose()
    return GivenCode(asked, code, now + INVITATION_LIFETIME)


async def give_reset_code(database_url: str, email: str) -> GivenCode:
    """Let a user set a new password with a code. Nothing ends before it is used; an earlier code is void.

    Raises:
        UserRefused: no user has this address.
        DatabaseUnavailable: if PostgreSQL does not answer.
    """
    asked, now, code = _address(email), datetime.now(UTC), new_code()
    engine = open_database(database_url, pool_size=1)
    try:
        async with transaction(sessions_of(engine)) as session:
            user = await Users(session).by_email(asked)
            if user is None:
                raise UserRefused(f"Nobody has registered as {asked}: correct the address.")
            await Users(session).set_reset_code(user.id, code_hash(code), now + RESET_CODE_LIFETIME)
            await AuditLog(session).add("password_reset_code", user_id=user.id, subject=_BY)
    finally:
        await engine.dispose()
    return GivenCode(asked, code, now + RESET_CODE_LIFETIME)


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
    user = found and await Users(session).lock_for_change(found.id)
    if user is None:
        raise UserRefused(f"Nobody has registered as {email}: correct the address.")
    await Users(session).set_password_hash(user.id, password_hash)
    ended = await Logins(session).end(user.id, datetime.now(UTC), "password_reset")
    await AuditLog(session).add("password_reset", user_id=user.id, subject=_BY)
    return len(ended)


def _address(email: str) -> str:
    try:
        return TypeAdapter(Email).validate_python(email)
    except ValidationError:
        raise UserRefused(f"Email {NOT_AN_ADDRESS}.") from None


async def _checked(email: str, password: str) -> tuple[str, str]:
    """The address as it is kept, and the hash of the password; by the rules of `POST /auth/register`."""
    try:
        asked = RegisterRequest(email=email, password=SecretStr(password))
    except ValidationError as invalid:
        faults = invalid.errors(include_input=False, include_url=False)
        sentences = [f"{fault['loc'][0]} {sentence_of_fault(fault)}" for fault in faults]
        raise UserRefused(f"{'; '.join(sentences)}.".capitalize()) from None
    passwords = Passwords()
    try:
        return asked.email, await passwords.hash(password)
    finally:
        passwords.close()
