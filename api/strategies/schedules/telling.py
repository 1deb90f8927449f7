"""What a trader hears of schedules. One place: each notice is written in the transaction of its fact (row N1)."""

from datetime import date, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from actors.domain.notices import schedule_texts
from actors.domain.notices.notice import Notice, NoticeKind
from api.strategies.schedules.schedule_rules import SKIPPING, STREAK, Day
from persistence.database.models.strategies import Strategy
from persistence.database.repositories.notifications import end_conditions, resolve, tell
from persistence.mirror.fields import instrument_of

_ASKED_FOR = frozenset({"skipped_by_user", "paused"})
"""Reasons to leave a day out that the trader has given, or has heard of before."""


async def tell_waiting(
    session: AsyncSession, strategy: Strategy, day: Day, code: str, reason: str, at: datetime
) -> None:
    """The strategy could not be started for this day so far."""
    text = schedule_texts.not_armed(_name(strategy), day.buy_at, reason, day.ends_at)
    await _tell(session, strategy, day.day, NoticeKind.WILL_NOT_TRADE, f"waiting:{code}", text, at, lasts=True)


async def tell_armed(session: AsyncSession, strategy: Strategy, day: Day, at: datetime) -> None:
    """It was started after all: said only if the trader has heard that it was not."""
    text = schedule_texts.armed_now(_name(strategy), day.buy_at)
    await resolve(session, strategy.user_id, _condition(strategy, day.day), text, at)


async def tell_missed(session: AsyncSession, strategy: Strategy, day: Day, reason: str, at: datetime) -> None:
    """Nothing was bought on this day, and nothing will be on another one in its place."""
    await end_conditions(session, strategy.user_id, [_condition(strategy, day.day)], at)
    text = schedule_texts.missed(_name(strategy), day.buy_at, reason)
    await _tell(session, strategy, day.day, NoticeKind.WILL_NOT_TRADE, "missed", text, at)


async def tell_skipped(session: AsyncSession, strategy: Strategy, day: Day, code: str, at: datetime) -> None:
    """The day is left out on purpose; if the trader has asked for it himself he does not hear of it."""
    await end_conditions(session, strategy.user_id, [_condition(strategy, day.day)], at)
    if code not in _ASKED_FOR:
        text = schedule_texts.left_out(_name(strategy), day.day, SKIPPING[code])
        await _tell(session, strategy, day.day, NoticeKind.SCHEDULE, f"skipped:{code}", text, at)


async def end_waiting(session: AsyncSession, strategy: Strategy, day: date, at: datetime) -> None:
    """The schedule is gone, and with it what the day waited for."""
    await end_conditions(session, strategy.user_id, [_condition(strategy, day)], at)


async def tell_restored(session: AsyncSession, strategy: Strategy, restored_at: datetime, at: datetime) -> None:
    """The schedule is that of a backup: what the trader has done with it since is lost."""
    text = schedule_texts.restored(_name(strategy))
    await _tell(session, strategy, restored_at.date(), NoticeKind.SCHEDULE, f"restored:{restored_at}", text, at)


async def tell_paused(session: AsyncSession, strategy: Strategy, day: date, at: datetime) -> None:
    """The schedule has paused itself."""
    text = schedule_texts.paused_itself(_name(strategy), STREAK)
    await _tell(session, strategy, day, NoticeKind.WILL_NOT_TRADE, "paused", text, at)


async def _tell(
    session: AsyncSession,
    strategy: Strategy,
    day: date,
    kind: NoticeKind,
    fact: str,
    text: str,
    at: datetime,
    *,
    lasts: bool = False,
) -> None:
    notice = Notice(
        kind=kind,
        key=f"schedule:{strategy.id}:{day}:{fact}",
        text=text,
        at=at,
        condition=_condition(strategy, day) if lasts else None,
        strategy_id=strategy.id,
    )
    await tell(session, strategy.user_id, notice)


def _condition(strategy: Strategy, day: date) -> str:
    return f"schedule:{strategy.id}:{day}"


def _name(strategy: Strategy) -> str:
    return f"{instrument_of(strategy).symbol} (strategy {strategy.id})"
