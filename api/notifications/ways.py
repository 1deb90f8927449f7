"""Which ways of sending there are, by the settings."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime

from api.notifications.sending.mail import Mailer
from api.notifications.sending.other_services import OtherServices
from api.notifications.sending.outcomes import Way
from api.notifications.sending.push_encryption import Vapid
from api.notifications.sending.web_push import PushSender
from api.notifications.telegram.bot_api import BotApi
from api.notifications.telegram.way import TelegramWay
from config.settings import Settings, SettingsError


@asynccontextmanager
async def open_ways(settings: Settings, now: Callable[[], datetime]) -> AsyncIterator[Mapping[str, Way]]:
    """The ways that are set up, by the kind of channel; closed at the end."""
    ways: dict[str, Way] = {}
    async with AsyncExitStack() as stack:
        if settings.mail_offered:
            ways["email"] = Mailer(settings)
        if settings.push_offered:
            vapid = Vapid(settings.vapid_private_key.get_secret_value(), subject_of(settings))
            ways["webpush"] = push = PushSender(vapid, now)
            stack.push_async_callback(push.aclose)
        if settings.telegram_offered:
            bot = BotApi.from_settings(settings)
            ways["telegram"] = TelegramWay(bot)
            stack.push_async_callback(bot.aclose)
        if settings.notification_schemes:
            ways["apprise"] = OtherServices(settings.notification_schemes)
        yield ways


def subject_of(settings: Settings) -> str:
    """Where push services can reach the operator: an https address of ours, or the address that mail comes from.

    Raises:
        SettingsError: there is neither.
    """
    if settings.public_root.startswith("https://"):
        return settings.public_root
    if not settings.smtp_from:
        raise SettingsError(["TRADEACTORS_VAPID_PRIVATE_KEY needs TRADEACTORS_PUBLIC_URL with https, or SMTP_FROM."])
    return f"mailto:{settings.smtp_from}"


def push_key_of(ways: Mapping[str, Way]) -> str:
    """The key that browsers subscribe with; empty if push is not offered."""
    push = ways.get("webpush")
    return push.public_key if isinstance(push, PushSender) else ""


def bot_of(ways: Mapping[str, Way]) -> BotApi | None:
    """The bot at Telegram; None if it is not offered."""
    way = ways.get("telegram")
    return way.bot if isinstance(way, TelegramWay) else None
