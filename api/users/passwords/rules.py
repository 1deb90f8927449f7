"""What a new password must be like (row A1). Those of older rules stay good."""

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from api.base.fields import EncodableSecret
from api.users.passwords.common import is_common

_EXAMPLES = ["correct horse battery"]

TOO_COMMON = "is one of the passwords that are guessed first: take several words"
LIKE_ADDRESS = "must not be your e-mail address"


def _check_uncommon(secret: SecretStr) -> SecretStr:
    if is_common(secret.get_secret_value()):
        raise ValueError(TOO_COMMON)
    return secret


NewPassword = Annotated[
    EncodableSecret, Field(min_length=8, max_length=256, examples=_EXAMPLES), AfterValidator(_check_uncommon)
]
Password = Annotated[EncodableSecret, Field(min_length=1, max_length=256, examples=_EXAMPLES)]
"""A password that is only compared: one of older rules stays good."""


def resembles(password: str, email: str) -> bool:
    """Whether a password is the e-mail address or the part before its @: the first that anyone would try."""
    return password.lower() in (email.lower(), email.lower().rpartition("@")[0])
