"""A notice: one sentence about one fact, which a trader gets once (row N1)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from actors.domain.errors import InvalidValue

LONGEST_TEXT = 1000
"""How many characters a sentence has at most; what is longer is cut. A broker's reason may be of any length."""


class NoticeKind(StrEnum):
    """What a notice is about. The database keeps these words, and preferences name them: none may be changed."""

    FILL_ENTRY = "fill_entry"
    EXIT_STOP = "exit_stop"
    EXIT_TIME = "exit_time"
    EXIT_TARGET = "exit_target"
    EXIT_MANUAL = "exit_manual"
    NOT_BOUGHT = "not_bought"
    CLOSED_OUTSIDE = "closed_outside"
    EXIT_TROUBLE = "exit_trouble"
    FEED_LOST = "feed_lost"
    UNKNOWN_OUTCOME = "unknown_outcome"
    GUARD_LOST = "guard_lost"
    WILL_NOT_TRADE = "will_not_trade"
    READINESS = "readiness"
    LOGIN_NEEDED = "login_needed"
    SCHEDULE = "schedule"
    LIMIT_HIT = "limit_hit"
    PANIC = "panic"
    DAY_SUMMARY = "day_summary"
    SECURITY = "security"
    TEST = "test"
    """The user asked for it."""


class Level(StrEnum):
    """How a kind reaches a trader's devices. The inbox has every notice, whatever its level."""

    ON = "on"
    SILENT = "silent"
    """Sent without a sound."""
    OFF = "off"
    """Not sent."""


AT_RISK = frozenset(
    {
        NoticeKind.EXIT_TROUBLE,
        NoticeKind.FEED_LOST,
        NoticeKind.UNKNOWN_OUTCOME,
        NoticeKind.GUARD_LOST,
        NoticeKind.WILL_NOT_TRADE,
        NoticeKind.LIMIT_HIT,
        NoticeKind.PANIC,
        NoticeKind.SECURITY,
    }
)
"""Kinds of which money may depend: they do not wait for the end of quiet hours, and cannot be turned off."""

USUAL_LEVELS: Mapping[NoticeKind, Level] = MappingProxyType(
    {kind: Level.SILENT if kind in {NoticeKind.READINESS, NoticeKind.DAY_SUMMARY} else Level.ON for kind in NoticeKind}
)
"""The levels of a trader who has chosen none."""

_AMOUNT = re.compile(
    r"[-+−]?(?:₹|\bRs\.?|\bINR)\s?\d[\d,]*(?:\.\d+)?"  # with its currency
    r"|[-+−]?(?<![\d.:])\d{1,3}(?:,\d{2,3})+(?:\.\d+)?(?![\d.:])"  # grouped
    r"|[-+−]?(?<![\d.:])\d+\.\d{1,2}(?![\d.:%])",  # with paise, as brokers write amounts in their reasons
    re.IGNORECASE,
)
HIDDEN = "₹…"
"""In place of an amount."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One fact, in one or two sentences.

    `key` names the fact among all facts of its user: a second notice under it is not made. `condition` names
    something that lasts: while a notice of it is open, another one is not made, and its end is a notice of its own.
    `brief` is the text without amounts, for a screen that others may see; by default the amounts are taken out of it.

    Raises:
        InvalidValue: the key or the text is empty, or the instant has no time zone.
    """

    kind: NoticeKind
    key: str
    text: str
    at: datetime
    condition: str | None = None
    strategy_id: int | None = None
    run_id: int | None = None
    brief: str = ""

    def __post_init__(self) -> None:
        if not self.key or not self.text or self.condition == "":
            raise InvalidValue("a notice has a key and a text, and a condition has a name")
        if self.at.tzinfo is None:
            raise InvalidValue("the instant of a notice has a time zone")

    @property
    def shown(self) -> str:
        """The text, no longer than may be."""
        return cut(self.text)

    @property
    def shown_in_public(self) -> str:
        """The text without amounts, no longer than may be."""
        return cut(self.brief or without_amounts(self.text))


def without_amounts(text: str) -> str:
    """The text with each amount of money replaced by `HIDDEN`. Quantities, times and percentages stay."""
    return _AMOUNT.sub(HIDDEN, text)


def cut(text: str) -> str:
    """At most `LONGEST_TEXT` characters of it."""
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"
