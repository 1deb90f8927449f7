"""What a new password must be like (row A1)."""

from typing import Annotated

from pydantic import Field

from api.base.fields import EncodableSecret

_EXAMPLES = ["correct horse battery"]

NewPassword = Annotated[EncodableSecret, Field(min_length=8, max_length=256, examples=_EXAMPLES)]
Password = Annotated[EncodableSecret, Field(min_length=1, max_length=256, examples=_EXAMPLES)]
"""A password that is only compared: one of older rules stays good."""

LIKE_ADDRESS = "must not be your e-mail address"


def resembles(password: str, email: str) -> bool:
    """Whether a password is the e-mail address or the part before its @: the first that anybody would try."""
    return password.lower() in (email.lower(), email.lower().rpartition("@")[0])
