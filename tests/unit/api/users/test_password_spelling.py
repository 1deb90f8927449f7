"""Passwords as keyboards write them: one spelling for what looks the same, and lengths that a person counts."""

import time
import unicodedata

import pytest
from argon2 import PasswordHasher
from pydantic import SecretStr, TypeAdapter, ValidationError

from api.users.passwords.common import is_common
from api.users.passwords.hashing import Comparison, Passwords
from api.users.passwords.rules import LENGTH, NewPassword, Password, resembles
from api.users.passwords.spelling import MOST_CODE_POINTS, prepared, seen_characters, spellings

NEW = TypeAdapter[SecretStr](NewPassword)
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("caf\u00e9 au lait", "cafe\u0301 au lait"),
        ("blue\u00a0tram", "blue tram"),
        ("blue\u3000tram\u2009x", "blue tram x"),
        ("\uac01", "\u1100\u1161\u11a8"),
        ("I \u2764\ufe0f trams", "I \u2764 trams"),
        ("\u0958\u0932\u092e tram", "\u0915\u093c\u0932\u092e tram"),
    ],
)
def test_what_looks_the_same_is_one_password(one: str, other: str) -> None:
    assert prepared(one) == prepared(other)


@pytest.mark.parametrize(
    ("one", "other"), [("x\u00b2", "x2"), ("\ufb01sh", "fish"), ("\uff41bc", "abc"), ("Tram", "tram"), ("a b", "a  b")]
)
def test_what_looks_different_stays_different(one: str, other: str) -> None:
    assert prepared(one) != prepared(other)


def test_a_stored_hash_may_be_of_the_password_in_any_spelling_of_before() -> None:
    typed = "cafe\u0301\u00a0au lait"
    assert list(spellings(typed)) == ["caf\u00e9 au lait", "caf\u00e9\u00a0au lait", typed]
    assert list(spellings("correct horse")) == ["correct horse"], "it costs one comparison"
    heart = "\u2764\ufe0f\u00a0trams"
    assert list(spellings(heart)) == ["\u2764 trams", "\u2764\ufe0f trams", heart]


@pytest.mark.parametrize(
    ("password", "seen"),
    [
        ("cafe\u0301", 4),
        ("मेरा घोड़ा", 5),
        (FAMILY, 1),
        ("\U0001f44d\U0001f3fd", 1),
        ("Z" + "\u0301\u0316\u0327" * 20, 1),
        ("a\u200bb\ufeff", 2),
        ("", 0),
    ],
)
def test_characters_are_counted_as_a_person_sees_them(password: str, seen: int) -> None:
    assert seen_characters(password) == seen


@pytest.mark.parametrize(
    "password",
    [
        pytest.param("e\u0301" * 4 + "abc", id="eleven code points, seven characters"),
        pytest.param("a\u200b\u200c\u200d\u2060\ufeff\u00adb", id="what cannot be seen"),
        pytest.param("Z" + "\u0316" * 40, id="one letter under a heap of marks"),
        pytest.param("blue trams " * 24, id="264"),
        pytest.param("x" + "\u0301" * MOST_CODE_POINTS, id="too many code points"),
    ],
)
def test_too_few_and_too_many_characters_get_one_sentence_with_both_limits(password: str) -> None:
    assert LENGTH == "must have at least 8 characters, at most 256"
    with pytest.raises(ValidationError) as refusal:
        NEW.validate_python(password)
    assert str(refusal.value.errors()[0]["ctx"]["error"]) == LENGTH


@pytest.mark.parametrize(
    "password",
    ["e\u0301t de l'a\u0302me", "मेरा छोटा घोड़ा दौड़ा", "ten wide \u00e9" * 25, FAMILY * 40 + " to sea, by tram"],
)
def test_what_a_person_counts_within_the_limits_is_taken(password: str) -> None:
    decomposed = unicodedata.normalize("NFD", password)
    assert NEW.validate_python(decomposed).get_secret_value() == decomposed


def test_a_password_of_before_is_compared_and_none_that_there_cannot_be() -> None:
    compared = TypeAdapter[SecretStr](Password)
    for password in ("x", "y" * 256, "e\u0301" * 256, "\u0301" * 256):
        assert compared.validate_python(password).get_secret_value() == password
    for password in ("", "y" * 257, "\u0301" * (MOST_CODE_POINTS + 1)):
        with pytest.raises(ValidationError):
            compared.validate_python(password)


@pytest.mark.parametrize("password", ["ｐａｓｓｗｏｒｄ", "\u00a0Password", "①②③④⑤⑥⑦⑧"])
def test_a_common_password_in_other_letters_is_common(password: str) -> None:
    assert is_common(password)


def test_the_address_with_other_accents_or_spaces_around_is_no_password() -> None:
    assert resembles("ren\u00e9e.rao", "rene\u0301e.rao@example.com") is resembles("", "x@example.com") is False
    assert resembles("rene\u0301e.rao", "ren\u00e9e.rao@example.com")
    assert resembles("\u00a0Asha.Rao ", "asha.rao@example.com")


def test_thirty_thousand_marks_are_refused_before_they_are_sorted() -> None:
    heap = "x" + "\u0315\u0300\u05ae\u0316" * 7500
    began = time.thread_time()
    with pytest.raises(ValidationError):
        NEW.validate_python(heap)
    assert time.thread_time() - began < 0.1, "composing them takes more than a second"


class Counting(Passwords):
    """Counts how often a password is verified."""

    verified = 0

    def _is_of(self, stored: str, text: str) -> bool:
        self.verified += 1
        return super()._is_of(stored, text)


@pytest.mark.parametrize(
    ("typed", "times"), [("correct horse battery", 1), ("cafe\u0301 au lait", 2), ("a\u0301\u00a0b", 3)]
)
async def test_a_wrong_password_takes_as_long_for_an_unknown_address_as_for_a_known_one(typed: str, times: int) -> None:
    passwords = Counting()
    stored = await passwords.hash("another password")
    for known in (stored, None):
        passwords.verified = 0
        assert not (await passwords.compare(known, typed)).right
        assert passwords.verified == times
    passwords.close()


async def test_only_a_hash_of_a_spelling_of_before_or_of_weaker_parameters_is_outdated() -> None:
    passwords = Passwords()
    typed = "cafe\u0301 au lait"
    of_today, as_typed = await passwords.hash(typed), PasswordHasher(2, 19 * 1024, 1).hash(typed)
    assert await passwords.compare(of_today, typed) == Comparison(right=True, outdated=False)
    assert await passwords.compare(as_typed, typed) == Comparison(right=True, outdated=True)
    weak = PasswordHasher(1, 8, 1).hash("correct horse")
    assert await passwords.compare(weak, "correct horse") == Comparison(right=True, outdated=True)
    assert await passwords.compare(weak, "wrong") == Comparison(right=False, outdated=False)
    passwords.close()
