"""What a trader hears of schedules. One place: each notice is written in the transaction of its fact (row N1)."""

from datetime import date, datetime

from sqlalchemy.ext.asyncio import AsyncSession

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
    until = f"{day.ends_at:%H:%M:%S}"
    text = f"{_name(strategy)} is not armed for {_at(day)}: {_sentence(reason)} It is tried again until {until}."
    await _tell(session, strategy, day.day, NoticeKind.WILL_NOT_TRADE, f"waiting:{code}", text, at, lasts=True)


async def tell_armed(session: AsyncSession, strategy: Strategy, day: Day, at: datetime) -> None:
    """It was started after all: said only if the trader has heard that it was not."""
    text = f"{_name(strategy)} is armed for {_at(day)} now."
    await resolve(session, strategy.user_id, _condition(strategy, day.day), text, at)


async def tell_missed(session: AsyncSession, strategy: Strategy, day: Day, reason: str, at: datetime) -> None:
    """Nothing was bought on this day, and nothing will be on another one in its place."""
    await end_conditions(session, strategy.user_id, [_condition(strategy, day.day)], at)
    text = f"Missed: {_name(strategy)} was not started for {_at(day)}. {_sentence(reason)}"
    await _tell(session, strategy, day.day, NoticeKind.WILL_NOT_TRADE, "missed", text, at)


async def tell_skipped(session: AsyncSession, strategy: Strategy, day: Day, code: str, at: datetime) -> None:
    """The day is left out on purpose; if the trader has asked for it himself he does not hear of it."""
    await end_conditions(session, strategy.user_id, [_condition(strategy, day.day)], at)
    if code not in _ASKED_FOR:
        text = f"{_name(strategy)} does not trade on {day.day:%A, %Y-%m-%d}: {SKIPPING[code]}."
        await _tell(session, strategy, day.day, NoticeKind.SCHEDULE, f"skipped:{code}", text, at)


async def end_waiting(session: AsyncSession, strategy: Strategy, day: date, at: datetime) -> None:
    """The schedule is gone, and with it what the day waited for."""
    await end_conditions(session, strategy.user_id, [_condition(strategy, day)], at)


async def tell_paused(session: AsyncSession, strategy: Strategy, day: date, at: datetime) -> None:
    """The schedule has paused itself."""
    text = (
        f"{_name(strategy)}: its schedule is paused, since {STREAK} days in a row failed or were missed. "
        "Resume it when the reason is mended."
    )
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


def _at(day: Day) -> str:
    return f"{day.buy_at:%Y-%m-%d %H:%M:%S}"


def _sentence(reason: str) -> str:
    return f"{reason[:1].upper()}{reason[1:]}".rstrip(".") + "."
