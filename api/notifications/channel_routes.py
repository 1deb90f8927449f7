"""`/notifications/channels` and `/push`: where notices are sent to (row N1)."""

from datetime import tzinfo
from typing import Annotated, Protocol

from fastapi import APIRouter, Depends, Response

from api.base.answers.problems import problems
from api.base.dependencies import resources
from api.base.errors import ApiError
from api.base.path_id import PathId
from api.notifications.channels import ChannelService
from api.notifications.schemas import (
    ChannelEntry,
    ChannelList,
    ChannelRequest,
    ChatInvitation,
    CodeRequest,
    PushEndpointRequest,
    PushKeyAnswer,
    PushSubscriptionRequest,
    TestAnswer,
)
from api.notifications.sending.outcomes import NOT_OFFERED
from api.notifications.telegram.connecting import ChatConnections
from api.users.dependencies import Address, RecentPassword, UserId
from config.settings import Settings
from persistence.database.models.notifications import NotificationChannel

router = APIRouter(prefix="/notifications/channels", tags=["notifications"])
push_router = APIRouter(prefix="/push", tags=["push"])


class Used(Protocol):
    """What the routes of this room use of `api.bootstrap.Resources`."""

    channels: ChannelService
    chats: ChatConnections
    push_key: str
    settings: Settings


Opened = Annotated[Used, Depends(resources)]


@router.get("", operation_id="list_channels", responses=problems(401))
async def channels(user_id: UserId, opened: Opened) -> ChannelList:
    """Where the user's notices are sent to."""
    zone = opened.settings.zone
    return ChannelList(channels=[_entry(channel, zone) for channel in await opened.channels.channels(user_id)])


@router.post("", status_code=201, operation_id="add_channel", responses=problems(401, 409, 429))
async def add_channel(body: ChannelRequest, user_id: UserId, opened: Opened, address: Address) -> ChannelEntry:
    """Send a code to an e-mail address, or to another service that the operator offers. Notices go there once the code
    was given."""
    channel = await opened.channels.add_address(user_id, body.kind, body.address, address)
    return _entry(channel, opened.settings.zone)


@router.post("/telegram", status_code=201, operation_id="invite_chat", responses=problems(401, 403, 409, 429))
async def invite_chat(
    user_id: UserId, opened: Opened, address: Address, has_recent_password: RecentPassword
) -> ChatInvitation:
    """A link that opens the bot of this deployment at Telegram, for ten minutes and one private chat.

    Who presses *Start* there has connected the chat: it gets notices and can stop and sell. So this wants your password
    of the last five minutes (`POST /auth/confirm`). The chat stands among the channels once it is connected."""
    invitation = await opened.chats.invite(user_id, has_recent_password, address)
    expires_at = invitation.expires_at.astimezone(opened.settings.zone)
    return ChatInvitation(link=invitation.link, code=invitation.code, expires_at=expires_at)


@router.post("/{channel_id:id}/verify", operation_id="verify_channel", responses=problems(401, 404, 409))
async def verify_channel(channel_id: PathId, body: CodeRequest, user_id: UserId, opened: Opened) -> ChannelEntry:
    """Give the code that came to a new channel."""
    channel = await opened.channels.verify(user_id, channel_id, body.code.get_secret_value())
    return _entry(channel, opened.settings.zone)


@router.delete(
    "/{channel_id:id}",
    status_code=204,
    operation_id="remove_channel",
    responses=problems(401, 404),
)
async def remove_channel(channel_id: PathId, user_id: UserId, opened: Opened, address: Address) -> Response:
    """Send nothing there any more."""
    await opened.channels.remove(user_id, channel_id, address)
    return Response(status_code=204)


@router.post(
    "/{channel_id:id}/test",
    status_code=202,
    operation_id="test_channel",
    responses=problems(401, 404, 409, 429),
)
async def test_channel(channel_id: PathId, user_id: UserId, opened: Opened) -> TestAnswer:
    """Send a test to one channel, by the way that all notices take."""
    return TestAnswer(notification_id=await opened.channels.test(user_id, channel_id))


@push_router.get("/key", operation_id="push_key", responses=problems(401, 409))
async def push_key(_user_id: UserId, opened: Opened) -> PushKeyAnswer:
    """The key that browsers subscribe with."""
    if not opened.push_key:
        raise ApiError(409, "channel_not_offered", NOT_OFFERED)
    return PushKeyAnswer(public_key=opened.push_key)


@push_router.post("/subscriptions", status_code=201, operation_id="subscribe_push", responses=problems(401, 409))
async def subscribe(body: PushSubscriptionRequest, user_id: UserId, opened: Opened, address: Address) -> ChannelEntry:
    """Notify a browser. The same subscription again is the same channel."""
    keys = body.keys
    channel = await opened.channels.add_push(user_id, body.endpoint, keys.p256dh, keys.auth, address)
    return _entry(channel, opened.settings.zone)


@push_router.delete("/subscriptions", status_code=204, operation_id="unsubscribe_push", responses=problems(401))
async def unsubscribe(body: PushEndpointRequest, user_id: UserId, opened: Opened) -> Response:
    """Notify a browser no longer, as at a logout."""
    await opened.channels.remove_push(user_id, body.endpoint)
    return Response(status_code=204)


def _entry(channel: NotificationChannel, zone: tzinfo) -> ChannelEntry:
    return ChannelEntry(
        channel_id=channel.id,
        kind=channel.kind,
        hint=channel.hint,
        state=channel.state,
        created_at=channel.created_at.astimezone(zone),
        verified_at=channel.verified_at.astimezone(zone) if channel.verified_at else None,
        last_failure=channel.last_failure,
    )
