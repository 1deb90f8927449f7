"""Requests and answers of the inbox and of the preferences."""

from datetime import datetime, time

from pydantic import BaseModel, Field, ValidationInfo, field_validator

from actors.domain.notices.notice import AT_RISK, Level, NoticeKind
from api.base.dependencies import PageQuery
from api.base.fields import Request, RowId, TimeOfDay


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
            raise ValueError("must be null if quiet_from is, and a time if it is one")
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
