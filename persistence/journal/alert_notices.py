"""Which alerts a trader hears of: those that no recorded step of a strategy says (row N1)."""

from collections.abc import Mapping
from datetime import datetime, tzinfo
from hashlib import sha256
from types import MappingProxyType

from actors.domain.notices.notice import Notice, NoticeKind, without_amounts
from actors.domain.notices.texts import sentence

NOTICES_OF_ALERTS: Mapping[str, NoticeKind] = MappingProxyType(
    {
        "unguarded_position": NoticeKind.GUARD_LOST,
        "recovery_waits": NoticeKind.GUARD_LOST,
        "account_unreadable": NoticeKind.GUARD_LOST,
        "shares_missing": NoticeKind.GUARD_LOST,
        "strategy_crashing": NoticeKind.GUARD_LOST,
        "symbol_not_listed": NoticeKind.GUARD_LOST,
        "duplicate_order": NoticeKind.EXIT_TROUBLE,
        "oversold": NoticeKind.EXIT_TROUBLE,
        "position_short": NoticeKind.EXIT_TROUBLE,
        "sale_by_hand_waits": NoticeKind.EXIT_TROUBLE,
        "late_fill": NoticeKind.EXIT_TROUBLE,
    }
)
"""The codes of those alerts. All others are the operator's, or about a step whose lines make the notice."""


def alert_notice(strategy_id: int, code: str, message: str, at: datetime, zone: tzinfo) -> Notice | None:
    """The notice of an alert; None for one that is not the trader's.

    An alert that is raised again on the same day makes the same notice, also where the price in it has changed.
    """
    kind = NOTICES_OF_ALERTS.get(code)
    if kind is None:
        return None
    text = sentence(message)
    fingerprint = sha256(without_amounts(text).encode(errors="replace")).hexdigest()[:16]
    return Notice(
        kind=kind,
        key=f"alert:{code}:{strategy_id}:{at.astimezone(zone):%Y-%m-%d}:{fingerprint}",
        text=text or code,
        at=at,
        strategy_id=strategy_id or None,
    )
