"""E-mail addresses in the one form that they are stored, looked up and counted in."""

import re
import unicodedata
from typing import Annotated

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from api.base.fields import trimmed

NOT_AN_ADDRESS = "must be an e-mail address such as asha@example.com"
LONGEST_LOCAL_PART = 64
"""How many bytes of UTF-8 an address may have before the @ (RFC 5321 §4.5.3.1.1): no mail comes to a longer one."""
MIXED_ALPHABETS = "mixes letters of two alphabets that look alike; write it with one keyboard"
TOO_LONG_BEFORE_AT = f"must have at most {LONGEST_LOCAL_PART} bytes before the @; check it for a slip"
_WORDS = re.compile(r"[^\W_]+")
_LOOK_ALIKE = frozenset({"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE"})


def canonical_email(text: str) -> str:
    """An address as it is kept: small letters, composed (NFC), the domain in its own alphabet and not in Punycode.

    Mail knows no capitals in a domain (RFC 5321 §2.4), and no provider of today tells them apart before the @. Letters
    are made small and not folded: `ß` and `ss` are different addresses (RFC 5894 §7.2).

    Raises:
        ValueError: for what is no address, or what no mail server takes; the sentence does not repeat it.
    """
    try:
        address = validate_email(text, check_deliverability=False).normalized
    except EmailNotValidError as error:  # the library's own text quotes the input
        raise ValueError(NOT_AN_ADDRESS) from error
    address = unicodedata.normalize("NFC", address.lower())
    if len(address.rpartition("@")[0].encode()) > LONGEST_LOCAL_PART:
        raise ValueError(TOO_LONG_BEFORE_AT)
    return address


def refuse_mixed_alphabets(address: str) -> str:
    """Let no new address be taken for another one, nor be one that its owner cannot type on the next keyboard.

    Raises:
        ValueError: a word of it has letters of two alphabets that look alike.
    """
    for word in _WORDS.findall(address):
        alphabets = {unicodedata.name(letter, "").partition(" ")[0] for letter in word if letter.isalpha()}
        if len(alphabets & _LOOK_ALIKE) > 1:
            raise ValueError(MIXED_ALPHABETS)
    return address


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

NewEmail = Annotated[Email, AfterValidator(refuse_mixed_alphabets)]
"""The address of a new user; one that was registered before may be as it is."""
