"""What a text may be in a chat of Telegram, and what an update may be taken for."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.notifications.telegram.connecting import hint_of
from api.notifications.telegram.updates import said_in, update_id_of
from api.notifications.telegram.way import LONGEST_TEXT, plain

PERSON = {"id": 5, "is_bot": False}
MESSAGE = {"chat": {"id": 5, "type": "private"}, "from": PERSON, "date": 1_800_000_000, "text": " /status "}


@given(st.text(max_size=6000))
def test_no_text_has_a_command_a_name_or_too_many_characters(text: str) -> None:
    shown = plain(text)
    assert len(shown.encode("utf-16-le")) <= 2 * LONGEST_TEXT
    words = shown.split()
    assert not any(word[0] in "/@#$" and word[1:2].isalnum() for word in words)
    assert all(letter.isprintable() or letter in "\n\u2060" for letter in shown)


@pytest.mark.parametrize(
    "text",
    ["Sold 10 INFY at ₹1,499.20.", "https://api.example.com/broker/login?code=a_b", "24/7", "a@b.example", "M&M"],
)
def test_what_is_harmless_stays(text: str) -> None:
    assert plain(text) == text


def test_a_person_in_a_private_chat_has_said_something() -> None:
    said = said_in({"update_id": 1, "message": MESSAGE})
    assert said is not None
    assert (said.text, said.is_private, said.chat_id) == ("/status", True, 5)
    assert "/status" not in repr(said)


@pytest.mark.parametrize(
    "changes",
    [
        {"forward_origin": {"type": "user"}}, {"forward_date": 1}, {"via_bot": {"id": 1}},
        {"from": PERSON | {"is_bot": True}}, {"from": None}, {"chat": None}, {"text": 5}, {"date": 10**18},
        {"chat": {"id": 10**30, "type": "private"}},
    ],
)  # fmt: skip
def test_what_a_person_has_not_written_himself_is_nothing(changes: dict[str, Any]) -> None:
    assert said_in({"update_id": 1, "message": MESSAGE | changes}) is None


@pytest.mark.parametrize(
    "chat", [{"id": -5, "type": "group"}, {"id": 6, "type": "private"}, {"id": 5, "type": "channel"}]
)
def test_a_chat_of_several_is_not_private(chat: dict[str, Any]) -> None:
    said = said_in({"update_id": 1, "message": MESSAGE | {"chat": chat}})
    assert said is not None
    assert not said.is_private


def test_a_button_is_its_presser_s() -> None:
    pressed = {"id": "7", "from": PERSON | {"id": 6}, "message": MESSAGE, "data": "panic 1"}
    said = said_in({"update_id": 1, "callback_query": pressed})
    assert said is not None
    assert (said.text, said.is_private, said.pressed) == ("panic 1", False, "7")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(_JSON, _JSON, _JSON)
def test_anything_may_come_as_an_update(update: Any, message: Any, pressed: Any) -> None:
    update_id_of(update)
    said_in(update)
    said_in({"update_id": 1, "message": message, "callback_query": pressed})
    said_in({"update_id": 1, "message": MESSAGE | {"chat": message, "from": pressed}})


@pytest.mark.parametrize(
    ("name", "hint"), [("asha_k", "@as***"), ("", "private chat"), ("<b>", "private chat"), ("रमा", "private chat")]
)
def test_a_hint_is_a_masked_name(name: str, hint: str) -> None:
    assert hint_of(name) == hint
