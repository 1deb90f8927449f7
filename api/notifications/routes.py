"""`/notifications`: what happened to the user's money, and how the user wants to hear of it (row N1)."""

from typing import Annotated, Protocol

from fastapi import APIRouter, Depends, Query

from actors.domain.notices.notice import AT_RISK, NoticeKind
from actors.domain.notices.quiet_hours import QuietHours
from api.base.answers.problems import problems
from api.base.dependencies import resources
from api.notifications.schemas import (
    InboxEntry,
    InboxPage,
    InboxQuery,
    PreferencesAnswer,
    PreferencesRequest,
    ReadAnswer,
    ReadRequest,
)
from api.notifications.sending.preferences import Preferences
from api.notifications.service import InboxService
from api.users.dependencies import UserId
from config.settings import Settings

router = APIRouter(prefix="/notifications", tags=["notifications"])


class Used(Protocol):
    """What the routes of this room use of `api.bootstrap.Resources`."""

    inbox: InboxService
    settings: Settings


Opened = Annotated[Used, Depends(resources)]


@router.get("", operation_id="list_notifications", responses=problems(401))
async def inbox(user_id: UserId, opened: Opened, asked: Annotated[InboxQuery, Query()]) -> InboxPage:
    """What happened to the user's money, newest first. Everything stands here, whatever was sent to devices."""
    part = await opened.inbox.page(user_id, asked.limit, asked.offset, unread=asked.unread)
    zone = opened.settings.zone
    entries = [
        InboxEntry(
            notification_id=row.id,
            kind=row.kind,
            at_risk=row.kind in AT_RISK and not row.resolves,
            text=row.text,
            at=row.at.astimezone(zone),
            strategy_id=row.strategy_id,
            lasts=row.condition is not None and row.over_at is None,
            resolves=row.resolves,
            read_at=row.read_at.astimezone(zone) if row.read_at else None,
        )
        for row in part.rows
    ]
    return InboxPage(
        notifications=entries,
        unread=part.unread,
        total=part.total.number,
        total_capped=part.total.capped,
        limit=asked.limit,
        offset=asked.offset,
    )


@router.post("/read", operation_id="read_notifications", responses=problems(401))
async def read(body: ReadRequest, user_id: UserId, opened: Opened) -> ReadAnswer:
    """Mark the inbox as read up to a notice. Newer ones stay unread."""
    return ReadAnswer(unread=await opened.inbox.mark_read(user_id, body.through))


@router.get("/preferences", operation_id="notification_preferences", responses=problems(401))
async def preferences(user_id: UserId, opened: Opened) -> PreferencesAnswer:
    """How the user wants to be notified."""
    return _answer(await opened.inbox.preferences(user_id))


@router.put("/preferences", operation_id="set_notification_preferences", responses=problems(401))
async def set_preferences(body: PreferencesRequest, user_id: UserId, opened: Opened) -> PreferencesAnswer:
    """Say how to be notified. The body replaces what was chosen before; what it leaves out is as usual."""
    quiet = None
    if body.quiet_from is not None and body.quiet_until is not None:
        quiet = QuietHours(body.quiet_from, body.quiet_until)
    wanted = Preferences(quiet, body.amounts, body.kinds)
    await opened.inbox.set_preferences(user_id, wanted)
    return _answer(wanted)


def _answer(wanted: Preferences) -> PreferencesAnswer:
    quiet = wanted.quiet
    return PreferencesAnswer(
        quiet_from=quiet.begins.isoformat() if quiet else None,
        quiet_until=quiet.ends.isoformat() if quiet else None,
        amounts=wanted.amounts,
        kinds={kind: wanted.level(kind) for kind in NoticeKind},
    )
