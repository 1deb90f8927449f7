"""E-mail addresses in the one form that they are stored, looked up and counted in."""

import unicodedata
from typing import Annotated

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from api.base.fields import trimmed

NOT_AN_ADDRESS = "must be an e-mail address such as asha@example.com"


def canonical_email(text: str) -> str:
    """An address as it is kept: small letters, composed (NFC), the domain in its own alphabet and not in Punycode.

    Mail knows no capitals in a domain (RFC 5321 §2.4), and no provider of today tells them apart before the @. Letters
    are made small and not folded: `ß` and `ss` are different addresses (RFC 5894 §7.2).

    Raises:
        ValueError: for what is no address; the sentence does not repeat it.
    """
    try:
        address = validate_email(text, check_deliverability=False).normalized
    except EmailNotValidError as error:  # the library's own text quotes the input
        raise ValueError(NOT_AN_ADDRESS) from error
    return unicodedata.normalize("NFC", address.lower())


Email = Annotated[
    str,
    StringConstraints(max_length=254),
    BeforeValidator(trimmed),
    AfterValidator(canonical_email),
    Field(
        examples=["asha@example.com"],
        description="Capitals and spaces around it do not matter.",
        json_schema_extra={"format": "email"},
    ),
]
