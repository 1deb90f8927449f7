"""What a new password must be like (row A1). Those of older rules stay good."""

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from api.base.fields import EncodableSecret
from api.users.passwords.common import is_common
from api.users.passwords.spelling import MOST_CODE_POINTS, prepared, seen_characters

_EXAMPLES = ["correct horse battery"]

FEWEST, MOST = 8, 256
"""How many characters a new password has."""
LENGTH = f"must have at least {FEWEST} characters, at most {MOST}"
TOO_COMMON = "is one of the passwords that are guessed first: take several words"
LIKE_ADDRESS = "must not be your e-mail address"


def _check_uncommon(secret: SecretStr) -> SecretStr:
    if is_common(secret.get_secret_value()):
        raise ValueError(TOO_COMMON)
    return secret


def _check_length(secret: SecretStr) -> SecretStr:
    password = secret.get_secret_value()
    if len(password) > MOST_CODE_POINTS or not FEWEST <= seen_characters(password) <= MOST:
        raise ValueError(LENGTH)
    return secret


def _check_not_too_long(secret: SecretStr) -> SecretStr:
    password = secret.get_secret_value()
    if len(password) > MOST_CODE_POINTS or seen_characters(password) > MOST:
        raise ValueError(f"must have at most {MOST} characters")
    return secret


NewPassword = Annotated[
    EncodableSecret,
    AfterValidator(_check_length),
    AfterValidator(_check_uncommon),
    Field(
        examples=_EXAMPLES,
        description=f"{FEWEST} to {MOST} characters as a person counts them: a letter with its accents is one.",
        json_schema_extra={"minLength": FEWEST, "maxLength": MOST_CODE_POINTS},
    ),
]
Password = Annotated[
    EncodableSecret,
    AfterValidator(_check_not_too_long),
    Field(min_length=1, examples=_EXAMPLES, json_schema_extra={"maxLength": MOST_CODE_POINTS}),
]
"""A password that is only compared: one of older rules stays good, of which none was longer."""


def resembles(password: str, email: str) -> bool:
    """Whether a password is the e-mail address or the part before its @: the first that anyone would try."""
    text = prepared(password).strip().lower()
    return text in (email.lower(), email.lower().rpartition("@")[0])
