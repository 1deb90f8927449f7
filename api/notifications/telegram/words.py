"""The sentences of the bot."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from zoneinfo import ZoneInfo

from actors.domain.notices.texts import clock
from api.notifications.telegram.connecting import Connected
from api.notifications.telegram.way import plain

_ZONE = ZoneInfo("Asia/Kolkata")

HELP = (
    "/status: what runs\n"
    "/stop 5: sell what strategy 5 holds, and end it\n"
    "/panic: sell all that your strategies hold, and buy nothing more (asks back)\n"
    "/login: a link for the login at your broker\n"
    "/mute 4: for four hours only what money may depend on; /mute off ends it\n"
    "/disconnect: this chat gets nothing more and does nothing more"
)
CONNECTED: Mapping[Connected, str] = MappingProxyType(
    {
        Connected.NEW: f"Connected: your notices come here. Whoever holds this phone can stop and sell.\n\n{HELP}",
        Connected.BEFORE: f"This chat is connected already.\n\n{HELP}",
        Connected.ANOTHERS: (
            "Not connected: this chat belongs to another account. To move it, send /disconnect first, then open the "
            "link again. If you did not ask for the link yourself, do nothing."
        ),
        Connected.BAD_CODE: "Not connected: this code is wrong, used or too old. Get another one in the app.",
        Connected.TOO_MANY: "Not connected: the account has as many channels as there may be. Remove one in the app.",
    }
)
GROUP = "Only a private chat can be connected: in a group each member could sell your shares."
STRANGER = "This chat is not connected. In the app choose Telegram as a channel, and open the link that it shows."
DISCONNECTED = "Disconnected. Nothing comes here any more. Strategies that run go on."
INTERRUPTED = "The answer to your command was lost. Look with /status what was done, and send it again if need be."
NOT_CONFIRMED = (
    "This word is wrong, used or older than a minute. If PANIC was answered here just now, it is under way. If not, "
    "nothing was done: send /panic again."
)
MUTE_HELP = "Send /mute, /mute with a number of hours up to 24, or /mute off."
YES = "Yes, sell everything"


LONGEST = 300
"""How many characters of a broker's or another part's sentence are shown."""


def said(text: str) -> str:
    """What others have said, of which nothing is a command."""
    shown = plain(text)
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"


def too_late(sent_at: datetime) -> str:
    """A command that came after it was meant."""
    return f"NOT done: your command of {clock(sent_at, _ZONE)} came too late. Send it again if you still want it."


def status_line(strategy_id: int, name: str, position: str, message: str) -> str:
    """One strategy that runs."""
    return f"{strategy_id} {name}: {position}. {said(message)}"


def status(lines: Sequence[str], *, capped: bool) -> str:
    """What runs."""
    if not lines:
        return "Nothing runs."
    more = ["There may be more: see the app."] if capped else []
    return "\n".join([*lines, *more])


def which_to_stop(running: Sequence[tuple[int, str]]) -> str:
    """What `/stop` without a number may mean. It stops nothing."""
    if not running:
        return "Nothing runs, so nothing was stopped."
    return "\n".join(
        ["Nothing was stopped yet. Which one?", *(f"/stop {number} ends {name}" for number, name in running)]
    )


def stopped(strategy_id: int, message: str, *, flat: bool) -> str:
    """What STOP has come to."""
    if flat:
        return f"STOP of {strategy_id}: {said(message)}"
    return f"STOP of {strategy_id}: NOT sold yet, the exit works on. {said(message)} Look again with /status."


def sure(word: str) -> str:
    """The question before a panic."""
    return (
        "Sell everything that your strategies hold, and buy nothing more? Press the button within a minute, or send "
        f"/panic {word}"
    )


def panic_taken(stopping: int, warnings: Sequence[str]) -> str:
    """A panic that was called."""
    what = f"{stopping} strategies are being ended" if stopping else "what runs is being ended"
    text = (
        f"PANIC: nothing more is bought, and {what}. You are told when all is sold; /status shows how far it is. In "
        "the app, with your password, you allow buying again."
    )
    return "\n".join([text, *(f"{said(warning)}." for warning in warnings)])


def login(url: str) -> str:
    """The link that opens the broker's login page."""
    return f"Log in at your broker: {url}\nThe link is good once, for your account only. Give it to nobody."


def muted(until: datetime | None) -> str:
    """What `/mute` has come to."""
    if until is None:
        return "All notices come here again."
    return f"Until {clock(until, _ZONE)} only what money may depend on comes here. The inbox has everything."
