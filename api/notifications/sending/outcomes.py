"""What an attempt to send has come to, and what every way of sending promises."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol


class NotSent(Exception):
    """The attempt failed and may be repeated, at the earliest after `wait`, if the other side has said so.

    `at_fault`: the channel may be what does not work. What holds up all channels of a way is none's fault.
    """

    def __init__(self, reason: str, wait: timedelta | None = None, *, at_fault: bool = True) -> None:
        super().__init__(reason)
        self.reason, self.wait, self.at_fault = reason, wait, at_fault


class Refused(Exception):
    """This notice will never be taken at this address; another one may be. The reason names no address."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ChannelBlocked(Exception):
    """The user wants the other side to take nothing of ours: nothing goes there until he tests it again."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ChannelGone(Exception):
    """The address does not exist any more."""


NOT_OFFERED = "This way of being notified is not offered here: choose another one, or ask the operator for it"
"""What a user reads of a way for which the operator has set nothing (code `channel_not_offered`)."""


@dataclass(frozen=True, slots=True)
class Message:
    """One notice as it is sent. `name` is the same in each attempt, so that a copy can be known as one."""

    name: str
    text: str
    urgent: bool = False
    silent: bool = False
    strategy_id: int | None = None
    notification_id: int | None = None


@dataclass(frozen=True, slots=True)
class Address:
    """Where to: an e-mail address, the endpoint of a browser with its keys, a chat of Telegram. Never logged."""

    value: str = field(repr=False)
    keys: dict[str, str] = field(default_factory=dict, repr=False)


class Way(Protocol):
    """One way of sending."""

    async def send(self, address: Address, message: Message) -> None:
        """Send, within some 20 seconds.

        Raises:
            NotSent: it may be tried again.
            Refused: it may not.
            ChannelBlocked: nothing may.
            ChannelGone: the address has ended.
        """
        ...
