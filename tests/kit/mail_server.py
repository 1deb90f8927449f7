"""A real SMTP server in a thread of its own, which keeps what it takes and refuses what it is asked to."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from typing import Any

from aiosmtpd.controller import Controller


@dataclass
class MailServer:
    """`port` on 127.0.0.1. `answers`: the next answers to recipients, each used once, such as "550 No such user"."""

    port: int = 0
    mails: list[tuple[list[str], Message]] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802
        """A recipient."""
        if self.answers:
            return self.answers.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        """A mail."""
        self.mails.append((list(envelope.rcpt_tos), message_from_bytes(envelope.content)))
        return "250 OK"

    def text(self, number: int = -1) -> str:
        """The text of a mail."""
        content = self.mails[number][1].get_payload(decode=True)
        assert isinstance(content, bytes)
        return content.decode()


@contextmanager
def mail_server(port: int | None = None) -> Iterator[MailServer]:
    """Serves until the block ends, on a free port if none is chosen."""
    # the controller looks for its server under the port that it was given: 0 is none that it can look for
    server = MailServer(port or free_port())
    controller = Controller(server, hostname="127.0.0.1", port=server.port, enable_SMTPUTF8=True)
    controller.start()
    try:
        yield server
    finally:
        controller.stop()


def free_port() -> int:
    """A port of 127.0.0.1 that is free now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
