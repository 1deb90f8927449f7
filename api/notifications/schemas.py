"""Requests and answers of the inbox and of the preferences."""

from datetime import datetime, time
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field, StringConstraints, ValidationInfo, field_validator

from actors.domain.notices.notice import AT_RISK, Level, NoticeKind
from api.base.dependencies import PageQuery
from api.base.email_addresses import NOT_AN_ADDRESS, canonical_email
from api.base.fields import Request, RowId, Secret, TimeOfDay, trimmed

LONGEST_EMAIL = 254


class InboxQuery(PageQuery):
    """Which part of the inbox."""

    unread: bool = Field(default=False, description="Only what was not read yet.")


class InboxEntry(BaseModel):
    """One notice: a fact, in words."""

    notification_id: int
    kind: str = Field(description="What it is about; later versions may know more kinds.", examples=["fill_entry"])
    at_risk: bool = Field(description="Money may depend on it.")
    text: str
    at: datetime = Field(description="When it happened.")
    strategy_id: int | None
    lasts: bool = Field(description="It is about something that goes on, and its end will be a notice of its own.")
    resolves: bool = Field(description="It says that something is over of which an earlier notice was.")
    read_at: datetime | None


class InboxPage(BaseModel):
    """Part of the user's notices, newest first."""

    notifications: list[InboxEntry]
    unread: int = Field(description="How many were not read yet, counted up to 1000.")
    total: int = Field(description="How many there are in all, counted up to 1000.")
    total_capped: bool = Field(description="Whether there are more than `total`.")
    limit: int
    offset: int


class ReadRequest(Request):
    """The user has read the inbox up to a notice."""

    through: RowId = Field(description="`notification_id` of the newest notice that was shown.")


class ReadAnswer(BaseModel):
    """What is left."""

    unread: int = Field(description="How many were not read yet, counted up to 1000.")


class PreferencesRequest(Request):
    """How the user wants notices; what is left out is as usual."""

    quiet_from: TimeOfDay | None = Field(
        default="20:00", validate_default=True, description="When the quiet hours begin; null: never."
    )
    quiet_until: TimeOfDay | None = Field(
        default="07:30", validate_default=True, description="When they end; null: there are none."
    )
    amounts: bool = Field(default=False, strict=True, description="Amounts of money may be shown on locked screens.")
    kinds: dict[NoticeKind, Level] = Field(
        default={}, description="The level of each kind; one that is not named has its usual level."
    )

    @field_validator("quiet_until")
    @classmethod
    def _check_quiet_hours(cls, until: time | None, info: ValidationInfo) -> time | None:
        begins = info.data.get("quiet_from")
        if "quiet_from" in info.data and (begins is None) != (until is None):
            raise ValueError("must be a time of day if quiet_from is one, and empty if that is empty")
        if begins is not None and begins == until:
            raise ValueError("must differ from quiet_from; without quiet hours both are null")
        return until

    @field_validator("kinds")
    @classmethod
    def _check_kinds(cls, kinds: dict[NoticeKind, Level]) -> dict[NoticeKind, Level]:
        off = sorted(kind for kind, level in kinds.items() if level is Level.OFF and kind in AT_RISK)
        if off:
            raise ValueError(f"{', '.join(off)}: money may depend on it, so it can be silent but not off")
        return kinds


class PreferencesAnswer(BaseModel):
    """How the user wants notices; every kind has its level."""

    quiet_from: str | None = Field(description="When the quiet hours begin (IST); null: there are none.")
    quiet_until: str | None = Field(description="When they end.")
    amounts: bool = Field(description="Amounts of money may be shown on locked screens.")
    kinds: dict[NoticeKind, Level] = Field(description="The level of each kind.")


class ChannelRequest(Request):
    """Another address to be notified at."""

    kind: Literal["email", "apprise"] = Field(
        description="`POST /push/subscriptions` adds browsers, and `POST /notifications/channels/telegram` chats."
    )
    address: Annotated[str, StringConstraints(min_length=1, max_length=500), BeforeValidator(trimmed)] = Field(
        description="An e-mail address, or the address of one recipient at another service, as Apprise writes it.",
        examples=["asha@example.com"],
    )

    @field_validator("address")
    @classmethod
    def _check_address(cls, address: str, info: ValidationInfo) -> str:
        if info.data.get("kind") != "email":
            return address
        if len(address) > LONGEST_EMAIL:
            raise ValueError(NOT_AN_ADDRESS)
        return canonical_email(address)


class ChatInvitation(BaseModel):
    """What connects a chat of Telegram, once."""

    link: str = Field(description="Opens the bot; *Start* there connects the chat.")
    code: str = Field(description="In place of the link: send `/start` and this code to the bot.")
    expires_at: datetime = Field(description="Until when it is good.")


class CodeRequest(Request):
    """The code that came to a new channel."""

    code: Secret = Field(description="Eight digits.")


class ChannelEntry(BaseModel):
    """Where notices are sent to. The address itself is not shown."""

    channel_id: int
    kind: str = Field(examples=["email"])
    hint: str = Field(description="What the address looks like.", examples=["as***@example.com"])
    state: Literal["unverified", "active", "failed"] = Field(
        description="`unverified`: the code is missing, nothing is sent. `failed`: too many attempts failed; test it."
    )
    created_at: datetime
    verified_at: datetime | None
    last_failure: str | None = Field(description="Why the last attempt failed, if none has succeeded since.")


class ChannelList(BaseModel):
    """All channels of the user, oldest first."""

    channels: list[ChannelEntry]


class TestAnswer(BaseModel):
    """The test is on its way."""

    notification_id: int = Field(description="The test in the inbox.")


class PushKeyAnswer(BaseModel):
    """What browsers subscribe with."""

    public_key: str = Field(description="`applicationServerKey`: 65 bytes in base64 for URLs.")


class PushKeys(Request):
    """The keys of a subscription, as the browser has them."""

    p256dh: str = Field(min_length=1, max_length=200)
    auth: str = Field(min_length=1, max_length=100)


class PushSubscriptionRequest(Request):
    """A browser's subscription, as `PushSubscription.toJSON()` writes it."""

    endpoint: str = Field(min_length=1, max_length=2000)
    keys: PushKeys
    expirationTime: float | None = Field(default=None, strict=True, description="Not used.")  # noqa: N815 - browsers' name


class PushEndpointRequest(Request):
    """A subscription that has ended."""

    endpoint: str = Field(min_length=1, max_length=2000)
