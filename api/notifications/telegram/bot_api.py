"""Calls of Telegram's Bot API (https://core.telegram.org/bots/api): JSON over HTTPS, the bot's token in the path."""

from dataclasses import dataclass
from typing import Any

import httpx
import structlog
from pydantic import BaseModel, SecretStr, ValidationError

from config.settings import Settings

log = structlog.stdlib.get_logger(__name__)

TIMEOUT_S = 10.0
"""How long a call may take, besides what a question for updates waits by intent."""

ASKED_FOR = ("message", "callback_query")
"""Which kinds of updates are asked for."""


class BotUnreachable(Exception):
    """Telegram did not answer, or not as the Bot API does. The reason names neither token nor chat."""


class BotRefused(Exception):
    """Telegram answers that it did not do it. `wait_s`: how many seconds to wait before it is asked again."""

    def __init__(self, status: int, description: str, wait_s: int | None = None) -> None:
        super().__init__(f"Telegram answers {status}")
        self.status, self.description, self.wait_s = status, description, wait_s


class _Parameters(BaseModel):
    retry_after: int | None = None


class _Answer(BaseModel):
    ok: bool
    result: Any = None
    description: str = ""
    parameters: _Parameters = _Parameters()


@dataclass(frozen=True, slots=True)
class Button:
    """A button below a message; `data` comes back when it is pressed."""

    label: str
    data: str


class BotApi:
    """One bot. Its token is in every path: no address is logged, nor an error that could quote one."""

    def __init__(self, token: SecretStr, root: str, client: httpx.AsyncClient | None = None) -> None:
        self._token, self._root = token, root
        self._client = client or httpx.AsyncClient(follow_redirects=False, trust_env=False)
        self._name = ""

    @classmethod
    def from_settings(cls, settings: Settings) -> "BotApi":
        """The bot of this deployment."""
        return cls(settings.telegram_bot_token, settings.telegram_api)

    @property
    def bot_id(self) -> int:
        """The bot's number, which its token begins with."""
        return int(self._token.get_secret_value().partition(":")[0])

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def name(self) -> str:
        """The bot's user name, as its links have it. Raises BotUnreachable, BotRefused."""
        if not self._name:
            me = await self.call("getMe")
            name = me.get("username") if isinstance(me, dict) else None
            if not isinstance(name, str) or not name.replace("_", "").isalnum():
                raise BotUnreachable("Telegram does not say the bot's name")
            self._name = name
        return self._name

    async def updates(self, offset: int | None, wait_s: int) -> list[Any]:
        """What has come since the offset; waits for something to come. Raises BotUnreachable, BotRefused."""
        asked = {"timeout": wait_s, "limit": 100, "allowed_updates": list(ASKED_FOR)}
        found = await self.call("getUpdates", wait_s=wait_s, **asked, **({} if offset is None else {"offset": offset}))
        if not isinstance(found, list):
            raise BotUnreachable("Telegram answers something else than updates")
        return found

    async def say(self, chat_id: int, text: str, *buttons: Button, silent: bool = False, private: bool = False) -> None:
        """Send a message, as it stands: no mark-up, and no preview of what a link leads to.

        `private`: it cannot be forwarded. Raises BotUnreachable, BotRefused.
        """
        message: dict[str, Any] = {
            "chat_id": chat_id,
            "text": text,
            "disable_notification": silent,
            "protect_content": private,
            "link_preview_options": {"is_disabled": True},
        }
        if buttons:
            rows = [[{"text": button.label, "callback_data": button.data}] for button in buttons]
            message["reply_markup"] = {"inline_keyboard": rows}
        await self.call("sendMessage", **message)

    async def call(self, method: str, *, wait_s: int = 0, **parameters: Any) -> Any:
        """The result of a call.

        Raises:
            BotUnreachable: no answer, or none of the Bot API.
            BotRefused: it was not done.
        """
        url = f"{self._root}/bot{self._token.get_secret_value()}/{method}"
        try:
            answer = await self._client.post(url, json=parameters, timeout=TIMEOUT_S + wait_s)
            read = _Answer.model_validate_json(answer.content)
        except httpx.HTTPError as error:
            raise BotUnreachable(f"Telegram does not answer ({type(error).__name__})") from None
        except ValidationError:
            raise BotUnreachable(f"Telegram answers {answer.status_code} without what it should say") from None
        if not read.ok:
            raise BotRefused(answer.status_code, read.description, read.parameters.retry_after)
        return read.result
