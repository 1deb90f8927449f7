"""Telegram's Bot API over real HTTP, as far as we use it, and the people who write to the bot.

It plays by the rules of https://core.telegram.org/bots/api: an update is forgotten when a later offset is asked for, a
second question for updates ends the first one with 409, and no person is written to who has not written first.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.kit.hostile_http import serving

TOKEN = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
BOT = "tradeactors_test_bot"

_Answer = tuple[int, dict[str, Any]]


@dataclass
class TelegramServer:
    """`refusals`: the next answers to `sendMessage`, each used once. `blocked`: chats whose person has blocked the bot.

    `calls`: every call, method and parameters. `slow_s`: how long each message takes.
    """

    root: str = ""
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    refusals: list[tuple[int, str, dict[str, Any]]] = field(default_factory=list)
    blocked: set[int] = field(default_factory=set)
    slow_s: float = 0.0
    next_id: int = 7_000_001
    offsets: list[int | None] = field(default_factory=list)
    _waiting: list[dict[str, Any]] = field(default_factory=list)
    _met: set[int] = field(default_factory=set)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _asked: int = 0

    def write(self, chat_id: int, text: str, *, kind: str = "private", at: float | None = None, **more: Any) -> int:
        """A person writes to the bot; in a group the chat is another than the person. The number of the update."""
        person = {"id": abs(chat_id) if kind == "private" else 42, "is_bot": False, "username": "asha_k"}
        message = {
            "message_id": 1, "date": int(time.time() if at is None else at), "text": text, "from": person,
            "chat": {"id": chat_id, "type": kind},
        } | more  # fmt: skip
        self._met.add(chat_id)
        return self.add({"message": message})

    def press(self, chat_id: int, data: str, person: int | None = None) -> int:
        """A person presses a button below a message of the bot."""
        message = {"message_id": 2, "date": 0, "chat": {"id": chat_id, "type": "private"}}
        sender = {"id": chat_id if person is None else person, "is_bot": False}
        return self.add({"callback_query": {"id": "77", "from": sender, "message": message, "data": data}})

    def add(self, update: dict[str, Any]) -> int:
        """Have any update wait, under the next number, or its own."""
        with self._changed:
            number = int(update.get("update_id", self.next_id))
            self.next_id = max(self.next_id, number + 1)
            self._waiting.append({"update_id": number} | update)
            self._changed.notify_all()
        return number

    def sent(self, chat_id: int) -> list[str]:
        """What the bot has written to a chat."""
        return [message["text"] for message in self.messages(chat_id)]

    def messages(self, chat_id: int) -> list[dict[str, Any]]:
        """The same, with all that was said of it."""
        return [given for method, given in list(self.calls) if method == "sendMessage" and given["chat_id"] == chat_id]

    @property
    def left(self) -> list[int]:
        """The numbers of updates that it has not forgotten yet."""
        with self._changed:
            return [update["update_id"] for update in self._waiting]

    def take(self, method: str, given: dict[str, Any]) -> _Answer:
        """Answer a call."""
        if method == "getUpdates":
            return self._updates(given)
        if method == "sendMessage":
            time.sleep(self.slow_s)
            refusal = self._refusal(given)
            if refusal is not None:
                return refusal
        self.calls.append((method, given))
        if method == "getMe":
            return 200, {"ok": True, "result": {"id": int(TOKEN.partition(":")[0]), "is_bot": True, "username": BOT}}
        return 200, {"ok": True, "result": True}

    def _refusal(self, given: dict[str, Any]) -> _Answer | None:
        text = given["text"]
        if self.refusals:
            return refused(*self.refusals.pop(0))
        if given["chat_id"] in self.blocked:
            return refused(403, "Forbidden: bot was blocked by the user")
        if given["chat_id"] not in self._met:
            return refused(400, "Bad Request: chat not found")
        if not text.strip():
            return refused(400, "Bad Request: message text is empty")
        if len(text.encode("utf-16-le")) > 2 * 4096:
            return refused(400, "Bad Request: message is too long")
        return None

    def _updates(self, given: dict[str, Any]) -> _Answer:
        offset, until = given.get("offset"), time.monotonic() + given.get("timeout", 0)
        with self._changed:
            self.offsets.append(offset)
            self._asked += 1
            mine = self._asked
            self._changed.notify_all()
            if offset is not None:
                self._waiting = [update for update in self._waiting if update["update_id"] >= offset]
            while not self._waiting and time.monotonic() < until:
                self._changed.wait(until - time.monotonic())
                if self._asked != mine:
                    return refused(409, "Conflict: terminated by other getUpdates request")
            return 200, {"ok": True, "result": self._waiting[: given.get("limit", 100)]}


def refused(status: int, description: str, parameters: dict[str, Any] | None = None) -> _Answer:
    """What Telegram answers when it does not do something."""
    more = {"parameters": parameters} if parameters else {}
    return status, {"ok": False, "error_code": status, "description": description} | more


@contextmanager
def telegram_server() -> Iterator[TelegramServer]:
    """Serves until the block ends."""
    telegram = TelegramServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            _, bot, method = self.path.split("/")
            if bot == f"bot{TOKEN}":
                status, answer = telegram.take(method, json.loads(body))
            else:
                status, answer = refused(401, "Unauthorized")
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """A client that has left: it was cancelled while it waited."""

    server = Server(("127.0.0.1", 0), Handler)
    telegram.root = f"http://127.0.0.1:{server.server_address[1]}"
    with serving(server):
        yield telegram
