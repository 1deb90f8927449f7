"""E-mail addresses: one canonical form, whatever keyboards, mail programs and copied lines make of them."""

import unicodedata

import pytest
from email_validator import validate_email
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from api.base.email_addresses import (
    MIXED_ALPHABETS,
    NOT_AN_ADDRESS,
    TOO_LONG_BEFORE_AT,
    Email,
    NewEmail,
    canonical_email,
)
from persistence.database.repositories.users import earlier_spelling

EMAIL = TypeAdapter[str](Email)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("Asha@Example.COM", "asha@example.com"),
        ("\u00a0asha@example.com\u200b", "asha@example.com"),
        ("\ufeffasha@example.com\r\n", "asha@example.com"),
        ("\u202aasha@example.com\u202c", "asha@example.com"),
        ("asha@münchen.example", "asha@münchen.example"),
        ("asha@mu\u0308nchen.example", "asha@münchen.example"),
        ("ASHA@MÜNCHEN.EXAMPLE", "asha@münchen.example"),
        ("asha@xn--mnchen-3ya.example", "asha@münchen.example"),
        ("asha@XN--MNCHEN-3YA.example", "asha@münchen.example"),
        ("asha@भारत.भारत", "asha@भारत.भारत"),
        ("asha@xn--h2brj9c.xn--h2brj9c", "asha@भारत.भारत"),
        ("asha@ｅｘａｍｐｌｅ。com", "asha@example.com"),
        ("J\u030c@example.com", "\u01f0@example.com"),
        ("\u01f0@example.com", "\u01f0@example.com"),
        ("RENE\u0301E@example.com", "renée@example.com"),
    ],
)
def test_one_mailbox_has_one_form(typed: str, kept: str) -> None:
    assert EMAIL.validate_python(typed) == kept
    assert EMAIL.validate_python(kept) == kept


@pytest.mark.parametrize("typed", ["\u0430sha@example.com", "asha@ex\u0430mple.com", "ash\u03b1@example.com"])
def test_a_new_address_is_written_with_one_alphabet_and_an_old_one_stays_good(typed: str) -> None:
    assert EMAIL.validate_python(typed) == typed
    with pytest.raises(ValidationError, match=MIXED_ALPHABETS):
        TypeAdapter(NewEmail).validate_python(typed)


@pytest.mark.parametrize("typed", ["asha@भारत.com", "аня@example.com", "asha1@почта.example", "asha.日本@example.com"])
def test_words_of_several_alphabets_may_stand_beside_each_other(typed: str) -> None:
    assert TypeAdapter(NewEmail).validate_python(typed) == typed


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("asha@straße.example", "asha@strasse.example"),
        ("weiß@example.com", "weiss@example.com"),
        ("a.sha@example.com", "asha@example.com"),
        ("asha+kite@example.com", "asha@example.com"),
    ],
)
def test_different_mailboxes_stay_different(one: str, other: str) -> None:
    assert EMAIL.validate_python(one) != EMAIL.validate_python(other)


@pytest.mark.parametrize(
    "typed", ["asha", "asha@", "@example.com", "a b@example.com", "asha@ex\u00adample.com", "a@b", ""]
)
def test_what_is_no_address_gets_an_example_and_nothing_of_it_back(typed: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        EMAIL.validate_python(typed)
    assert [str(error["ctx"]["error"]) for error in refusal.value.errors()] == [NOT_AN_ADDRESS]


@pytest.mark.parametrize(("letter", "most"), [("a", 64), ("é", 32)])
def test_no_more_stands_before_the_at_than_mail_servers_take(letter: str, most: int) -> None:
    assert EMAIL.validate_python(f"{letter * most}@example.com") == f"{letter * most}@example.com"
    with pytest.raises(ValidationError, match=TOO_LONG_BEFORE_AT):
        EMAIL.validate_python(f"{letter * (most + 1)}@example.com")


@given(st.emails())
def test_the_form_does_not_change_when_it_is_made_again(address: str) -> None:
    try:
        kept = canonical_email(address)
    except ValueError:
        return
    assert canonical_email(kept) == canonical_email(kept.upper()) == kept


@pytest.mark.parametrize(
    "typed", ["J\u030c.S@example.com", "ΐω@example.com", "ASHA@MÜNCHEN.example", "Ünal@example.com", "WEIß@example.com"]
)
def test_what_was_stored_in_the_form_of_before_is_found(typed: str) -> None:
    """That form was `normalized.lower()`: what small letters do to accents was not composed again."""
    for written in (typed, typed.upper() if "ß" not in typed else typed):
        stored = validate_email(written, check_deliverability=False).normalized.lower()
        kept = canonical_email(written)
        assert stored in {kept, earlier_spelling(kept)}
        assert unicodedata.is_normalized("NFC", kept)
    assert earlier_spelling("weiß@example.com") == "weiß@example.com", "and never the address of another person"
