"""What a chat has said, read from an update of Telegram."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, Field, ValidationError

LONGEST_COMMAND = 200
"""How many characters of a message are looked at."""


class _Who(BaseModel):
    id: int
    is_bot: bool = False
    username: str = ""


class _Where(BaseModel):
    id: int
    type: str


class _Message(BaseModel):
    chat: _Where
    sender: _Who | None = Field(default=None, alias="from")
    date: int = 0
    text: str = ""
    forward_origin: Any = None
    forward_date: Any = None
    via_bot: Any = None


class _Pressed(BaseModel):
    id: str
    sender: _Who = Field(alias="from")
    message: _Message | None = None
    data: str = ""


class _Update(BaseModel):
    update_id: int
    message: _Message | None = None
    callback_query: _Pressed | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """What one person has written to the bot, or which button he has pressed (`pressed`: the id to answer it by).

    `is_private`: the chat is that person's alone. `at`: when it was written; nothing for a button.
    """

    update_id: int
    chat_id: int = field(repr=False)
    is_private: bool
    text: str = field(repr=False)
    username: str = field(default="", repr=False)
    at: datetime | None = None
    pressed: str = ""


def update_id_of(update: object) -> int | None:
    """The number of an update, whatever else is in it."""
    number = update.get("update_id") if isinstance(update, dict) else None
    return number if isinstance(number, int) and not isinstance(number, bool) and abs(number) < 2**63 else None


def said_in(update: object) -> Said | None:
    """What was said; None for what no person has said himself: of another bot, forwarded, or of another kind."""
    try:
        read = _Update.model_validate(update)
    except ValidationError:
        return None
    pressed = read.callback_query
    message = read.message if pressed is None else pressed.message
    if message is None:
        return None
    sender = message.sender if pressed is None else pressed.sender
    chat, text, at = message.chat, message.text if pressed is None else pressed.data, None
    if pressed is None:
        if message.forward_origin is not None or message.forward_date is not None or message.via_bot is not None:
            return None
        try:
            at = datetime.fromtimestamp(message.date, UTC)
        except (OverflowError, ValueError, OSError):
            return None
    if sender is None or sender.is_bot or abs(chat.id) >= 2**63:
        return None
    return Said(
        update_id=read.update_id,
        chat_id=chat.id,
        is_private=chat.type == "private" and chat.id == sender.id,
        text=text[:LONGEST_COMMAND].strip(),
        username=sender.username,
        at=at,
        pressed=pressed.id if pressed is not None else "",
    )
