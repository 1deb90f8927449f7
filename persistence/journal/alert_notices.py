"""Which alerts a trader hears of: those that no recorded step of a strategy says (row N1).

A trouble that lasts makes a notice when it begins, and another one when it is over; the key has the instant at which it
began, so that a second one of the same day makes notices as well. It is called over by the part that raised the
alert, after `CALM` without it: what comes and goes makes one pair of notices in that time.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, tzinfo
from hashlib import sha256
from types import MappingProxyType

from sqlalchemy import Select, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from actors.domain.notices.notice import Notice, NoticeKind, without_amounts
from actors.domain.notices.texts import sentence
from actors.ports.common import CALM
from persistence.database.engine import Sessions, transaction
from persistence.database.models.notifications import Notification
from persistence.database.models.strategies import Strategy
from persistence.database.repositories.notifications import resolve, tell

NOTICES_OF_ALERTS: Mapping[str, NoticeKind] = MappingProxyType(
    {
        "unguarded_position": NoticeKind.GUARD_LOST,
        "recovery_waits": NoticeKind.GUARD_LOST,
        "account_unreadable": NoticeKind.GUARD_LOST,
        "shares_missing": NoticeKind.GUARD_LOST,
        "strategy_crashing": NoticeKind.GUARD_LOST,
        "duplicate_order": NoticeKind.EXIT_TROUBLE,
        "oversold": NoticeKind.EXIT_TROUBLE,
        "position_short": NoticeKind.EXIT_TROUBLE,
        "sale_by_hand_waits": NoticeKind.EXIT_TROUBLE,
        "late_fill": NoticeKind.EXIT_TROUBLE,
    }
)
"""The codes of those alerts. All others are the operator's, or about a step whose lines make the notice."""

OVER: Mapping[str, str] = MappingProxyType(
    {
        "unguarded_position": "none of its shares is without a guard any more",
        "recovery_waits": "the order book can be read again, and what the strategy holds is guarded",
        "account_unreadable": "your account can be read again, and is compared with what the strategy holds",
        "shares_missing": "your account holds all shares of the strategy again",
        "strategy_crashing": "the strategy runs again, and guards what it holds",
        "position_short": "your account is no longer short",
        "sale_by_hand_waits": "no sell order of your own that would open a short waits any more",
    }
)
"""What is said when the trouble of an alert is over. The others are facts, which have no end."""

_OF_AMOUNTS = frozenset({"unguarded_position", "shares_missing", "position_short", "sale_by_hand_waits"})
"""Troubles of which the trader is notified again when their number of shares has changed."""

_ENDS_WITH_RUN = ("unguarded_position", "account_unreadable", "shares_missing", "sale_by_hand_waits")


def condition_of(code: str, about: str) -> str:
    """The condition of a trouble: there is one open notice of it."""
    return f"alert:{code}:{about}"


def conditions_of_run(strategy_id: int, run_id: int) -> tuple[str, ...]:
    """Those that are over when the run is, which its end says. That the account is short is not among them."""
    of_strategy = (condition_of(code, f"strategy:{strategy_id}") for code in _ENDS_WITH_RUN)
    of_run = (condition_of(code, f"run:{run_id}") for code in ("recovery_waits", "strategy_crashing"))
    return (*of_strategy, *of_run)


def alert_notice(strategy_id: int, code: str, message: str, at: datetime, about: str = "") -> Notice | None:
    """The notice of an alert; None for one that is not the trader's.

    `about` names what the alert is about: a run, an order, a position. A fact that is reported again, by whatever
    part, makes the same notice, also where the price in its text has changed.
    """
    kind = NOTICES_OF_ALERTS.get(code)
    if kind is None:
        return None
    text = sentence(message) or code
    about = about or f"strategy:{strategy_id}"
    lasts = code in OVER
    which = at.isoformat() if lasts else _fingerprint(text) if about.startswith(("run:", "strategy:")) else ""
    return Notice(
        kind=kind,
        key=f"alert:{code}:{about}:{which}".rstrip(":"),
        text=text,
        at=at,
        condition=condition_of(code, about) if lasts else None,
        strategy_id=strategy_id or None,
    )


def _fingerprint(text: str) -> str:
    return sha256(without_amounts(text).encode(errors="replace")).hexdigest()[:16]


class AlertNotices:
    """Writes the notices of alerts; days are those of `zone`. Every call is one transaction and may be repeated."""

    def __init__(self, sessions: Sessions, zone: tzinfo) -> None:
        self._sessions, self._zone = sessions, zone

    async def raised(self, user_id: int, code: str, notice: Notice) -> None:
        """Notify a user of what no recorded step says: what an account's watcher has found, for instance.

        Of a trouble of which he knows he is notified again on another day, or when its number of shares has changed.
        """
        async with transaction(self._sessions) as session:
            if notice.condition is not None:
                await self._end_outdated(session, user_id, code, notice)
            await tell(session, user_id, notice)

    async def over(self, user_id: int, codes: Sequence[str], about: str, at: datetime) -> None:
        """The troubles of these alerts are over: said to a user who knows of them, and to no other."""
        conditions = {condition_of(code, about): code for code in codes}
        async with transaction(self._sessions) as session:
            known = {row[0]: row[1] for row in await session.execute(_open(user_id, conditions))}
            for condition, code in conditions.items():
                if (share := known.get(condition)) is not None:
                    await resolve(session, user_id, condition, f"{share}: {OVER[code]}.", at)

    async def _end_outdated(self, session: AsyncSession, user_id: int, code: str, notice: Notice) -> None:
        """End the open notice of the trouble in silence, if the new one says something else."""
        mine = (col(Notification.user_id) == user_id, col(Notification.condition) == notice.condition)
        still = col(Notification.over_at).is_(None)
        known = await session.scalar(select(Notification).where(*mine, still).with_for_update())
        if known is None:
            return
        changed = code in _OF_AMOUNTS and known.brief != notice.shown_in_public and notice.at - known.at >= CALM
        if changed or known.at.astimezone(self._zone).date() != notice.at.astimezone(self._zone).date():
            ended = update(Notification).where(col(Notification.id) == known.id, still).values(over_at=notice.at)
            await session.execute(ended, execution_options={"synchronize_session": False})


def _open(user_id: int, conditions: Collection[str]) -> "Select[str | None, str]":
    """Those of the conditions of which a notice is open, each with its share."""
    share = func.coalesce(col(Strategy.tradingsymbol), "Your account")
    return (
        select(col(Notification.condition), share)
        .outerjoin(Strategy, col(Strategy.id) == col(Notification.strategy_id))
        .where(col(Notification.user_id) == user_id, col(Notification.condition).in_(conditions))
        .where(col(Notification.over_at).is_(None))
    )
